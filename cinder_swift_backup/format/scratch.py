# SPDX-License-Identifier: Apache-2.0

"""Memory for one chunk, outside of the heap.

A chunk takes tens of mebibytes, which several threads fill piece by piece and
which are freed at once. From the heap, each thread's arena would keep some of
it for ever; a mapping of its own is given back to the system as a whole.
"""

from collections.abc import Iterator
import contextlib
import mmap

# Whole pages, and whole huge pages on the machines there are.
_STEP = 2 << 20


class Scratch:
    """A growing run of bytes, which can be consumed from the front."""

    def __init__(self, size: int) -> None:
        """Prepare.

        :param size: the expected number of bytes; unused pages take no
            memory, and more bytes are possible
        """
        # Private: a shared mapping cannot grow, and keeps what is given back.
        self._map = mmap.mmap(-1, max(size, 1),
                              mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if size >= _STEP:
            # Not every kernel has huge pages, and it works without.
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_HUGEPAGE)
        self._length = 0

    def __len__(self) -> int:
        """How many bytes there are."""
        return self._length

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; there must be no :meth:`view`."""
        end = self._length + len(data)
        if end > len(self._map):
            self._map.resize(end + _STEP)
        self._map[self._length:end] = data
        self._length = end

    def view(self) -> memoryview:
        """All bytes, as long as the view lives."""
        return memoryview(self._map)[:self._length]

    def drain(self) -> Iterator[memoryview]:
        """All bytes in pieces; each is freed when the next is taken."""
        view = self.view()
        for start in range(0, self._length, _STEP):
            yield view[start:start + _STEP]
            # Memory that is locked cannot be given back; then it is kept.
            with contextlib.suppress(OSError):
                self._map.madvise(mmap.MADV_DONTNEED, start,
                                  min(_STEP, len(self._map) - start))

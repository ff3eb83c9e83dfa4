# SPDX-License-Identifier: Apache-2.0

"""Restoring a volume to something that takes its bytes in order only.

Such as a pipe to a program that writes an image of another format.

1. Plan as for any restore.
2. Take the volume in windows of a few hundred MiB. A window ends where an
   extent of the plan does, if there is one, so that hardly an object is
   fetched twice.
3. Fetch what is in the window, several objects at a time, into memory. Every
   block is verified as in any restore.
4. Only then write it: what has been written is right, always.

Memory: one window, and a few MiB for each worker.
"""

from array import array
from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools

from cinder_swift_backup.engine import chunk_reader
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import restorer
from cinder_swift_backup.engine import verification
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

# Bytes.
WINDOW = 256 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class _Window:
    """A part of the volume, and the chunks that have it."""

    extent: types.Extent
    chunks: tuple[planner.PlannedChunk, ...]


class Streamer:
    """Writes backups in the order of the volume."""

    def __init__(self, planning: restorer.Restorer,
                 pipeline: pipelines.Pipeline) -> None:
        """Prepare.

        :param planning: knows how to plan and to verify
        """
        self._restorer = planning
        self._pipeline = pipeline

    def stream(self, chain: chains.Chain,
               write: Callable[[memoryview], object],
               observer: progress.Observer, *, verify: bool = True) -> None:
        """Pass all bytes of the tip of ``chain`` to ``write``.

        :raises BackupError: as :meth:`restorer.Restorer.restore` does
        """
        plan = self._restorer.plan(chain)
        call = self._pipeline.runtime.call
        with self._restorer.checked(chain, plan, observer,
                                    verify=verify) as check:
            size = (1 if check.digests is None
                    else check.digests.table.block_size)
            reader = self._restorer.reader(check)
            for window in _windows(plan, max(WINDOW // size, 1) * size):
                # Nobody keeps it while the next one is fetched.
                call(write, self._fetch(window, reader, check, observer))
                observer.advanced(window.extent.end, plan.end)

    def _fetch(self, window: _Window, reader: chunk_reader.ChunkReader,
               check: verification.Check,
               observer: progress.Observer) -> memoryview:
        data = bytearray(window.extent.length)
        self._pipeline.run(
            (pipelines.Task(functools.partial(
                self._read, reader, chunk, check,
                _Filling(window.extent.offset, data)),
                sum(extent.length for extent in chunk.extents))
             for chunk in window.chunks),
            lambda _: None, observer.checkpoint, full=chunk_reader.FULL)
        return memoryview(data)

    def _read(self, reader: chunk_reader.ChunkReader,
              chunk: planner.PlannedChunk, check: verification.Check,
              use: '_Filling', stop: pipelines.StopFlag) -> None:
        stop.check()
        zeros = self._pipeline.runtime.call(check.zeros, chunk.extents)
        wanted = tuple(extent for extent in chunk.extents
                       if extent not in zeros)
        if wanted:
            reader.read(dataclasses.replace(chunk, extents=wanted), use, stop)


@dataclasses.dataclass(frozen=True, slots=True)
class _Filling:
    """Puts data into a window that begins at an offset of the volume."""

    offset: int
    data: bytearray

    def __call__(self, offset: int, data: memoryview, *,
                 repeated: bool) -> None:
        start = offset - self.offset
        self.data[start:start + len(data)] = data


def _windows(plan: planner.RestorePlan, most: int) -> Iterator[_Window]:
    """The volume in order.

    :param most: bytes of a window, whole blocks
    """
    chunks = plan.chunks
    # All extents of the plan in the order of the volume, which they cover.
    order = array('q', sorted(range(len(chunks.offsets)),
                              key=chunks.offsets.__getitem__))
    position = first = 0
    while position < plan.end:
        last, end = first, position
        while (last < len(order)
               and _end(plan, order[last]) - position <= most):
            end = _end(plan, order[last])
            last += 1
        if end == position:
            # One extent is longer than a window.
            end = position + most
        extent = types.Extent(position, end - position)
        found: dict[int, list[types.Extent]] = {}
        for index in order[first:last + 1]:
            part = types.Extent(chunks.offsets[index],
                                chunks.lengths[index]).overlap(extent)
            if part is not None:
                found.setdefault(chunks.place(index), []).append(part)
        yield _Window(extent, tuple(
            dataclasses.replace(chunks[place], extents=tuple(parts))
            for place, parts in found.items()))
        position, first = end, last


def _end(plan: planner.RestorePlan, index: int) -> int:
    return plan.chunks.offsets[index] + plan.chunks.lengths[index]

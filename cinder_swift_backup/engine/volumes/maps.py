# SPDX-License-Identifier: Apache-2.0

"""What is left out by the word of a volume, and whether that is true.

File systems, NFS servers and librbd have all been wrong at some time about
where a volume has data, or about what was written to it. Such a backup has
zeros, or what the parent has, in the place of data, and verifies; such a
restore leaves old data in the place of zeros. So some of what is left out is
read each time:

1. While the volume is asked for its holes and its changes, take a sample of
   what it does not name: :data:`PLACES` bytes of holes, and as many of what is
   said to be as in the parent, each of them as likely as any other.
2. Read around them. A hole has to be zeros, and a block that is as in the
   parent has to have the parent's digest.
3. A hole that is none may have been written to meanwhile. Then the volume says
   so when it is asked again.
4. If one place is not as it was said to be, nothing that the volume says is
   believed: everything is read, or written.

If one in ``n`` bytes of what is left out is not as it was said to be, that is
noticed with a probability of ``1 - (1 - 1/n) ** 64``: 99.9 % for one in ten,
96 % for one in twenty, and 47 % for one in a hundred, each time anew. Of
blocks above 64 KiB, for which that would take too long, fewer are compared
with the parent.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools
import heapq
import random

from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zeros

# So many places are looked at of each kind.
PLACES = 64
# Bytes that are read of a hole, and at most of all blocks that are compared:
# together 6 MiB, 0.6 % of the smallest volume.
GRAIN = 32 << 10
_MOST = 4 << 20


class Sample:
    """Bytes of what is between extents, each as likely as any other.

    For each of its places, it knows when the next byte is going to replace
    the one that it has: with ``n`` bytes seen, that is the case before the
    ``m``-th one with a probability of ``1 - n / m``. So it does not matter how
    many extents there are.
    """

    def __init__(self, places: int) -> None:
        self._seen = 0
        # When each place is replaced, the next on top of the heap.
        self._due = [(0, place) for place in range(places)]
        self._found: dict[int, tuple[int, types.Extent]] = {}

    def between(self, extents: Iterable[types.Extent],
                within: types.Extent) -> Iterator[types.Extent]:
        """Pass extents on, and draw from what is between them.

        :param extents: parts of ``within``, disjoint and in order
        """
        position = within.offset
        for extent in extents:
            self._add(types.Extent(position, extent.offset - position))
            yield extent
            position = extent.end
        self._add(types.Extent(position, max(within.end - position, 0)))

    def blocks(self, block_size: int) -> set[types.Extent]:
        """The blocks that were drawn, as far as they are between extents.

        :param block_size: in bytes
        """
        return {block for block in (
            types.Extent(offset // block_size * block_size,
                         block_size).overlap(extent)
            for offset, extent in self._found.values()) if block is not None}

    def _add(self, extent: types.Extent) -> None:
        start = self._seen
        self._seen += extent.length
        while self._due[0][0] < self._seen:
            due, place = self._due[0]
            self._found[place] = extent.offset + due - start, extent
            following = int((due + 1) / (1 - random.random()))
            heapq.heapreplace(self._due, (following, place))


class Left:
    """Samples of what a backup does not read.

    ``holes`` is one of holes, ``same`` one of what is as in the parent.
    """

    def __init__(self, block_size: int) -> None:
        """Prepare.

        :param block_size: of digests, in bytes
        """
        self.holes = Sample(PLACES)
        self.same = Sample(max(min(_MOST // block_size, PLACES), 1))

    def note_changes(self, may_differ: intervals.IntervalSet | None,
                     size: int) -> None:
        """Draw from what did not change.

        :param may_differ: None if nobody knows, and all of it is looked at
        :param size: of the volume in bytes
        """
        if may_differ is None:
            return
        whole = types.Extent(0, size)
        for _ in self.same.between(may_differ.extents(), whole):
            pass


@dataclasses.dataclass(frozen=True, slots=True)
class Lie:
    """A part of a volume that is not as it was ``said`` to be."""

    extent: types.Extent
    said: str

    def __str__(self) -> str:
        return (f'bytes {self.extent.offset} to {self.extent.end} are '
                f'{self.said}')


@dataclasses.dataclass(frozen=True, slots=True)
class Checker:
    """Looks whether a volume is as it said.

    ``before`` are the digests of the parent, if there is one.
    """

    source: volumes.VolumeReader
    block_size: int
    before: digests.DigestTable | None = None

    def find_lie(self, left: Left,
                 operation: operations.Operation) -> Lie | None:
        """What is not as the volume said; None if nothing was found.

        :param left: what to look at
        :raises VolumeError: when the volume cannot be read
        """
        lies: list[Lie] = []

        def collect(lie: Lie | None) -> None:
            if lie is not None:
                lies.append(lie)

        operation.run(self._tasks(operation.call, left), collect,
                      full=pipelines.FULL)
        return min(lies, default=None, key=lambda lie: lie.extent.offset)

    def _tasks(self, call: pipelines.Call,
               left: Left) -> Iterator[pipelines.Task[Lie | None]]:
        for place in left.holes.blocks(min(self.block_size, GRAIN)):
            yield pipelines.Task(functools.partial(
                self._look, call, self._is_hole, Lie(place, 'zeros')),
                place.length)
        for place in left.same.blocks(self.block_size):
            yield pipelines.Task(functools.partial(
                self._look, call, self._is_same,
                Lie(place, 'the same as in the parent')), place.length)

    @staticmethod
    def _look(call: pipelines.Call, is_true: Callable[[types.Extent], bool],
              lie: Lie, stop: pipelines.StopFlag) -> Lie | None:
        stop.check()
        return None if call(is_true, lie.extent) else lie

    # These run offloaded, so they must not log.

    def _is_hole(self, place: types.Extent) -> bool:
        return (zeros.only(self._read(place))
                or not self.source.is_hole(place))

    def _is_same(self, place: types.Extent) -> bool:
        if self.before is None:
            return True
        number = place.offset // self.block_size
        return (self.before.hash(self._read(place), place.offset)
                == self.before.run(number, number + 1))

    def _read(self, place: types.Extent) -> memoryview:
        return self.source.read(place, bytearray(place.length))

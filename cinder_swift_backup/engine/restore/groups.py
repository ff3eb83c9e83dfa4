# SPDX-License-Identifier: Apache-2.0

"""Chunks that come with one request, because they are neighbours in an object.

A chunk that is an object of its own is a group of one. Chunks in a pack are a
group if little lies between them that nobody wants: to fetch that, too, takes
less time than another request. A group is as large as keeps a worker busy, so
that there are enough of them for all workers.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import types

# Stored bytes that are fetched for nobody rather than with another request.
GAP = 256 << 10
# Stored bytes, and bytes of the volume, of which a group has no more unless
# one chunk has.
LARGEST = 16 << 20
_LARGEST_ON_VOLUME = 64 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """Chunks of one object in the order of their places; at least one."""

    chunks: tuple[planner.PlannedChunk, ...]

    @property
    def container(self) -> str:
        """The container of the object."""
        return self.chunks[0].container

    @property
    def name(self) -> str:
        """The name of the object."""
        return self.chunks[0].record.name

    @property
    def is_zeros(self) -> bool:
        """Whether it is one chunk, of which there is nothing to fetch."""
        return self.chunks[0].record.is_zeros

    @property
    def place(self) -> types.Extent | None:
        """What to fetch of the object's stored bytes; None for all of it."""
        first, last = self.chunks[0].record.place, self.chunks[-1].record.place
        if first is None or last is None:
            return None
        return types.Extent(first.offset, last.end - first.offset)

    @property
    def extents(self) -> tuple[types.Extent, ...]:
        """What the plan takes of all chunks."""
        return tuple(extent for chunk in self.chunks
                     for extent in chunk.extents)

    @property
    def length(self) -> int:
        """How many bytes of the volume all of its chunks are of."""
        return sum(chunk.record.extent.length for chunk in self.chunks)

    def without(self, done: frozenset[types.Extent]) -> 'Group | None':
        """What of the group is left to fetch; None if that is nothing."""
        left = []
        for chunk in self.chunks:
            extents = tuple(extent for extent in chunk.extents
                            if extent not in done)
            if extents:
                left.append(dataclasses.replace(chunk, extents=extents))
        return Group(tuple(left)) if left else None


def grouped(chunks: Iterable[planner.PlannedChunk]) -> Iterator[Group]:
    """Put chunks together that follow each other and are neighbours."""
    group: list[planner.PlannedChunk] = []
    length = 0
    for chunk in chunks:
        if group and (not _are_neighbours(group, chunk)
                      or length + chunk.record.extent.length
                      > _LARGEST_ON_VOLUME):
            yield Group(tuple(group))
            group, length = [], 0
        group.append(chunk)
        length += chunk.record.extent.length
    if group:
        yield Group(tuple(group))


def _are_neighbours(group: list[planner.PlannedChunk],
                    chunk: planner.PlannedChunk) -> bool:
    first, last = group[0].record, group[-1].record
    place = chunk.record.place
    if (first.place is None or last.place is None or place is None
            or first.is_zeros or chunk.record.is_zeros):
        return False
    return (first.name == chunk.record.name
            and group[0].container == chunk.container
            and 0 <= place.offset - last.place.end <= GAP
            and place.end - first.place.offset <= LARGEST)

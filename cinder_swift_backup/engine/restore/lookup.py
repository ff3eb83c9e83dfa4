# SPDX-License-Identifier: Apache-2.0

"""Finds which chunks of a plan have an extent of the volume.

A restore carries out a plan from one end to the other. Whoever reads a backup
here and there asks this first. Chunks that come with one request are found
together, see :mod:`cinder_swift_backup.engine.restore.groups`.

Memory: 8 bytes for each extent of the plan's part, and as many for each group
of chunks in packs.
"""

from array import array
import bisect
from collections.abc import Iterator

from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import types


class Lookup:
    """The groups of one part of a plan, by what they have of the volume."""

    def __init__(self, part: planner.PlannedChunks) -> None:
        self._part = part
        # The extents leave no gaps.
        self._order = array('q', sorted(range(len(part.offsets)),
                                        key=part.offsets.__getitem__))
        # The first chunk of each group; each is one where they are objects.
        self._firsts = _firsts(part) if part.may_be_neighbours else None

    @property
    def end(self) -> int:
        """Where the part ends, in bytes of the volume."""
        last = self._order[-1]
        return self._part.offsets[last] + self._part.lengths[last]

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._part) if self._firsts is None else len(self._firsts)

    def within(self, extent: types.Extent) -> Iterator[
            tuple[int, types.Extent]]:
        """What of an extent each group has, in the order of the volume.

        :param extent: of the part
        :returns: pairs of the number of a group and what it has
        """
        part = self._part
        at = bisect.bisect_right(self._order, extent.offset,
                                 key=part.offsets.__getitem__) - 1
        for position in range(max(at, 0), len(self._order)):
            index = self._order[position]
            shared = types.Extent(part.offsets[index],
                                  part.lengths[index]).overlap(extent)
            if shared is not None:
                yield self._number(part.place(index)), shared
            elif part.offsets[index] >= extent.end:
                return

    def _number(self, place: int) -> int:
        if self._firsts is None:
            return place
        return bisect.bisect_right(self._firsts, place) - 1

    def group(self, number: int) -> groups.Group:
        """The group with a number, from 0."""
        if self._firsts is None:
            return groups.Group((self._part[number],))
        first = self._firsts[number]
        end = (self._firsts[number + 1] if number + 1 < len(self._firsts)
               else len(self._part))
        return groups.Group(tuple(map(self._part.__getitem__,
                                      range(first, end))))


def _firsts(part: planner.PlannedChunks) -> 'array[int]':
    firsts = array('q')
    position = 0
    for group in groups.grouped(part):
        firsts.append(position)
        position += len(group.chunks)
    return firsts

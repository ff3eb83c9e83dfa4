# SPDX-License-Identifier: Apache-2.0

"""A set of bytes of the volume, kept as disjoint extents."""

import bisect

from cinder_swift_backup.format import types


class IntervalSet:
    """The extents that were claimed so far; adjacent ones are merged.

    Two sorted lists of equal length hold starts and ends, so that a claim
    finds its neighbours by bisection.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def claim(self, extent: types.Extent) -> list[types.Extent]:
        """Take an extent; return the parts of it that were still free."""
        if extent.length <= 0:
            return []
        first = bisect.bisect_left(self._ends, extent.offset)
        last = bisect.bisect_right(self._starts, extent.end)
        free = []
        position = extent.offset
        for start, end in zip(self._starts[first:last],
                              self._ends[first:last], strict=True):
            if start > position:
                free.append(types.Extent(position, start - position))
            position = max(position, end)
        if position < extent.end:
            free.append(types.Extent(position, extent.end - position))
        start, end = extent.offset, extent.end
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return free

    def overlaps(self, extent: types.Extent) -> bool:
        """Whether any byte of ``extent`` was claimed."""
        first = bisect.bisect_right(self._ends, extent.offset)
        return (first < len(self._starts)
                and self._starts[first] < extent.end)

    def within(self, extent: types.Extent) -> list[types.Extent]:
        """The parts of ``extent`` that were claimed, in order."""
        if extent.length <= 0:
            return []
        first = bisect.bisect_right(self._ends, extent.offset)
        last = bisect.bisect_left(self._starts, extent.end)
        return [types.Extent(max(start, extent.offset),
                             min(end, extent.end) - max(start, extent.offset))
                for start, end in zip(self._starts[first:last],
                                      self._ends[first:last], strict=True)]

    def extents(self) -> list[types.Extent]:
        """What was claimed, in order."""
        return [types.Extent(start, end - start) for start, end
                in zip(self._starts, self._ends, strict=True)]

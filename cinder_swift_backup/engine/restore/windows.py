# SPDX-License-Identifier: Apache-2.0

"""Parts of a plan that are fetched into memory.

A window is an extent of the volume with the chunks of a plan that have it.
Several of its chunks are fetched at a time. Every block is verified as in any
restore, and nobody sees the window before all of it is.

Memory: the window, and a few MiB for each worker.
"""

from array import array
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """A part of the volume, and the chunks that have it."""

    extent: types.Extent
    chunks: tuple[planner.PlannedChunk, ...]


class _Filling(fetching.Discard):
    """Puts data into a window, which is zeros at first."""

    def __init__(self, window: Window) -> None:
        self._offset = window.extent.offset
        self.data = bytearray(window.extent.length)

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """See :class:`fetching.Sink`."""
        start = offset - self._offset
        self.data[start:start + len(data)] = data


def fetch(window: Window, fetcher: fetching.Fetcher) -> memoryview:
    """What is in a window.

    :raises IntegrityError: when it is not what was stored
    """
    sink = _Filling(window)
    fetcher.fetch(window.chunks, sink, whole=False)
    return memoryview(sink.data)


def first(plan: planner.RestorePlan, length: int,
          fetcher: fetching.Fetcher) -> Window:
    """The beginning of the volume.

    :param length: bytes that are wanted; there may be more, up to the end of
        a block, or fewer, if the volume ends before
    """
    end = min(-(-length // fetcher.grain) * fetcher.grain, plan.end)
    left = end
    chunks: list[planner.PlannedChunk] = []
    for part in plan.parts():
        some = fetcher.operation.call(_beginning, part, end)
        chunks += some
        left -= sum(extent.length for chunk in some
                    for extent in chunk.extents)
        if not left:
            break
    return Window(types.Extent(0, end), tuple(chunks))


def _beginning(part: planner.PlannedChunks,
               end: int) -> tuple[planner.PlannedChunk, ...]:
    """What of a part of a plan is before ``end``."""
    return _window(part, types.Extent(0, end), (
        index for index, offset in enumerate(part.offsets)
        if offset < end)).chunks


def in_order(part: planner.PlannedChunks, most: int) -> Iterator[Window]:
    """All of a part of the volume.

    A window ends where an extent of the plan does, if there is one, so that
    hardly an object is fetched twice.

    :param part: of a plan
    :param most: bytes of a window, whole blocks
    """
    # All its extents in the order of the volume; they leave no gaps.
    order = array('q', sorted(range(len(part.offsets)),
                              key=part.offsets.__getitem__))
    if not order:
        return
    start, position = 0, part.offsets[order[0]]
    end_of_part = _end(part, order[-1])
    while position < end_of_part:
        last, end = start, position
        while (last < len(order)
               and _end(part, order[last]) - position <= most):
            end = _end(part, order[last])
            last += 1
        if end == position:
            # One extent is longer than a window.
            end = position + most
        yield _window(part, types.Extent(position, end - position),
                      order[start:last + 1])
        position, start = end, last


def _window(part: planner.PlannedChunks, extent: types.Extent,
            indexes: Iterable[int]) -> Window:
    """A window, from what may overlap it of the extents of a plan."""
    by_place: dict[int, list[types.Extent]] = {}
    for index in indexes:
        shared = types.Extent(part.offsets[index],
                              part.lengths[index]).overlap(extent)
        if shared is not None:
            by_place.setdefault(part.place(index), []).append(shared)
    # In the order of the plan, in which neighbours follow each other.
    return Window(extent, tuple(
        dataclasses.replace(part[place], extents=tuple(by_place[place]))
        for place in sorted(by_place)))


def _end(part: planner.PlannedChunks, index: int) -> int:
    return part.offsets[index] + part.lengths[index]

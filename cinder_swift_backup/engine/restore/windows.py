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


def first(plan: planner.RestorePlan, length: int, grain: int) -> Window:
    """The beginning of the volume.

    :param length: bytes that are wanted; there may be more, up to the end of
        a block, or fewer, if the volume ends before
    :param grain: bytes of a block
    """
    end = min(-(-length // grain) * grain, plan.end)
    offsets = plan.chunks.offsets
    return _window(plan, types.Extent(0, end), (
        index for index in range(len(offsets)) if offsets[index] < end))


def in_order(plan: planner.RestorePlan, most: int) -> Iterator[Window]:
    """The whole volume. A window ends where an extent of the plan does, if
    there is one, so that hardly an object is fetched twice.

    :param most: bytes of a window, whole blocks
    """
    chunks = plan.chunks
    # All extents of the plan in the order of the volume, which they cover.
    order = array('q', sorted(range(len(chunks.offsets)),
                              key=chunks.offsets.__getitem__))
    position = start = 0
    while position < plan.end:
        last, end = start, position
        while (last < len(order)
               and _end(plan, order[last]) - position <= most):
            end = _end(plan, order[last])
            last += 1
        if end == position:
            # One extent is longer than a window.
            end = position + most
        yield _window(plan, types.Extent(position, end - position),
                      order[start:last + 1])
        position, start = end, last


def _window(plan: planner.RestorePlan, extent: types.Extent,
            indexes: Iterable[int]) -> Window:
    """A window, from what may overlap it of the extents of a plan."""
    chunks = plan.chunks
    by_place: dict[int, list[types.Extent]] = {}
    for index in indexes:
        part = types.Extent(chunks.offsets[index],
                            chunks.lengths[index]).overlap(extent)
        if part is not None:
            by_place.setdefault(chunks.place(index), []).append(part)
    return Window(extent, tuple(
        dataclasses.replace(chunks[place], extents=tuple(parts))
        for place, parts in by_place.items()))


def _end(plan: planner.RestorePlan, index: int) -> int:
    return plan.chunks.offsets[index] + plan.chunks.lengths[index]

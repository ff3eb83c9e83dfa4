# SPDX-License-Identifier: Apache-2.0

"""Where a volume has data, for those who read it in blocks or chunks."""

from collections.abc import Iterator
import itertools

from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import types

# What a chunk may hold: zeros only, anything, or what the parent has.
HOLE, DATA, SAME = range(3)


def runs(source: volumes.VolumeReader, within: types.Extent, block_size: int,
         least: int) -> Iterator[tuple[types.Extent, bool]]:
    """Split an extent into data and holes, in order.

    :param within: begins with a block
    :param block_size: data is extended to whole blocks, in bytes
    :param least: a hole of no more bytes beside data counts as data
    :returns: extents, each with whether it may hold anything but zeros
    :raises VolumeError: when the volume does not answer
    """
    position = within.offset
    for data in _joined(source, within, block_size, least):
        if position < data.offset:
            yield types.Extent(position, data.offset - position), False
        yield data, True
        position = data.end
    if position < within.end:
        yield types.Extent(position, within.end - position), False


def _joined(source: volumes.VolumeReader, within: types.Extent,
            block_size: int, least: int) -> Iterator[types.Extent]:
    start = end = within.offset
    for data in source.data_extents(within):
        whole = data.whole_blocks(block_size, within.end)
        if whole.offset - end > least:
            if start < end:
                yield types.Extent(start, end - start)
            start = whole.offset
        end = max(end, whole.end)
    if start == end:
        return
    if within.end - end <= least:
        end = within.end
    yield types.Extent(start, end - start)


def chunks(source: volumes.VolumeReader, geometry: types.Geometry,
           may_differ: intervals.IntervalSet | None, left: maps.Left,
           stop: pipelines.StopFlag) -> bytearray:
    """For each chunk, what it may hold.

    :param may_differ: what may differ from the parent; None if nobody knows
    :param left: notes what the volume says it need not be read for
    :raises VolumeError: when the volume does not answer
    :raises Cancelled: when ``stop`` is set
    """
    size = source.size
    states = bytearray([SAME]) * geometry.chunks(size)
    whole = types.Extent(0, size)
    left.note_changes(may_differ, size)
    for changed in [whole] if may_differ is None else may_differ.extents():
        _mark(states, geometry, changed, HOLE)
    # All of them first: what is found out changes what they are made of.
    for state, group in list(groups(states, geometry, size)):
        for window in volumes.windows(group) if state == HOLE else ():
            stop.check()
            for extent in left.holes.between(source.data_extents(window),
                                             window):
                _mark(states, geometry, extent, DATA)
    return states


def _mark(states: bytearray, geometry: types.Geometry, extent: types.Extent,
          state: int) -> None:
    first = extent.offset // geometry.chunk_size
    last = (extent.end - 1) // geometry.chunk_size
    states[first:last + 1] = bytes([state]) * (last + 1 - first)


def groups(states: bytearray, geometry: types.Geometry, size: int,
           ) -> Iterator[tuple[int, types.Extent]]:
    """The volume in runs of chunks, each with what they may hold."""
    first = 0
    for state, run in itertools.groupby(states):
        last = first + sum(1 for _ in run) - 1
        start = geometry.chunk(first, size).offset
        stop = geometry.chunk(last, size).end
        yield state, types.Extent(start, stop - start)
        first = last + 1

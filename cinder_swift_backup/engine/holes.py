# SPDX-License-Identifier: Apache-2.0

"""Where a volume has data, for those who read it in blocks or chunks."""

from collections.abc import Iterator

from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.format import types

# Bytes that a volume is asked about at once. Images list their objects, and
# there are 16 thousand of them in so much.
_WINDOW = 64 << 30


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
    for found in _joined(source, within, block_size, least):
        if position < found.offset:
            yield types.Extent(position, found.offset - position), False
        yield found, True
        position = found.end
    if position < within.end:
        yield types.Extent(position, within.end - position), False


def _joined(source: volumes.VolumeReader, within: types.Extent,
            block_size: int, least: int) -> Iterator[types.Extent]:
    start = end = within.offset
    for found in source.data_extents(within):
        first = found.offset // block_size * block_size
        last = min(-(-found.end // block_size) * block_size, within.end)
        if first - end > least:
            if start < end:
                yield types.Extent(start, end - start)
            start = first
        end = max(end, last)
    if start == end:
        return
    if within.end - end <= least:
        end = within.end
    yield types.Extent(start, end - start)


def chunks_with_data(source: volumes.VolumeReader, geometry: types.Geometry,
                     stop: pipelines.StopFlag) -> bytearray:
    """For each chunk, 1 if it may hold anything but zeros, or else 0.

    :raises VolumeError: when the volume does not answer
    :raises Cancelled: when ``stop`` is set
    """
    size = source.size
    found = bytearray(geometry.chunks(size))
    for offset in range(0, size, _WINDOW):
        stop.check()
        window = types.Extent(offset, min(_WINDOW, size - offset))
        for extent in source.data_extents(window):
            first = extent.offset // geometry.chunk_size
            last = (extent.end - 1) // geometry.chunk_size
            found[first:last + 1] = b'\1' * (last + 1 - first)
    return found

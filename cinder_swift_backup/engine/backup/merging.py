# SPDX-License-Identifier: Apache-2.0

"""Which changed blocks are stored together."""

from collections.abc import Iterable

from cinder_swift_backup.format import types

# Bytes. Two changed runs with no larger gap between them become one object.
# That saves a request, which takes the time of many more bytes, but the bytes
# are paid for every month; see the curve in the design document.
MERGE_GAP = 96 * 1024


def merge_blocks(blocks: Iterable[int], block_size: int, within: types.Extent,
                 gap: int = MERGE_GAP) -> list[types.Extent]:
    """The extents to store for the changed blocks of one chunk.

    :param blocks: indexes of changed blocks in ascending order, counted
        from the start of ``within``
    :param within: the chunk's extent; the last block ends with it
    :param gap: changed runs with at most this many bytes between them are
        stored as one
    """
    extents: list[types.Extent] = []
    for block in blocks:
        start = within.offset + block * block_size
        end = min(start + block_size, within.end)
        if extents and start - extents[-1].end <= gap:
            start = extents.pop().offset
        extents.append(types.Extent(start, end - start))
    return extents

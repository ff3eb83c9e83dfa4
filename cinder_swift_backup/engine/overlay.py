# SPDX-License-Identifier: Apache-2.0

"""Who has which bytes of a page, where each later chunk is over those before.

1. Note the chunk of each block, in the order of the table, so that the last
   one stays. A page has few blocks, so that this is faster than to compare
   extents.
2. Join neighbours to runs.

What no chunk has is zeros, so there are no gaps.

Memory: 4 bytes for each block of a page, and 24 for each run.
"""

from array import array
import itertools

from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types


class Runs:
    """Runs of the volume in ascending order, and the number of who has each.

    ``offsets`` and ``lengths`` are in bytes.
    """

    def __init__(self) -> None:
        self.numbers = array('q')
        self.offsets = array('q')
        self.lengths = array('q')

    def add(self, number: int, start: int, end: int) -> None:
        """Add what follows the run that was added before."""
        # Nothing is between two runs, so only the number decides.
        if self.numbers and self.numbers[-1] == number:
            self.lengths[-1] += end - start
            return
        self.numbers.append(number)
        self.offsets.append(start)
        self.lengths.append(end - start)


def provided(extent: types.Extent, chunks: packed_chunks.PackedChunks,
             block_size: int) -> 'array[int]':
    """How many bytes of the volume each chunk of a page provides.

    :param extent: of the page
    :param block_size: in bytes
    """
    found = array('q', bytes(8 * (len(chunks) + 1)))
    owned = runs(extent, chunks, block_size)
    for number, length in zip(owned.numbers, owned.lengths, strict=True):
        found[number] += length
    return found[1:]


def runs(extent: types.Extent, chunks: packed_chunks.PackedChunks,
         block_size: int) -> Runs:
    """Who has which bytes of a page.

    :param extent: of the page, maybe cut
    :param block_size: in bytes
    :returns: has 0 for zeros, and for each chunk one more than its index
    """
    found = Runs()
    owners = _owners(extent, chunks, block_size)
    offset = extent.offset
    for number, blocks in itertools.groupby(owners):
        end = min(offset + len(list(blocks)) * block_size, extent.end)
        last = end
        if number:
            # A block may be longer now than it was when it was stored.
            last = min(end, chunks.offsets[number - 1]
                       + chunks.lengths[number - 1])
        found.add(number, offset, last)
        if last < end:
            found.add(0, last, end)
        offset = end
    return found


def _owners(extent: types.Extent, chunks: packed_chunks.PackedChunks,
            block_size: int) -> 'array[int]':
    """The number of the chunk that has each block of a page."""
    first, end = extent.block_range(block_size)
    owners = array('i', bytes(4 * (end - first)))
    for number, (offset, length) in enumerate(
            zip(chunks.offsets, chunks.lengths, strict=True), 1):
        start = offset // block_size - first
        # Chunks may begin behind a page that is cut, or end there.
        stop = min(start - (-length // block_size), len(owners))
        if start + 1 == stop:
            owners[start] = number
        elif start < stop:
            owners[start:stop] = array('i', (number,)) * (stop - start)
    return owners

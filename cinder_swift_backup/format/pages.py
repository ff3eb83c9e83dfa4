# SPDX-License-Identifier: Apache-2.0

"""The pages of a manifest in the form of packs.

A page is a table of the chunks that have an equal part of the volume, see
:mod:`cinder_swift_backup.format.packed_chunks`. It names packs by the keys
that the manifest gives them, which they keep in other manifests: so a page of
a part that has not changed is the same again. What none of its chunks has is
zeros; a part of the volume that is all zeros has no page.

Several pages are one object, one after the other.
"""

import dataclasses
import hashlib
import itertools

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types

# Bytes of the volume that a page is of, unless blocks are small or large; and
# how many blocks it has at most.
_SIZE = 1 << 30
MOST_BLOCKS = 1 << 17
# How many pages a manifest has room for.
MOST = 1 << 19
_CHUNK = 1 << 20
# The word of a manifest for what an object of pages holds.
WORD = 'pages'


def largest_chunk(block_size: int) -> int:
    """How many bytes of the volume a chunk has at most: a MiB, or a block.

    :param block_size: in bytes
    """
    return types.whole(_CHUNK, block_size)


def size(block_size: int) -> int:
    """How many bytes of the volume a page is of: chunks of the largest size.

    :param block_size: in bytes
    """
    chunk = largest_chunk(block_size)
    return min(types.whole(_SIZE, chunk),
               types.whole(MOST_BLOCKS * block_size, chunk))


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """A page of an extent of the volume.

    ``name`` is that of its object, ``place`` where it is in there. ``sha256``
    are 32 bytes.
    """

    extent: types.Extent
    name: str
    place: types.Extent
    sha256: bytes


def encode(chunks: packed_chunks.PackedChunks, block_size: int,
           extent: types.Extent) -> bytes:
    """A page as stored.

    :param chunks: of the extent only
    :param extent: of the page
    """
    return chunks.encode(block_size, extent.offset // block_size)


def check(page: Page, encoded: bytes) -> None:
    """Make sure that a page is the one that the manifest names.

    :raises FormatError: when it is another
    """
    actual = hashlib.sha256(encoded).digest()
    if actual != page.sha256:
        raise exceptions.FormatError(
            'a page of the manifest differs from what the manifest says',
            name=page.name, offset=page.extent.offset, end=page.extent.end,
            expected=page.sha256.hex(), actual=actual.hex(),
            remedy=exceptions.Remedy.OTHER_BACKUP)


def decode(page: Page, encoded: bytes, block_size: int, page_size: int,
           packs: pack_table.PackTable) -> packed_chunks.PackedChunks:
    """The chunks of a page.

    They may end behind the volume, which may have been larger before.

    :param page_size: how many bytes of the volume a page is of
    :param packs: those of the manifest
    :raises FormatError: when it is not the one that the manifest names, or is
        damaged
    """
    check(page, encoded)
    chunks = packed_chunks.decode(
        page.name, memoryview(encoded), block_size, packs.name_of, MOST_BLOCKS,
        page.extent.offset // block_size)
    _check(page, chunks, page_size, packs)
    return chunks


def _check(page: Page, chunks: packed_chunks.PackedChunks, page_size: int,
           packs: pack_table.PackTable) -> None:
    extent = types.Extent(page.extent.offset, page_size)
    if any(one > other for one, other in itertools.pairwise(chunks.packs)):
        raise documents.damaged(
            page.name, 'its chunks are not in the order of their packs')
    lengths = {}
    for key in set(chunks.packs):
        number = packs.place(key)
        if number is None:
            raise documents.damaged(page.name,
                                    'it names a pack that there is not')
        lengths[key] = packs.data_length(number)
    ends = (offset + length for offset, length
            in zip(chunks.offsets, chunks.lengths, strict=True))
    if (min(chunks.offsets, default=extent.offset) < extent.offset
            or max(ends, default=extent.end) > extent.end):
        raise documents.damaged(
            page.name, 'a chunk is not in the part of the volume that the '
                       'page is of')
    for key, end in zip(chunks.packs, chunks.place_ends(), strict=True):
        if end > lengths[key]:
            raise documents.damaged(
                page.name, f'a chunk ends behind those of '
                           f'{packs.name_of(key)}')

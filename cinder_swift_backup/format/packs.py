# SPDX-License-Identifier: Apache-2.0

"""A pack: many chunks in one object, and behind them their index.

A pack is

1. the stored bytes of its chunks, one after the other;
2. the header of its index, in 24 bytes: :data:`MAGIC`, the bytes of a block,
   the number of chunks, and the bytes of the table and of the origin that
   follow, each number in 4 bytes, the lowest first;
3. the table of its chunks, see
   :mod:`cinder_swift_backup.format.packed_chunks`, which are all in pack 0;
4. its origin, a JSON object: "volume_size" in bytes, "makers", those whose
   packs the parent of the backup named, in the order of their keys, and
   "encryption" if the backup is encrypted, see
   :mod:`cinder_swift_backup.format.encryption`;
5. the SHA-256, in 32 bytes, of each block of each chunk but zeros, in the
   order of the chunks;
6. the footer of the index: the bytes of 2 to 5 together, their SHA-256, and
   :data:`MAGIC` again.

So a reader finds the index from the end of the pack, and can rebuild a lost
manifest from packs: see
:mod:`cinder_swift_backup.engine.survey.rebuilding`. Who has a manifest knows
the SHA-256 of the index from there, and need not believe the footer.

Zeros are in the index where they replace data, or where the volume has grown:
it may have been larger before, and had data there.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import json
import struct

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import encryption as encryption_
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types

MAGIC = b'CSBPACK1'
# The most chunks that a pack has, and the most blocks with a digest: so that
# an index takes a few MiB.
MOST = 1 << 16
_HEADER = struct.Struct('<8sIIII')
_FOOTER = struct.Struct('<I32s8s')
# Bytes: more than any index has.
LARGEST_INDEX = MOST * (digests.DIGEST_SIZE + 64)
# Bytes of the footer.
FOOTER = _FOOTER.size


@dataclasses.dataclass(frozen=True, slots=True)
class Pack:
    """A pack as a manifest names it.

    ``key`` is what pages know it by: no other pack of the volume's recovery
    points has ever had it but a pack of another line of them. ``length`` is
    that of all of it, ``index_length`` that of its index with header and
    footer, in bytes. ``md5`` is in hex, ``index_sha256`` are the 32 bytes that
    are in the footer. ``living`` is how many of its chunks the pages name, and
    ``living_bytes`` how many of their stored bytes are needed: of each chunk
    as large a part as it provides of its volume, rounded down.
    """

    key: int
    name: str
    length: int
    md5: str
    index_length: int
    index_sha256: bytes
    living: int = 0
    living_bytes: int = 0

    @property
    def index_place(self) -> types.Extent:
        """Where the index is in the object."""
        return types.Extent(self.length - self.index_length,
                            self.index_length)


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """What a pack tells of the backup that put it.

    ``volume_size`` is in bytes. ``makers`` are those whose packs its parent
    named, in the order in which they overwrite each other. ``encryption`` is
    the key of an encrypted backup.
    """

    volume_size: int
    makers: tuple[str, ...] = ()
    encryption: encryption_.Wrapped | None = None

    def encode(self) -> bytes:
        """It as stored."""
        fields: dict[str, object] = {
            'version': documents.VERSION, 'volume_size': self.volume_size,
            'makers': self.makers}
        if self.encryption is not None:
            fields['encryption'] = self.encryption.encode()
        return json.dumps(fields).encode()


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """What a pack holds; ``packed`` are the digests of all blocks.

    Chunks do not overlap.
    """

    block_size: int
    chunks: packed_chunks.PackedChunks
    packed: bytes
    origin: Origin

    def digests(self) -> Iterator[tuple[types.Extent, bytes]]:
        """The digests of the blocks of each chunk, also of zeros."""
        start = 0
        for number in range(len(self.chunks)):
            extent = types.Extent(self.chunks.offsets[number],
                                  self.chunks.lengths[number])
            if self.chunks.compression(number) == packed_chunks.ZEROS:
                yield extent, digests.packed_zeros(extent.length,
                                                   self.block_size)
                continue
            end = start + (-(-extent.length // self.block_size)
                           * digests.DIGEST_SIZE)
            yield extent, self.packed[start:end]
            start = end


def encode(index: Index) -> bytes:
    """An index as stored: what follows the chunks of a pack."""
    table = index.chunks.encode(index.block_size)
    origin = index.origin.encode()
    body = b''.join((
        _HEADER.pack(MAGIC, index.block_size, len(index.chunks), len(table),
                     len(origin)),
        table, origin, index.packed))
    return body + _FOOTER.pack(len(body), hashlib.sha256(body).digest(),
                               MAGIC)


def sha256(encoded: bytes) -> bytes:
    """The SHA-256 of an index, as its footer has it."""
    return encoded[-_FOOTER.size:][4:4 + digests.DIGEST_SIZE]


def decode(pack: Pack, encoded: bytes) -> Index:
    """The index of a pack.

    :raises FormatError: when it is not the one that the manifest names, or is
        damaged
    """
    body = memoryview(encoded)[:-_FOOTER.size]
    if hashlib.sha256(body).digest() != pack.index_sha256:
        raise exceptions.FormatError(
            'the index of a pack differs from the one that the manifest '
            'names', name=pack.name, expected=pack.index_sha256.hex(),
            actual=hashlib.sha256(body).hexdigest(),
            remedy=exceptions.Remedy.OTHER_BACKUP)
    if len(body) < _HEADER.size:
        raise documents.damaged(pack.name, 'its index is cut off')
    magic, block_size, count, length, rest = _HEADER.unpack_from(body)
    if magic != MAGIC:
        raise documents.damaged(pack.name, 'it has no index')
    if not 0 < block_size <= types.LARGEST_BLOCK:
        raise documents.damaged(
            pack.name, f'blocks cannot have {block_size} bytes')
    table_end = _HEADER.size + length
    index = Index(
        block_size,
        packed_chunks.decode(pack.name, body[_HEADER.size:table_end],
                             block_size, lambda _: pack.name,
                             min(count, MOST)),
        bytes(body[table_end + rest:]),
        _origin(pack.name, bytes(body[table_end:table_end + rest])))
    _check(pack, index, count)
    return index


def _origin(name: str, stored: bytes) -> Origin:
    fields = documents.parse(name, stored)
    makers = fields.get('makers')
    if not isinstance(makers, list) or not all(
            documents.is_identifier(maker) and maker and '/' not in maker
            for maker in makers):
        raise documents.damaged(name, 'it does not tell its makers')
    wrapped = fields.get('encryption')
    return Origin(
        documents.size(name, fields, 'volume_size'), tuple(makers),
        None if wrapped is None else encryption_.decode(name, wrapped))


def footer(name: str, length: int, end: bytes) -> tuple[int, bytes]:
    """What the end of a pack tells of its index.

    :param length: of the pack in bytes
    :param end: its last :data:`FOOTER` bytes
    :returns: the bytes of the index, and its SHA-256
    :raises FormatError: when they are no footer
    """
    if len(end) < FOOTER:
        raise documents.damaged(name, 'it is too short')
    body, digest, magic = _FOOTER.unpack(end)
    if magic != MAGIC or body + FOOTER > length:
        raise documents.damaged(name, 'it has no index at its end')
    return body + FOOTER, digest


def _check(pack: Pack, index: Index, count: int) -> None:
    chunks = index.chunks
    blocks = sum(
        -(-chunks.lengths[number] // index.block_size)
        for number in range(len(chunks))
        if chunks.compression(number) != packed_chunks.ZEROS)
    faults = (
        (f'its index has {len(chunks)} chunks instead of {count}',
         len(chunks) != count),
        ('its index names other packs', any(chunks.packs)),
        ('its chunks do not follow each other', not chunks.places_follow()),
        ('its chunks do not end where its index begins',
         chunks.stored_bytes != pack.index_place.offset),
        ('its index does not have one digest for each block',
         blocks * digests.DIGEST_SIZE != len(index.packed)))
    for what, is_so in faults:
        if is_so:
            raise documents.damaged(pack.name, what)

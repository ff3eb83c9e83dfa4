# SPDX-License-Identifier: Apache-2.0

"""The SHA-256 of every block of the volume: the ``_sha256file`` object.

It describes the whole volume as of its backup, also for an incremental.
``chunk_size`` in the file is the size of a block, not of a chunk. The last
digest may be of a short block.

In memory a digest is 32 raw bytes, so a table takes 1 MiB for each GiB of
volume at the default block size of 32 KiB; in the file it is 64 hexadecimal
digits in quotes.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import json
import re

from cinder_swift_backup.format import documents
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

DIGEST_SIZE = 32
# Digests per piece of a generated file: about 64 KiB of JSON.
_PIECE = 1000
_HEX = re.compile(r'[0-9a-fA-F]{64}\Z')


@dataclasses.dataclass(frozen=True, slots=True)
class DigestTable:
    """The digests of all blocks of a volume, packed 32 bytes each."""

    block_size: int
    packed: bytes | bytearray

    def __len__(self) -> int:
        """How many blocks have a digest."""
        return len(self.packed) // DIGEST_SIZE

    def digest(self, block: int) -> bytes | bytearray:
        """The digest of block number ``block``, from 0."""
        return self.packed[block * DIGEST_SIZE:(block + 1) * DIGEST_SIZE]

    def run(self, first: int, end: int) -> bytes:
        """The packed digests from block ``first`` to before ``end``.

        There are fewer where the table ends.
        """
        return bytes(
            self.packed[first * DIGEST_SIZE:end * DIGEST_SIZE])


def hash_blocks(data: memoryview, block_size: int) -> bytes:
    """The packed digests of the blocks of ``data``, the last maybe short."""
    return b''.join(
        hashlib.sha256(data[start:start + block_size]).digest()
        for start in range(0, len(data), block_size))


def changed_blocks(packed: bytes | bytearray, before: bytes) -> list[int]:
    """Which of the blocks with these packed digests had others before.

    Blocks that had none, because the volume has grown, count as changed.
    """
    if packed == before:
        return []
    return [index for index in range(len(packed) // DIGEST_SIZE)
            if packed[index * DIGEST_SIZE:(index + 1) * DIGEST_SIZE]
            != before[index * DIGEST_SIZE:(index + 1) * DIGEST_SIZE]]


def encode(header: types.BackupHeader,
           table: DigestTable) -> Iterator[bytes]:
    """The digest file in pieces; see :func:`encoded_length`."""
    yield _opening(header, table)
    packed = table.packed
    for start in range(0, len(packed), _PIECE * DIGEST_SIZE):
        end = min(start + _PIECE * DIGEST_SIZE, len(packed))
        words = (packed[at:at + DIGEST_SIZE].hex()
                 for at in range(start, end, DIGEST_SIZE))
        lead = ',"' if start else '"'
        yield (lead + '","'.join(words) + '"').encode()
    yield b']}'


def encoded_length(header: types.BackupHeader, table: DigestTable) -> int:
    """How many bytes the pieces of :func:`encode` add up to."""
    separators = max(len(table) - 1, 0)
    return (len(_opening(header, table)) + separators + len(b']}')
            + len(table) * (2 * DIGEST_SIZE + 2))


def _opening(header: types.BackupHeader, table: DigestTable) -> bytes:
    fields: dict[str, str | int | None] = dict(
        documents.header_fields(header))
    fields['chunk_size'] = table.block_size
    return json.dumps(fields)[:-1].encode() + b', "sha256s": ['


def decode(prefix: str, stored: bytes) -> DigestTable:
    """The digests of the backup at ``prefix`` from the stored file.

    :raises FormatError: when it is damaged or of an unknown version
    """
    name = naming.digest_file_name(prefix)
    fields = documents.parse(name, stored)
    block_size = documents.size(name, fields, 'chunk_size')
    words = fields.get('sha256s')
    if not isinstance(words, list) or not block_size:
        raise documents.damaged(name, 'it does not hold digests')
    for word in words:
        if not isinstance(word, str) or not _HEX.match(word):
            raise documents.damaged(
                name, f'{str(word)[:80]!r} is not a SHA-256 digest')
    return DigestTable(block_size, bytes.fromhex(''.join(words)))

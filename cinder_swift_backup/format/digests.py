# SPDX-License-Identifier: Apache-2.0

"""The SHA-256 of every block of the volume, and comparing them.

In memory a digest is 32 raw bytes, so a table takes 1 MiB for each GiB of
volume at the default block size of 32 KiB.
"""

import dataclasses
import hashlib

DIGEST_SIZE = 32


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
    """The blocks whose digests differ from those before.

    Blocks without a digest before, because the volume has grown, count too.
    """
    if packed == before:
        return []
    return [index for index in range(len(packed) // DIGEST_SIZE)
            if packed[index * DIGEST_SIZE:(index + 1) * DIGEST_SIZE]
            != before[index * DIGEST_SIZE:(index + 1) * DIGEST_SIZE]]

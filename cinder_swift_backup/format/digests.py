# SPDX-License-Identifier: Apache-2.0

"""The SHA-256 of every block of the volume, and comparing them.

A digest is 32 raw bytes, so a table takes 1 MiB for each GiB of volume at the
default block size of 32 KiB. Where these bytes are is up to the caller.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools
import hashlib
from typing import Protocol
from typing import Self

from cinder_swift_backup.format import types
from cinder_swift_backup.format import zeros

DIGEST_SIZE = 32
# Digests compared at once.
STEP = 1 << 15


class Packed(Protocol):
    """Bytes in memory or elsewhere, indexed like a bytearray."""

    def __len__(self) -> int:
        """How many there are."""

    def __getitem__(self, part: slice, /) -> bytes | bytearray:
        """Some of them."""

    def __setitem__(self, part: slice, data: bytes, /) -> None:
        """Replace some by as many others."""

    def __iadd__(self, data: bytes, /) -> Self:
        """Append more."""

    def repeats(self, digest: bytes, start: int, end: int) -> bool:
        """Whether there is nothing but a digest in a part."""

    def close(self) -> None:
        """Give back the place where they are."""


def _go_on() -> None:
    """End nothing."""


def sha256(block: memoryview, _number: int) -> bytes:
    """The digest of a block, where it is not encrypted."""
    return hashlib.sha256(block).digest()


# What gives the digest of a block that is not zeros, and has a number.
Digest = Callable[[memoryview, int], bytes]


@dataclasses.dataclass(frozen=True, slots=True)
class DigestTable:
    """The digests of all blocks of a volume, packed 32 bytes each.

    ``digest_of`` gives that of a block that is not zeros. Zeros have the same
    digest in every table.
    """

    block_size: int
    packed: Packed
    digest_of: Digest = sha256

    def __len__(self) -> int:
        """How many blocks have a digest."""
        return len(self.packed) // DIGEST_SIZE

    def close(self) -> None:
        """Give back the place where the digests are."""
        self.packed.close()

    def hash(self, data: memoryview, offset: int) -> bytes:
        """The packed digests of some blocks, to compare with these.

        :param offset: of the first of them on the volume, in bytes
        """
        return hash_blocks(data, self.block_size, self.digest_of, offset)

    def digest(self, block: int) -> bytes:
        """The digest of block number ``block``, from 0."""
        return self.run(block, block + 1)

    def are_zeros(self, extent: types.Extent,
                  check: Callable[[], None] = _go_on) -> bool:
        """Whether an extent of the volume is zeros.

        :param extent: begins with a block; its last block may be short
        :param check: called now and then; may raise to end this
        """
        size = self.block_size
        first, end = extent.block_range(size)
        if end > len(self):
            return False
        rest = extent.end % size
        if rest:
            end -= 1
            if self.digest(end) != of_zeros(rest):
                return False
        for start in range(first, end, STEP):
            check()
            if not self.repeat_zeros(start, min(start + STEP, end)):
                return False
        return True

    def zero_runs(self, check: Callable[[], None] = _go_on,
                  ) -> Iterator[tuple[int, int]]:
        """Long runs of blocks of zeros, not quite from end to end.

        They are given by their first block and the one after their last.

        :param check: called now and then; may raise to end this
        """
        begun = None
        for first in range(0, len(self), STEP):
            check()
            end = min(first + STEP, len(self))
            if self.repeat_zeros(first, end):
                begun = first if begun is None else begun
            elif begun is not None:
                yield begun, first
                begun = None
        if begun is not None:
            yield begun, len(self)

    def repeat_zeros(self, first: int, end: int) -> bool:
        """Whether whole blocks are all zeros, to before ``end``."""
        return self.packed.repeats(of_zeros(self.block_size),
                                   first * DIGEST_SIZE, end * DIGEST_SIZE)

    def put(self, first: int, packed: bytes) -> None:
        """Replace digests from that of block number ``first``."""
        start = first * DIGEST_SIZE
        self.packed[start:start + len(packed)] = packed

    def of(self, extent: types.Extent) -> bytes:
        """The packed digests of the blocks that an extent is in."""
        return self.run(*extent.block_range(self.block_size))

    def run(self, first: int, end: int) -> bytes:
        """The packed digests from block ``first`` to before ``end``.

        There are fewer where the table ends.
        """
        return bytes(
            self.packed[first * DIGEST_SIZE:end * DIGEST_SIZE])


@functools.lru_cache(maxsize=8)
def of_zeros(size: int) -> bytes:
    """The digest of a block of zeros.

    :param size: of the block in bytes
    """
    digest = hashlib.sha256()
    for piece in zeros.pieces(size):
        digest.update(piece)
    return digest.digest()


def packed_zeros(length: int, block_size: int) -> bytes:
    """The packed digests of so many bytes of zeros."""
    count, rest = divmod(length, block_size)
    return of_zeros(block_size) * count + (of_zeros(rest) if rest else b'')


def hash_blocks(data: memoryview, block_size: int,
                digest: Digest = sha256, offset: int = 0) -> bytes:
    """The packed digests of the blocks of ``data``, the last maybe short.

    Zeros are compared, which takes a tenth of the time of hashing.

    :param digest: gives that of a block that is not zeros
    :param offset: of ``data`` on the volume, in bytes; some digests depend on
        it
    """
    blocks = (data[start:start + block_size]
              for start in range(0, len(data), block_size))
    return b''.join(of_zeros(len(block)) if zeros.only(block)
                    else digest(block, number)
                    for number, block in enumerate(blocks,
                                                   offset // block_size))


def changed_blocks(packed: bytes | bytearray, before: bytes) -> list[int]:
    """The blocks whose digests differ from those before.

    Blocks without a digest before, because the volume has grown, count too.
    """
    if packed == before:
        return []
    return [index for index in range(len(packed) // DIGEST_SIZE)
            if packed[index * DIGEST_SIZE:(index + 1) * DIGEST_SIZE]
            != before[index * DIGEST_SIZE:(index + 1) * DIGEST_SIZE]]

# SPDX-License-Identifier: Apache-2.0

"""The terms of the project as frozen values.

All offsets and lengths are in bytes of the volume (uncompressed) unless a
name says ``stored``.
"""

from collections.abc import Iterator
import dataclasses
from typing import Self

from cinder_swift_backup import exceptions

# Bytes. A restore holds a block in memory to compare it, so a stored file must
# not be able to ask for any size. The default is 32 KiB.
LARGEST_BLOCK = 256 << 20
# Bytes: the sector of a volume. Smaller blocks make no sense, and the digests
# of a volume would be larger than the volume.
SMALLEST_BLOCK = 512
# Bytes: the largest offset that the system's calls take.
LARGEST_OFFSET = (1 << 63) - 1


def whole(length: int, unit: int) -> int:
    """The bytes of as many whole units as fit in a length, at least of one.

    :param unit: bytes, of a block or a chunk
    """
    return max(length // unit, 1) * unit


@dataclasses.dataclass(frozen=True, slots=True)
class BackupRef:
    """Where one backup lives: enough to find all of its objects.

    ``volume_size`` is in bytes and limits the size of the manifest; None if
    it is not known.
    """

    backup_id: str
    volume_id: str
    container: str
    prefix: str
    volume_size: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Extent:
    """A run of bytes of the volume: ``[offset, offset + length)``."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The first byte after the extent."""
        return self.offset + self.length

    def parts(self, length: int) -> Iterator[Self]:
        """The extent in parts of so many bytes, the last maybe shorter."""
        for offset in range(self.offset, self.end, length):
            yield type(self)(offset, min(length, self.end - offset))

    def aligned_parts(self, length: int) -> Iterator[Self]:
        """The extent in parts that end at multiples of so many bytes."""
        offset = self.offset
        while offset < self.end:
            end = min((offset // length + 1) * length, self.end)
            yield type(self)(offset, end - offset)
            offset = end

    def block_range(self, block_size: int) -> tuple[int, int]:
        """The numbers of the first block that it is in, and past the last."""
        return self.offset // block_size, -(-self.end // block_size)

    def whole_blocks(self, block_size: int, end: int) -> Self:
        """The blocks that the extent is in.

        :param end: where the last block ends, which may be short
        """
        first, stop = self.block_range(block_size)
        start = first * block_size
        return type(self)(start, min(stop * block_size, end) - start)

    def overlap(self, other: Self) -> Self | None:
        """The part both extents share, or None where they share none."""
        start = max(self.offset, other.offset)
        end = min(self.end, other.end)
        if start >= end:
            return None
        return type(self)(start, end - start)


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A snapshot that has what a backup was read from.

    ``image`` is the id of the image that it is a snapshot of, which no other
    image of the cluster ever has. ``written_since`` may differ between the
    two, because it was written after the backup began and before the mark.
    """

    image: str
    snapshot: str
    written_since: tuple[Extent, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Geometry:
    """How a volume is cut: chunks to store, blocks to track changes by.

    :raises ConfigurationError: when a size is not positive, a block above
        :data:`LARGEST_BLOCK` or a chunk not a whole number of blocks
    """

    chunk_size: int
    block_size: int

    def __post_init__(self) -> None:
        if self.chunk_size <= 0 or self.block_size <= 0:
            raise exceptions.ConfigurationError(
                f'the sizes of chunks ({self.chunk_size}) and blocks '
                f'({self.block_size}) must be positive',
                remedy=exceptions.Remedy.SIZES)
        if self.block_size > LARGEST_BLOCK:
            raise exceptions.ConfigurationError(
                f'blocks of {self.block_size} bytes are larger than '
                f'{LARGEST_BLOCK}', remedy=exceptions.Remedy.SIZES)
        if self.chunk_size % self.block_size:
            raise exceptions.ConfigurationError(
                f'chunks of {self.chunk_size} bytes are not a multiple '
                f'of blocks of {self.block_size}',
                remedy=exceptions.Remedy.SIZES)

    def blocks(self, size: int) -> int:
        """How many blocks cover ``size`` bytes; the last may be short."""
        return -(-size // self.block_size)

    def chunks(self, size: int) -> int:
        """How many chunks cover ``size`` bytes; the last may be short."""
        return -(-size // self.chunk_size)

    def chunk(self, index: int, size: int) -> Extent:
        """Chunk number ``index``, from 0, of a volume of ``size`` bytes."""
        offset = index * self.chunk_size
        return Extent(offset, min(self.chunk_size, size - offset))


@dataclasses.dataclass(frozen=True, slots=True)
class ChunkRecord:
    """Stored data of one extent of the volume, as the manifest describes it.

    ``name`` is that of the object. ``compression`` is the word of the manifest
    (see :mod:`cinder_swift_backup.format.codecs`). ``stored_length`` and
    ``stored_md5`` are of the stored bytes: both are known for backups that
    this driver wrote, the MD5 also for those from before 2015.1. ``place`` is
    where these bytes are in the object, if they are not all of it; there are
    none of zeros.
    """

    name: str
    extent: Extent
    compression: str
    stored_length: int | None = None
    stored_md5: str | None = None
    place: Extent | None = None

    @property
    def is_zeros(self) -> bool:
        """Whether it is zeros, of which nothing is stored."""
        return self.place is not None and not self.place.length


@dataclasses.dataclass(frozen=True, slots=True)
class BackupHeader:
    """The fields that open both JSON objects of a backup."""

    backup_id: str
    volume_id: str
    backup_name: str | None
    backup_description: str | None
    created_at: str

# SPDX-License-Identifier: Apache-2.0

"""What a backup consists of, and what it builds on."""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum
import itertools

from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import encryption as encryption_
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import pages as pages_
from cinder_swift_backup.format import types


class Form(enum.Enum):
    """How backups are stored.

    In that of chunks each chunk is an object, as Cinder's own driver has it.
    In that of packs many chunks are one, and each backup stands alone.
    """

    CHUNKS = 'chunks'
    PACKS = 'packs'


class Era(enum.Enum):
    """What backups consist of, by the release of Cinder that wrote them."""

    BEFORE_DIGESTS = 'before 2015.1'
    DIGESTS = '2015.1 and later'


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """Chunks of one codec: their number, bytes of volume and of store.

    ``stored_bytes`` is None where the manifest does not tell.
    """

    chunks: int
    bytes: int
    stored_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A recovery point, which stands alone: a backup in the form of packs.

    ``page_size`` is in bytes of the volume. ``packs`` overwrite each other in
    their order, the last one winning. ``objects`` are those that ``pages`` are
    in; these are in the order of the volume. ``stored`` is by the words of
    codecs. ``encryption`` is the key of an encrypted backup.
    """

    block_size: int
    page_size: int
    packs: pack_table.PackTable
    pages: tuple[pages_.Page, ...]
    objects: chunk_table.ChunkTable
    stored: Mapping[str, Stored]
    encryption: encryption_.Wrapped | None = None

    def pages_until(self, end: int) -> Iterator[pages_.Page]:
        """The pages of what of the volume is before ``end``, in order."""
        return itertools.takewhile(lambda page: page.extent.offset < end,
                                   self.pages)


@dataclasses.dataclass(frozen=True, slots=True)
class Manifest:
    """The content of ``_metadata``: what a backup consists of.

    ``chunks`` are in the order in which they overwrite each other, the last
    one winning. ``volume_size`` (bytes), ``parent``, ``mark``, ``file_format``
    and ``key_id`` are our additions and None in manifests of the stock driver.
    ``file_format`` is the name of the format if the volume was in a file
    of its own format, such as "qcow2", "raw" if it was certainly in none, as a
    device is, and "unknown" if it was in none of those that we know.
    ``key_id`` is by which Cinder's key manager knows the key that Cinder has
    made for the backup of an encrypted volume. In the form of packs there is a
    ``point``, and no chunk is an object.
    """

    header: types.BackupHeader
    chunks: chunk_table.ChunkTable
    parent_id: str | None = None
    volume_meta: str | None = None
    volume_size: int | None = None
    parent: types.BackupRef | None = None
    mark: types.Mark | None = None
    file_format: str | None = None
    key_id: str | None = None
    era: Era = Era.DIGESTS
    point: Point | None = None

    @property
    def objects(self) -> chunk_table.ChunkTable:
        """Its own objects but for manifest and digest file.

        These are chunks, or hold pages.
        """
        return self.chunks if self.point is None else self.point.objects

    @property
    def own_objects(self) -> int:
        """How many objects it has of its own, but for two documents.

        These are manifest and digest file. The packs of others that it needs
        are theirs.
        """
        if self.point is None:
            return len(self.chunks)
        # Of zeros there is only the manifest, and 0 would say that nothing is
        # known.
        return max(len(self.point.objects) + len(self._own_packs), 1)

    @property
    def own_bytes(self) -> int | None:
        """Bytes of the same; None where the manifest does not tell."""
        found = 0
        for number in range(len(self.objects)):
            length, _ = self.objects.stored(number)
            if length is None:
                return None
            found += length
        if self.point is None:
            return found
        return found + sum(self.point.packs.stored(number)[0]
                           for number in self._own_packs)

    @property
    def _own_packs(self) -> list[int]:
        """The numbers of the packs that it has put."""
        if self.point is None:
            return []
        packs = self.point.packs
        return [number for number in range(len(packs))
                if naming.backup_of(packs.maker(number))
                == self.header.backup_id]

    @property
    def form(self) -> Form:
        """How the backup is stored."""
        return Form.CHUNKS if self.point is None else Form.PACKS

    @property
    def has_digest_file(self) -> bool:
        """Whether digests are in a file of their own."""
        return self.point is None and self.era is Era.DIGESTS

    @property
    def end(self) -> int:
        """The first byte of the volume that it tells nothing of."""
        if self.point is not None and self.volume_size is not None:
            return self.volume_size
        return self.chunks.end


@dataclasses.dataclass(frozen=True, slots=True)
class ChainLink:
    """One backup of a chain with its manifest."""

    ref: types.BackupRef
    manifest: Manifest


@dataclasses.dataclass(frozen=True, slots=True)
class Chain:
    """A base and the incrementals on it, oldest first; never empty."""

    links: tuple[ChainLink, ...]

    @property
    def tip(self) -> ChainLink:
        """The newest backup: the one the chain was resolved for."""
        return self.links[-1]

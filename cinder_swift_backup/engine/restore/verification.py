# SPDX-License-Identifier: Apache-2.0

"""Compares restored data with what was backed up.

Backups from before Cinder 2015.1 have no digests, only the MD5 of each stored
object; all others have the digest of each block. A block of the volume can
only be compared as a whole. So before anything is written:

1. There must be exactly one digest for each block of the volume.
2. The plan must take whole blocks from each chunk. All drivers store runs of
   whole blocks, so a manifest that says otherwise is damaged.

Then every block is compared before it is written. Without digests, each object
must have an MD5, which is compared after the object was written.
"""

from collections.abc import Sequence
import dataclasses
import hashlib

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.restore import doubts as doubts_
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
# Bytes of a volume that are compared at once.
_PIECE = 2 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class DigestCheck:
    """Compares the blocks of a volume of ``end`` bytes with its digests."""

    table: digests.DigestTable
    end: int

    def __post_init__(self) -> None:
        size = self.table.block_size
        expected = -(-self.end // size)
        if len(self.table) != expected:
            raise exceptions.IntegrityError(
                f'the number of digests does not fit a volume of {self.end} '
                f'bytes in blocks of {size} bytes', expected=expected,
                actual=len(self.table),
                remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)

    def check(self, name: str, offset: int, data: memoryview) -> None:
        """Compare the blocks in ``data``, which is at ``offset``.

        :param name: of the object the data came from
        :raises DigestMismatch: naming the object and the first such block
        :raises IntegrityError: when there is part of a block
        """
        extent = types.Extent(offset, len(data))
        if not self.is_whole(extent):
            raise self._not_whole(name, extent)
        size = self.table.block_size
        packed = self.table.hash(data, offset)
        changed = digests.changed_blocks(packed, self.table.of(extent))
        if changed:
            raise self._mismatch(name, offset // size, changed[0], packed)

    def mismatches(self, extent: types.Extent,
                   data: memoryview) -> list[types.Extent]:
        """The blocks of an extent that ``data`` does not match, in order.

        :param extent: of whole blocks
        """
        size = self.table.block_size
        first = extent.offset // size
        changed = digests.changed_blocks(
            self.table.hash(data, extent.offset), self.table.of(extent))
        blocks = intervals.IntervalSet()
        for block in changed:
            start = (first + block) * size
            blocks.claim(types.Extent(start, min(size, self.end - start)))
        return blocks.extents()

    def check_plan(self, chunks: planner.PlannedChunks) -> None:
        """Make sure that a plan can be verified.

        :raises IntegrityError: when it takes part of a block
        """
        for index, extent in enumerate(map(types.Extent, chunks.offsets,
                                           chunks.lengths)):
            if not self.is_whole(extent):
                raise self._not_whole(
                    chunks.with_extent(index).record.name, extent)

    def is_whole(self, extent: types.Extent) -> bool:
        """Whether an extent is one of whole blocks."""
        size = self.table.block_size
        return not extent.offset % size and (
            not extent.end % size or extent.end == self.end)

    def _not_whole(self, name: str,
                   extent: types.Extent) -> exceptions.IntegrityError:
        return exceptions.IntegrityError(
            'the manifest is damaged: it splits blocks of '
            f'{self.table.block_size} bytes, so they cannot be verified',
            name=name, offset=extent.offset, end=extent.end,
            remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)

    def _mismatch(self, name: str, first: int, changed: int,
                  packed: bytes) -> exceptions.DigestMismatch:
        size = self.table.block_size
        start = (first + changed) * size
        end = min(start + size, self.end)
        at = changed * digests.DIGEST_SIZE
        actual = packed[at:at + digests.DIGEST_SIZE].hex()
        expected = self.table.digest(first + changed).hex()
        return exceptions.DigestMismatch(
            'an object is damaged: the digest of a block differs from the '
            'recorded one',
            name=name, offset=start, end=end, expected=expected,
            actual=actual, remedy=exceptions.Remedy.OTHER_BACKUP)


def strict(repo: repository.Repository, tip: chains.ChainLink, end: int,
           chunks: planner.PlannedChunks | None = None) -> 'Check':
    """How to verify all of a backup.

    The caller has to close it.

    :param end: the size of its volume, in bytes
    :param chunks: what is going to be fetched; by default whole chunks
    :raises IntegrityError: when not everything can be verified
    :raises FormatError: when the digest file is damaged
    :raises SpoolError: when there is no room for the digests
    """
    check = _digests(repo, tip, end)
    if check is None:
        _check_era(tip)
        repo.operation.call(_check_md5s, tip)
        return Check(None)
    if chunks is not None:
        try:
            repo.operation.call(check.check_plan, chunks)
        except exceptions.IntegrityError:
            check.table.close()
            raise
    return Check(check, key=_key(repo, tip))


def lenient(repo: repository.Repository, tip: chains.ChainLink, end: int,
            doubts: doubts_.Doubts) -> 'Check':
    """How to compare a backup with what there is to compare it with.

    The caller has to close it.

    :param end: the size of its volume, in bytes
    :param doubts: where to note what does not match, or cannot be compared
    """
    check = None
    try:
        check = _digests(repo, tip, end)
    except (exceptions.IntegrityError, exceptions.FormatError,
            exceptions.StoreError, exceptions.SpoolError) as err:
        # If the store has gone, the first chunk says so.
        LOG.warning('There are no digests to compare the data with: %s', err)
    doubts.has_digests = check is not None
    return Check(check, doubts=doubts, sparing=False, key=_key(repo, tip))


def _key(repo: repository.Repository,
         tip: chains.ChainLink) -> encryption.DataKey | None:
    point = tip.manifest.point
    return (None if point is None
            else repo.operation.keys.unlock(point.encryption))


def _digests(repo: repository.Repository, tip: chains.ChainLink,
             end: int) -> DigestCheck | None:
    """The digests of a backup; None if it has none."""
    table = repo.load_digests(tip, end)
    if table is None:
        return None
    try:
        return DigestCheck(table, end)
    except exceptions.IntegrityError as err:
        table.close()
        err.about(backup_id=tip.ref.backup_id, container=tip.ref.container,
                  name=naming.digest_file_name(tip.ref.prefix)
                  if tip.manifest.has_digest_file
                  else naming.manifest_name(tip.ref.prefix))
        raise


def _check_era(tip: chains.ChainLink) -> None:
    if tip.manifest.era is not chains.Era.DIGESTS:
        return
    raise exceptions.IntegrityError(
        'the digest file of the backup is missing',
        backup_id=tip.ref.backup_id, container=tip.ref.container,
        name=naming.digest_file_name(tip.ref.prefix),
        remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)


def _check_md5s(tip: chains.ChainLink) -> None:
    """Make sure that a backup without digests can be verified.

    All releases before digests recorded an MD5 of each object.
    """
    for record in tip.manifest.chunks:
        if record.stored_md5 is None:
            raise exceptions.IntegrityError(
                'the manifest is damaged: the backup has no digests, and the '
                'manifest has no MD5 of this object',
                container=tip.ref.container, name=record.name,
                offset=record.extent.offset, end=record.extent.end,
                remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)


class StoredCheck:
    """Compares a stored object with what its record says of it."""

    def __init__(self, record: types.ChunkRecord, *, length: bool,
                 md5: bool) -> None:
        """Prepare.

        :param length: whether to compare its length, where it is recorded
        :param md5: whether to compare its MD5, where it is recorded
        """
        self._record = record
        self._expected = record.stored_length if length else None
        self._length = 0
        self._hash = (hashlib.md5(usedforsecurity=False)
                      if md5 and record.stored_md5 is not None else None)

    def feed(self, piece: bytes | memoryview) -> None:
        """Take more of the object."""
        self._length += len(piece)
        if self._hash is not None:
            self._hash.update(piece)

    def finish(self) -> None:
        """Compare, once all of it was fed.

        :raises LengthMismatch: when it has another length
        :raises DigestMismatch: when it has another MD5
        """
        extent = self._record.extent
        if self._expected is not None and self._length != self._expected:
            raise exceptions.LengthMismatch(
                'an object is damaged: its length differs from the one in '
                'the manifest', name=self._record.name, offset=extent.offset,
                end=extent.end, expected=self._expected,
                actual=self._length, remedy=exceptions.Remedy.OTHER_BACKUP)
        if self._hash is None:
            return
        actual = self._hash.hexdigest()
        if actual != self._record.stored_md5:
            raise exceptions.DigestMismatch(
                'an object is damaged: its MD5 differs from the one in the '
                'manifest', name=self._record.name,
                offset=extent.offset, end=extent.end,
                expected=self._record.stored_md5, actual=actual,
                remedy=exceptions.Remedy.OTHER_BACKUP)


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """How to verify chunks.

    ``digests`` is None if the backup has none. ``stored`` says whether to
    compare stored objects with their records in the manifest. With ``doubts``
    what does not match is noted there and restored as it is. ``sparing`` is
    whether to fetch only what digests do not show to be zeros, or to be
    there already. ``key`` is that of an encrypted backup.
    """

    digests: DigestCheck | None
    stored: bool = True
    doubts: doubts_.Doubts | None = None
    sparing: bool = True
    key: encryption.DataKey | None = None

    def close(self) -> None:
        """Forget the digests."""
        if self.digests is not None:
            self.digests.table.close()

    def zeros(self, extents: Sequence[types.Extent],
              ) -> frozenset[types.Extent]:
        """Those of some extents that need not be fetched, being zeros."""
        if self.digests is None or not self.sparing:
            return frozenset()
        return frozenset(filter(self.digests.table.are_zeros, extents))

    def confirm_zeros(self, name: str,
                      extents: Sequence[types.Extent]) -> None:
        """Compare extents that are zeros by the manifest with the digests.

        :param name: of the object that says so
        :raises IntegrityError: when digests tell of data; with doubts, these
            are noted instead
        """
        if self.digests is None:
            return
        wrong = [extent for extent in extents
                 if not self.digests.table.are_zeros(extent)]
        if not wrong:
            return
        if self.doubts is None:
            raise exceptions.IntegrityError(
                'the backup has zeros where its digests tell of data',
                name=name, offset=wrong[0].offset, end=wrong[0].end,
                remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)
        self.doubts.note(name, wrong, is_wrong=True)

    def present(self, extents: Sequence[types.Extent],
                volume: volumes.VolumeReader,
                stop: pipelines.StopFlag) -> frozenset[types.Extent]:
        """Those of some extents that a volume has already.

        Each begins with a block. Without digests nobody knows.

        :raises VolumeError: when the volume cannot be read
        :raises Cancelled: when ``stop`` is set
        """
        if self.digests is None or not self.sparing:
            return frozenset()
        return frozenset(
            extent for extent in extents
            if extent.end <= volume.size
            and _is_present(self.digests.table, extent, volume, stop))

    def of_stored(self, record: types.ChunkRecord) -> StoredCheck:
        """The check of one object; its MD5 adds nothing to digests."""
        return StoredCheck(record, length=self.stored,
                           md5=self.stored and self.digests is None)


def _is_present(table: digests.DigestTable, extent: types.Extent,
                volume: volumes.VolumeReader,
                stop: pipelines.StopFlag) -> bool:
    size = table.block_size
    piece = types.whole(_PIECE, size)
    buffer = bytearray(min(piece, extent.length))
    for part in extent.parts(piece):
        stop.check()
        data = volume.read(part, buffer)
        if table.hash(data, part.offset) != table.of(part):
            return False
    return True


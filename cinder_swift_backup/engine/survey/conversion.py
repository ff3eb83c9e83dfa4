# SPDX-License-Identifier: Apache-2.0

"""Stores backups in another form, from what the store has of them.

1. The new backup keeps its id and the rest of what the manifest tells. It has
   a prefix of its own, which the old one tells, so that whoever repeats a
   conversion finds it, and so does whoever looks for what is left of one.
2. Read the backup like a volume, see
   :mod:`cinder_swift_backup.engine.restore.stored_volume`, and back that up.
   So each block is compared with its digest before it is stored again.
3. To packs, build on the recovery point before it: the digests of both tell
   what differs, and only that is fetched and stored.
4. Before the manifest is put, see that the old backup is still there: somebody
   may have deleted it, and does not want it any more.
5. Fetch all of the new backup, compare it with its digests, and these with
   those of the old one.

The old backup is only read. What an earlier attempt has left is replaced; if
that has a manifest, but only once all of the old backup was read: it may be
the better one of the two.
"""

from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import functools
import itertools
import secrets

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import archiver
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import stored_volume
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

# Bytes of the volume that a chunk has, as with both drivers by default; and of
# a block, where the backup has no digests.
_CHUNK = 50 << 20
_BLOCK = 32 << 10


@dataclasses.dataclass(frozen=True, slots=True)
class Converted:
    """A backup in its new form; ``is_new`` is whether it was just stored."""

    link: chains.ChainLink
    is_new: bool


def target(ref: types.BackupRef, form: chains.Form) -> types.BackupRef:
    """Where a backup is in another form.

    :raises ValueError: when its prefix is none
    """
    return dataclasses.replace(
        ref, prefix=naming.converted(ref.prefix, form.value))


def is_convertible(backup: backups.Backup, form: chains.Form) -> bool:
    """Whether a backup can be in another form, by its manifest."""
    return (backup.summary is not None
            and backup.is_point is not (form is chains.Form.PACKS))


def before(lineage: lineages.Lineage, backup: backups.Backup,
           done: Mapping[types.BackupRef, types.BackupRef],
           ) -> types.BackupRef | None:
    """The recovery point of the volume before a backup, if there is one.

    :param done: what was converted since the lineage was looked at, by what
        that was
    """
    found = None
    for other in lineage.backups:
        if other.ref == backup.ref:
            break
        if (other.ref.volume_id != backup.ref.volume_id
                or other.ref.container != backup.ref.container):
            continue
        if other.ref in done:
            found = done[other.ref]
        elif (other.is_point and other.state is backups.State.COMPLETE
              and other.ref.backup_id != backup.ref.backup_id):
            found = other.ref
    return found


class Converter:
    """Converts the backups of one store to one form."""

    def __init__(self, repo: repository.Repository, form: chains.Form,
                 grace: datetime.timedelta = sweeping.GRACE) -> None:
        """Prepare.

        :param grace: that of sweeps
        """
        self._repository = repo
        self._form = form
        self._grace = grace
        # Remembers the packs that it has fetched.
        self._checker = deep.Checker(repo)

    def target(self, ref: types.BackupRef) -> types.BackupRef:
        """Where a backup is in the new form."""
        return target(ref, self._form)

    def find(self, ref: types.BackupRef) -> chains.ChainLink | None:
        """A backup in the new form, if all of it is there.

        :raises StoreError: when the store fails
        """
        where = target(ref, self._form)
        try:
            link = chains.ChainLink(where, self._repository.load(where))
        except (exceptions.ChainError, exceptions.FormatError):
            return None
        if link.manifest.form is not self._form:
            return None
        operation = self._repository.operation
        fault = presence.look(operation, where, link.manifest.objects)
        if fault is None:
            fault = presence.examine(operation, chains.Chain((link,)))
        return link if fault is None else None

    def convert(self, chain: chains.Chain, before: types.BackupRef | None,
                observer: operations.Observer,
                verifying: operations.Observer) -> Converted:
        """Store the tip of a chain in the new form, unless it is there.

        What an earlier attempt has left is deleted first.

        :param before: a recovery point to share packs with, if there is one
        :param verifying: follows the comparison at the end
        :raises BackupError: when the backup cannot be restored, or stored;
            nothing is left then that can still be reached
        """
        source = chain.tip.ref
        found = self.find(source)
        if found is not None:
            return Converted(found, is_new=False)
        ref = target(source, self._form)
        repo = self._repository.during(observer)
        if repo.store.exists(ref.container, naming.manifest_name(ref.prefix)):
            _read_all(repo, chain)
        self._discard(ref)
        with stored_volume.opened(repo, chain) as volume:
            job = _job(chain, ref, self._form, volume)
            parent = self._parent(repo, before, job)
            with repo.operation.runtime.closing(parent):
                manifest = archiver.Archiver(self._repository).archive(
                    dataclasses.replace(
                        job, parent=parent, told=_told(volume, parent),
                        grace=self._grace),
                    volume, _Observer(observer, self._repository, source))
        link = chains.ChainLink(ref, manifest)
        try:
            self.verify(chain, link, verifying)
        except (exceptions.IntegrityError, exceptions.FormatError):
            self._discard(ref)
            raise
        return Converted(link, is_new=True)

    def _parent(self, repo: repository.Repository,
                before: types.BackupRef | None,
                job: jobs.ArchiveJob) -> parents.Parent | None:
        if before is None or self._form is chains.Form.CHUNKS:
            return None
        return parents.find(repo, [before], job.geometry.block_size,
                            self._form, job.ref.container)

    def verify(self, chain: chains.Chain, link: chains.ChainLink,
               observer: operations.Observer) -> None:
        """Fetch all of a backup in the new form, and compare it.

        :param chain: of the old backup
        :raises IntegrityError: when it is not what was stored, or another
            than the old one
        :raises StoreError: when the store fails
        """
        size = link.manifest.volume_size or 0
        damage = self._checker.check(
            deep.Subject(link, size), None, observer)
        if damage:
            raise damage[0]
        repo = self._repository.during(observer)
        with (stored_volume.opened(repo, chain) as before,
              stored_volume.opened(repo, chains.Chain((link,))) as after):
            if not _are_same(repo.operation, before, after):
                raise exceptions.IntegrityError(
                    'the backup has other data in its new form',
                    backup_id=link.ref.backup_id,
                    container=link.ref.container,
                    name=naming.manifest_name(link.ref.prefix))

    def _discard(self, ref: types.BackupRef) -> None:
        """Delete what there is of a backup in the new form, but for packs."""
        names = self._repository.find_objects(ref, complete=False).names
        if names:
            self._repository.discard(ref, names)


def _read_all(repo: repository.Repository, chain: chains.Chain) -> None:
    """Read all of a backup, so that it is known to be good."""
    with fetching.prepared(repo, chain, None) as (plan, fetcher):
        fetcher.fetch(itertools.chain.from_iterable(plan.parts()),
                      fetching.Discard())


def _are_same(operation: operations.Operation,
              before: stored_volume.StoredVolume,
              after: stored_volume.StoredVolume) -> bool:
    """Whether two backups are of the same data.

    By their digests where these can be compared. Data is read of a backup that
    has none.
    """
    table = after.digests
    if table is None or before.size != after.size:
        return False
    if before.digests is not None and _are_alike(before.digests, table):
        differences = _Differences(before.digests, table)
        return operation.one(lambda stop: next(
            differences.until(stop), None) is None)
    check = verification.Check(verification.DigestCheck(table, after.size))
    same = True

    def collect(found: bool) -> None:
        nonlocal same
        same = same and found

    def look(extent: types.Extent, stop: pipelines.StopFlag) -> bool:
        return bool(operation.call(check.present, [extent],
                                   before.until(stop), stop))

    operation.run(
        (pipelines.Task(functools.partial(look, extent), extent.length)
         for extent in types.Extent(0, after.size).parts(
             types.whole(_CHUNK, table.block_size))),
        collect, full=pipelines.FULL)
    return same


def _job(chain: chains.Chain, ref: types.BackupRef, form: chains.Form,
         volume: stored_volume.StoredVolume) -> jobs.ArchiveJob:
    manifest = chain.tip.manifest
    block_size = (_BLOCK if volume.digests is None
                  else volume.digests.block_size)
    return jobs.ArchiveJob(
        ref=ref, header=manifest.header,
        geometry=types.Geometry(types.whole(_CHUNK, block_size), block_size),
        compression=_compression(chain), form=form,
        volume_meta=manifest.volume_meta, mark=manifest.mark,
        key_id=manifest.key_id, copy_of=manifest,
        maker=naming.another_maker(ref.backup_id, secrets.randbits(32)))


def _compression(chain: chains.Chain) -> str:
    """The word of the codec that has most of a backup.

    What does not get smaller is stored plain, whichever codec was chosen, so
    that one counts only if there is no other.
    """
    lengths: dict[str, int] = {}
    for link in chain.links:
        for word, length in _by_word(link.manifest):
            if codecs.find(word) is not codecs.NONE:
                lengths[word] = lengths.get(word, 0) + length
    return max(lengths, key=lengths.__getitem__, default=codecs.NONE.word)


def _by_word(manifest: chains.Manifest) -> Iterator[tuple[str, int]]:
    if manifest.point is not None:
        for word, stored in manifest.point.stored.items():
            if stored.stored_bytes:
                yield word, stored.bytes
        return
    for number, length in enumerate(manifest.chunks.lengths):
        yield manifest.chunks.compression(number), length


def _told(volume: stored_volume.StoredVolume,
          parent: parents.Parent | None) -> '_Differences | None':
    if (parent is None or volume.digests is None
            or not _are_alike(volume.digests, parent.digests)):
        return None
    return _Differences(volume.digests, parent.digests)


def _are_alike(one: digests.DigestTable, other: digests.DigestTable) -> bool:
    """Whether equal blocks have equal digests in two tables."""
    return (one.block_size == other.block_size
            and one.digest_of == other.digest_of)


class _Differences:
    """Where the digests of two backups differ, looked up each time."""

    def __init__(self, now: digests.DigestTable,
                 then: digests.DigestTable) -> None:
        self._now = now
        self._then = then

    def __iter__(self) -> Iterator[types.Extent]:
        return self.until(pipelines.StopFlag())

    def until(self, stop: pipelines.StopFlag) -> Iterator[types.Extent]:
        """The same, until a flag is set."""
        size = self._now.block_size
        for first in range(0, len(self._now), digests.STEP):
            stop.check()
            end = first + digests.STEP
            for block in digests.changed_blocks(
                    self._now.run(first, end), self._then.run(first, end)):
                yield types.Extent((first + block) * size, size)


class _Observer:
    """Follows a conversion, and sees that the old backup is still there."""

    def __init__(self, observer: operations.Observer,
                 repo: repository.Repository,
                 source: types.BackupRef) -> None:
        self.checkpoint = observer.checkpoint
        self.advanced = observer.advanced
        self._repository = repo
        self._source = source

    def confirm(self) -> None:
        """See :class:`operations.ArchiveObserver`.

        :raises ChainError: when the old backup was deleted
        """
        source = self._source
        name = naming.manifest_name(source.prefix)
        if not self._repository.store.exists(source.container, name):
            raise exceptions.ChainError(
                'the backup was deleted during its conversion',
                backup_id=source.backup_id, container=source.container,
                name=name)

    def stored(self, manifest: chains.Manifest) -> None:
        """See :class:`operations.ArchiveObserver`; there is no record."""

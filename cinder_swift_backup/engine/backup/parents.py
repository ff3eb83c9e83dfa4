# SPDX-License-Identifier: Apache-2.0

"""Decides whether an incremental backup can build on its parent.

1. Read every manifest of the parent's chain and plan its restore, or read all
   pages of a recovery point, and see that its objects are there, are what was
   stored, and will stay: an incremental on a chain that cannot be restored is
   worthless.
2. If packs are missing or damaged, what the parent has in them is stored
   anew, and so the volume has a backup again that can be restored.
3. Read the parent's digests. They must be of blocks of the same size, and
   there must be one for every block of the parent's volume.

If one of these fails, the backup has to be a full one. So it has if the parent
is not encrypted as the backup is to be, or if nobody has its key any more. An
error of the store or of the key manager is different: it is raised, because
the next attempt may succeed. And if the key of that id is another one now,
somebody has to know: the operator's copies do not open what it encrypts.
"""

from collections.abc import Sequence
import dataclasses

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Parent:
    """The backup that an incremental builds on, as of the start.

    ``lost`` are the keys of packs that cannot be read.
    """

    ref: types.BackupRef
    manifest: chains.Manifest
    digests: digests.DigestTable
    lost: frozenset[int] = frozenset()

    def close(self) -> None:
        """Forget its digests."""
        self.digests.close()

    def confirm(self, repo: repository.Repository) -> None:
        """Make sure that it is still there, and that nobody deletes it.

        The digest file is what a deletion begins with.

        :raises ChainError: when it was deleted or replaced meanwhile
        :raises StoreError: when the store fails
        """
        try:
            now = repo.load(self.ref)
        except exceptions.FormatError as err:
            raise self._replaced() from err
        if not repo.operation.call(now.__eq__, self.manifest):
            raise self._replaced()
        name = naming.digest_file_name(self.ref.prefix)
        if not repo.store.exists(self.ref.container, name):
            raise exceptions.ChainError(
                'the parent is being deleted during the backup',
                backup_id=self.ref.backup_id, container=self.ref.container,
                name=name, remedy=exceptions.Remedy.REPEAT)

    def _replaced(self) -> exceptions.ChainError:
        return exceptions.ChainError(
            'the parent was replaced during the backup',
            backup_id=self.ref.backup_id, remedy=exceptions.Remedy.REPEAT)


def find(repo: repository.Repository, refs: Sequence[types.BackupRef],
         block_size: int, form: chains.Form = chains.Form.CHUNKS,
         container: str | None = None,
         key_ids: Sequence[str] = ()) -> Parent | None:
    """The last of ``refs``, if an incremental can build on it.

    :param refs: the chain, its base first
    :param block_size: of the new backup, in bytes
    :param form: of the new backup
    :param container: of the new backup; the parent's by default
    :param key_ids: of the operator's keys, one of which has to have encrypted
        the parent; empty if the new backup is not encrypted
    :returns: has to be closed
    :raises StoreError: when the store fails
    :raises KeyManagerError: when the key manager fails
    :raises WrongKey: when the key is another one than it was
    """
    try:
        return _find(repo, refs, block_size, _Wanted(
            form, container or refs[-1].container, key_ids))
    except exceptions.WrongKey as err:
        raise exceptions.WrongKey(
            err.what, backup_id=refs[-1].backup_id,
            remedy=exceptions.Remedy.KEY_CHANGED) from err
    except (exceptions.ChainError, exceptions.FormatError,
            exceptions.IntegrityError, exceptions.KeyUnavailable) as err:
        LOG.warning('A full backup is made instead of an incremental on %s: '
                    '%s', refs[-1].backup_id, err)
        return None


@dataclasses.dataclass(frozen=True, slots=True)
class _Wanted:
    """How the new backup is stored."""

    form: chains.Form
    container: str
    key_ids: Sequence[str]


def _find(repo: repository.Repository, refs: Sequence[types.BackupRef],
          block_size: int, wanted: _Wanted) -> Parent:
    chain = repo.resolve(refs)
    _check_form(chain.tip, wanted)
    for link in chain.links:
        _check_objects(repo, link)
    point = chain.tip.manifest.point
    if point is None:
        return _chunked(repo, chain, block_size)
    return _packed(repo, chain, point, block_size)


def _check_objects(repo: repository.Repository,
                   link: chains.ChainLink) -> None:
    # Also those that later backups have replaced: without them an older one
    # is lost, and only a full backup makes up for it.
    fault = presence.look(repo.operation, link.ref, link.manifest.objects)
    if fault is not None:
        raise fault


def _chunked(repo: repository.Repository, chain: chains.Chain,
             block_size: int) -> Parent:
    """The parent in the form of chunks."""
    plan = repo.operation.call(planner.plan_restore, chain)
    chunk_reader.check_codecs(plan, repo.operation.call)
    fault = presence.examine(repo.operation, chain)
    if fault is not None:
        raise fault
    ref = chain.tip.ref
    check = verification.strict(repo, chain.tip, plan.end, plan.chunks).digests
    if check is None:
        raise exceptions.ChainError(
            'the parent has no digests to compare with',
            backup_id=ref.backup_id)
    try:
        _check_blocks(ref, check.table.block_size, block_size)
    except exceptions.ChainError:
        check.table.close()
        raise
    return Parent(ref, chain.tip.manifest, check.table)


def _packed(repo: repository.Repository, chain: chains.Chain,
            point: chains.Point, block_size: int) -> Parent:
    """The parent in the form of packs, maybe without some of these."""
    tip, operation = chain.tip, repo.operation
    _check_blocks(tip.ref, point.block_size, block_size)
    fault = presence.examine(operation, chain, packs=False)
    if fault is not None:
        raise fault
    objects = point_objects.PointObjects(operation)
    # Listings do not tell of a wrong bit. The new backup needs all pages.
    for _ in objects.pages(tip.ref, point.pages):
        pass
    lost = set(presence.lost_packs(operation, tip))
    table = objects.digests(tip.ref, point, planner.restored_size(chain),
                            lost)
    if lost:
        _tell_lost(tip.ref, [point.packs.name(number)
                             for number in sorted(lost)])
    return Parent(tip.ref, tip.manifest, table, frozenset(
        point.packs[number].key for number in lost))


def _tell_lost(ref: types.BackupRef, names: Sequence[str]) -> None:
    LOG.error(
        '%d packs that backup %s needs are missing or damaged, such as %s in '
        'container %s. The new backup stores what they had once more, and '
        'does without them. Older backups that need them cannot be restored.',
        len(names), ref.backup_id, names[0], ref.container)


def _check_blocks(ref: types.BackupRef, size: int, wanted: int) -> None:
    if size != wanted:
        raise exceptions.ChainError(
            'the parent has digests of blocks of another size',
            backup_id=ref.backup_id, expected=wanted, actual=size)


def _check_form(tip: chains.ChainLink, wanted: _Wanted) -> None:
    """Make sure that a new backup can have what its parent has."""
    if tip.manifest.form is not wanted.form:
        raise exceptions.ChainError(
            f'the parent is in the form of {tip.manifest.form.value}, and the '
            f'new backup is not', backup_id=tip.ref.backup_id)
    point = tip.manifest.point
    if point is None:
        return
    _check_encryption(tip, point, wanted.key_ids)
    if tip.ref.container != wanted.container:
        raise exceptions.ChainError(
            'the packs of the parent are in another container',
            backup_id=tip.ref.backup_id, expected=wanted.container,
            actual=tip.ref.container)
    if point.page_size != pages.size(point.block_size):
        raise exceptions.ChainError(
            'the parent has pages of another size',
            backup_id=tip.ref.backup_id,
            expected=pages.size(point.block_size), actual=point.page_size)


def _check_encryption(tip: chains.ChainLink, point: chains.Point,
                      key_ids: Sequence[str]) -> None:
    """Make sure that a new backup can have the data key of its parent.

    Only the operator says which keys are good: the manifest is in Swift, and
    what is encrypted by a key that somebody else knows is not secret.
    """
    was = point.encryption
    if (was is not None) is not bool(key_ids):
        raise exceptions.ChainError(
            'the parent is not encrypted, but the new backup is to be'
            if was is None else
            'the parent is encrypted, but the new backup is not to be',
            backup_id=tip.ref.backup_id)
    if was is not None and was.key_id not in key_ids:
        raise exceptions.ChainError(
            f'key {was.key_id}, which encrypted the parent, is not one of '
            f'the configured keys', backup_id=tip.ref.backup_id)

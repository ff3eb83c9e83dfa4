# SPDX-License-Identifier: Apache-2.0

"""Decides whether an incremental backup can build on its parent.

1. Read every manifest of the parent's chain and plan its restore, or read all
   pages of a recovery point, and see that its objects are there, are what was
   stored, and will stay: an incremental on a chain that cannot be restored is
   worthless.
2. Read the parent's digests. They must be of blocks of the same size, and
   there must be one for every block of the parent's volume.

If one of these fails, the backup has to be a full one. An error of the store
is different: it is raised, because the next attempt may succeed.
"""

from collections.abc import Sequence
import dataclasses

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
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
    """The backup that an incremental builds on, as of the start."""

    ref: types.BackupRef
    manifest: chains.Manifest
    digests: digests.DigestTable

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
         container: str | None = None) -> Parent | None:
    """The last of ``refs``, if an incremental can build on it.

    :param refs: the chain, its base first
    :param block_size: of the new backup, in bytes
    :param form: of the new backup
    :param container: of the new backup; the parent's by default
    :returns: has to be closed
    :raises StoreError: when the store fails
    """
    try:
        return _find(repo, refs, block_size, form,
                     container or refs[-1].container)
    except (exceptions.ChainError, exceptions.FormatError,
            exceptions.IntegrityError) as err:
        LOG.warning('A full backup is made instead of an incremental on %s: '
                    '%s', refs[-1].backup_id, err)
        return None


def _find(repo: repository.Repository, refs: Sequence[types.BackupRef],
          block_size: int, form: chains.Form, container: str) -> Parent:
    chain = repo.resolve(refs)
    _check_form(chain.tip, form, container)
    if chain.tip.manifest.point is None:
        repo.operation.call(planner.plan_restore, chain)
    for link in chain.links:
        _check_chunks(repo, link)
    fault = presence.examine(repo.operation, chain)
    if fault is not None:
        raise fault
    _check_pages(repo, chain.tip)
    ref = chain.tip.ref
    check = verification.strict(
        repo, chain.tip, planner.restored_size(chain)).digests
    if check is None:
        raise exceptions.ChainError(
            'the parent has no digests to compare with',
            backup_id=ref.backup_id)
    if check.table.block_size != block_size:
        check.table.close()
        raise exceptions.ChainError(
            'the parent has digests of blocks of another size',
            backup_id=ref.backup_id, expected=block_size,
            actual=check.table.block_size)
    return Parent(ref, chain.tip.manifest, check.table)


def _check_chunks(repo: repository.Repository,
                  link: chains.ChainLink) -> None:
    # Also those that later backups have replaced: without them an older one
    # is lost, and only a full backup makes up for it.
    fault = presence.look(repo.operation, link.ref, link.manifest.objects)
    if fault is None and link.manifest.point is not None:
        packs = link.manifest.point.packs
        fault = presence.look(repo.operation, link.ref, packs, packs.root)
    if fault is not None:
        raise fault


def _check_pages(repo: repository.Repository, tip: chains.ChainLink) -> None:
    # Listings do not tell of a wrong bit. The new backup needs all of them.
    if tip.manifest.point is None:
        return
    pages = tip.manifest.point.pages
    for _ in point_objects.PointObjects(repo.operation).pages(tip.ref, pages):
        pass


def _check_form(tip: chains.ChainLink, form: chains.Form,
                container: str) -> None:
    """Make sure that a new backup can have what its parent has."""
    if tip.manifest.form is not form:
        raise exceptions.ChainError(
            f'the parent is in the form of {tip.manifest.form.value}, and the '
            f'new backup is not', backup_id=tip.ref.backup_id)
    point = tip.manifest.point
    if point is None:
        return
    if tip.ref.container != container:
        raise exceptions.ChainError(
            'the packs of the parent are in another container',
            backup_id=tip.ref.backup_id, expected=container,
            actual=tip.ref.container)
    if point.page_size != pages.size(point.block_size):
        raise exceptions.ChainError(
            'the parent has pages of another size',
            backup_id=tip.ref.backup_id,
            expected=pages.size(point.block_size), actual=point.page_size)

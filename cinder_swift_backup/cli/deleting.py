# SPDX-License-Identifier: Apache-2.0

"""``delete`` and ``orphans``: what is no longer needed."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from cliff import lister

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.cli import values
from cinder_swift_backup.engine import audit
from cinder_swift_backup.engine import progress


class Delete(commands.BackupCommand):
    """Delete a backup that no other needs, in whatever container that is.

    Cinder is not told: delete backups that it knows of by "cinder
    backup-delete".
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        with self.opened(parsed_args) as found:
            with progress_bar.shown(self.app.stderr, 'looking') as observer:
                library, wanted = found.with_all_of_its_volume(
                    parsed_args.backup, observer)
            _refuse_if_needed(library, wanted)
            self.left = ('Part of the backup may be deleted. The same '
                         'command deletes the rest.')
            count = _delete(found, wanted)
        self.app.stderr.write(
            f'Backup {wanted.found.ref.backup_id} is deleted: {count} '
            f'objects.\n')


class Orphans(commands.AccountCommand, lister.Lister):
    """List backups that were never finished, and delete them if told to.

    They have no manifest, so nothing can be restored from them. One that was
    written to within the time of grace may be in the making, and is not
    listed.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--delete', action='store_true',
                            help='delete what is listed')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as found:
            library = found.library(progress.Silent())
            orphans = [each for each in library.audits
                       if each.state is audit.State.ORPHANED]
            if parsed_args.delete:
                self.left = 'Some of the orphans may be deleted.'
                orphans = [each for each in orphans
                           if self._delete_again_orphaned(found, each)]
        return ('Backup', 'Volume', 'Last written', 'Objects', 'Stored',
                'Container', 'Deleted'), [
            (each.found.ref.backup_id, each.found.ref.volume_id,
             values.moment(each.found.modified), each.found.objects,
             commands.Size(each.found.stored_bytes),
             each.found.ref.container, parsed_args.delete)
            for each in orphans]


    @staticmethod
    def _delete_again_orphaned(found: shelf.Shelf,
                               each: audit.Audit) -> bool:
        """Delete one, if it is an orphan still."""
        now = found.look_again(each)
        if now is None or now.state is not audit.State.ORPHANED:
            return False
        _delete(found, now)
        return True


def _refuse_if_needed(library: audit.Library, wanted: audit.Audit) -> None:
    if wanted.state is audit.State.ARRIVING:
        raise exceptions.SelectionError(
            'nothing of it was deleted, because it may be in the making: '
            '--grace says for how long', backup_id=wanted.found.ref.backup_id)
    dependents = library.dependents(wanted)
    if dependents:
        names = ', '.join(each.found.ref.backup_id for each in dependents)
        raise exceptions.SelectionError(
            f'nothing of it was deleted, because it is needed by {names}',
            backup_id=wanted.found.ref.backup_id,
            remedy=exceptions.Remedy.NEWER_FIRST)
    unknown = library.unknown(wanted)
    if unknown:
        names = ', '.join(f'{each.found.ref.backup_id} ({each.state.value})'
                          for each in unknown)
        raise exceptions.SelectionError(
            f'nothing of it was deleted, because newer backups of the volume '
            f'have no manifest that tells what they need: {names}',
            backup_id=wanted.found.ref.backup_id)


def _delete(found: shelf.Shelf, each: audit.Audit) -> int:
    repository = found.engine.repository
    names = repository.find_objects(each.found.ref, complete=False)
    repository.discard(each.found.ref, names)
    return len(names)

# SPDX-License-Identifier: Apache-2.0

"""``delete`` and ``orphans``: what is no longer needed."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

from cliff import lister

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import outcomes
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.cli import values
from cinder_swift_backup.engine import audit
from cinder_swift_backup.engine import libraries


class Delete(commands.BackupCommand):
    """Delete a backup that no other needs, in whatever container that is.

    Nothing of a copy is deleted: delete it where it is copied from. Cinder is
    not told: delete backups that it knows of by "cinder
    backup-delete".
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        with self.opened(parsed_args) as found:
            with self.looking() as observer:
                library, wanted = found.with_all_of_its_volume(
                    parsed_args.backup, observer)
            _refuse_if_needed(library, wanted)
            self.left = ('Part of the backup may be deleted. The same '
                         'command deletes the rest.')
            count = _delete(found, wanted)
        self.say(f'Backup {wanted.found.ref.backup_id} is deleted: {count} '
                 f'objects.')


class Orphans(commands.AccountCommand, lister.Lister):
    """List objects that belong to no backup, and delete them if told to.

    These are backups without a manifest, from which nothing can be restored,
    and objects beside a complete backup that its manifest does not name. What
    was written to within the time of grace may be in the making, and is not
    listed. Nothing of a copy is an orphan. Where a container is copied
    elsewhere, perhaps both ways, orphans are only deleted if it is named.

    Where the login knows of a Cinder, that is asked, too: what it has a record
    of is listed with its status there, and not deleted; use "cinder
    backup-delete". What is there and not in Cinder, and the other way round,
    is told.
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
            with self.looking() as observer:
                library = found.library(observer)
            # After the objects: whoever writes some has a record already.
            records = self._records(required=parsed_args.delete)
            if records is not None:
                self._tell_differences(library, records)
            if parsed_args.delete:
                found.check_owner()
            rows = [
                row for each in library.audits if _has_orphans(library, each)
                if (row := self._row(
                    found, each,
                    (records or {}).get(each.found.ref.backup_id),
                    delete=parsed_args.delete and self._may_delete(
                        found, library, each))) is not None]
        return ('Backup', 'Volume', 'Last written', 'Objects', 'Stored',
                'Container', 'In Cinder', 'Deleted'), rows

    def _records(self, *, required: bool,
                 ) -> dict[str, cinder_records.Record] | None:
        """What Cinder knows; None if it is not there.

        :param required: whether it has to be asked if it is there
        """
        options: Any = self.app.options
        try:
            found = cinder_records.read(options.os_cloud,
                                        options.os_region_name, os.environ)
        except exceptions.ConfigurationError as err:
            if required:
                raise
            self.say(outcomes.line_of(err))
            return None
        if found is None:
            self.say('The login knows of no Cinder to ask for records.')
        return found

    def _tell_differences(
            self, library: libraries.Library,
            records: Mapping[str, cinder_records.Record]) -> None:
        unknown = [each.found.ref.backup_id for each in library.audits
                   if each.found.ref.backup_id not in records
                   and each.summary is not None]
        if unknown:
            self.say(f'Cinder has no record of {", ".join(unknown)}: see '
                     f'"export-record" and "delete".')
        here = {each.found.ref.backup_id for each in library.audits}
        containers = {each.found.ref.container for each in library.audits}
        gone = [each.backup_id for each in records.values()
                if each.container in containers
                and each.status == 'available' and each.backup_id not in here]
        if gone:
            self.say(f'There is nothing of {", ".join(gone)}, which Cinder '
                     f'calls available.')

    def _row(self, found: shelf.Shelf, each: audit.Audit,
             record: cinder_records.Record | None, *,
             delete: bool) -> tuple[object, ...] | None:
        """The row of an orphan, which is deleted if it is to be.

        None if it is no orphan any more.
        """
        is_whole = each.state is audit.State.ORPHANED
        # Strays of a backup that Cinder knows are nobody's all the same.
        deleted = delete and (record is None or not is_whole)
        if deleted:
            self.left = 'Some of the orphans may be deleted.'
            now = found.look_again(each)
            if now is None or (now.state is audit.State.ORPHANED) != is_whole:
                return None
            if is_whole:
                _delete(found, now)
            else:
                found.delete_strays(now)
        return (each.found.ref.backup_id, each.found.ref.volume_id,
                values.moment(each.found.modified),
                each.found.objects if is_whole else len(each.strays),
                commands.Size(each.found.stored_bytes if is_whole else None),
                each.found.ref.container,
                record.status if record else None, deleted)

    def _may_delete(self, found: shelf.Shelf, library: libraries.Library,
                    each: audit.Audit) -> bool:
        container = each.found.ref.container
        if container not in library.shared or found.is_named(container):
            return True
        self.say(f'Container {container} is copied elsewhere, so '
                 f'{each.found.ref.backup_id} is left, which may come from '
                 f'there. If nobody else writes to it, name it by '
                 f'--container.')
        return False


def _has_orphans(library: libraries.Library, each: audit.Audit) -> bool:
    if each.found.ref.container in library.copies:
        return False
    return each.state is audit.State.ORPHANED or bool(each.strays)


def _refuse_if_needed(library: libraries.Library, wanted: audit.Audit) -> None:
    if wanted.found.ref.container in library.copies:
        raise exceptions.SelectionError(
            f'nothing of it was deleted, because container '
            f'{wanted.found.ref.container} is a copy, to which an incremental '
            f'that needs it may be on its way: delete it where it is copied '
            f'from', backup_id=wanted.found.ref.backup_id)
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

# SPDX-License-Identifier: Apache-2.0

"""``delete`` and ``orphans``: what is no longer needed."""

import argparse
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import dependents
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import questions
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import audit
from cinder_swift_backup.engine.survey import lineages

_COLUMNS = ('Backup', 'Volume', 'Last written', 'Objects', 'Stored',
            'Container', 'In Cinder')
_DELETED = 'Deleted'
_WOULD_BE = 'Would be deleted'
# Which share a column where the terminal is narrow: has 100 columns, or 80.
_GROUPINGS = (
    (('Backup', 'Volume'), ('Last written', 'Objects'),
     ('Stored', 'In Cinder'), ('Container', _DELETED, _WOULD_BE)),
    (('Backup', 'Volume'), ('Last written', 'Stored'),
     ('Objects', 'In Cinder', _DELETED, _WOULD_BE, 'Container')))


class Delete(commands.BackupCommand):
    """Delete a backup that no other backup needs, in any container.

    A copy is never deleted: delete the backup where it is copied from. If the
    login leads to a Cinder, the command asks it first. It does not delete what
    Cinder has a record of (use "cinder backup-delete"), nor any backup of a
    volume that Cinder is backing up.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, several do, or it must stay'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        questions.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        with self.opened(parsed_args) as found:
            wanted = self._checked(found, parsed_args)
            name = wanted.found.ref.backup_id
            if parsed_args.dry_run:
                count = len(_objects(found, wanted))
                self.say(f'Backup {name} would be deleted: '
                         f'{summaries.counted(count, "object")}.')
                return
            if questions.is_asked(self, parsed_args):
                if not self._is_sure(found, wanted):
                    return
                # Much may have happened until the answer.
                parsed_args.backup = name
                wanted = self._checked(found, parsed_args)
            self.left = ('Part of the backup may be deleted. The same '
                         'command deletes the rest.')
            count = _delete(found, wanted)
        self.say(f'Backup {name} is deleted: '
                 f'{summaries.counted(count, "object")}.')

    def _is_sure(self, found: shelf.Shelf, wanted: audit.Audit) -> bool:
        """Whether the user really wants to delete this backup."""
        count = len(_objects(found, wanted))
        return questions.confirmed(
            self, f'Delete backup {wanted.found.ref.backup_id} of volume '
                  f'{wanted.found.ref.volume_id}, made at '
                  f'{formatting.moment(wanted.found.created)}: '
                  f'{summaries.counted(count, "object")}?')

    def _checked(self, found: shelf.Shelf,
                 arguments: argparse.Namespace) -> audit.Audit:
        """Find the backup to delete, and refuse one that has to stay."""
        with self.looking() as observer:
            library, wanted = found.with_all_of_its_volume(
                arguments.backup, observer)
        _refuse_if_needed(library, wanted)
        # After the objects: whoever writes some has a record already.
        records = _records(self, arguments.patience, required=True)
        _refuse_if_known(records or {}, wanted)
        return wanted


class Orphans(commands.AccountCommand, commands.Table):
    """List objects that belong to no backup, and delete them on request.

    These are backups without a manifest, from which nothing can be restored,
    and objects beside a complete backup that its manifest does not name.
    Anything written during the grace period may still be in progress, and is
    not listed. Nothing in a copy is an orphan. If a container is copied
    elsewhere, perhaps both ways, its orphans are deleted only if you name it.

    If the login leads to a Cinder, the command asks it, too. It lists what
    Cinder has a record of with its status there, and does not delete it: use
    "cinder backup-delete". It also reports backups that Cinder has no record
    of, records whose backups are not in Swift, and records that are wrong
    about whether any other backup depends on theirs.
    """

    codes = (
        (errors.ExitCode.SELECTION, 'no such container'),
    )

    groupings = _GROUPINGS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--delete', action='store_true',
                            help='delete what is listed')
        questions.add_to(parser)
        return parser

    def columns_of(self, arguments: argparse.Namespace) -> Sequence[str]:
        """See the base class."""
        if arguments.dry_run:
            return (*_COLUMNS, _WOULD_BE)
        return (*_COLUMNS, _DELETED) if arguments.delete else _COLUMNS

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        is_to_delete = parsed_args.delete or parsed_args.dry_run
        with self.opened(parsed_args) as found:
            with self.looking() as observer:
                library = found.library(observer)
            # After the objects: whoever writes some has a record already.
            records = _records(self, parsed_args.patience,
                               required=is_to_delete)
            unknown: Sequence[audit.Audit] = ()
            if records is not None:
                unknown = _unknown(library, records)
                self._tell_differences(library, records, unknown)
            orphans = [each for each in library.audits
                       if _has_orphans(library, each)]
            doomed: list[audit.Audit] = []
            if is_to_delete:
                found.check_owner()
                doomed = self._doomed(found, library, orphans, records or {},
                                      unknown)
                if not self._is_sure(doomed, parsed_args):
                    doomed = []
            if not parsed_args.dry_run:
                for each in doomed:
                    if not self._delete(found, each):
                        # It is no orphan any more.
                        orphans.remove(each)
            refs = {each.found.ref for each in doomed}
            rows = [self._row(each,
                              cinder_api.record_of(records or {}, each),
                              delete=each.found.ref in refs)
                    for each in orphans]
            if not rows:
                self.closing = [_none(found.place, library)]
        names = self.columns_of(parsed_args)
        return names, [row[:len(names)] for row in rows]

    def _doomed(self, found: shelf.Shelf, library: lineages.Library,
                orphans: Iterable[audit.Audit],
                records: Mapping[str, cinder_api.Record],
                unknown: Sequence[audit.Audit]) -> list[audit.Audit]:
        """Those that may be deleted.

        Strays of a backup that Cinder knows are nobody's all the same.
        """
        return [each for each in orphans
                if self._may_delete(found, library, each, unknown)
                and not (_is_whole(each) and
                         cinder_api.record_of(records, each) is not None)]

    def _is_sure(self, doomed: Sequence[audit.Audit],
                 arguments: argparse.Namespace) -> bool:
        """Whether to delete them, as far as the user has to say so."""
        if (not doomed or arguments.dry_run
                or not questions.is_asked(self, arguments)):
            return True
        for each in doomed:
            self.say(f'{each.found.ref.backup_id} of volume '
                     f'{each.found.ref.volume_id}: '
                     f'{summaries.counted(_count(each), "object")}')
        backups = summaries.counted(len(doomed), 'backup')
        return questions.confirmed(
            self, f'Delete these objects of {backups}?')

    def _tell_differences(
            self, library: lineages.Library,
            records: Mapping[str, cinder_api.Record],
            unknown: Sequence[audit.Audit]) -> None:
        if unknown:
            names = ', '.join(each.found.ref.backup_id for each in unknown)
            self.say(f'Cinder has no record of {names}: see "export-record" '
                     f'and "delete".')
        here = {each.found.ref.backup_id for each in library.audits}
        containers = {each.found.ref.container for each in library.audits}
        gone = [each.backup_id for each in records.values()
                if each.container in containers
                and each.status == 'available' and each.backup_id not in here]
        if gone:
            self.say(f'Swift has nothing of {", ".join(gone)}, which Cinder '
                     f'calls available.')
        for line in dependents.lines(library, records):
            self.say(line)

    @staticmethod
    def _row(each: audit.Audit, record: cinder_api.Record | None, *,
             delete: bool) -> tuple[object, ...]:
        return (each.found.ref.backup_id, each.found.ref.volume_id,
                formatting.moment(each.found.modified), _count(each),
                commands.Size(each.found.stored_bytes if _is_whole(each)
                              else None),
                each.found.ref.container,
                commands.Known(record.status if record else None), delete)

    def _delete(self, found: shelf.Shelf, each: audit.Audit) -> bool:
        """Delete an orphan; return False if it no longer is one."""
        self.left = 'Some of the orphans may be deleted.'
        now = found.look_again(each)
        if now is None or _is_whole(now) != _is_whole(each):
            return False
        if _is_whole(now):
            _delete(found, now)
        else:
            found.delete_strays(now)
        return True

    def _may_delete(self, found: shelf.Shelf, library: lineages.Library,
                    each: audit.Audit,
                    unknown: Sequence[audit.Audit]) -> bool:
        container = each.found.ref.container
        if found.is_named(container):
            return True
        name = each.found.ref.backup_id
        if container in library.shared:
            self.say(f'Container {container} is copied elsewhere, so the '
                     f'command leaves {name}, which may come from there. If '
                     f'nobody else writes to it, name it with --container.')
            return False
        # Cinder tells nobody that it has not told everything.
        if _is_whole(each) and any(
                other.found.ref.container == container for other in unknown):
            self.say(f'Cinder shows this login no record of some backups in '
                     f'container {container}, so the command leaves {name}, '
                     f'which may be in the making. If nobody writes to the '
                     f'container, name it with --container.')
            return False
        return True


def _records(command: commands.AccountCommand, patience: float, *,
             required: bool) -> dict[str, cinder_api.Record] | None:
    """What Cinder knows; None if it is not there.

    :param required: whether it has to be asked if it is there
    """
    options: Any = command.app.options
    try:
        found = cinder_api.read(options, os.environ, patience)
    except exceptions.ConfigurationError as err:
        if required:
            raise
        command.say(errors.line_of(err))
        return None
    if found is None:
        command.say('The login leads to no Cinder that could have records.')
    return found


def _unknown(library: lineages.Library,
             records: Mapping[str, cinder_api.Record],
             ) -> list[audit.Audit]:
    """The backups with a manifest of which Cinder tells no record."""
    return [each for each in library.audits if each.summary is not None
            and cinder_api.record_of(records, each) is None]


def _has_orphans(library: lineages.Library, each: audit.Audit) -> bool:
    if each.found.ref.container in library.copies:
        return False
    return _is_whole(each) or bool(each.strays)


def _is_whole(each: audit.Audit) -> bool:
    """Whether the whole backup is an orphan, not just objects beside it."""
    return each.state is audit.State.ORPHANED


def _refuse_if_needed(library: lineages.Library, wanted: audit.Audit) -> None:
    if wanted.found.ref.container in library.copies:
        raise exceptions.SelectionError(
            'nothing was deleted, because the container is a copy, to which '
            'an incremental that needs the backup may be on its way: delete '
            'the backup where it is copied from',
            backup_id=wanted.found.ref.backup_id,
            container=wanted.found.ref.container)
    if wanted.state is audit.State.ARRIVING:
        raise exceptions.SelectionError(
            'nothing was deleted, because the backup may be in the making: '
            '--grace says for how long', backup_id=wanted.found.ref.backup_id)
    needed_by = library.dependents(wanted)
    if needed_by:
        names = ', '.join(each.found.ref.backup_id for each in needed_by)
        raise exceptions.SelectionError(
            'nothing was deleted, because newer backups need this one',
            backup_id=wanted.found.ref.backup_id,
            detail=f'needed by {names}',
            remedy=exceptions.Remedy.NEWER_FIRST)
    unknown = library.unknown(wanted)
    if unknown:
        names = ', '.join(f'{each.found.ref.backup_id} ({each.state.value})'
                          for each in unknown)
        raise exceptions.SelectionError(
            'nothing was deleted, because newer backups of the volume have no '
            'manifest that tells what they need',
            backup_id=wanted.found.ref.backup_id, detail=f'these: {names}')


def _refuse_if_known(records: Mapping[str, cinder_api.Record],
                     wanted: audit.Audit) -> None:
    ref = wanted.found.ref
    record = cinder_api.record_of(records, wanted)
    if record is not None:
        raise exceptions.SelectionError(
            f'nothing was deleted, because Cinder knows the backup, which is '
            f'in status {record.status!r} there: use "cinder backup-delete", '
            f'after "cinder backup-reset-state" if it refuses',
            backup_id=ref.backup_id)
    in_the_making = [each.backup_id for each in records.values()
                     if each.volume_id == ref.volume_id
                     and each.status == 'creating']
    if in_the_making:
        raise exceptions.SelectionError(
            'nothing was deleted, because Cinder is making a backup of the '
            'same volume, which may need this one; if its host is gone, use '
            '"cinder backup-reset-state"', backup_id=ref.backup_id,
            detail=f'in the making: {", ".join(in_the_making)}')


def _count(each: audit.Audit) -> int:
    """How many objects are orphans."""
    return each.found.objects if _is_whole(each) else len(each.strays)


def _none(place: str, library: lineages.Library) -> str:
    """A line that says that there are no orphans, and where."""
    if not library.audits:
        return summaries.nothing(place)
    count = summaries.counted(len(library.audits), 'backup')
    return f'There are no orphans among {count} in {place}.'


def _objects(found: shelf.Shelf, each: audit.Audit) -> Collection[str]:
    return found.engine.repository.find_objects(each.found.ref,
                                                complete=False)


def _delete(found: shelf.Shelf, each: audit.Audit) -> int:
    names = _objects(found, each)
    found.engine.repository.discard(each.found.ref, names)
    return len(names)

# SPDX-License-Identifier: Apache-2.0

"""``delete`` and ``orphans``: what is no longer needed."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import dependents
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import questions
from cinder_swift_backup.cli import selection
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import survey as surveys

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

# Why nothing was deleted, and what introduces the backups that it is about.
_WHY = {
    deletion.Reason.COPY: (
        'the container is a copy, and an incremental that needs the backup '
        'may still arrive: delete the original backup instead',
        None),
    deletion.Reason.IN_THE_MAKING: (
        'the backup may still be in progress: --grace says for how '
        'long', None),
    deletion.Reason.NEEDED: ('newer backups need this one', 'needed by'),
    deletion.Reason.PERHAPS_NEEDED: (
        'newer backups of the volume have no readable manifest and may need '
        'this one', 'these:'),
    deletion.Reason.TWO_FORMS: (
        'the backup is there in two forms: use "convert --delete-source" to '
        'delete the old one', None),
    deletion.Reason.RECORDED: (
        'Cinder has a record of the backup, with status {status!r}: use '
        '"cinder backup-delete" (if that is refused, "cinder '
        'backup-reset-state" first)', None),
    deletion.Reason.VOLUME_IN_USE: (
        'Cinder is backing up the same volume, and the new backup may need '
        'this one; if its host has failed, use "cinder backup-reset-state"',
        'in progress:'),
}
_SOME_ARE_GONE = 'Some of the orphans may already have been deleted.'
# Why an orphan is left.
_LEFT = {
    deletion.Reason.SHARED:
        'Kept {name}: container {container} is copied elsewhere, and {name} '
        'may come from there. If nobody else writes to the container, name '
        'it with --container.',
    deletion.Reason.UNSEEN:
        'Kept {name}: Cinder shows this login no record of some backups in '
        'container {container}, so {name} may still be in progress. If '
        'nobody writes to the container, name it with --container.',
}


class Delete(selection.BackupCommand):
    """Delete a backup that no other backup needs, in any container.

    A copy is never deleted: delete the backup where it is copied from. If the
    login's catalog has Cinder, the command asks Cinder first. It does not
    delete what Cinder has a record of (use "cinder backup-delete"), nor any
    backup of a volume that Cinder is backing up.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, several do, it must not be deleted, or there '
         'is no such container'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        questions.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        with self.opened(parsed_args) as survey:
            backup = self._checked(survey, parsed_args)
            name = backup.ref.backup_id
            if parsed_args.dry_run:
                count = len(deletion.objects(survey.repository, backup))
                self.say(f'Backup {name} would be deleted: '
                         f'{quantities.counted(count, "object")}.')
                return
            if questions.is_asked(self, parsed_args):
                if not self._is_sure(survey, backup):
                    return
                # Much may have happened until the answer.
                parsed_args.backup, parsed_args.volume = name, None
                backup = self._checked(survey, parsed_args)
            self.left = ('Part of the backup may already have been deleted. '
                         'The same command deletes the rest.')
            count = deletion.delete(survey.repository, backup)
            if backup.summary is not None and backup.summary.is_point:
                self._sweep(survey, backup)
        self.say(f'Deleted backup {name}: '
                 f'{quantities.counted(count, "object")}.')

    def _sweep(self, survey: surveys.Survey, backup: backups.Backup) -> None:
        self.left = ('The backup was deleted. Packs that no backup needs stay '
                     'until "sweep".')
        waiting = packed.note_unneeded(survey.repository, [backup])
        if waiting:
            self.say(f'{quantities.counted(waiting, "pack")} of the '
                     f'volume that no backup needs will go with a "sweep" '
                     f'after the grace period.')

    def _is_sure(self, survey: surveys.Survey,
                 backup: backups.Backup) -> bool:
        """Whether the user really wants to delete this backup."""
        count = len(deletion.objects(survey.repository, backup))
        return questions.confirmed(
            self, f'Delete backup {backup.ref.backup_id} of volume '
                  f'{backup.ref.volume_id}, made at '
                  f'{formatting.moment(backup.listed.created)}: '
                  f'{quantities.counted(count, "object")}?')

    def _checked(self, survey: surveys.Survey,
                 arguments: argparse.Namespace) -> backups.Backup:
        """Find the backup to delete, and refuse one that has to stay."""
        with self.looking() as observer:
            (name,) = self.named(survey, arguments, observer)
            lineage, backup = survey.one_of_everything(name, observer)
        _refuse(backup, deletion.obstacle(lineage, backup))
        # After the objects: whoever writes some has a record already.
        records = cinder_records.read(self, arguments.patience, required=True)
        _refuse(backup, deletion.obstacle_on_record(records or {}, backup))
        return backup


class Orphans(commands.AccountCommand, commands.Table):
    """List objects that belong to no backup, and delete them on request.

    These are backups without a manifest, from which nothing can be restored,
    and objects beside a complete backup that its manifest does not name.
    Anything written during the grace period may still be in progress, and is
    not listed. Nothing in a copy is an orphan. If a container is copied
    elsewhere, perhaps both ways, its orphans are deleted only if you name it.

    If the login's catalog has Cinder, the command asks Cinder, too. It lists
    what Cinder has a record of with its status there, and does not delete it:
    use "cinder backup-delete". It also reports backups that Cinder has no
    record of, records whose backups are not in Swift, and records that are
    wrong about whether any other backup depends on theirs.
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
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage = survey.everything(observer)
            # After the objects: whoever writes some has a record already.
            records = cinder_records.read(self, parsed_args.patience,
                               required=is_to_delete)
            unseen: Sequence[backups.Backup] = ()
            if records is not None:
                unseen = deletion.unrecorded(lineage, records)
                self._tell_differences(lineage, records, unseen)
            records = records or {}
            orphans = deletion.orphans(lineage)
            doomed: list[backups.Backup] = []
            if is_to_delete:
                survey.check_owner()
                doomed = [orphan for orphan in orphans
                          if self._may_delete(orphan, deletion.orphan_obstacle(
                              lineage, orphan, records, unseen,
                              survey.containers))]
                if not self._is_sure(doomed, parsed_args):
                    doomed = []
            if not parsed_args.dry_run:
                for orphan in doomed:
                    self.left = _SOME_ARE_GONE
                    if not survey.delete_orphan(orphan):
                        # It is no orphan any more.
                        orphans.remove(orphan)
            refs = {orphan.ref for orphan in doomed}
            rows = [_row(orphan, deletion.record_of(records, orphan),
                         delete=orphan.ref in refs) for orphan in orphans]
            if not rows:
                self.closing = [_none(self.place(survey), lineage)]
        names = self.columns_of(parsed_args)
        return names, [row[:len(names)] for row in rows]

    def _may_delete(self, orphan: backups.Backup,
                    obstacle: deletion.Obstacle | None) -> bool:
        """Whether there is no obstacle; else says what it is.

        That Cinder has a record is in the table.
        """
        if obstacle is None:
            return True
        if obstacle.reason in _LEFT:
            self.say(_LEFT[obstacle.reason].format(
                container=orphan.ref.container, name=orphan.ref.backup_id))
        return False

    def _is_sure(self, doomed: Sequence[backups.Backup],
                 arguments: argparse.Namespace) -> bool:
        """Whether to delete them, as far as the user has to say so."""
        if (not doomed or arguments.dry_run
                or not questions.is_asked(self, arguments)):
            return True
        for orphan in doomed:
            self.say(f'{orphan.ref.backup_id} of volume '
                     f'{orphan.ref.volume_id}: '
                     f'{quantities.counted(_count(orphan), "object")}')
        count = quantities.counted(len(doomed), 'backup')
        return questions.confirmed(self, f'Delete these objects of {count}?')

    def _tell_differences(self, lineage: lineages.Lineage,
                          records: deletion.Records,
                          unseen: Sequence[backups.Backup]) -> None:
        if unseen:
            names = ', '.join(backup.ref.backup_id for backup in unseen)
            self.say('Cinder shows this login no record that matches '
                     f'{names}: see "export-record" and "delete".')
        if lost := deletion.lost(lineage, records):
            names = ', '.join(record.backup_id for record in lost)
            self.say(f'The account has no objects of {names}, though their '
                     'status in Cinder is available.')
        for line in dependents.lines(lineage, records):
            self.say(line)


def _refuse(backup: backups.Backup,
            obstacle: deletion.Obstacle | None) -> None:
    """Say why a backup has to stay, if it has to.

    :raises SelectionError: if so
    """
    if obstacle is None:
        return
    why, detail = _WHY[obstacle.reason]
    status = next((record.status for record in obstacle.records), '')
    others = ', '.join((
        *(f'{other.ref.backup_id} ({other.state.value})'
          for other in obstacle.others),
        *(record.backup_id for record in obstacle.records)))
    raise exceptions.SelectionError(
        f'nothing was deleted, because {why.format(status=status)}',
        backup_id=backup.ref.backup_id, container=backup.ref.container,
        detail=detail and f'{detail} {others}',
        remedy=(exceptions.Remedy.NEWER_FIRST
                if obstacle.reason is deletion.Reason.NEEDED else None))


def _row(orphan: backups.Backup, record: deletion.Record | None, *,
         delete: bool) -> tuple[object, ...]:
    is_whole = deletion.is_whole(orphan)
    return (orphan.ref.backup_id, orphan.ref.volume_id,
            formatting.moment(orphan.listed.modified), _count(orphan),
            commands.Size(orphan.listed.stored_bytes if is_whole else None),
            orphan.ref.container,
            commands.Known(record.status if record else None), delete)


def _count(orphan: backups.Backup) -> int:
    """How many objects are orphans."""
    return (orphan.listed.objects if deletion.is_whole(orphan)
            else len(orphan.strays))


def _none(place: str, lineage: lineages.Lineage) -> str:
    """A line that says that there are no orphans, and where."""
    if not lineage.backups:
        return summaries.nothing(place)
    count = quantities.counted(len(lineage.backups), 'backup')
    return f'There are no orphans among {count} in {place}.'

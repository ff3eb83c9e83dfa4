# SPDX-License-Identifier: Apache-2.0

"""``sweep``: packs that no backup needs any more."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import datetime
import functools
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import questions
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import survey as surveys

_COLUMNS = ('Volume', 'Packs', 'Stored', 'Waiting', 'Unneeded', 'Frees',
            'Container', 'Kept because')
_GROUPINGS = (
    (('Volume', 'Container'), ('Packs', 'Stored'), ('Waiting', 'Unneeded'),
     ('Frees', 'Kept because')),
    (('Volume', 'Container', 'Kept because'), ('Packs', 'Stored'),
     ('Waiting', 'Unneeded', 'Frees')))
_MADE = 'Cinder is backing up the volume'
_SOME_ARE_GONE = ('Some packs may already have been deleted. The same command '
                  'deletes the rest.')

_Rows = list[tuple[packed.PackedVolume, sweeping.Swept]]


class Sweep(commands.AccountCommand, commands.Table):
    """Delete packs that no backup needs any more.

    The driver does so after each backup in packs and each delete. Use this
    command for volumes that are no longer backed up, or after Cinder's own
    driver has deleted backups in packs.

    A sweep notes the packs that no backup names. A sweep that comes a grace
    period later deletes those that still are not named. It leaves alone what
    the grace period has not passed for, copies, volumes with a backup that it
    cannot read, and, if the login's catalog has Cinder, volumes that Cinder
    is backing up.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no volume has such an id, or there is no such container'),
        (errors.ExitCode.DAMAGED,
         'a volume was left, because a backup of it cannot be read'),
    )

    columns = _COLUMNS
    groupings = _GROUPINGS
    grace_help = ('how long to keep packs that no backup needs; never less '
                  'than backup_swift_sweep_grace (default: %(default)g)')
    least_grace = 1

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--volume', metavar='ID', default='',
            help='only volumes whose id begins so (default: all)')
        questions.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as survey:
            found = self._find(survey, parsed_args.volume)
            sweeper = sweeping.Sweeper(
                survey.repository, datetime.timedelta(
                    hours=parsed_args.grace))
            records = cinder_records.read(
                self, parsed_args.patience, required=True)
            rows = self._sweep(sweeper, found, records, dry_run=True)
            if not parsed_args.dry_run and self._is_sure(rows, parsed_args):
                if records is not None:
                    # Backups may have begun until the answer.
                    records = cinder_records.read(
                        self, parsed_args.patience, required=True)
                self.left = _SOME_ARE_GONE
                rows = self._sweep(sweeper, found, records, dry_run=False)
            if not rows:
                self.closing = [
                    f'There are no packs in {self.place(survey)}.']
        if any(swept.is_unreadable for _, swept in rows):
            self.code = errors.ExitCode.DAMAGED
        return _COLUMNS, [_row(*each) for each in rows]

    def _find(self, survey: surveys.Survey,
              beginning: str) -> list[packed.PackedVolume]:
        found = survey.packed_volumes(beginning)
        if beginning and not found:
            raise exceptions.SelectionError(
                f'no volume with packs has an id that begins with '
                f'{beginning!r}')
        return found

    @staticmethod
    def _sweep(sweeper: sweeping.Sweeper, found: Sequence[packed.PackedVolume],
               records: deletion.Records | None, *, dry_run: bool) -> _Rows:
        in_the_making = {record.volume_id
                         for record in (records or {}).values()
                         if record.is_in_the_making}
        return [(volume, sweeping.Swept(why=_MADE)
                 if volume.volume_id in in_the_making
                 else sweeper.sweep(
                     volume.swept, ask=functools.partial(
                         _on_record, volume, records or {}),
                     dry_run=dry_run))
                for volume in found]

    def _is_sure(self, rows: _Rows, arguments: argparse.Namespace) -> bool:
        """Whether to delete packs, as far as the user has to say so."""
        count = sum(len(swept.deleted) for _, swept in rows)
        if not count or not questions.is_asked(self, arguments):
            return True
        return questions.confirmed(
            self, f'Delete {quantities.counted(count, "pack")} that no backup '
                  f'needs?')


def _on_record(volume: packed.PackedVolume,
               records: deletion.Records) -> sweeping.OnRecord:
    """Which backups have to have a manifest, by their ids."""
    return sweeping.OnRecord(expected_ids=frozenset(
        record.backup_id for record in records.values()
        if record.is_available and record.volume_id == volume.volume_id
        and record.container == volume.container))


def _row(volume: packed.PackedVolume,
         swept: sweeping.Swept) -> tuple[object, ...]:
    return (volume.volume_id, volume.packs, commands.Size(volume.stored_bytes),
            swept.waiting, len(swept.deleted),
            commands.Size(swept.stored_bytes), volume.container, swept.why)

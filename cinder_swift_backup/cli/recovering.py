# SPDX-License-Identifier: Apache-2.0

"""``recover``: a recovery point whose manifest was lost."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import datetime
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import rebuilding
from cinder_swift_backup.engine.survey import survey as surveys

_COLUMNS = ('Backup', 'Volume', 'Last written', 'Packs', 'Stored', 'Size',
            'Container', 'Result')
_GROUPINGS = (
    (('Backup', 'Volume', 'Container'), ('Last written', 'Packs'),
     ('Stored', 'Size'), ('Result',)),
    (('Backup', 'Volume', 'Container'),
     ('Last written', 'Packs', 'Stored', 'Size'), ('Result',)))
_PROVEN = 'rebuilt; the pages that are left prove it'
_UNPROVEN = ('rebuilt; not all pages are left to prove it, so some data may '
             'be older if packs are missing')


class Recover(commands.AccountCommand, commands.Table):
    """Rebuild the manifest of a backup in packs, if it was lost.

    The packs of a volume tell what a backup had. The command rebuilds the
    manifest and the pages of the newest backup that has put packs, or of
    BACKUP. It can do that as long as no sweep has deleted packs: a day, unless
    Cinder has a record of the backup. Where pages of the backup are left, they
    have to tell the same, and if all are, that proves the result. Names, and
    what Cinder noted of the volume, are lost. It does not rebuild a backup
    that Cinder is making, nor, unless you name it, one that Cinder has no
    record of and that has put a pack within the grace period.

    Backups that were deleted have no manifest either, and one that failed
    never had one. So look with --dry-run first, and do not trust a rebuilt
    backup that was not complete.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no volume matches, several do, no such backup has lost its '
         'manifest, or there is no such container'),
        (errors.ExitCode.DAMAGED,
         'packs are damaged, or do not have what the pages tell of'),
    )

    columns = _COLUMNS
    groupings = _GROUPINGS
    grace_help = ('how long sweeps keep packs that no backup needs; as '
                  'backup_swift_sweep_grace (default: %(default)g)')
    least_grace = 1

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            'backup', metavar='BACKUP', nargs='?',
            help='the id of a backup, or its beginning (default: the newest)')
        parser.add_argument(
            '--volume', metavar='ID', required=True,
            help='the id of the volume, or its beginning')
        parser.add_argument(
            '--dry-run', action='store_true',
            help='list the backups with packs and no manifest, and change '
                 'nothing')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as survey:
            volume = self._find(survey, parsed_args.volume)
            rebuilder = rebuilding.Rebuilder(survey.repository, volume.swept)
            lost = rebuilder.find()
            if parsed_args.dry_run:
                return _COLUMNS, [_row(point, None, 'has no manifest')
                                  for point in lost]
            point = _choose(lost, volume, parsed_args.backup)
            self._check_idle(survey, point, parsed_args)
            self.left = 'To continue, repeat the command.'
            with progress_bar.counted(self.app.stderr, 'reading',
                                      'packs') as observer:
                found = rebuilder.rebuild(point, datetime.timedelta(
                    hours=parsed_args.grace), observer)
            return _COLUMNS, [_row(
                point, found.manifest.volume_size,
                _PROVEN if found.is_proven else _UNPROVEN)]

    def _check_idle(self, survey: surveys.Survey,
                    point: rebuilding.LostPoint,
                    arguments: argparse.Namespace) -> None:
        """Refuse a backup that may still be in the making.

        :raises SelectionError: if it is, or may be, and was not named
        """
        records = cinder_records.read(self, arguments.patience,
                                        required=False) or {}
        record = records.get(point.ref.backup_id)
        if record is not None and record.is_in_the_making:
            raise exceptions.SelectionError(
                'Cinder is making the backup',
                backup_id=point.ref.backup_id)
        now = (survey.repository.store.now()
               or datetime.datetime.now(datetime.UTC))
        if arguments.backup is None and record is None and (
                now - point.modified < datetime.timedelta(
                    hours=arguments.grace)):
            raise exceptions.SelectionError(
                f'the newest backup has put a pack '
                f'{quantities.duration(now - point.modified)} ago, and may '
                f'still be in progress: name it if it is not',
                backup_id=point.ref.backup_id)

    @staticmethod
    def _find(survey: surveys.Survey, beginning: str) -> packed.PackedVolume:
        found = [volume for volume in survey.packed_volumes(beginning)
                 if volume.packs]
        if len(found) != 1:
            raise exceptions.SelectionError(
                f'{len(found) or "no"} volumes with packs have an id that '
                f'begins with {beginning!r}')
        return found[0]


def _choose(lost: Sequence[rebuilding.LostPoint],
            volume: packed.PackedVolume,
            beginning: str | None) -> rebuilding.LostPoint:
    """The backup to rebuild.

    :raises SelectionError: when there is none, or there are several
    """
    if not lost:
        raise exceptions.SelectionError(
            f'every backup that has put packs of volume {volume.volume_id} '
            f'has its manifest')
    if beginning is None:
        return lost[-1]
    found = [point for point in lost
             if inventory.begins(point.ref.backup_id, beginning)]
    if len(found) != 1:
        raise exceptions.SelectionError(
            f'{len(found) or "no"} backups with packs and without a manifest '
            f'have an id that begins with {beginning!r}')
    return found[0]


def _row(point: rebuilding.LostPoint, size: int | None,
         result: str) -> tuple[object, ...]:
    ref = point.ref
    return (ref.backup_id, ref.volume_id, formatting.moment(point.modified),
            point.packs, commands.Size(point.stored_bytes),
            commands.Size(size), ref.container, result)

# SPDX-License-Identifier: Apache-2.0

"""``run``: what a nightly job does.

1. Keep other runs out.
2. Have Cinder back up the volumes, each once more if that fails.
3. Delete what the retention policy does not keep of them.
4. Verify a sample of the new backups.

What fails with one volume is told, and the others go on.
"""

import argparse
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime
import os
import pathlib
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_jobs
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import policies
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import retaining
from cinder_swift_backup.cli import run_lock
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import forgetting
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import survey as surveys

_COLUMNS = ('Volume', 'Volume name', 'Backup', 'Asked for', 'Result', 'Took',
            'Problem', 'Deleted', 'Verified')
# Which share a column where the terminal is narrow: has 100 columns, or 80.
_GROUPINGS = (
    (('Volume', 'Backup', 'Problem'), ('Volume name', 'Asked for'),
     ('Result', 'Took'), ('Deleted', 'Verified')),
    (('Volume', 'Backup', 'Problem'),
     ('Volume name', 'Asked for', 'Result', 'Took', 'Deleted',
      'Verified')))
# The states of volumes that Cinder backs up, and with --force.
_IDLE, _IN_USE = 'available', 'in-use'
_OK, _FAILED, _WOULD_BE = 'backed up', 'failed', 'would be backed up'
_CANNOT = 'cannot be backed up'
_BAD = (_FAILED, _CANNOT)
_GO_ON = 'Cinder still finishes the backups that it has started.'
_MADE = ('The backups were made. Some old ones may already have been deleted: '
         'see "list".')


@dataclasses.dataclass(slots=True)
class _Row:
    """A volume, and what became of it.

    ``verified`` is None where nothing was verified.
    """

    volume: cinder_api.Volume
    result: str
    problem: str = ''
    backup_id: str = ''
    is_incremental: bool = False
    took: datetime.timedelta | None = None
    deleted: int = 0
    verified: str | None = None

    def cells(self) -> tuple[object, ...]:
        kind = 'incremental' if self.is_incremental else 'full'
        return (self.volume.id, self.volume.name, self.backup_id, kind,
                self.result, commands.Age(self.took), self.problem,
                self.deleted, commands.Known(self.verified))


_Step = Callable[[argparse.Namespace, surveys.Survey, Sequence[_Row]], None]


class Run(commands.AccountCommand, commands.Table):
    """Back up volumes through Cinder, delete old backups, verify a sample.

    For nightly jobs. It backs up volumes of the login's project: those with
    an available backup get an incremental, others a full one. If a backup
    fails, the command deletes it and tries once more. With --keep options, it
    then deletes old backups of these volumes, as "forget" does, but without
    asking. With --sample, it verifies a sample of each new backup. If another
    run is going on, the command changes nothing.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no volume matches, or there is no such container'),
        (errors.ExitCode.STORE,
         'Swift, Keystone or Cinder failed, or cannot be reached; or some '
         'backups could not be made, deleted or verified'),
        (errors.ExitCode.DAMAGED, 'a new backup is damaged'),
        (errors.ExitCode.TARGET, 'the lock or temporary files cannot be '
                                 'written'),
        (errors.ExitCode.BUSY, 'another run is going on'),
    )

    columns = _COLUMNS
    groupings = _GROUPINGS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        policies.add_choice(parser)
        parser.add_argument('--full', action='store_true',
                            help='make full backups only')
        how = parser.add_mutually_exclusive_group()
        how.add_argument('--force', action='store_true',
                         help='also back up volumes that are in use; their '
                              'backups are crash-consistent')
        how.add_argument('--snapshot', action='store_true',
                         help='make a snapshot of each volume, back that up, '
                              'and delete it; works for volumes in use, too')
        parser.add_argument(
            '--at-once', type=commands.positive, default=2, metavar='N',
            help='how many backups Cinder makes at the same time (default: '
                 '%(default)s)')
        parser.add_argument(
            '--longest', type=commands.age, metavar='AGE',
            default=datetime.timedelta(days=1),
            help='how long to wait for the backup of a volume, both attempts '
                 'together, such as 12h (default: 1d)')
        policies.add_to(parser)
        parser.add_argument(
            '--sample', type=commands.percent, metavar='N',
            help='verify N %% of the objects of each new backup, taken at '
                 'random (default: none)')
        parser.add_argument(
            '--lock', type=pathlib.Path, metavar='FILE',
            help='the file that keeps other runs out (default: one in the '
                 'home directory)')
        parser.add_argument(
            '--dry-run', action='store_true',
            help='say which volumes would be backed up, and do nothing')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with run_lock.held(parsed_args.lock or run_lock.default()):
            rows = self._rows(parsed_args)
            if not parsed_args.dry_run:
                self._back_up(parsed_args, rows)
                self.left = _MADE
                for step in (self._forget, self._verify):
                    self._try(step, parsed_args, rows)
        self.closing = [_summary(rows)]
        return _COLUMNS, [row.cells() for row in rows]

    def _try(self, step: _Step, arguments: argparse.Namespace,
             rows: Sequence[_Row]) -> None:
        """Take a step. If it fails, what was done before is still told."""
        try:
            with self.opened(arguments) as survey:
                step(arguments, survey, rows)
        except exceptions.BackupError as err:
            self.tell(err)
            self.code = self.code or errors.code_of(err)

    def _rows(self, arguments: argparse.Namespace) -> list[_Row]:
        """The volumes, and those that cannot be backed up."""
        options = self.login
        volumes = cinder_api.volumes(options, os.environ, arguments.patience,
                                     all_projects=False)
        records = cinder_records.read(self, arguments.patience, required=True)
        if volumes is None or records is None:
            raise exceptions.ConfigurationError(
                'the catalog of this login has no Cinder to back up volumes')
        chosen = policies.chosen(
            {volume.id: volume.metadata for volume in volumes.values()},
            arguments)
        return [_row(volume, records, arguments)
                for volume in volumes.values() if volume.id in chosen]

    def _back_up(self, arguments: argparse.Namespace,
                 rows: Sequence[_Row]) -> None:
        options = self.login
        due = {row.volume.id: row for row in rows if row.result == _WOULD_BE}
        jobs = cinder_jobs.Jobs(
            options, os.environ, arguments.patience,
            at_once=arguments.at_once, longest=arguments.longest)
        self.left = _GO_ON
        name = datetime.datetime.now(datetime.UTC).strftime(
            'run %Y-%m-%dT%H:%MZ')
        with progress_bar.counted(self.app.stderr, 'backing up',
                                  'volumes') as observer:
            for done, made in enumerate(jobs.make(
                    cinder_jobs.Wanted(
                        row.volume.id, name, incremental=row.is_incremental,
                        force=arguments.force,
                        from_snapshot=arguments.snapshot)
                    for row in due.values()), 1):
                row = due[made.wanted.volume_id]
                row.backup_id, row.took = made.backup_id, made.took
                row.problem = made.why
                row.is_incremental = made.wanted.incremental
                row.result = _FAILED if made.why else _OK
                observer.advanced(done, len(due))
        if any(row.result in _BAD for row in rows):
            self.code = errors.ExitCode.STORE

    def _forget(self, arguments: argparse.Namespace, survey: surveys.Survey,
                rows: Sequence[_Row]) -> None:
        """Delete what the policy does not keep, if there is one."""
        policy = policies.read(arguments)
        if policy.is_empty:
            return
        survey.check_owner()
        by_volume = {row.volume.id: row for row in rows}
        retainer = retaining.Retainer(self, survey, arguments.patience)
        lineage, decisions = retainer.decide(policy, lambda every: (
            backup for backup in every if backup.ref.volume_id in by_volume),
            made={row.backup_id for row in rows if row.result == _OK})
        doomed = forgetting.doomed(decisions)
        gone = retainer.delete(lineage, doomed)
        for backup in gone:
            by_volume[backup.ref.volume_id].deleted += 1
        if len(gone) < len(doomed) or retainer.tell_half_deleted(decisions):
            self.code = errors.ExitCode.STORE

    def _verify(self, arguments: argparse.Namespace, survey: surveys.Survey,
                rows: Sequence[_Row]) -> None:
        """Verify a sample of each new backup, if the user asks for it."""
        made = {row.backup_id: row for row in rows if row.result == _OK}
        if not made or arguments.sample is None:
            return
        with self.looking() as observer:
            lineage = survey.everywhere(observer)
        verifier = deep.Verifier(survey.repository, lineage, arguments.sample)
        for backup in lineage.backups:
            row = made.pop(backup.ref.backup_id, None)
            if row is not None:
                self._verify_one(verifier, lineage, backup, row)
        for row in made.values():
            row.verified, row.problem = 'missing', (
                'the backup is not in the Swift account of this login: does '
                'Cinder store its backups in another account?')
            self.code = errors.ExitCode.DAMAGED

    def _verify_one(self, verifier: deep.Verifier, lineage: lineages.Lineage,
                    backup: backups.Backup, row: _Row) -> None:
        state, why = lineage.problem(backup)
        faults: list[str] = [why] if why else []
        known: backups.State | None = state
        if state is backups.State.COMPLETE:
            with progress_bar.shown(
                    self.app.stderr,
                    f'fetching {backup.ref.backup_id}') as observer:
                verdict = verifier.verify(backup, observer)
            known = verdict.state
            faults = [errors.line_of(fault) for fault in verdict.faults]
        row.problem = ' '.join(faults)
        if known is backups.State.COMPLETE:
            row.verified = 'sampled'
        elif known is None:
            row.verified = 'unknown'
            self.code = self.code or errors.ExitCode.STORE
        else:
            row.verified = known.value
            self.code = errors.ExitCode.DAMAGED


def _row(volume: cinder_api.Volume, records: deletion.Records,
         arguments: argparse.Namespace) -> _Row:
    row = _Row(volume, _WOULD_BE, is_incremental=not arguments.full and any(
        record.volume_id == volume.id and record.is_available
        for record in records.values()))
    row.problem = _obstacle(volume, records, arguments)
    if row.problem:
        row.result = _CANNOT
    return row


def _obstacle(volume: cinder_api.Volume, records: deletion.Records,
              arguments: argparse.Namespace) -> str:
    """Why a volume cannot be backed up now; empty if it can."""
    if volume.status == _IN_USE and not (arguments.force
                                         or arguments.snapshot):
        return 'the volume is in use: use --snapshot or --force'
    if volume.status not in (_IDLE, _IN_USE):
        return f'Cinder backs up no volumes in status {volume.status}'
    # With snapshots, Cinder would make several at once.
    made = [record.backup_id for record in records.values()
            if record.volume_id == volume.id and record.is_in_the_making]
    if made:
        return (f'Cinder is still making backup {made[0]} of the volume; if '
                'its host has failed, use "cinder backup-reset-state"')
    return ''


def _summary(rows: Sequence[_Row]) -> str:
    results = summaries.by_word(row.result for row in rows)
    line = f'{quantities.counted(len(rows), "volume")}: {results}'
    deleted = sum(row.deleted for row in rows)
    if deleted:
        line += f'; {quantities.counted(deleted, "old backup")} deleted'
    return f'{line}.'

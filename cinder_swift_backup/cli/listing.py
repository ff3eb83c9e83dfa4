# SPDX-License-Identifier: Apache-2.0

"""``list``: which backups there are, and which of them can be restored."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import datetime
import os
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import expectations
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import stacking
from cinder_swift_backup.cli import staleness
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import figures
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.engine.survey import verified
from cinder_swift_backup.format import types
from cinder_swift_backup.format import volume_meta

_COLUMNS = ('Backup', 'Volume', 'Created', 'Size', 'Stored', 'Kind', 'Depth',
            'State', 'Container')
_VERIFIED = 'Verified'
_LONG = (_VERIFIED, 'Name', 'Volume name', 'Project')
# Which share a column where the terminal is narrow: has 100 columns, or 80.
_GROUPINGS = (
    (('Backup', 'Volume', 'Project'), ('Created', 'Verified', 'Kind'),
     ('Size', 'Stored'),
     ('State', 'Name', 'Volume name', 'Container')),
    (('Backup', 'Volume', 'Project'),
     ('Created', 'Verified', 'Size', 'Stored'),
     ('State', 'Kind', 'Name', 'Volume name', 'Container')))


# When backups were verified, by where they are.
_Times = Mapping[types.BackupRef, datetime.datetime | None]


class List(commands.AccountCommand, commands.Table):
    """List backups, the oldest first.

    A backup is complete if listings show all that it needs; only "verify"
    checks the objects themselves. It is arriving if what is missing may still
    come, orphaned if it was never finished, and damaged otherwise. A size
    with ~ is inferred, because Cinder's own driver does not record it. On a
    narrow terminal, several values share a column.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no such container, or fewer backups than expected'),
        (errors.ExitCode.DAMAGED, 'with --stale-after: a volume is stale'),
    )

    groupings: Sequence[stacking.Grouping] = _GROUPINGS
    columns = _COLUMNS + _LONG

    def columns_of(self, arguments: argparse.Namespace) -> Sequence[str]:
        """See the base class."""
        return (self.columns if arguments.stale_after is None
                else staleness.COLUMNS)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--volume', metavar='ID',
                            help='only backups of volumes whose id begins '
                                 'with ID')
        parser.add_argument('--since', type=_time, metavar='TIME',
                            help='only backups made at this time or later, in '
                                 'ISO 8601')
        parser.add_argument('--until', type=_time, metavar='TIME',
                            help='only backups made before this time')
        parser.add_argument(
            '--state', action='append', metavar='STATE',
            choices=[state.value for state in backups.State],
            help='only backups that are complete, arriving, orphaned or '
                 'damaged; may be repeated')
        parser.add_argument(
            '--long', action='store_true',
            help='also show when "verify --deep" last verified the backup, '
                 'the names of the backup and its volume, and the project of '
                 'the volume, where the manifest has them')
        parser.add_argument(
            '--stale-after', type=staleness.limit, metavar='AGE',
            help='list volumes instead: those without a complete backup that '
                 'is younger than AGE, such as 36h. With Cinder, these are '
                 'volumes that Cinder lists, and none created since then')
        expectations.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage = survey.everything(observer)
            place = self.place(survey)
            times = self._verified(survey, lineage, parsed_args)
        for container in sorted(lineage.copies):
            self.say(_lag(lineage, container))
        chosen = [backup for backup in lineage.backups
                  if _is_chosen(parsed_args, lineage, backup)]
        if parsed_args.stale_after is not None:
            return self._stale(parsed_args, lineage, chosen)
        good = [backup for backup in chosen
                if lineage.state(backup) is backups.State.COMPLETE]
        missing = expectations.unmet(parsed_args, good)
        self.closing = [_summary(place, lineage, chosen), *missing]
        if good:
            self.closing.append(commands.BY_LISTINGS)
        if missing:
            self.code = errors.ExitCode.SELECTION
        names = self.columns if _is_long(parsed_args) else _COLUMNS
        return names, [_row(lineage, backup, times)[:len(names)]
                       for backup in chosen]

    @staticmethod
    def _verified(survey: surveys.Survey, lineage: lineages.Lineage,
                  arguments: argparse.Namespace) -> _Times:
        """When backups were verified, if the user asks for that."""
        if arguments.stale_after is not None or not (
                arguments.long or _VERIFIED in (*arguments.columns,
                                                *arguments.sort_columns)):
            return {}
        chosen = [backup for backup in lineage.backups
                  if not arguments.volume or inventory.begins(
                      backup.ref.volume_id, arguments.volume)]
        noted = verified.Verified(survey.repository, lineage, chosen)
        return {backup.ref: noted.when(backup) for backup in chosen}

    def _stale(self, arguments: argparse.Namespace,
               lineage: lineages.Lineage, chosen: Sequence[backups.Backup],
               ) -> tuple[Sequence[str], Iterable[Any]]:
        options = self.login
        volumes = cinder_api.volumes(options, os.environ, arguments.patience)
        if volumes is not None and arguments.volume:
            volumes = {id_: volume for id_, volume in volumes.items()
                       if inventory.begins(id_, arguments.volume)}
        known = figures.by_volume(lineage, chosen)
        text, limit = arguments.stale_after
        stale = staleness.find(known, volumes, limit, lineage.now)
        self.closing = list(staleness.summary(stale, known, volumes, text))
        if stale:
            self.code = errors.ExitCode.DAMAGED
        self.groupings = staleness.GROUPINGS
        return staleness.COLUMNS, [each.cells(lineage.now) for each in stale]


def _is_long(arguments: argparse.Namespace) -> bool:
    """Whether the user asks for more columns, with --long or by name."""
    return arguments.long or any(
        name in _LONG for name in (*arguments.columns,
                                   *arguments.sort_columns))


def _summary(place: str, lineage: lineages.Lineage,
             chosen: Sequence[backups.Backup]) -> str:
    if not lineage.backups:
        return summaries.nothing(place)
    if not chosen:
        count = quantities.counted(len(lineage.backups), 'backup')
        return (f'No backups match these options (searched {count} in '
                f'{place}).')
    return summaries.of(place, [backup.listed for backup in chosen],
                        (lineage.state(backup).value for backup in chosen))


def _time(text: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a time in ISO 8601, such as '
            f'2026-11-28T10:00') from err
    return time.replace(tzinfo=time.tzinfo or datetime.UTC)


def _is_chosen(arguments: argparse.Namespace, lineage: lineages.Lineage,
               backup: backups.Backup) -> bool:
    created = backup.listed.created
    if arguments.volume and not inventory.begins(backup.ref.volume_id,
                                                 arguments.volume):
        return False
    if arguments.since and created < arguments.since:
        return False
    if arguments.until and created >= arguments.until:
        return False
    return (not arguments.state
            or lineage.state(backup).value in arguments.state)


def _lag(lineage: lineages.Lineage, container: str) -> str:
    """A line that says how far a copy is behind."""
    newest = max(backup.listed.modified for backup in lineage.backups
                 if backup.ref.container == container)
    lags = lineage.lags(container)
    behind = [lag for lag in lags if lag is not None]
    age = quantities.duration(lineage.now - newest)
    line = (f'Container {container} is a copy, whose newest object was '
            f'stored {age} ago: {len(behind)} of '
            f'{quantities.counted(len(lags), "volume")} '
            f'{"lags" if len(lags) == 1 else "lag"} behind')
    if behind:
        line += f', by up to {quantities.duration(max(behind))}'
    return f'{line}.'


def _row(lineage: lineages.Lineage, backup: backups.Backup,
         times: _Times) -> tuple[object, ...]:
    ref, summary = backup.ref, backup.summary
    size, name, volume = commands.Size, '', volume_meta.Volume()
    if summary is not None:
        size = commands.Size if summary.is_ours else commands.InferredSize
        name, volume = summary.header.backup_name or '', summary.volume
    return (ref.backup_id, ref.volume_id,
            formatting.moment(backup.listed.created),
            size(lineage.size(backup)),
            commands.Size(backup.listed.stored_bytes), summaries.kind(backup),
            commands.Known(_depth(lineage, backup)),
            lineage.state(backup).value, ref.container,
            commands.Known(None if (when := times.get(ref)) is None
                           else formatting.moment(when)),
            name, volume.name or '', volume.project_id or '')


def _depth(lineage: lineages.Lineage, backup: backups.Backup) -> int | None:
    """How many backups it builds on; None if they are not all there."""
    try:
        return len(lineage.chain(backup)) - 1
    except exceptions.ChainError:
        return None

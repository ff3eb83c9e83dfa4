# SPDX-License-Identifier: Apache-2.0

"""``convert``: backups in another form, without their volumes.

1. Convert one backup after the other, the oldest first, so that to packs each
   can share what the one before it has. What was converted already is found,
   so that the command can be repeated. If one is damaged, the others go on.
2. Write the statements for Cinder's records.
3. With ``--delete-source``, fetch and compare the new backups. Then look at
   each volume anew, and delete its old backups, the newest first, if nothing
   builds on them, no backup of the volume is being made, and no record of
   Cinder points to them.
"""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import os
import pathlib
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import conversion_needs
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import questions
from cinder_swift_backup.cli import record_statements
from cinder_swift_backup.cli import selection
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

_COLUMNS = ('Backup', 'Volume', 'Size', 'Stored', 'Converted', 'Container',
            'Result')
_GROUPINGS = (
    (('Backup', 'Volume'), ('Size', 'Stored', 'Converted'),
     ('Result', 'Container')),
    (('Backup', 'Volume', 'Container'), ('Size', 'Stored', 'Converted'),
     ('Result',)))
_DAMAGE = (exceptions.IntegrityError, exceptions.FormatError,
           exceptions.ChainError)
_GO_ON = 'To continue, repeat the command.'
_SOME_ARE_GONE = ('Some of the old backups may already have been deleted. '
                  'The same command deletes the rest.')


@dataclasses.dataclass(slots=True)
class _Row:
    """A backup, what it is in the new form, and what became of it."""

    backup: backups.Backup
    size: int | None
    result: str
    chain: chains.Chain | None = None
    link: chains.ChainLink | None = None
    is_new: bool = False

    def may_go(self, needs: conversion_needs.Needs) -> bool:
        """Whether the old backup may go; otherwise, notes why not."""
        why = needs.keep(self.backup, None if self.link is None
                         else self.link.ref.prefix)
        if why:
            self.result += f'; kept the old one: {why}'
        return not why

    def cells(self) -> tuple[object, ...]:
        ref = self.backup.ref
        return (ref.backup_id, ref.volume_id, commands.Size(self.size),
                commands.Size(self.backup.listed.stored_bytes),
                commands.Size(None if self.link is None
                              else self.link.manifest.own_bytes),
                ref.container, self.result)


class Convert(selection.SelectingCommand, commands.Table):
    """Store backups in another form, without their volumes.

    "--to chunks" makes a full backup of each, which Cinder's own driver
    restores. "--to packs" needs less room for backups that share data, and
    frees incrementals from what they build on. Every block is compared with
    its digest, and what was stored is fetched again and compared. The new
    backups are not encrypted, even if the old ones are. If the command is
    interrupted, repeat it: it goes on with what is not converted.

    The old backups stay, and Cinder's records point to them. "--sql" writes
    the SQL that has the records point to the new backups; run it in Cinder's
    database. Then repeat the command with --delete-source.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, several do, or there is no such container'),
        (errors.ExitCode.CONFIGURATION,
         'the login is wrong, or the key of an encrypted backup is missing'),
        (errors.ExitCode.DAMAGED,
         'a backup is damaged, or was deleted, and was not converted'),
        (errors.ExitCode.TARGET,
         'the SQL or temporary files cannot be written'),
    )

    columns = _COLUMNS
    groupings = _GROUPINGS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        selection.add_backups(parser)
        parser.add_argument(
            '--to', required=True, choices=[form.value
                                            for form in chains.Form],
            help='the form to store backups in')
        parser.add_argument(
            '--sql', metavar='FILE', type=pathlib.Path,
            help="write the SQL for Cinder's records to FILE")
        parser.add_argument(
            '--delete-source', action='store_true',
            help='delete each old backup once the new one was verified, and '
                 'no record of Cinder points to the old one')
        parser.add_argument(
            '--sweep-grace', metavar='HOURS', type=commands.hours,
            default=sweeping.GRACE.total_seconds() / 3600,
            help='how long sweeps keep packs that no backup needs; as '
                 'backup_swift_sweep_grace (default: %(default)g)')
        questions.add_to(parser, dry_run='say what would be converted, and '
                                         'change nothing')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        form = chains.Form(parsed_args.to)
        _check_writable(parsed_args.sql)
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage, chosen = survey.chosen(
                    self.named(survey, parsed_args, observer),
                    parsed_args.volume, observer, other_than=form)
            converter = conversion.Converter(
                survey.repository, form,
                datetime.timedelta(hours=parsed_args.sweep_grace))
            self.left = _GO_ON
            rows = list(self._rows(survey, converter, lineage, [
                backup for backup in chosen
                if conversion.is_convertible(backup, form)],
                dry_run=parsed_args.dry_run))
            if parsed_args.sql is not None and not parsed_args.dry_run:
                self._write(parsed_args.sql, lineage, rows)
            if parsed_args.delete_source:
                self._delete_sources(survey, converter, lineage, rows,
                                     parsed_args)
            self._conclude(survey, chosen, rows, parsed_args)
        return _COLUMNS, [row.cells() for row in rows]

    def _rows(self, survey: surveys.Survey, converter: conversion.Converter,
              lineage: lineages.Lineage, chosen: Sequence[backups.Backup],
              *, dry_run: bool) -> Iterator[_Row]:
        done: dict[types.BackupRef, types.BackupRef] = {}
        for backup in chosen:
            row = _Row(backup, lineage.size(backup), '')
            why = _obstacle(lineage, backup, converter)
            if why:
                row.result = f'not converted: {why}'
                self.code = errors.ExitCode.DAMAGED
            elif dry_run:
                row.link = converter.find(backup.ref)
                what = 'is' if row.link else 'would be'
                row.result = f'{what} converted{_unencrypted(backup)}'
            else:
                self._convert(survey, converter, lineage, row, done)
            yield row

    def _convert(self, survey: surveys.Survey,
                 converter: conversion.Converter,
                 lineage: lineages.Lineage, row: _Row,
                 done: dict[types.BackupRef, types.BackupRef]) -> None:
        ref = row.backup.ref
        try:
            chain = survey.repository.resolve(
                [link.ref for link in lineage.chain(row.backup)])
            with (progress_bar.shown(self.app.stderr, f'converting '
                                     f'{ref.backup_id}') as converting,
                  progress_bar.shown(self.app.stderr, f'verifying '
                                     f'{ref.backup_id}') as verifying):
                row.chain = chain
                found = converter.convert(
                    chain, conversion.before(lineage, row.backup, done),
                    converting, verifying)
        except (*_DAMAGE, exceptions.KeyUnavailable) as err:
            row.result = f'not converted: {errors.line_of(err)}'
            self._note(err)
            return
        done[ref] = found.link.ref
        row.link, row.is_new = found.link, found.is_new
        row.result = (f'{"converted" if found.is_new else "was converted"}'
                      f'{_unencrypted(row.backup)}')

    def _write(self, target: pathlib.Path, lineage: lineages.Lineage,
               rows: Iterable[_Row]) -> None:
        """Write the statements for the records of what was converted."""
        moves = [record_statements.Move(row.backup, row.link)
                 for row in rows if row.link is not None]
        if not moves:
            # What is there may still have to be run.
            return
        movable = record_statements.movable(lineage, moves)
        text = '\n'.join(record_statements.lines(lineage, movable)) + '\n'
        try:
            target.write_text(text)
        except OSError as err:
            raise exceptions.VolumeError(
                f'{target} cannot be written ({err.strerror})') from err
        self.closing = [
            *self.closing,
            f'{target} has the SQL for '
            f'{quantities.counted(len(movable), "record")}. Run it in '
            f"Cinder's database."]
        kept = {move.source.ref.backup_id for move in moves} - {
            move.source.ref.backup_id for move in movable}
        if kept:
            self.closing = [
                *self.closing,
                f'The records of {", ".join(sorted(kept))} stay as they are, '
                f'because backups build on them that were not converted.']

    def _delete_sources(self, survey: surveys.Survey,
                        converter: conversion.Converter,
                        lineage: lineages.Lineage, rows: Sequence[_Row],
                        arguments: argparse.Namespace) -> None:
        """Delete what was converted, as far as nobody needs it."""
        converted = [row for row in reversed(rows) if row.link is not None]
        needs = self._needs(lineage, converted, arguments)
        unneeded = [row for row in converted if row.may_go(needs)]
        if arguments.dry_run or not unneeded or (
                questions.is_asked(self, arguments)
                and not questions.confirmed(
                    self, f'Delete '
                          f'{quantities.counted(len(unneeded), "backup")} '
                          f'in the old form?')):
            return
        self.left = _SOME_ARE_GONE
        by_volume: dict[str, list[_Row]] = {}
        for row in unneeded:
            by_volume.setdefault(row.backup.ref.volume_id, []).append(row)
        for volume, some in by_volume.items():
            self._delete_of_volume(survey, converter, volume, [
                row for row in some if self._is_verified(converter, row)],
                arguments)

    def _delete_of_volume(self, survey: surveys.Survey,
                          converter: conversion.Converter, volume: str,
                          rows: Sequence[_Row],
                          arguments: argparse.Namespace) -> None:
        """Delete old backups, by what is there and on record now."""
        if not rows:
            return
        # Much may have happened since the first look.
        with self.looking() as observer:
            lineage = survey.of_volumes(volume, observer)
        now = {backup.ref: backup for backup in lineage.backups}
        needs = self._needs(lineage, rows, arguments)
        for row in rows:
            if row.backup.ref not in now:
                row.result += '; the old one is gone'
                continue
            row.backup = now[row.backup.ref]
            if converter.find(row.backup.ref) is None:
                row.result += '; kept the old one: the new one is gone'
                self.code = errors.ExitCode.DAMAGED
                continue
            # One that stays after all needs what it builds on.
            if not row.may_go(needs):
                continue
            deletion.delete(survey.repository, row.backup)
            if row.backup.is_point:
                packed.note_unneeded(survey.repository, [row.backup])
            row.result += '; deleted the old one'

    def _needs(self, lineage: lineages.Lineage, rows: Sequence[_Row],
               arguments: argparse.Namespace) -> conversion_needs.Needs:
        """Why old backups have to stay, as of now."""
        records = cinder_records.read(self, arguments.patience,
                                        required=True)
        prefixes: Mapping[str, str] = {}
        if records is not None:
            prefixes = cinder_api.prefixes(
                self.login, os.environ, arguments.patience,
                [row.backup.ref.backup_id for row in rows
                 if deletion.record_of(records, row.backup) is not None])
        return conversion_needs.Needs(lineage, records, prefixes,
                                      arguments.container)

    def _is_verified(self, converter: conversion.Converter,
                     row: _Row) -> bool:
        """Whether a backup in the new form is what the old one is."""
        if row.is_new or row.link is None or row.chain is None:
            return row.is_new
        try:
            with progress_bar.shown(
                    self.app.stderr,
                    f'verifying {row.link.ref.backup_id}') as observer:
                converter.verify(row.chain, row.link, observer)
        except (*_DAMAGE, exceptions.KeyUnavailable) as err:
            row.result += f'; kept the old one: {errors.line_of(err)}'
            self._note(err)
            return False
        return True

    def _note(self, err: exceptions.BackupError) -> None:
        """Have the exit code tell of a row's error; damage is worst."""
        self.code = (errors.ExitCode.DAMAGED if isinstance(err, _DAMAGE)
                     else self.code or errors.code_of(err))

    def _conclude(self, survey: surveys.Survey,
                  chosen: Sequence[backups.Backup], rows: Sequence[_Row],
                  arguments: argparse.Namespace) -> None:
        if not rows:
            self.closing = [
                summaries.nothing(self.place(survey)) if not chosen else
                f'No backup in {self.place(survey)} has to be converted: '
                f'all are in {arguments.to}.']
        elif (arguments.sql is None and not arguments.delete_source
              and not arguments.dry_run):
            self.closing = [
                *self.closing,
                "Cinder's records still point to the old backups: --sql "
                'writes the SQL that changes that.']


def _unencrypted(backup: backups.Backup) -> str:
    """What to say of an encrypted backup, whose new one is not."""
    is_encrypted = backup.summary and backup.summary.encrypted_by
    return ', without encryption' if is_encrypted else ''


def _check_writable(path: pathlib.Path | None) -> None:
    """Refuse a file that cannot be written, before hours of work.

    :raises VolumeError: if it is one
    """
    if path is None or (os.access(path.parent, os.W_OK)
                        and not path.is_dir()):
        return
    raise exceptions.VolumeError(f'{path} cannot be written')


def _obstacle(lineage: lineages.Lineage, backup: backups.Backup,
              converter: conversion.Converter) -> str:
    """Why a backup is not converted; empty if it may be."""
    if backup.ref.container in lineage.copies:
        return 'the container is a copy, so convert the original'
    state, why = lineage.problem(backup)
    if state is not backups.State.COMPLETE:
        return f'the backup is {state.value}: {why}'
    where = converter.target(backup.ref)
    needed = [other.ref.backup_id for twin in lineage.twins(backup)
              if twin.ref == where for other in lineage.dependents(twin)]
    if needed and converter.find(backup.ref) is None:
        return (f'it is damaged in its new form, and {", ".join(needed)} '
                f'may build on that')
    return ''

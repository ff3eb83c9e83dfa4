# SPDX-License-Identifier: Apache-2.0

"""``verify``: whether backups can be restored, and what is wrong if not."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import AbstractContextManager
import dataclasses
import functools
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import expectations
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import selection
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import findings
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import pieces
from cinder_swift_backup.engine.survey import scrubbing
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.format import types

_CODES = {
    backups.State.COMPLETE: errors.ExitCode.DONE,
    backups.State.ARRIVING: errors.ExitCode.ARRIVING,
    backups.State.ORPHANED: errors.ExitCode.DAMAGED,
    backups.State.DAMAGED: errors.ExitCode.DAMAGED,
}
_FROM_GOOD_TO_BAD = (backups.State.COMPLETE, None, backups.State.ARRIVING,
                     backups.State.ORPHANED, backups.State.DAMAGED)
_SO_FAR = 'This is what was checked so far:'
_NOT_FETCHED = 'No data was fetched: "--deep" fetches and compares it.'
_BY_SAMPLE = 'Only a sample was fetched: "--deep" fetches everything.'
_BY_DATA = ('"verified" means that all data was fetched and matches its '
            'digests or MD5s.')


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """Something that was found, or that all is well.

    ``state`` is None where that is not known.
    """

    ref: types.BackupRef
    state: backups.State | None
    name: str = ''
    what: str = ''
    # How much of it was fetched.
    part: float | None = None

    @property
    def word(self) -> str:
        if self.state is None:
            return 'unknown'
        if self.state is not backups.State.COMPLETE or self.part is None:
            return self.state.value
        return 'sampled' if self.part < 1 else 'verified'

    def cells(self) -> tuple[str, ...]:
        return (self.ref.backup_id, self.word, self.name, self.what,
                self.ref.container)


class Verify(selection.SelectingCommand, commands.Table):
    """Check whether backups can be restored.

    Without --deep, the command compares manifests with listings: every object
    has to be there, with the length and MD5 that the manifest has for it.
    Manifests of Cinder's own driver have had no MD5 since release 2015.1, so
    in its backups only --deep finds an object that was changed. The command
    also asks Swift for each object, because listings may show objects that no
    longer exist, and whether it will expire. Of a backup with more than 300
    chunks it asks for 300, taken at random: if one of a hundred is gone, that
    shows in 95 of 100 cases. With --deep, it fetches and decodes everything,
    compares it with the digests, and calls a backup that passes "verified". It
    checks a backup together with those it builds on.

    To fetch a part of everything each night, limit --deep: with --older-than,
    it fetches only what it has not verified for so long, and with --at-most,
    no more than so many bytes, the longest overdue first. Of backups in packs
    it fetches single packs, and every time those that were damaged before.
    What a backup builds on has its own turn, so it calls none "verified".

    With --deep and --all or --volume, the command notes with the manifests
    what it has verified, and "list --long" shows when. It notes nothing in
    copies; of these, a limited --deep fetches what it takes at random.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'nothing to verify, several backups match, fewer than expected, or '
         'there is no such container'),
        (errors.ExitCode.STORE,
         'Swift did not deliver a backup, or cannot be reached, or the key of '
         'a backup is missing'),
        (errors.ExitCode.ARRIVING, 'a backup is still arriving'),
        (errors.ExitCode.DAMAGED, 'a backup is damaged or orphaned'),
        (errors.ExitCode.TARGET, 'no room for temporary files'),
    )

    columns = ('Backup', 'State', 'Object', 'Finding', 'Container')

    closely = True
    # What was fetched of what is due, where there are limits.
    _left = ''
    # What was found by fetching all of some backups.
    _verdicts: dict[types.BackupRef, deep.Verdict]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        selection.add_backups(parser)
        how = parser.add_mutually_exclusive_group()
        how.add_argument('--deep', action='store_true',
                         help='fetch and decode everything')
        how.add_argument(
            '--sample', type=commands.percent, metavar='N',
            help='fetch and decode N %% of the objects, taken at random')
        parser.add_argument(
            '--older-than', type=commands.age, metavar='AGE',
            help='with --deep: fetch only what was last verified longer ago, '
                 'such as 30d')
        parser.add_argument(
            '--at-most', type=commands.amount, metavar='SIZE',
            help='with --deep: fetch no more than SIZE, such as 500G, but '
                 'one pack or backup at least')
        expectations.add_to(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """See cliff; some options make sense together only."""
        if _is_limited(parsed_args) and (
                not parsed_args.deep or parsed_args.backups):
            return self.give_up(parsed_args, '--older-than and --at-most need '
                                             '--deep, and --all or --volume.')
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        part = 1.0 if parsed_args.deep else parsed_args.sample
        self._verdicts = {}
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage, chosen = _choose(
                    survey, self.named(survey, parsed_args, observer),
                    parsed_args.volume, observer)
            rows: Iterable[_Row] = [row for backup in chosen
                                    for row in _look(lineage, backup)]
            if _is_limited(parsed_args):
                rows = self._due(survey, lineage, chosen, rows, parsed_args)
            elif part is not None:
                rows = self._deep(chosen, rows, part, deep.Verifier(
                    survey.repository, lineage, part))
            shown = self._until_interrupted(rows)
            if not self.code:
                if parsed_args.deep and not (
                        _is_limited(parsed_args) or parsed_args.backups):
                    self._note(survey, lineage, chosen)
                self._conclude(parsed_args, self.place(survey), chosen, shown)
        return self.columns, [row.cells() for row in shown]

    def _note(self, survey: surveys.Survey, lineage: lineages.Lineage,
              chosen: Sequence[backups.Backup]) -> None:
        """Have later runs know what this one has fetched."""
        scrubber = scrubbing.Scrubber(survey.repository, lineage)
        try:
            scrubber.note(chosen, self._verdicts)
        except exceptions.StoreError as err:
            self._tell_unnoted(err)
        self._tell_unnoted(scrubber.unnoted)

    def _tell_unnoted(self, err: exceptions.StoreError | None) -> None:
        if err is not None:
            self.tell(err, 'The next run cannot know what this one verified.')

    def _conclude(self, arguments: argparse.Namespace, place: str,
                  chosen: Sequence[backups.Backup],
                  rows: Sequence[_Row]) -> None:
        """Say what it all amounts to, when all was looked at."""
        worst = {row.ref: row for row in sorted(
            rows, key=lambda row: _FROM_GOOD_TO_BAD.index(row.state))}
        missing = expectations.unmet(arguments, [
            backup for backup in chosen
            if worst[backup.ref].state is backups.State.COMPLETE])
        self.code = _worst(rows) or (
            errors.ExitCode.SELECTION if missing or not chosen
            else errors.ExitCode.DONE)
        self.closing = [_summary(place, arguments, chosen, worst.values()),
                        *filter(None, (self._left,)), *missing]

    def _until_interrupted(self, rows: Iterable[_Row]) -> list[_Row]:
        """What there is of rows when they end, perhaps too early."""
        so_far: list[_Row] = []
        try:
            so_far.extend(rows)
        except KeyboardInterrupt:
            self.say(f'Interrupted. {_SO_FAR}')
            self.code = errors.ExitCode.INTERRUPTED
        except exceptions.SpoolError as err:
            self.tell(err, _SO_FAR)
            self.code = errors.code_of(err)
        return so_far

    def _deep(self, chosen: Iterable[backups.Backup], rows: Iterable[_Row],
              part: float, verifier: deep.Verifier) -> Iterator[_Row]:
        """The rows, with what is found by fetching the complete ones."""
        by_ref = {backup.ref: backup for backup in chosen}
        for row in rows:
            if row.state is not backups.State.COMPLETE:
                yield row
                continue
            with progress_bar.shown(
                    self.app.stderr,
                    f'fetching {row.ref.backup_id}') as observer:
                verdict = verifier.verify(by_ref[row.ref], observer)
            self._verdicts[row.ref] = verdict
            yield from _of_verdict(row, verdict, part)

    def _due(self, survey: surveys.Survey, lineage: lineages.Lineage,
             chosen: Sequence[backups.Backup], rows: Iterable[_Row],
             arguments: argparse.Namespace) -> Iterator[_Row]:
        """The rows, with what is found by fetching what is due."""
        rows = list(rows)
        scrubber = scrubbing.Scrubber(survey.repository, lineage)
        plan = scrubber.plan(chosen, scrubbing.Limits(
            None if arguments.older_than is None
            else lineage.now - arguments.older_than, arguments.at_most))
        found = findings.Found(survey.repository, lineage)
        by_ref = {backup.ref: backup for backup in chosen}
        try:
            for piece, verdict in scrubber.run(
                    plan, deep.Verifier(survey.repository, lineage, 1),
                    self._fetching):
                found.add(piece, verdict)
        finally:
            # Also of what was fetched before an interruption.
            self._left = _left(found.fetched, plan)
            self._tell_unnoted(scrubber.unnoted)
            for row in rows:
                yield from _with_found(row, by_ref[row.ref], found)

    def _fetching(self, backup: backups.Backup,
                  ) -> AbstractContextManager[operations.Observer]:
        return progress_bar.shown(self.app.stderr,
                                  f'fetching {backup.ref.backup_id}')


def _is_limited(arguments: argparse.Namespace) -> bool:
    """Whether to fetch only a part of everything."""
    return (arguments.older_than is not None
            or arguments.at_most is not None)


def _with_found(row: _Row, backup: backups.Backup,
                found: findings.Found) -> Iterator[_Row]:
    """A row, or what was found of a backup that looked complete."""
    known = (found.of(backup) if row.state is backups.State.COMPLETE
             else None)
    # Only part of what it needs may have been fetched.
    if known is None or known.state is backups.State.COMPLETE:
        yield row
    else:
        yield from _of_verdict(row, known, 1)


def _left(fetched: Sequence[pieces.Piece], plan: scrubbing.Plan) -> str:
    """What was fetched of what was due."""
    packs = [piece for piece in fetched if piece.number is not None]
    words = ' and '.join((
        quantities.counted(len(packs), 'pack'),
        quantities.counted(len(fetched) - len(packs), 'backup')))
    size = quantities.size(sum(piece.stored_bytes for piece in fetched))
    line = f'Fetched and verified {words}, {size}.'
    if plan.left:
        line += f' {quantities.size(plan.left_bytes)} more are due.'
    return line


def _of_verdict(row: _Row, verdict: deep.Verdict,
                part: float) -> Iterator[_Row]:
    """What became of the row of a backup that was complete."""
    if verdict.below is not None:
        yield _Row(row.ref, verdict.state, '',
                   f'it builds on backup {verdict.below.backup_id}')
    elif verdict.state is backups.State.COMPLETE:
        yield dataclasses.replace(row, part=part)
    unknown = ('not all of it could be checked: ' if verdict.state is None
               else '')
    for fault in verdict.faults:
        yield _Row(row.ref, verdict.state, fault.name or '',
                   f'{unknown}{errors.line_of(fault)}')


def _choose(survey: surveys.Survey, named: Sequence[str], volume: str | None,
            observer: operations.Observer,
            ) -> tuple[lineages.Lineage, list[backups.Backup]]:
    """What is to be checked: backups with all that they build on."""
    lineage, tips = survey.chosen(named, volume, observer)
    if not named:
        return lineage, tips
    refs = {link.ref for tip in tips for link in _chain(lineage, tip)}
    return lineage, [backup for backup in lineage.backups
                     if backup.ref in refs]


def _chain(lineage: lineages.Lineage,
           tip: backups.Backup) -> list[backups.Backup]:
    try:
        return lineage.chain(tip)
    except exceptions.ChainError:
        return [tip]


def _summary(place: str, arguments: argparse.Namespace,
             chosen: Sequence[backups.Backup], worst: Iterable[_Row]) -> str:
    """What was done to how many backups, and what they are.

    :param worst: of each backup
    """
    if not chosen and arguments.volume is not None:
        return ('There are no backups of a volume whose id begins with '
                f'{arguments.volume!r} in {place}.')
    if not chosen:
        return summaries.nothing(place)
    line = summaries.of(place, [backup.listed for backup in chosen],
                        (row.word for row in worst))
    if _is_limited(arguments):
        return f'Checked {line}'
    if arguments.deep:
        return f'Checked {line} {_BY_DATA}'
    return (f'Checked {line} '
            f'{_NOT_FETCHED if arguments.sample is None else _BY_SAMPLE}')


def _worst(rows: Iterable[_Row]) -> errors.ExitCode:
    """What a report amounts to: damage above all, then what is not known."""
    states = {row.state for row in rows}
    worst = functools.reduce(backups.State.worst, filter(None, states),
                             backups.State.COMPLETE)
    code = _CODES[worst]
    if None in states and code is not errors.ExitCode.DAMAGED:
        return errors.ExitCode.STORE
    return code


def _look(lineage: lineages.Lineage, backup: backups.Backup) -> Iterator[_Row]:
    """What a look at a backup found, or else what it suffers from."""
    ref = backup.ref
    for name in backup.strays:
        yield _Row(ref, backups.State.ORPHANED, name,
                   'the manifest does not name this object; while it exists, '
                   "Cinder's own driver refuses to restore the backup: see "
                   '"orphans"')
    for finding in backup.findings:
        yield _Row(ref, finding.state, finding.name or '',
                   finding.what)
    if backup.findings:
        return
    state, why = lineage.problem(backup)
    yield _Row(ref, state, '', why)

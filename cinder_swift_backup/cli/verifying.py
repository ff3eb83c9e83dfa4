# SPDX-License-Identifier: Apache-2.0

"""``verify``: whether backups can be restored, and what is wrong if not."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import expectations
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine.survey import audit
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import types

_CODES = {
    audit.State.COMPLETE: errors.ExitCode.DONE,
    audit.State.ARRIVING: errors.ExitCode.ARRIVING,
    audit.State.ORPHANED: errors.ExitCode.DAMAGED,
    audit.State.DAMAGED: errors.ExitCode.DAMAGED,
}
_FROM_GOOD_TO_BAD = (audit.State.COMPLETE, None, audit.State.ARRIVING,
                     audit.State.ORPHANED, audit.State.DAMAGED)
_BY_LISTINGS = 'No data was fetched: "--deep" does that, and compares it.'
_BY_SAMPLE = 'Only a sample was fetched: "--deep" fetches everything.'
_BY_DATA = ('"verified" means that all data was fetched and compared with its '
            'digests.')


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """Something that was found, or that all is well.

    ``state`` is None where that is not known.
    """

    ref: types.BackupRef
    state: audit.State | None
    name: str = ''
    what: str = ''
    # How much of it was fetched.
    part: float | None = None

    @property
    def word(self) -> str:
        if self.state is None:
            return 'unknown'
        if self.state is not audit.State.COMPLETE or self.part is None:
            return self.state.value
        return 'sampled' if self.part < 1 else 'verified'

    def cells(self) -> tuple[str, ...]:
        return (self.ref.backup_id, self.word, self.name, self.what,
                self.ref.container)


class Verify(commands.AccountCommand, commands.Table):
    """Check whether backups can be restored.

    Without --deep, the command compares manifests with listings: every object
    has to be there, with the length and MD5 that the manifest has for it.
    Manifests of Cinder's own driver have had no MD5 since release 2015.1, so
    in its backups only --deep finds an object that was changed. The command
    also asks Swift for each object, because listings show some that are gone,
    and whether it will expire. Of a backup with more than 300 chunks it asks
    for 300, taken at random: if one of a hundred is gone, that shows in 95 of
    100 cases. With --deep, it fetches and decodes everything, compares it with
    the digests, and calls a backup that passes "verified". It checks a backup
    with all that it builds on.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'nothing to verify, or fewer backups than expected'),
        (errors.ExitCode.STORE,
         'Swift did not deliver a backup, or cannot be reached'),
        (errors.ExitCode.ARRIVING, 'a backup is still arriving'),
        (errors.ExitCode.DAMAGED, 'a backup is damaged or orphaned'),
        (errors.ExitCode.TARGET, 'no room for temporary files'),
    )

    columns = ('Backup', 'State', 'Object', 'Finding', 'Container')

    closely = True

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument('backups', metavar='BACKUP', nargs='*', default=[],
                           help='the id of a backup, or its beginning')
        which.add_argument('--all', action='store_true', help='all backups')
        which.add_argument('--volume', metavar='ID',
                           help='all backups of the volumes whose id begins '
                                'with ID')
        how = parser.add_mutually_exclusive_group()
        how.add_argument('--deep', action='store_true',
                         help='fetch and decode everything')
        how.add_argument(
            '--sample', type=_percent, metavar='N',
            help='fetch and decode N %% of the objects, taken at random')
        expectations.add_to(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        part = 1.0 if parsed_args.deep else parsed_args.sample
        with self.opened(parsed_args) as found:
            with self.looking() as observer:
                library, wanted = _wanted(found, parsed_args, observer)
            rows = [row for each in wanted for row in _look(library, each)]
            if part is not None:
                rows = self._until_interrupted(self._deep(
                    found, library, wanted, rows, part))
            if not self.code:
                self._conclude(parsed_args, found, wanted, rows)
        return self.columns, [row.cells() for row in rows]

    def _conclude(self, arguments: argparse.Namespace, found: shelf.Shelf,
                  wanted: Sequence[audit.Audit],
                  rows: Sequence[_Row]) -> None:
        """Say what it all amounts to, when all was looked at."""
        worst = {row.ref: row for row in sorted(
            rows, key=lambda row: _FROM_GOOD_TO_BAD.index(row.state))}
        missing = expectations.unmet(arguments, [
            each for each in wanted
            if worst[each.found.ref].state is audit.State.COMPLETE])
        self.code = _worst(rows) or (
            errors.ExitCode.SELECTION if missing or not wanted
            else errors.ExitCode.DONE)
        self.closing = [
            _summary(found.place, arguments, wanted, worst.values()),
            *missing]

    def _until_interrupted(self, rows: Iterable[_Row]) -> list[_Row]:
        """What there is of rows when the user has waited long enough."""
        found: list[_Row] = []
        try:
            found.extend(rows)
        except KeyboardInterrupt:
            self.say('Interrupted. This is what was checked so far:')
            self.code = errors.ExitCode.INTERRUPTED
        return found

    def _deep(self, found: shelf.Shelf, library: lineages.Library,
              wanted: Sequence[audit.Audit], rows: Iterable[_Row],
              part: float) -> Iterator[_Row]:
        """The rows, with what is found by fetching the complete ones."""
        by_ref = {each.found.ref: each for each in wanted}
        bad: dict[types.BackupRef, audit.State | None] = {}
        for row in rows:
            if row.state is not audit.State.COMPLETE:
                yield row
                continue
            each = by_ref[row.ref]
            below = [link.found.ref for link in library.chain(each)
                     if link.found.ref in bad]
            found_rows = list(self._closely(found, library, each, part))
            if not found_rows and below:
                found_rows = [_Row(row.ref, bad[below[0]], '',
                                   f'it builds on backup '
                                   f'{below[0].backup_id}')]
            if found_rows:
                bad[row.ref] = found_rows[0].state
            yield from found_rows or [dataclasses.replace(row, part=part)]

    def _closely(self, found: shelf.Shelf, library: lineages.Library,
                 each: audit.Audit, part: float) -> Iterator[_Row]:
        """What is found by fetching a backup."""
        ref = each.found.ref
        try:
            damage: list[exceptions.BackupError] = list(
                self._inspect(found, library, each, part))
        except exceptions.StoreError as err:
            yield _Row(ref, None, err.name or '',
                       f'not all of it could be checked: '
                       f'{errors.line_of(err)}')
            return
        except exceptions.ChainError as err:
            # It was deleted meanwhile.
            damage = [err]
        for each_damage in damage:
            yield _Row(ref, audit.State.DAMAGED, each_damage.name or '',
                       errors.line_of(each_damage))

    def _inspect(self, found: shelf.Shelf, library: lineages.Library,
                 each: audit.Audit,
                 part: float) -> list[deep.Damage]:
        subjects = [found.subject(library, link)
                    for link in library.chain(each)[-2:]]
        with progress_bar.shown(
                self.app.stderr,
                f'fetching {each.found.ref.backup_id}') as observer:
            return found.engine.inspector.inspect(
                subjects[-1], subjects[-2] if len(subjects) > 1 else None,
                observer, part=part)


def _wanted(found: shelf.Shelf, arguments: argparse.Namespace,
            observer: operations.Observer,
            ) -> tuple[lineages.Library, list[audit.Audit]]:
    """What is to be checked: backups with all that they build on."""
    if arguments.all:
        library = found.library(observer)
        return library, library.audits
    if arguments.volume is not None:
        library = found.of_volumes(arguments.volume, observer)
        return library, library.audits
    library, tips = found.several(arguments.backups, observer)
    refs = {link.found.ref for tip in tips for link in _chain(library, tip)}
    return library, [each for each in library.audits
                     if each.found.ref in refs]


def _chain(library: lineages.Library, tip: audit.Audit) -> list[audit.Audit]:
    try:
        return library.chain(tip)
    except exceptions.ChainError:
        return [tip]


def _summary(place: str, arguments: argparse.Namespace,
             wanted: Sequence[audit.Audit], worst: Iterable[_Row]) -> str:
    """What was done to how many backups, and what they are.

    :param worst: of each backup
    """
    if not wanted and arguments.volume is not None:
        return (f'There are no backups of a volume {arguments.volume!r} in '
                f'{place}.')
    if not wanted:
        return summaries.nothing(place)
    line = summaries.of(place, (each.found for each in wanted),
                        (row.word for row in worst))
    if arguments.deep:
        return f'Checked {line} {_BY_DATA}'
    return (f'Checked {line} '
            f'{_BY_LISTINGS if arguments.sample is None else _BY_SAMPLE}')


def _worst(rows: Iterable[_Row]) -> errors.ExitCode:
    """What a report amounts to: damage above all, then what is not known."""
    states = {row.state for row in rows}
    worst = functools.reduce(audit.State.worst, filter(None, states),
                             audit.State.COMPLETE)
    code = _CODES[worst]
    if None in states and code is not errors.ExitCode.DAMAGED:
        return errors.ExitCode.STORE
    return code


def _percent(text: str) -> float:
    try:
        value = float(text.removesuffix('%'))
    except ValueError:
        value = 0
    if not 0 < value <= 100:
        raise argparse.ArgumentTypeError(f'{text!r} must be above 0, and '
                                         f'at most 100')
    return value / 100


def _look(library: lineages.Library, each: audit.Audit) -> Iterator[_Row]:
    """What a look at a backup found, or else what it suffers from."""
    ref = each.found.ref
    for name in each.strays:
        yield _Row(ref, audit.State.ORPHANED, name,
                   "its manifest does not name it; Cinder's own driver "
                   'restores nothing while it is there: see "orphans"')
    for finding in each.findings:
        yield _Row(ref, finding.state, finding.name or '',
                   finding.what)
    if each.findings:
        return
    state, why = library.problem(each)
    yield _Row(ref, state, '', why)

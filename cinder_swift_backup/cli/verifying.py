# SPDX-License-Identifier: Apache-2.0

"""``verify``: whether backups can be restored, and what is wrong if not."""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
from typing import Any

from cliff import lister

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import outcomes
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.engine import audit
from cinder_swift_backup.engine import inspection
from cinder_swift_backup.format import types

_CODES = {
    audit.State.COMPLETE: outcomes.ExitCode.DONE,
    audit.State.ARRIVING: outcomes.ExitCode.ARRIVING,
    audit.State.ORPHANED: outcomes.ExitCode.DAMAGED,
    audit.State.DAMAGED: outcomes.ExitCode.DAMAGED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Row:
    """Something that was found, or that all is well."""

    ref: types.BackupRef
    state: audit.State
    name: str = ''
    what: str = ''

    def cells(self) -> tuple[str, ...]:
        return (self.ref.backup_id, self.state.value, self.name, self.what,
                self.ref.container)


class Verify(commands.AccountCommand, lister.Lister):
    """Tell whether backups can be restored.

    Without --deep, what the manifests name is compared with listings: that
    every object is there, with the length and MD5 that the manifest has for
    it. Those of Cinder's own driver have none since its release 2015.1, so of
    them only --deep finds an object that was changed. With --deep, all of it
    is fetched, decoded and compared with its digests. A backup is looked at
    with all that it builds on.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        commands.add_backup_or_all(parser)
        how = parser.add_mutually_exclusive_group()
        how.add_argument('--deep', action='store_true',
                         help='fetch and decode everything')
        how.add_argument(
            '--sample', type=_percent, metavar='N',
            help='fetch and decode N %% of the objects, taken at random')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        part = 1.0 if parsed_args.deep else parsed_args.sample
        with self.opened(parsed_args) as found:
            with self.looking() as observer:
                if parsed_args.all:
                    library = found.library(observer)
                    wanted = library.audits
                else:
                    library, tip = found.with_ancestors(parsed_args.backup,
                                                        observer)
                    wanted = self._chain(library, tip)
            rows = [row for each in wanted for row in _look(library, each)]
            if part is not None:
                rows = list(self._deep(found, library, wanted, rows, part))
        worst = audit.State.COMPLETE
        for row in rows:
            worst = worst.worst(row.state)
        self.code = _CODES[worst]
        return ('Backup', 'State', 'Object', 'Finding', 'Container'), [
            row.cells() for row in rows]

    @staticmethod
    def _chain(library: audit.Library,
               tip: audit.Audit) -> list[audit.Audit]:
        try:
            return library.chain(tip)
        except exceptions.ChainError:
            return [tip]

    def _deep(self, found: shelf.Shelf, library: audit.Library,
              wanted: Sequence[audit.Audit], rows: Iterable[_Row],
              part: float) -> Iterator[_Row]:
        """The rows, with what is found by fetching the complete ones."""
        by_ref = {each.found.ref: each for each in wanted}
        damaged: set[types.BackupRef] = set()
        for row in rows:
            if row.state is not audit.State.COMPLETE:
                yield row
                continue
            each = by_ref[row.ref]
            damage = self._inspect(found, library, each, part)
            for err in damage:
                damaged.add(row.ref)
                yield _Row(row.ref, audit.State.DAMAGED,
                           err.name or '', outcomes.line_of(err))
            if damage:
                continue
            below = [link.found.ref.backup_id
                     for link in library.chain(each)
                     if link.found.ref in damaged]
            yield (_Row(row.ref, audit.State.DAMAGED, '',
                        f'it builds on backup {below[0]}') if below else row)

    def _inspect(self, found: shelf.Shelf, library: audit.Library,
                 each: audit.Audit,
                 part: float) -> list[inspection.Damage]:
        subjects = [found.subject(library, link)
                    for link in library.chain(each)[-2:]]
        with progress_bar.shown(
                self.app.stderr,
                f'fetching {each.found.ref.backup_id}') as observer:
            return found.engine.inspector.inspect(
                subjects[-1], subjects[-2] if len(subjects) > 1 else None,
                observer, part=part)


def _percent(text: str) -> float:
    value = float(text.removesuffix('%'))
    if not 0 < value <= 100:
        raise ValueError
    return value / 100


def _look(library: audit.Library, each: audit.Audit) -> Iterator[_Row]:
    """What a look at a backup found, or else what it suffers from."""
    ref = each.found.ref
    for finding in each.findings:
        yield _Row(ref, finding.state, finding.name or '',
                   finding.what)
    if each.findings:
        return
    state, why = library.problem(each)
    yield _Row(ref, state, '', why)

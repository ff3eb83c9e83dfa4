# SPDX-License-Identifier: Apache-2.0

"""``diff`` and ``estimate``: what of a volume differs, by digests alone."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import pathlib
from typing import Any

from cliff import columns

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import selection
from cinder_swift_backup.cli import targets
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import differences
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

# How many cells the map of a volume has, and extents a table.
_CELLS = 64
_MOST = 10
_FOUND = ('Size', 'Differs', 'Share', 'Map', 'Extents')
_CODES = (
    (errors.ExitCode.SELECTION,
     'no backup matches, several do, or there is no such container'),
    (errors.ExitCode.ARRIVING, 'a backup is still arriving'),
    (errors.ExitCode.DAMAGED,
     'a backup is damaged, or its digests cannot be compared'))


class _Extents(columns.FormattableColumn):  # type: ignore[type-arg]
    """Extents: all for programs, and the first few for people."""

    def human_readable(self) -> str:
        """See cliff."""
        lines = [f'{extent.offset} + {extent.length}'
                 for extent in self._value[:_MOST]]
        if len(self._value) > _MOST:
            lines.append(f'and {len(self._value) - _MOST} more')
        return '\n'.join(lines)

    def machine_readable(self) -> list[dict[str, int]]:
        """See cliff."""
        return [{'offset': extent.offset, 'length': extent.length}
                for extent in self._value]


class Diff(selection.SelectingCommand, commands.Fields):
    """Show what differs between two backups of a volume.

    The command compares digests, and fetches no data. Extents are given by
    their offset and length in bytes; "-f json" has all of them. In the map of
    the volume, "." is a part that does not differ, "+" one that does, and "#"
    one of which most does.
    """

    codes = _CODES
    columns = ('From', 'To', 'Volume', *_FOUND)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        selection.add_two(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage, found = survey.several(
                    self.named(survey, parsed_args, observer), observer)
            # The same one may be named twice.
            one, other = found[0], found[-1]
            if one.ref.volume_id != other.ref.volume_id:
                raise exceptions.SelectionError(
                    'these are backups of two volumes',
                    detail=f'{one.ref.volume_id} and {other.ref.volume_id}')
            different = differences.between(
                survey.repository, _chain(survey.repository, lineage, one),
                _chain(survey.repository, lineage, other))
        fields = {'From': one.ref.backup_id, 'To': other.ref.backup_id,
                  'Volume': other.ref.volume_id, **_fields(different)}
        return tuple(fields), tuple(fields.values())


class Estimate(commands.AccountCommand, commands.Fields):
    """Estimate what an incremental backup of a volume would store.

    FILE is the volume, a file or a block device that nobody writes to. The
    command reads and hashes all of it, and compares that with the digests of
    the newest complete backup. What differs is what an incremental would
    store, before compression.
    """

    codes = (*_CODES, (errors.ExitCode.TARGET, 'the file cannot be read'))
    columns = ('File', 'Backup', 'Volume', *_FOUND)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('file', metavar='FILE', type=pathlib.Path,
                            help='the volume: a file or a block device')
        parser.add_argument('--volume', metavar='ID', required=True,
                            help='the id of the volume, or its beginning')
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with targets.source(parsed_args.file) as volume, \
                self.opened(parsed_args) as survey:
            with self.looking() as observer:
                lineage, newest = survey.latest(parsed_args.volume, observer)
            with progress_bar.shown(self.app.stderr, 'reading') as bar:
                different = differences.of_volume(
                    survey.repository,
                    _chain(survey.repository, lineage, newest), volume, bar)
        fields = {'File': str(parsed_args.file),
                  'Backup': newest.ref.backup_id,
                  'Volume': newest.ref.volume_id, **_fields(different)}
        return tuple(fields), tuple(fields.values())


def _chain(repo: repository.Repository, lineage: lineages.Lineage,
           backup: backups.Backup) -> chains.Chain:
    lineage.check_usable(backup)
    return repo.resolve([link.ref for link in lineage.chain(backup)])


def _fields(found: differences.Differences) -> Mapping[str, object]:
    extents: tuple[types.Extent, ...] = found.extents
    return {
        'Size': commands.Size(found.size),
        'Differs': commands.Size(found.bytes),
        'Share': f'{100 * found.bytes / max(found.size, 1):.2f} %',
        'Map': ''.join(map(_letter, found.parts(_CELLS))),
        'Extents': _Extents(extents)}


def _letter(part: float) -> str:
    if not part:
        return '.'
    return '#' if part > 1 / 2 else '+'

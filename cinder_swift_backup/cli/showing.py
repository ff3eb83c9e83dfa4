# SPDX-License-Identifier: Apache-2.0

"""``show``: everything that there is to know about one backup."""

import argparse
from collections.abc import Iterable
from collections.abc import Sequence
import string
from typing import Any

from cliff import columns

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.survey import audit
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

# How many cells the map of a volume has.
_CELLS = 64
_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_OF_ENCRYPTED = ('Encryption key', 'Key of the volume', 'Volume type')


class Lines(columns.FormattableColumn):  # type: ignore[type-arg]
    """Values below each other: a list for programs, lines for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return '\n'.join(_line(each) for each in self._value)


class Codecs(Lines):
    """Codecs, and what they stored: values for programs, lines for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return '\n'.join(
            f'{formatting.line(each["codec"])}: '
            f'{formatting.size(each["bytes"])} stored as '
            f'{formatting.size(each["stored"])} in {each["chunks"]} '
            f'object{"" if each["chunks"] == 1 else "s"}'
            for each in self._value)


def _line(value: object) -> str:
    if isinstance(value, dict):
        value = ', '.join(f'{name} {item}' for name, item in value.items()
                          if item not in (None, ''))
    return formatting.line(str(value))


class Show(commands.BackupCommand, commands.Fields):
    """Show a backup: what it builds on, who wrote it, and what is where.

    The map is of the volume, from its beginning to its end. Each letter stands
    for the backup of the chain that most of that part comes from.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, or several do'),
    )

    columns = ('Backup', 'Volume', 'State', 'Problem', 'Container', 'Prefix',
               'Created', 'Objects', 'Stored', 'Needed by', 'Name',
               'Description', 'Volume name', 'Project', 'Size',
               'File format', 'Written by', 'Stored format', 'Inferred',
               'Codecs', *_OF_ENCRYPTED, 'Chain', 'Map')

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as found:
            with self.looking() as observer:
                library, wanted = found.with_ancestors(parsed_args.backup,
                                                       observer)
            fields = {**_facts(library, wanted),
                      **_encryption(wanted.summary),
                      **_layers(found, library, wanted)}
        if library.state(wanted) is audit.State.COMPLETE:
            self.say(commands.BY_LISTINGS)
        return tuple(fields), tuple(fields.values())


def _facts(library: lineages.Library,
           wanted: audit.Audit) -> dict[str, object]:
    found, summary = wanted.found, wanted.summary
    state, why = library.problem(wanted)
    fields: dict[str, object] = {
        'Backup': found.ref.backup_id,
        'Volume': found.ref.volume_id,
        'State': state.value,
        'Problem': why,
        'Container': found.ref.container,
        'Prefix': found.ref.prefix,
        'Created': formatting.moment(found.created),
        'Objects': found.objects,
        'Stored': commands.Size(found.stored_bytes),
        'Needed by': Lines([each.found.ref.backup_id
                            for each in library.dependents(wanted)]),
    }
    if summary is None:
        return fields
    inferred = ('' if summary.is_ours
                else 'the size is inferred: it is where the data ends')
    return {
        **fields,
        'Name': summary.header.backup_name or '',
        'Description': summary.header.backup_description or '',
        'Volume name': summary.volume.name or '',
        'Project': summary.volume.project_id or '',
        'Size': commands.Size(library.size(wanted)),
        'File format': summary.file_format or '',
        'Written by': ('this package' if summary.is_ours
                       else "Cinder's own driver"),
        'Stored format': f'that of Cinder {summary.era.value}',
        'Inferred': inferred,
        'Codecs': Codecs([
            _codec(word, stored)
            for word, stored in sorted(summary.by_codec.items())]),
    }


def _encryption(summary: audit.Summary | None) -> dict[str, object]:
    """The keys of an encrypted volume; nothing of any other."""
    if summary is None or summary.volume.key_id is None:
        return {}
    return dict(zip(_OF_ENCRYPTED, (
        summary.key_id or '', summary.volume.key_id,
        summary.volume.type_id or ''), strict=True))


def _codec(word: str, stored: audit.Stored) -> dict[str, object]:
    ratio = (None if not stored.stored_bytes
             else round(stored.bytes / stored.stored_bytes, 2))
    return {'codec': word, 'chunks': stored.chunks, 'bytes': stored.bytes,
            'stored': stored.stored_bytes, 'ratio': ratio}


def _layers(found: shelf.Shelf, library: lineages.Library,
            wanted: audit.Audit) -> dict[str, object]:
    """The chain, and which part of the volume is where."""
    try:
        links = library.chain(wanted)
        chain = found.engine.repository.resolve(
            [link.found.ref for link in links])
        plan = planner.plan_restore(chain)
    except (exceptions.ChainError, exceptions.FormatError):
        # The problem says why.
        return {}
    cells = [[0] * len(links) for _ in range(_CELLS)]
    totals = [0] * len(links)
    for chunk in plan.chunks:
        number = next(
            at for at, link in enumerate(chain.links)
            if naming.belongs_to(chunk.record.name, link.ref.prefix))
        for extent in chunk.extents:
            totals[number] += extent.length
            _fill(cells, number, extent, plan.end)
    letters = [_LETTERS[number % len(_LETTERS)]
               for number in range(len(links))]
    return {
        'Chain': Lines([
            {'letter': letters[number],
             'backup': link.found.ref.backup_id,
             'created': formatting.moment(link.found.created),
             'provides': f'{100 * totals[number] / max(plan.end, 1):.1f} %'}
            for number, link in enumerate(links)]),
        'Map': ''.join(letters[max(range(len(links)), key=cell.__getitem__)]
                       for cell in cells if any(cell)),
    }


def _fill(cells: list[list[int]], number: int, extent: types.Extent,
          end: int) -> None:
    """Count the bytes of an extent to the cells that it is in."""
    first = extent.offset * _CELLS // end
    last = (extent.end - 1) * _CELLS // end
    for at in range(first, last + 1):
        # The cell in bytes, rounded up as the division above is down.
        start, stop = -(-at * end // _CELLS), -(-(at + 1) * end // _CELLS)
        cells[at][number] += (min(extent.end, stop)
                              - max(extent.offset, start))

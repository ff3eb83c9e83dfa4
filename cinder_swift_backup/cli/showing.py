# SPDX-License-Identifier: Apache-2.0

"""``show``: everything that there is to know about one backup."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import string
from typing import Any

from cliff import columns

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import selection
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import layers
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import sharing
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.format import chains

# How many cells the map of a volume has.
_CELLS = 64
_LETTERS = string.ascii_uppercase + string.ascii_lowercase
_OF_PACKS = ('Encrypted by', 'Needs', 'Own packs', 'Shares with',
             'Deleting frees')
_OF_ENCRYPTED = ('Encryption key', 'Key of the volume', 'Volume type')


class Lines(columns.FormattableColumn):  # type: ignore[type-arg]
    """Values below each other: a list for programs, lines for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return '\n'.join(_line(value) for value in self._value)


class Codecs(Lines):
    """Codecs, and what they stored: values for programs, lines for people."""

    unit = 'object'

    def human_readable(self) -> str:
        """See cliff."""
        return '\n'.join(
            f'{formatting.line(stored["codec"])}: '
            f'{quantities.size(stored["bytes"])} stored as '
            f'{quantities.size(stored["stored"])} in '
            f'{quantities.counted(stored["chunks"], self.unit)}'
            for stored in self._value)


class CodecsOfPacks(Codecs):
    """The same where many chunks are in one object."""

    unit = 'chunk'


def _line(value: object) -> str:
    if isinstance(value, dict):
        value = ', '.join(f'{name} {item}' for name, item in value.items()
                          if item not in (None, ''))
    return formatting.line(str(value))


class Show(selection.BackupCommand, commands.Fields):
    """Show a backup: what it builds on, who wrote it, and what is where.

    Of a backup in packs, it also shows how many packs it needs, how many of
    these it has put itself, with whom it shares packs, and what deleting it
    frees once a sweep has deleted packs that no backup needs.

    The map is of the volume, from its beginning to its end. Each letter stands
    for the backup of the chain that most of that part comes from.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, several do, or there is no such container'),
    )

    columns = ('Backup', 'Volume', 'State', 'Problem', 'Container', 'Prefix',
               'Created', 'Objects', 'Stored', 'Needed by', 'Name',
               'Description', 'Volume name', 'Project', 'Size',
               'File format', 'Written by', 'Stored format', 'Inferred',
               'Codecs', *_OF_ENCRYPTED, *_OF_PACKS, 'Chain', 'Map')

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        with self.opened(parsed_args) as survey:
            with self.looking() as observer:
                (name,) = self.named(survey, parsed_args, observer)
                lineage, backup = survey.one(name, observer)
            fields = {**_facts(lineage, backup),
                      **_encryption(backup.summary),
                      **_packs(survey, lineage, backup),
                      **_layers(survey, lineage, backup)}
        if lineage.state(backup) is backups.State.COMPLETE:
            self.say(commands.BY_LISTINGS)
        return tuple(fields), tuple(fields.values())


def _facts(lineage: lineages.Lineage,
           backup: backups.Backup) -> dict[str, object]:
    ref, listed, summary = backup.ref, backup.listed, backup.summary
    state, why = lineage.problem(backup)
    fields: dict[str, object] = {
        'Backup': ref.backup_id,
        'Volume': ref.volume_id,
        'State': state.value,
        'Problem': why,
        'Container': ref.container,
        'Prefix': ref.prefix,
        'Created': formatting.moment(listed.created),
        'Objects': listed.objects,
        'Stored': commands.Size(listed.stored_bytes),
        'Needed by': Lines([dependent.ref.backup_id for dependent
                            in lineage.dependents(backup)]),
    }
    if summary is None:
        return fields
    codecs = CodecsOfPacks if summary.is_point else Codecs
    inferred = ('' if summary.is_ours
                else 'the size is inferred from where the data ends')
    return {
        **fields,
        'Name': summary.header.backup_name or '',
        'Description': summary.header.backup_description or '',
        'Volume name': summary.volume.name or '',
        'Project': summary.volume.project_id or '',
        'Size': commands.Size(lineage.size(backup)),
        'File format': summary.file_format or '',
        'Written by': ('this package' if summary.is_ours
                       else "Cinder's own driver"),
        'Stored format': ('packs' if summary.is_point
                          else f'that of Cinder {summary.era.value}'),
        'Inferred': inferred,
        'Codecs': codecs([
            _codec(word, stored)
            for word, stored in sorted(summary.by_codec.items())]),
    }


def _encryption(summary: backups.Summary | None) -> dict[str, object]:
    """The keys of an encrypted volume; nothing of any other."""
    if summary is None or summary.volume.key_id is None:
        return {}
    return dict(zip(_OF_ENCRYPTED, (
        summary.key_id or '', summary.volume.key_id,
        summary.volume.type_id or ''), strict=True))


class Amounts(Lines):
    """Packs and their bytes: values for programs, lines for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return '\n'.join(
            f'{value["backup"]}: {_in_words(value)}' if 'backup' in value
            else _in_words(value) for value in self._value)


def _in_words(value: Mapping[str, Any]) -> str:
    return (f'{quantities.size(value["stored"])} in '
            f'{quantities.counted(value["packs"], "pack")}')


def _packs(survey: surveys.Survey, lineage: lineages.Lineage,
           backup: backups.Backup) -> dict[str, object]:
    """What a backup in packs shares with others; nothing of any other."""
    if not backup.is_point:
        return {}
    try:
        found = sharing.find(survey.repository, backup, lineage.backups,
                             operations.Silent())
    except (exceptions.ChainError, exceptions.FormatError):
        # The problem says why.
        return {}
    shared = [{'backup': ref.backup_id, **_amount(amount)}
              for ref, amount in found.shared]
    frees = [] if found.unknown else [_amount(found.alone)]
    return dict(zip(_OF_PACKS, (
        backup.summary.encrypted_by or '' if backup.summary else '',
        Amounts([_amount(found.needed)]), Amounts([_amount(found.own)]),
        Amounts(shared), Amounts(frees)), strict=True))


def _amount(amount: sharing.Amount) -> dict[str, int]:
    return {'packs': amount.packs, 'stored': amount.stored_bytes}


def _codec(word: str, stored: chains.Stored) -> dict[str, object]:
    ratio = (None if not stored.stored_bytes
             else round(stored.bytes / stored.stored_bytes, 2))
    return {'codec': word, 'chunks': stored.chunks, 'bytes': stored.bytes,
            'stored': stored.stored_bytes, 'ratio': ratio}


def _layers(survey: surveys.Survey, lineage: lineages.Lineage,
            backup: backups.Backup) -> dict[str, object]:
    """The chain, and which part of the volume is where."""
    try:
        chain = lineage.chain(backup)
        share = layers.find(survey.repository,
                            [link.ref for link in chain], _CELLS)
    except (exceptions.ChainError, exceptions.FormatError):
        # The problem says why.
        return {}
    letters = [_LETTERS[number % len(_LETTERS)]
               for number in range(len(share.backup_ids))]
    created = {link.ref.backup_id: formatting.moment(link.listed.created)
               for link in lineage.backups}
    return {
        'Chain': Lines([
            {'letter': letter,
             'backup': identifier,
             'created': created.get(identifier, 'deleted'),
             'provides': f'{100 * provided / max(share.size, 1):.1f} %'}
            for letter, identifier, provided in zip(
                letters, share.backup_ids, share.provided, strict=True)]),
        'Map': ''.join(letters[number] for number in share.cells),
    }

# SPDX-License-Identifier: Apache-2.0

"""Which backups a command is for.

By the beginning of an id; or ``latest``, the newest complete backup of a
volume, and ``latest~N``, the Nth complete one before it.
"""

import argparse
from collections.abc import Sequence
import re

from cinder_swift_backup.cli import commands
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine.survey import survey as surveys

_LATEST = re.compile(r'latest(?:~(\d{1,6}))?')
_BACKUP = ('the ID of a backup, or its beginning; or, with --volume, "latest" '
           'for the newest complete backup of the volume, or "latest~N" for '
           'the Nth complete one before that')
_OF_LATEST = ('the volume for "latest" and "latest~N": its ID, or the '
              'beginning of it')


class SelectingCommand(commands.AccountCommand):
    """A command for which the user names backups."""

    def run(self, parsed_args: argparse.Namespace) -> int:
        """See cliff; what is named has to go together."""
        why = _fault(parsed_args)
        if why:
            return self.give_up(parsed_args, why)
        return super().run(parsed_args)

    @staticmethod
    def named(survey: surveys.Survey, arguments: argparse.Namespace,
              observer: operations.Observer) -> list[str]:
        """The backups that the user has named, by their ids or beginnings.

        :raises SelectionError: when a volume has no such backup
        """
        return [text if (match := _LATEST.fullmatch(text)) is None
                else survey.latest(
                    arguments.volume, observer,
                    back=int(match[1] or 0))[1].ref.backup_id
                for text in _texts(arguments)]


class BackupCommand(SelectingCommand):
    """A command on one backup."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP', help=_BACKUP)
        parser.add_argument('--volume', metavar='ID', help=_OF_LATEST)
        return parser


def add_backups(parser: argparse.ArgumentParser) -> None:
    """Let the user name backups, or a volume, or say that it is all."""
    parser.add_argument('backups', metavar='BACKUP', nargs='*', default=[],
                        help=_BACKUP)
    parser.add_argument('--all', action='store_true', help='all backups')
    parser.add_argument('--volume', metavar='ID',
                        help='all backups of volumes whose ID begins with '
                             'ID; or the volume for "latest"')


def add_two(parser: argparse.ArgumentParser) -> None:
    """Have the user name two backups."""
    parser.add_argument('backups', metavar='BACKUP', nargs=2, help=_BACKUP)
    parser.add_argument('--volume', metavar='ID', help=_OF_LATEST)


def add_backup_or_all(parser: argparse.ArgumentParser) -> None:
    """Let the user name one backup, or say that it is all of them."""
    parser.add_argument('backup', metavar='BACKUP', nargs='?', help=_BACKUP)
    parser.add_argument('--all', action='store_true', help='all backups')
    parser.add_argument('--volume', metavar='ID', help=_OF_LATEST)


def _texts(arguments: argparse.Namespace) -> Sequence[str]:
    """What the user has named backups by."""
    if 'backups' in arguments:
        return list(arguments.backups)
    return [] if arguments.backup is None else [arguments.backup]


def _fault(arguments: argparse.Namespace) -> str:
    """Why what is named does not go together; empty if it does."""
    texts = _texts(arguments)
    latest = [text for text in texts if _LATEST.fullmatch(text)]
    if latest and arguments.volume is None:
        return f'"{latest[0]}" of which volume? Add --volume ID.'
    if texts and arguments.volume is not None and texts != latest:
        return ('With --volume, name only "latest" or "latest~N", and no '
                'backup by its ID.')
    is_all = getattr(arguments, 'all', False)
    if is_all and (texts or arguments.volume is not None):
        return '--all is all backups: leave out --volume and backup IDs.'
    if texts or is_all:
        return ''
    if 'backups' not in arguments:
        return 'Name a backup, or use --all.'
    return ('' if arguments.volume is not None
            else 'Name backups, or use --volume or --all.')

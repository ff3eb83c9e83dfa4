# SPDX-License-Identifier: Apache-2.0

"""Asks before something is deleted, where somebody can answer."""

import argparse

from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import formatting

_YES = ('y', 'yes')


def add_to(parser: argparse.ArgumentParser, dry_run: str = (
        'say what would be deleted, and delete nothing')) -> None:
    """Let the user answer beforehand, or only see what would be done.

    :param dry_run: what the option for that does
    """
    how = parser.add_mutually_exclusive_group()
    how.add_argument('--yes', action='store_true',
                     help='do not ask for confirmation; without a terminal, '
                          'the command never asks')
    how.add_argument('--dry-run', action='store_true', help=dry_run)


def is_asked(command: commands.OurCommand,
             arguments: argparse.Namespace) -> bool:
    """Whether to ask the user: there is a terminal, and no --yes."""
    if arguments.yes:
        return False
    # Where one is closed, Python has none.
    return all(stream is not None and stream.isatty()
               for stream in (command.app.stdin, command.app.stderr))


def confirmed(command: commands.OurCommand, question: str) -> bool:
    """Whether the user says yes; anything else is no."""
    command.app.stderr.write(f'{formatting.line(question)} [y/N] ')
    command.app.stderr.flush()
    if command.app.stdin.readline().strip().lower() in _YES:
        return True
    command.say('Nothing was deleted.')
    return False

# SPDX-License-Identifier: Apache-2.0

"""The options that say which backups to keep, and of which volumes.

What they mean: :mod:`cinder_swift_backup.engine.survey.retention`.
"""

import argparse
from collections.abc import Mapping
import re

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import retention

# The property of a volume that says which policy it is to have.
_METADATA = 'backup_policy'
_COUNTS = (
    ('last', 'the N newest backups'),
    ('hourly', 'the newest backup of each of the last N hours that have one'),
    ('daily', 'the newest backup of each of the last N days that have one'),
    ('weekly', 'the newest backup of each of the last N weeks (Monday to '
               'Sunday) that have one'),
    ('monthly', 'the newest backup of each of the last N months that have '
                'one'),
    ('yearly', 'the newest backup of each of the last N years that have one'))


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Have the user choose volumes."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument('--all', action='store_true', help='all volumes')
    group.add_argument('--volume', metavar='ID', action='append',
                       type=commands.identifier,
                       help='volumes whose ID begins with ID; may be repeated')
    group.add_argument('--policy', metavar='NAME', type=commands.identifier,
                       help=f'volumes with the property {_METADATA}=NAME')


def chosen(properties: Mapping[str, Mapping[str, str]],
           arguments: argparse.Namespace) -> set[str]:
    """The volumes that the user has chosen, by their ids.

    :param properties: of all that there are
    :raises SelectionError: when an id is that of none, or no volume has the
        policy
    """
    if arguments.policy is not None:
        found = {id_ for id_, of_volume in properties.items()
                 if of_volume.get(_METADATA) == arguments.policy}
        if not found:
            raise exceptions.SelectionError(
                f'no volume has the property {_METADATA}={arguments.policy}')
        return found
    if arguments.volume is None:
        return set(properties)
    found = set()
    for beginning in arguments.volume:
        matches = {id_ for id_ in properties
                   if inventory.begins(id_, beginning)}
        if not matches:
            raise exceptions.SelectionError(
                f'no volume has an id that begins with {beginning!r}')
        found |= matches
    return found


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    for name, what in _COUNTS:
        parser.add_argument(
            f'--keep-{name}', type=_count, default=0, metavar='N',
            help=f'keep {what}; N may be "unlimited"')
    parser.add_argument(
        '--keep-within', type=_span, metavar='SPAN',
        help='keep backups made less than SPAN before the newest one: years, '
             'months, days and hours, such as 1y6m, 30d or 12h')
    parser.add_argument(
        '--keep-tag', type=_tag, action='append', default=[],
        metavar='NAME=VALUE',
        help='keep backups that have the property NAME=VALUE in Cinder; may '
             'be repeated')


def read(arguments: argparse.Namespace) -> retention.Policy:
    """The policy that the user asks for."""
    return retention.Policy(
        **{name: getattr(arguments, f'keep_{name}') for name, _ in _COUNTS},
        within=arguments.keep_within, tags=tuple(arguments.keep_tag))


def _count(text: str) -> float:
    """A number of backups, or as many as there are."""
    if text == 'unlimited':
        return retention.UNLIMITED
    if not re.fullmatch(r'[0-9]{1,9}', text):
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither a whole number nor "unlimited"')
    return int(text)


def _span(text: str) -> retention.Span:
    """A span of the calendar, such as 1y6m, 30d or 12h."""
    match = re.fullmatch(
        r'(?:(\d{1,6})y)?(?:(\d{1,6})m)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?', text)
    numbers = [int(number or 0) for number in match.groups()] if match else []
    if not any(numbers):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not a span of years, months, days and hours, such '
            'as 30d or 1y6m')
    return retention.Span(*numbers)


def _tag(text: str) -> tuple[str, str]:
    name, separator, value = text.partition('=')
    if not name or not separator:
        raise argparse.ArgumentTypeError(
            f'{text!r} is not of the form NAME=VALUE')
    return name, value

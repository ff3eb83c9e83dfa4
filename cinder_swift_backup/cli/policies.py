# SPDX-License-Identifier: Apache-2.0

"""The options that say which backups to keep, and of which volumes.

What they mean: :mod:`cinder_swift_backup.engine.survey.retention`.
"""

import argparse
from collections.abc import Mapping
import re
from typing import Any

from cinder_swift_backup.engine.survey import retention

# In the metadata of a volume: which policy it is to have.
_METADATA = 'backup_policy'
_COUNTS = (
    ('last', 'the N newest backups'),
    ('hourly', 'the newest backup of each of the last N hours that have one'),
    ('daily', 'the same for days'),
    ('weekly', 'the same for weeks, from Monday to Sunday'),
    ('monthly', 'the same for months'),
    ('yearly', 'the same for years'))


def add_choice(group: Any) -> None:
    """Let the user choose volumes by their metadata.

    :param group: of argparse, to which the option is added
    """
    group.add_argument('--policy', metavar='NAME',
                       help=f'volumes whose metadata have {_METADATA} set to '
                            'NAME')


def is_of(metadata: Mapping[str, str], name: str) -> bool:
    """Whether a volume is to have the policy of this name."""
    return metadata.get(_METADATA) == name


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    for name, what in _COUNTS:
        parser.add_argument(
            f'--keep-{name}', type=_count, default=0, metavar='N',
            help=f'keep {what}; "unlimited" for all')
    parser.add_argument(
        '--keep-within', type=_span, metavar='SPAN',
        help='keep what is younger than the newest backup by less than '
             'SPAN, such as 30d or 1y6m')
    parser.add_argument(
        '--keep-tag', type=_tag, action='append', default=[],
        metavar='NAME=VALUE',
        help='keep backups whose metadata in Cinder have NAME set to '
             'VALUE; may be repeated')


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

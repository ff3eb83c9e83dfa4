# SPDX-License-Identifier: Apache-2.0

"""What a nightly job expects to find, lest it stays green with nothing."""

import argparse
from collections.abc import Collection

from cinder_swift_backup import quantities
from cinder_swift_backup.cli import commands
from cinder_swift_backup.engine.survey import backups


def add_to(parser: argparse.ArgumentParser) -> None:
    """Add options for what the user expects to find."""
    parser.add_argument(
        '--expect-at-least', type=commands.positive, default=0, metavar='N',
        help='exit with 3 if fewer than N of the backups are complete')
    parser.add_argument(
        '--expect-volume', action='append', default=[], metavar='ID',
        help='exit with 3 if no backup of the volume with this whole id is '
             'complete; may be repeated')


def unmet(arguments: argparse.Namespace,
          good: Collection[backups.Backup]) -> list[str]:
    """A line for each expectation that is not met.

    :param good: the backups that are complete
    """
    lines = []
    if len(good) < arguments.expect_at_least:
        expected = quantities.counted(arguments.expect_at_least,
                                     'complete backup')
        lines.append(f'Expected at least {expected}, but found {len(good)}.')
    volumes = {backup.ref.volume_id.lower() for backup in good}
    lines += [f'Found no complete backup of volume {volume}.'
              for volume in arguments.expect_volume
              if volume.lower() not in volumes]
    return lines

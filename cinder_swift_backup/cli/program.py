# SPDX-License-Identifier: Apache-2.0

"""Where the program begins, before what takes time to load.

1. Let Ctrl-C end it in a line: loading takes half a second, in which one may
   have noticed a mistake.
2. Load the rest, if what that needs is installed. The driver needs less than
   the command does, so a host that has one may lack what the other needs.
"""

from collections.abc import Sequence
import sys

from cinder_swift_backup.cli import interrupts

_MISSING = '''\
cinder-swift-backup: the Python package {name} is missing. Install \
cinder-swift-backup with its extra "cli", as README.rst shows.'''
# As of a configuration that is wrong: see the exit codes.
_CODE = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    interrupts.end_at_once()
    try:
        from cinder_swift_backup.cli import app  # noqa: PLC0415
    except ModuleNotFoundError as err:
        name = (err.name or '').partition('.')[0]
        if name == __package__.partition('.')[0]:
            raise
        sys.stderr.write(f'{_MISSING.format(name=name)}\n')
        return _CODE
    return app.main(arguments)

# SPDX-License-Identifier: Apache-2.0

"""Starts the program, if what it needs is installed.

The driver needs less than the command does, so a host that has one may lack
what the other needs. Nothing beyond the standard library is loaded here
before that is known.
"""

import sys

_MISSING = '''\
cinder-swift-backup: the Python package {name} is missing. Install \
cinder-swift-backup with its extra "cli", as README.rst shows.'''
# As of a configuration that is wrong: see the exit codes.
_CODE = 4


def main() -> int:
    """Run a command; returns its exit code."""
    try:
        from cinder_swift_backup.cli import app  # noqa: PLC0415
    except ModuleNotFoundError as err:
        name = (err.name or '').partition('.')[0]
        if name == __package__.partition('.')[0]:
            raise
        sys.stderr.write(f'{_MISSING.format(name=name)}\n')
        return _CODE
    return app.main()

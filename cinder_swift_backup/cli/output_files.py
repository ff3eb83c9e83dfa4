# SPDX-License-Identifier: Apache-2.0

"""Commands that write a file for others to read, in one step."""

import argparse
import os
import pathlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors


class FileCommand(commands.AccountCommand):
    """A command that writes a file. If something fails, it stays as it was."""

    codes = (
        (errors.ExitCode.SELECTION, 'no such container'),
        (errors.ExitCode.TARGET, 'the file cannot be written'),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('file', metavar='FILE', type=pathlib.Path,
                            help='the file to write, or - for the standard '
                                 'output')
        return parser

    def write(self, path: pathlib.Path, text: str) -> None:
        """Replace a file, so that nobody ever reads half of it.

        :param path: "-" for the standard output
        :raises VolumeError: when it cannot be written
        """
        if str(path) == '-':
            self.app.stdout.write(text)
            return
        beside = path.parent / f'.{path.name}.{os.getpid()}'
        try:
            try:
                beside.write_text(text, encoding='utf-8')
                beside.replace(path)
            finally:
                beside.unlink(missing_ok=True)
        except OSError as err:
            raise exceptions.VolumeError(
                f'{path} cannot be written ({err.strerror})') from err

# SPDX-License-Identifier: Apache-2.0

"""``restore``: a backup to a file or a block device."""

import argparse
from collections.abc import Iterator
import contextlib
import os
import pathlib
import stat

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.engine import restorer
from cinder_swift_backup.engine.volumes import file

_MOUNTS = pathlib.Path('/proc/self/mountinfo')


class Restore(commands.AccountCommand):
    """Restore a backup to a file or a block device.

    Every block is compared with its digest before it is written. A new file is
    sparse. What is there already is only overwritten with --force.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('backup', metavar='BACKUP',
                            help='its id, or the beginning of it')
        parser.add_argument('target', metavar='TARGET', type=pathlib.Path,
                            help='a file, or a block device')
        parser.add_argument('--force', action='store_true',
                            help='overwrite a file or a device')
        parser.add_argument(
            '--unverified', action='store_true',
            help='restore what cannot be verified, too')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        target = parsed_args.target
        check_target(target, force=parsed_args.force)
        with self.opened(parsed_args) as found:
            with progress_bar.shown(self.app.stderr, 'looking') as observer:
                library, wanted = found.with_ancestors(parsed_args.backup,
                                                       observer)
            if not parsed_args.unverified:
                shelf.usable(library, wanted)
            ref = wanted.found.ref
            chain = found.engine.repository.resolve(
                [link.found.ref for link in library.chain(wanted)])
            size = library.size(wanted) or 0
            with (opened(target) as volume,
                  progress_bar.shown(self.app.stderr, 'restoring') as bar):
                self.left = f'{target} is only partly written.'
                found.engine.restorer.restore(
                    chain, restorer.RestoreTarget(volume, size, size), bar,
                    verify=not parsed_args.unverified)
        self.app.stderr.write(
            f'Backup {ref.backup_id} of volume {ref.volume_id} is restored '
            f'to {target}'
            + ('.\n' if parsed_args.unverified
               else ', and every block is verified.\n'))


def check_target(target: pathlib.Path, *, force: bool) -> None:
    """Refuse to overwrite what may be needed.

    :raises VolumeError: that says what is there
    """
    try:
        found = target.stat()
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise exceptions.VolumeError(
                f'there is no directory {target.parent}') from None
        return
    if stat.S_ISBLK(found.st_mode):
        if (where := _mounted(found.st_rdev)) is not None:
            raise exceptions.VolumeError(
                f'{target} is mounted at {where}: unmount it first')
    elif not stat.S_ISREG(found.st_mode):
        raise exceptions.VolumeError(
            f'{target} is neither a file nor a block device')
    if not force:
        raise exceptions.VolumeError(
            f'{target} exists already: --force overwrites it')


def _mounted(device: int) -> str | None:
    """Where a device is mounted; None if it is not."""
    number = f'{os.major(device)}:{os.minor(device)}'
    for line in _MOUNTS.read_text().splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[4]
    return None


@contextlib.contextmanager
def opened(target: pathlib.Path,
           ) -> Iterator[file.FileVolume | file.DeviceVolume]:
    """The volume to restore to, until the end of a block."""
    is_new = not target.exists()
    try:
        # A device must be nobody else's: its kernel says so.
        flags = os.O_RDWR | os.O_CLOEXEC
        flags |= os.O_CREAT | os.O_EXCL if is_new else (
            os.O_EXCL if target.is_block_device() else os.O_TRUNC)
        fd = os.open(target, flags, 0o600)
    except OSError as err:
        raise exceptions.VolumeError(
            f'{target} cannot be opened ({err.strerror})') from err
    try:
        yield file.open_descriptor(fd)
    finally:
        os.close(fd)

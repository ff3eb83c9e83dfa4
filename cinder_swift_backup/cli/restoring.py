# SPDX-License-Identifier: Apache-2.0

"""``restore``: a backup to a file, a block device or a pipe."""

import argparse
from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import os
import pathlib
import stat
import sys

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import progress_bar
from cinder_swift_backup.cli import shelf
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import restorer
from cinder_swift_backup.engine.volumes import file
from cinder_swift_backup.format import chains

_MOUNTS = pathlib.Path('/proc/self/mountinfo')


class Restore(commands.BackupCommand):
    """Restore a backup to a file, a block device or the standard output.

    Every block is compared with its digest before it is written. A new file is
    sparse. What is there already is only overwritten with --force, or with
    --resume, which goes on where an earlier restore of the same backup ended.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        parser.add_argument('target', metavar='TARGET', type=pathlib.Path,
                            help='a file, a block device, or - for the '
                                 'standard output')
        parser.add_argument(
            '--latest-complete', action='store_true',
            help='BACKUP is the id of a volume, or the beginning of it: '
                 'restore its newest backup that is complete')
        existing = parser.add_mutually_exclusive_group()
        existing.add_argument('--force', action='store_true',
                              help='overwrite a file or a device')
        existing.add_argument(
            '--resume', action='store_true',
            help='overwrite what is not yet as in the backup')
        parser.add_argument(
            '--unverified', action='store_true',
            help='restore what cannot be verified, too')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """See cliff."""
        target = parsed_args.target
        to_pipe = str(target) == '-'
        if not to_pipe:
            check_target(target,
                         force=parsed_args.force or parsed_args.resume)
        with self.opened(parsed_args) as found:
            with progress_bar.shown(self.app.stderr, 'looking') as observer:
                find = (found.latest if parsed_args.latest_complete
                        else found.with_ancestors)
                library, wanted = find(parsed_args.backup, observer)
            if not parsed_args.unverified:
                shelf.usable(library, wanted)
            ref = wanted.found.ref
            chain = found.engine.repository.resolve(
                [link.found.ref for link in library.chain(wanted)])
            with progress_bar.shown(self.app.stderr, 'restoring') as bar:
                if to_pipe:
                    self.left = 'The output is incomplete.'
                    found.engine.streamer.stream(
                        chain, _output(), bar,
                        verify=not parsed_args.unverified)
                else:
                    self._restore(found, chain, library.size(wanted) or 0,
                                  bar, parsed_args)
        self.app.stderr.write(
            f'Backup {ref.backup_id} of volume {ref.volume_id} is restored'
            + ('' if to_pipe else f' to {target}')
            + ('.\n' if parsed_args.unverified
               else ', and every block is verified.\n'))

    def _restore(self, found: shelf.Shelf, chain: chains.Chain, size: int,
                 observer: progress.Observer,
                 arguments: argparse.Namespace) -> None:
        with opened(arguments.target) as volume:
            self.left = (f'{arguments.target} may be partly written. The '
                         f'same command with --resume goes on.')
            found.engine.restorer.restore(
                chain, restorer.RestoreTarget(
                    volume, size, size,
                    volume if arguments.resume else None),
                observer, verify=not arguments.unverified)


def _output() -> Callable[[memoryview], None]:
    """Writes to the standard output, to the last byte."""
    fd = sys.stdout.fileno()

    def write(data: memoryview) -> None:
        try:
            while data:
                data = data[os.write(fd, data):]
        except OSError as err:
            raise exceptions.VolumeError(
                f'the standard output cannot be written ({err.strerror})',
            ) from err
    return write


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
    except OSError as err:
        raise exceptions.VolumeError(
            f'{target} cannot be opened ({err.strerror})') from err
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
    """The volume to restore to, until the end of a block.

    What is there is kept: the restore overwrites all of it, and gives a file
    its length, but only when it is known that the backup can be had.
    """
    is_new = not target.exists()
    try:
        flags = os.O_RDWR | os.O_CLOEXEC
        if is_new:
            flags |= os.O_CREAT | os.O_EXCL
        elif target.is_block_device():
            # It must be nobody else's, says the kernel.
            flags |= os.O_EXCL
        fd = os.open(target, flags, 0o600)
    except OSError as err:
        raise exceptions.VolumeError(
            f'{target} cannot be opened ({err.strerror})') from err
    try:
        yield file.open_descriptor(fd)
    finally:
        if is_new and not os.fstat(fd).st_size:
            target.unlink(missing_ok=True)
        os.close(fd)

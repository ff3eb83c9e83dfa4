# SPDX-License-Identifier: Apache-2.0

"""The file or device that a backup is restored to.

What is wrong with it is said of it, by its name: neither a volume of Cinder
nor the store is to blame.
"""

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib
import stat

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.engine.volumes import descriptor

_MOUNTS = pathlib.Path('/proc/self/mountinfo')
# What ends when there is more room.
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def _blamed(target: pathlib.Path) -> Iterator[None]:
    """Have errors of the volume be those of a target.

    :raises VolumeError: for any, with what the system says
    """
    try:
        yield
    except exceptions.VolumeError as err:
        cause = err.__cause__
        what = err.what.replace('the volume', str(target), 1)
        if isinstance(cause, OSError):
            doing = 'read' if base.READING in err.what else 'written'
            what = f'{target} cannot be {doing} ({cause.strerror})'
            err.remedy = None
            if cause.errno in _FULL:
                what += ': make room there'
        err.what = what
        raise


def check(target: pathlib.Path, *, force: bool) -> bool:
    """Refuse to overwrite what may be needed; returns whether it is new.

    :raises VolumeError: that says what is there
    """
    try:
        status = target.stat()
    except FileNotFoundError:
        if target.is_symlink():
            raise exceptions.VolumeError(
                f'{target} is a link to {target.readlink()}, which does not '
                f'exist') from None
        if not target.parent.is_dir():
            raise exceptions.VolumeError(
                f'there is no directory {target.parent}') from None
        return True
    except OSError as err:
        raise exceptions.VolumeError(
            f'{target} cannot be opened ({err.strerror})') from err
    if stat.S_ISDIR(status.st_mode):
        raise exceptions.VolumeError(
            f'{target} is a directory: name a file in it')
    if stat.S_ISBLK(status.st_mode):
        if (where := _mounted(status.st_rdev)) is not None:
            raise exceptions.VolumeError(
                f'{target} is mounted at {where}: unmount it first')
    elif not stat.S_ISREG(status.st_mode):
        raise exceptions.VolumeError(
            f'{target} is neither a file nor a block device')
    if not force:
        raise exceptions.VolumeError(
            f'{target} exists already: --force overwrites it, --resume '
            'overwrites only what differs from the backup')
    return False


def _mounted(device: int) -> str | None:
    """Where a device is mounted; None if it is not."""
    number = f'{os.major(device)}:{os.minor(device)}'
    for line in _MOUNTS.read_text(
            errors='backslashreplace').splitlines():
        fields = line.split()
        if fields[2] == number:
            return fields[4]
    return None


@contextlib.contextmanager
def source(path: pathlib.Path,
           ) -> Iterator[descriptor.FileVolume | descriptor.DeviceVolume]:
    """A volume to read, until the end of a block.

    :raises VolumeError: when it cannot be opened or read
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as err:
        raise exceptions.VolumeError(
            f'{path} cannot be opened ({err.strerror})') from err
    try:
        with _blamed(path):
            yield descriptor.open_descriptor(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def opened(target: pathlib.Path, *, is_new: bool,
           ) -> Iterator[descriptor.FileVolume | descriptor.DeviceVolume]:
    """The volume to restore to, until the end of a block.

    What is there is kept: the restore overwrites all of it, and gives a file
    its length, but only when it is known that the backup can be had.
    """
    try:
        flags = os.O_RDWR | os.O_CLOEXEC
        if is_new:
            flags |= os.O_CREAT | os.O_EXCL
        elif target.is_block_device():
            # It must be nobody else's, says the kernel.
            flags |= os.O_EXCL
        fd = os.open(target, flags, 0o600)
    except OSError as err:
        doing = 'created' if is_new else 'opened'
        raise exceptions.VolumeError(
            f'{target} cannot be {doing} ({err.strerror})') from err
    try:
        with _blamed(target):
            yield descriptor.open_descriptor(fd)
    except BaseException:
        if is_new and not os.fstat(fd).st_size:
            target.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)

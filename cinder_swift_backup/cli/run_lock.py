# SPDX-License-Identifier: Apache-2.0

"""Keeps runs apart: while one is going on, another ends at once."""

from collections.abc import Iterator
import contextlib
import fcntl
import os
import pathlib

from cinder_swift_backup import exceptions


class Busy(exceptions.BackupError):
    """Another run is going on."""


def default() -> pathlib.Path:
    """A file that all runs of this user on this host have in common.

    Not in a directory for temporary files: services have their own.

    :raises ConfigurationError: when the user has no home directory
    """
    try:
        home = pathlib.Path.home()
    except RuntimeError as err:
        raise exceptions.ConfigurationError(
            'you have no home directory for the lock: name a file with '
            '--lock') from err
    return home / '.cinder-swift-backup-run.lock'


@contextlib.contextmanager
def held(path: pathlib.Path) -> Iterator[None]:
    """Keep others out until the end of a block, whatever ends it.

    :raises Busy: when another process does so
    :raises VolumeError: when the file cannot be opened
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                     | os.O_NOFOLLOW, 0o600)
    except OSError as err:
        raise exceptions.VolumeError(
            f'the lock {path} cannot be opened ({err.strerror})') from err
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise Busy(f'another run holds the lock {path}') from err
        yield
    finally:
        # The lock ends with it; the file stays, for others may have it open.
        os.close(fd)

# SPDX-License-Identifier: Apache-2.0

"""Disks that are full."""

from collections.abc import Iterator
import contextlib
import pathlib
import resource
import subprocess

import fixtures
import testtools


class SmallFileSystem(fixtures.Fixture):
    """A file system of its own; skips the test loudly where there is none.

    :param size: in bytes
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def _setUp(self) -> None:
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        done = subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', f'size={self._size}', 'tmpfs',
             self.path], capture_output=True, text=True, check=False)
        if done.returncode:
            raise testtools.TestCase.skipException(
                f'SKIPPED FOR WANT OF MOUNTS: {done.stderr.strip()}')
        self.addCleanup(subprocess.run, ['umount', self.path], check=True)

    @property
    def _filler(self) -> pathlib.Path:
        return self.path / 'filler'

    def fill(self) -> None:
        """Leave no room."""
        with (contextlib.suppress(OSError),
              open(self._filler, 'wb', buffering=0) as file):
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        """Have room again."""
        self._filler.unlink()


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size, as on a full disk.

    The kernel refuses it with an error of its own (EFBIG).
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

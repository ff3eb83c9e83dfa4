# SPDX-License-Identifier: Apache-2.0

"""A block device, for the machines where tests may make one."""

import os
import pathlib
import subprocess

import fixtures
import testtools


class LoopDevice(fixtures.Fixture):
    """A loop device; skips the test loudly where there can be none.

    :param size: in bytes, a multiple of 512
    :param byte: what it is full of; zeros take up nothing on the disk
    """

    def __init__(self, size: int, byte: int) -> None:
        super().__init__()
        self._size = size
        self._byte = byte

    def _setUp(self) -> None:
        if os.getuid():
            raise testtools.TestCase.skipException(
                'SKIPPED FOR WANT OF ROOT: run the tests as root to have '
                'block devices tested.')
        # Tests of more than one process may be looking for a free one.
        backing = self.useFixture(fixtures.TempDir())
        self._file = pathlib.Path(backing.path, 'device')
        self._file.write_bytes(bytes([self._byte]) * self._size
                               if self._byte else b'')
        os.truncate(self._file, self._size)
        made = subprocess.run(
            ['losetup', '--find', '--show', str(self._file)],
            capture_output=True, text=True, check=False)
        if made.returncode:
            raise testtools.TestCase.skipException(
                f'SKIPPED FOR WANT OF LOOP DEVICES: {made.stderr.strip()} '
                f'Run "modprobe loop", or the container with the devices.')
        self.path = made.stdout.strip()
        self.addCleanup(subprocess.run, ['losetup', '--detach', self.path],
                        check=True)

    def content(self) -> bytes:
        """All that is on the device."""
        return pathlib.Path(self.path).read_bytes()

    def write(self, data: bytes | bytearray) -> None:
        """Replace what is on the device, from its start."""
        pathlib.Path(self.path).write_bytes(data)

    def used(self) -> int:
        """How many bytes it takes up on the disk."""
        subprocess.run(['sync', str(self._file)], check=True)
        return self._file.stat().st_blocks * 512

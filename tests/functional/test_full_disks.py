# SPDX-License-Identifier: Apache-2.0

"""Disks that are full: under the volume restored to, and under the spool.

1. A small file system that is filled, where the test may mount one.
2. Else, and besides, the largest size of a file is limited.
"""

import contextlib
import random

from cinder import exception as cinder_exception

from tests.fakes import file_systems
from tests.functional import cinder_side
from tests.functional import command
from tests.functional import handles
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import MIB
from tests.functional.cinder_side import OURS

_NOISE = random.Random(4).randbytes(8 * CHUNK)
_BLOCK = 512
# Beyond what is kept in memory of the digests of so small blocks.
_HOLE = 132 * MIB


class TargetTestCase(cinder_side.CinderSideTestCase):
    """Restores."""

    def setUp(self):
        super().setUp()
        volume, path = self.make_volume(_NOISE)
        self.backup = self.back_up(OURS, volume, path)

    def check(self, path, text):
        """Restore to a file that has too little room."""
        volume, _ = self.make_volume(b'')
        with open(path, 'wb') as handle:
            error = self.assertRaises(
                cinder_exception.InvalidVolume, self.restore_to, OURS,
                self.backup, volume, handle, True)
        self.assertRegex(
            str(error)[:255],
            rf': the volume failed while being \w+ \(\[Errno \d+\] {text}\)\. '
            r'Look for the cause on the host and in the storage, then try '
            r'again\. \[')

    def test_full(self):
        small = self.useFixture(file_systems.SmallFileSystem(2 * CHUNK))
        self.check(small.path / 'volume', 'No space left on device')
        self.assert_content(self.restore_new(OURS, self.backup), _NOISE)

    def test_limited(self):
        with file_systems.largest_file(4 * CHUNK):
            self.check(self.directory / 'target', 'File too large')
        self.assert_content(self.restore_new(OURS, self.backup), _NOISE)

    def _command(self, target, text):
        """Restore with the command, with too little room and with enough."""
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        where = ('restore', self.backup.id, target, '--container',
                 self.container)
        done = program.run(*where, code=8)
        last = done.stderr.splitlines()[-1]
        self.assertTrue(last.startswith(
            f'{target} cannot be written ({text}'), done.stderr)
        for word in ('storage', self.container):
            self.assertNotIn(word, last)
        return lambda: program.run(*where, '--resume')

    def test_command_full(self):
        small = self.useFixture(file_systems.SmallFileSystem(8 * CHUNK))
        with open(small.path / 'other', 'wb') as file:
            file.write(bytes(4 * CHUNK))
        resume = self._command(small.path / 'volume',
                               'No space left on device): make room there')
        (small.path / 'other').unlink()
        resume()
        self.assert_content(small.path / 'volume', _NOISE)

    def test_command_limited(self):
        target = self.directory / 'target'
        with file_systems.largest_file(4 * CHUNK):
            resume = self._command(target, 'File too large')
        resume()
        self.assert_content(target, _NOISE)


class FillingHandle(handles.Handle):
    """A volume whose data is not read before the disk is full."""

    def __init__(self, file, fill):
        super().__init__(file)
        self._fill = fill

    def read(self, length):
        if self.tell() >= _HOLE:
            self._fill()
        return super().read(length)


class SpoolTestCase(cinder_side.CinderSideTestCase):
    """The directory for temporary files."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_block_size=_BLOCK)
        self.volume, self.path = self.make_volume(b'')
        with open(self.path, 'r+b') as file:
            file.seek(_HOLE)
            file.write(_NOISE[:2 * CHUNK])

    def use(self, directory):
        """Have the driver keep digests in a directory."""
        self.configure(backup_swift_spool_directory=str(directory))

    def assert_told(self, text, function, *arguments):
        """It fails, and says why, and what to do."""
        error = self.assertRaises(cinder_exception.BackupDriverException,
                                  function, *arguments)
        self.assertIn(
            f': a temporary file cannot be written or read ({text}). Free '
            'space in backup_swift_spool_directory, or set it to another '
            'directory. [',
            str(error)[:255])

    def fail_to_back_up(self, text, fill):
        """A backup during which the disk becomes full."""
        with open(self.path, 'rb') as file:
            self.assert_told(
                text, OURS(self.context).backup,
                self.make_backup(self.volume), FillingHandle(file, fill),
                True)
        self.assertEqual([], self.object_names(self.container))

    def check_next(self):
        """The next backup works, and can be restored; returns it."""
        backup = self.back_up(OURS, self.volume, self.path)
        self.assert_restored(self.restore_new(OURS, backup))
        return backup

    def assert_restored(self, path):
        with open(path, 'rb') as file:
            file.seek(_HOLE)
            self.assertTrue(file.read() == _NOISE[:2 * CHUNK])

    def test_full(self):
        small = self.useFixture(file_systems.SmallFileSystem(MIB))
        self.use(small.path)
        self.fail_to_back_up('No space left on device', small.fill)
        small.empty()
        backup = self.check_next()
        small.fill()
        self.assert_told('No space left on device', self.restore_new, OURS,
                         backup)
        small.empty()
        self.assert_restored(self.restore_new(OURS, backup))

    def test_limited(self):
        self.use(self.directory)
        with contextlib.ExitStack() as limits:
            self.fail_to_back_up('File too large', lambda: (
                limits.enter_context(file_systems.largest_file(4 * MIB))))
        self.check_next()

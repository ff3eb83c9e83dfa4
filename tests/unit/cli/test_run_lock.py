# SPDX-License-Identifier: Apache-2.0

"""Runs that do not meet."""

import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import run_lock

_HOLD = '''
import pathlib, sys
from cinder_swift_backup.cli import run_lock
with run_lock.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
'''


class LockTest(base.BaseTestCase):
    """One at a time, also if the first one is killed."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.directory / 'lock'

    def test_another_process(self):
        with subprocess.Popen([sys.executable, '-c', _HOLD, self.path],
                              stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as other:
            self.addCleanup(other.kill)
            self.assertEqual(b'held\n', other.stdout.readline())
            err = self.assertRaises(
                run_lock.Busy, run_lock.held(self.path).__enter__)
            self.assertIn(str(self.path), str(err))
            other.kill()
        with run_lock.held(self.path):
            pass

    def test_one_after_the_other(self):
        for _ in range(2):
            with run_lock.held(self.path):
                self.assertRaises(run_lock.Busy,
                                  run_lock.held(self.path).__enter__)
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)

    def test_a_file_that_cannot_be_opened(self):
        self.path.symlink_to(self.directory / 'elsewhere')
        for path in (self.path, self.directory / 'none' / 'lock'):
            self.assertRaises(exceptions.VolumeError,
                              run_lock.held(path).__enter__)
        self.assertEqual([self.path], list(self.directory.iterdir()))

    def test_where_it_is(self):
        paths = set()
        for more in ({}, {'XDG_RUNTIME_DIR': '/run/user/7'},
                     {'TMPDIR': '/elsewhere'}):
            with mock.patch.dict(os.environ, HOME='/home/backup', **more):
                paths.add(run_lock.default())
        (path,) = paths
        self.assertEqual('/home/backup', str(path.parent))

    def test_no_home(self):
        with mock.patch.object(pathlib.Path, 'home',
                               side_effect=RuntimeError):
            self.assertRaises(exceptions.ConfigurationError, run_lock.default)

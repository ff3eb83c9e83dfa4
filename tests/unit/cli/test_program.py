# SPDX-License-Identifier: Apache-2.0

"""The program, as it is started."""

import subprocess
import sys
from unittest import mock

from oslotest import base

from cinder_swift_backup.cli import app
from cinder_swift_backup.cli import interrupts
from cinder_swift_backup.cli import program


class ProgramTest(base.BaseTestCase):
    """It runs, or says what it needs."""

    def test_all_there(self):
        with (mock.patch.object(app, 'main', return_value=7),
              mock.patch.object(interrupts, 'end_at_once')):
            self.assertEqual(7, program.main())

    def _without(self, module):
        text = (f'import sys; sys.modules[{module!r}] = None; '
                f'from cinder_swift_backup.cli import program; '
                f'sys.exit(program.main())')
        return subprocess.run([sys.executable, '-c', text], text=True,
                              capture_output=True, check=False)

    def test_missing(self):
        for module in ('openstack', 'cliff', 'rich'):
            done = self._without(module)
            self.assertEqual(4, done.returncode)
            self.assertEqual(1, done.stderr.count('\n'), done.stderr)
            self.assertIn(f'package {module} is missing', done.stderr)

    def test_fault_of_our_own(self):
        module = 'cinder_swift_backup.cli.app'
        done = self._without(module)
        self.assertIn('Traceback', done.stderr)
        self.assertEqual(1, done.returncode)

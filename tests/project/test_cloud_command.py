# SPDX-License-Identifier: Apache-2.0

"""The cloud as a command leaves neither files nor processes behind."""

import itertools
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from oslotest import base

from tests.cloud import processes

ROOT = pathlib.Path(__file__).parents[2]
_MARK = 'CSB_TEST_MARK'


class CloudCommandTestCase(base.BaseTestCase):
    """``python -m tests.cloud run``."""

    def check(self, command, status):
        directory = pathlib.Path(tempfile.mkdtemp())
        done = subprocess.run(
            [sys.executable, '-m', 'tests.cloud', 'run', '--',
             'sh', '-c', command],
            cwd=ROOT, env=_environment(directory), check=False)
        self.assertEqual(status, done.returncode)
        self.assertEqual([], list(directory.iterdir()))
        self.assertEqual([], _processes_of(directory))

    def test_leaves_nothing(self):
        # While it is up there is something to leave.
        self.check('test -n "$(ls "$TMPDIR")" && test -f "$CSB_CLOUD"', 0)

    def test_leaves_nothing_when_the_command_fails(self):
        self.check('exit 7', 7)


class InterruptTestCase(base.BaseTestCase):
    """Ctrl-C, at the end that was asked for and before it.

    What ``demo --keep`` waits for at its end is the same as what ``up`` does.
    """

    def interrupt(self, line, *arguments):
        """Interrupt the command behind a line; returns its exit status."""
        directory = pathlib.Path(tempfile.mkdtemp())
        process = subprocess.Popen(
            [sys.executable, '-m', 'tests.cloud', *arguments], cwd=ROOT,
            env=_environment(directory), text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=processes.take_interrupts)  # noqa: PLW1509
        self.addCleanup(process.kill)
        with process.stdout as output:
            before = list(itertools.takewhile(
                lambda each: not each.startswith(line), output))
            self.assertIsNone(process.poll(), ''.join(before))
            # As a terminal does: all that runs in front.
            os.killpg(process.pid, signal.SIGINT)
            behind = output.read()
        status = process.wait()
        self.assertNotIn('Traceback', behind)
        self.assertEqual([], list(directory.iterdir()))
        self.assertEqual([], _processes_of(directory))
        return status

    def test_cloud_that_is_up(self):
        self.assertEqual(0, self.interrupt('Ctrl-C stops the cloud', 'up'))

    def test_demo(self):
        # What it shows was not shown.
        self.assertEqual(130, self.interrupt('$ cinder backup-create', 'demo'))


def _environment(directory):
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith('CSB_')}
    return {**kept, 'TMPDIR': str(directory), _MARK: str(directory)}


def _processes_of(directory):
    """The ids of all processes that inherited our mark."""
    mark = f'{_MARK}={directory}'.encode()
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/environ'):
        try:
            variables = path.read_bytes().split(b'\0')
        except OSError:
            # Ended meanwhile, or somebody else's.
            continue
        if mark in variables:
            found.append(path.parent.name)
    return found

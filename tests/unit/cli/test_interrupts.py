# SPDX-License-Identifier: Apache-2.0

"""Ctrl-C, wherever the program is.

Each test has the program say where it is, by what it loads or runs, and
interrupts it there.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap

from oslotest import base

import cinder_swift_backup
from tests.cloud import processes

_ROOT = pathlib.Path(cinder_swift_backup.__file__).parents[1]
_MAIN = ('import sys; from cinder_swift_backup.cli import program; '
         'sys.exit(program.main(["list"]))')
_WAIT = '''
import sys, time
print("here", flush=True)
time.sleep(60)
'''
# A command in the place of "list", with what it does for a body.
_COMMAND = '''
import signal, sys, time
from cinder_swift_backup.cli import app, commands, program

class List(commands.OurCommand):
    def take_action(self, parsed_args):
{}

app._COMMANDS['list'] = List
code = program.main(['list'])
{}
sys.exit(code)
'''


class InterruptTest(base.BaseTestCase):
    """One line, and exit code 130."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))

    def _run(self, code, prepare=processes.take_interrupts):
        """What is left of a program that is interrupted when it says so."""
        process = subprocess.Popen(
            [sys.executable, '-W', 'ignore', '-c', code], text=True,
            preexec_fn=prepare,  # noqa: PLW1509
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={
                **os.environ,
                'PYTHONPATH': f'{self.directory}{os.pathsep}{_ROOT}'})
        self.addCleanup(process.kill)
        with process.stdout, process.stderr:
            self.assertEqual('here\n', process.stdout.readline())
            process.send_signal(signal.SIGINT)
            return process.stderr.read(), process.wait()

    def _body(self, text):
        return textwrap.indent(textwrap.dedent(text), ' ' * 8)

    def test_while_modules_are_loaded(self):
        # Whatever of these comes first, and the last of them.
        for name in ('cliff', 'openstack', 'rich'):
            path = self.directory / f'{name}.py'
            path.write_text(_WAIT)
            self.assertEqual(('Interrupted. Nothing was changed.\n', 130),
                             self._run(_MAIN), name)
            path.unlink()

    def test_while_a_command_runs(self):
        for more, text in (
                ('pass', 'Nothing was changed.'),
                ('self.left = "Half of it is done."', 'Half of it is done.')):
            found = self._run(_COMMAND.format(
                self._body(f'{more}\n{_WAIT}'), ''))
            self.assertEqual((f'Interrupted. {text}\n', 130), found)

    def test_a_command_cleans_up(self):
        err, code = self._run(_COMMAND.format(self._body('''
            try:
                print("here", flush=True)
                time.sleep(60)
            finally:
                print("cleaned up", file=sys.stderr)
            '''), ''))
        self.assertEqual('cleaned up\nInterrupted. Nothing was changed.\n',
                         err)
        self.assertEqual(130, code)

    def test_when_it_has_ended(self):
        err, code = self._run(_COMMAND.format(
            self._body('self.say("Done.")'), '''
print("here", flush=True)
# It is ignored, or would end this.
time.sleep(0.5)
'''))
        self.assertEqual(('Done.\n', 0), (err, code))

    def test_in_the_background_of_a_shell(self):
        err, code = self._run(_COMMAND.format(
            self._body('''
            print("here", flush=True)
            time.sleep(0.5)
            self.say("Done.")
            '''), ''), lambda: signal.signal(signal.SIGINT, signal.SIG_IGN))
        self.assertEqual(('Done.\n', 0), (err, code))

# SPDX-License-Identifier: Apache-2.0

"""The command, run as from a shell."""

import json
import pathlib
import signal
import subprocess
import tempfile

from tests.cloud import errors
from tests.cloud import processes

NAME = 'cinder-swift-backup'
# Seconds after which a program counts as stuck: more than the patience with
# Swift and Keystone that it has by default.
_PATIENCE = 400


class Command:
    """Runs the installed program with a user's login."""

    def __init__(self, test, login):
        """Prepare.

        :param login: environment variables
        """
        self._test = test
        self._environment = processes.environment(login)
        self._program = processes.find_command(NAME, NAME)

    def start(self, *arguments):
        """Start it, with a pipe for its output and one for its errors."""
        process = subprocess.Popen(
            [self._program, *map(str, arguments)], env=self._environment,
            preexec_fn=processes.take_interrupts,  # noqa: PLW1509
            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._test.addCleanup(process.stdout.close)
        self._test.addCleanup(process.stderr.close)
        self._test.addCleanup(process.kill)
        return process

    def run(self, *arguments, code=0):
        """Run it; returns its outputs.

        :param code: the exit code that is expected
        """
        command = [self._program, *map(str, arguments)]
        with subprocess.Popen(
                command, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, env=self._environment | {
                    'PYTHONFAULTHANDLER': '1'}) as process:
            try:
                out, err = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                # It says where it is then.
                process.send_signal(signal.SIGABRT)
                out, err = process.communicate()
        self._test.assertEqual(code, process.returncode, f'{out}\n{err}')
        return subprocess.CompletedProcess(command, code, out, err)

    def shell(self, text, login):
        """Run a shell that finds all programs; returns its outputs.

        :param login: environment variables; they win over those of the program
        """
        scripts = pathlib.Path(self._program).parent
        done = subprocess.run(
            ['sh', '-ec', text], capture_output=True, text=True, timeout=300,
            check=False, env={
                **self._environment, **login,
                'PATH': f'{scripts}:{self._environment["PATH"]}'})
        self._test.assertEqual(0, done.returncode,
                               f'{done.stdout}\n{done.stderr}')
        return done

    def openstack(self, *words):
        """What a command of "openstack" prints, as values.

        The test is skipped where that client is not installed.
        """
        try:
            program = processes.find_command('openstack',
                                             'python-openstackclient')
        except errors.CommandMissing as err:
            self._test.skipTest(str(err))
        done = subprocess.run(
            [program, *words, '-f', 'json'], env=self._environment,
            capture_output=True, text=True, timeout=120, check=False)
        self._test.assertEqual(0, done.returncode, done.stderr)
        return json.loads(done.stdout)

    def json(self, *arguments, code=0):
        """The output as values."""
        return json.loads(self.run(*arguments, '-f', 'json', code=code).stdout)

    def restored(self, backup_id, *options):
        """The path of a new file that a backup was restored to."""
        directory = tempfile.TemporaryDirectory()
        self._test.addCleanup(directory.cleanup)
        path = pathlib.Path(directory.name) / 'volume'
        self.run('restore', backup_id, path, *options)
        return path

# SPDX-License-Identifier: Apache-2.0

"""``check-config``, as far as Cinder is not needed for it."""

import json
import sys
import types
from unittest import mock

from cinder_swift_backup import exceptions
from tests.unit.cli import base

_NAME = 'cinder_swift_backup.driver'


class CheckConfigTest(base.CommandTestCase):
    """What the driver says is printed, and decides on the exit code."""

    def _answers(self, *answers):
        self.asked = []

        def check(sources):
            self.asked.append(sources)
            return [types.SimpleNamespace(
                subject=subject, text=text, problem=problem, error=error)
                for subject, text, problem, error in answers]
        self._driver_is(types.SimpleNamespace(
            config_report=types.SimpleNamespace(check=check)))

    def _driver_is(self, module):
        self.enterContext(mock.patch.dict(sys.modules, {_NAME: module}))

    def test_all_is_well(self):
        self._answers(('Objects', 'of 1 byte', '', None))
        answer = self.run_command('check-config', '-f', 'json')
        self.assertEqual((0, 'OK\n'), (answer.code, answer.err))
        self.assertEqual(
            [{'Subject': 'Objects', 'Value': 'of 1 byte', 'Problem': ''}],
            json.loads(answer.out))
        # What Cinder finds.
        self.assertEqual([[]], self.asked)

    def test_problems(self):
        fine = ('Objects', 'of 1 byte', '', None)
        wrong = ('Driver', 'x', 'Set another.', None)
        down = ('Cluster', '', 'It is down.',
                exceptions.StoreUnavailable('it is down'))
        for error in (exceptions.SpoolError('no'),
                      exceptions.ContainerNotFound('no'),
                      exceptions.AccessDenied('no'),
                      exceptions.FormatError('no'),
                      exceptions.ConfigurationError('no')):
            self._ends(4, 'NOT OK: 1 problem', fine, ('S', '', 'No.', error))
        self._ends(4, 'NOT OK: 1 problem', wrong, fine)
        self._ends(5, 'NOT OK: 1 problem', fine, down)
        for answers in ((wrong, down, fine), (down, wrong)):
            self._ends(4, 'NOT OK: 2 problems', *answers)

    def _ends(self, code, verdict, *answers):
        self._answers(*answers)
        for how in ((), ('-f', 'json')):
            answer = self.run_command('check-config', *how)
            self.assertEqual((code, f'{verdict}\n'),
                             (answer.code, answer.err))
        self.assertEqual(len(answers), len(json.loads(answer.out)))

    def test_sources_in_their_order(self):
        self._answers(('Objects', 'of 1 byte', '', None))
        self.assertEqual(0, self.run_command(
            'check-config', '--config-file', '/a.conf', '--config-dir=/b.d',
            '--config-file', 'c d.conf', '--config-dir', '/e.d').code)
        self.assertEqual(
            [['--config-file=/a.conf', '--config-dir=/b.d',
              '--config-file=c d.conf', '--config-dir=/e.d']], self.asked)

    def test_without_cinder(self):
        self._driver_is(None)
        answer = self.run_command('check-config')
        self.assertEqual(4, answer.code)
        self.assertIn('needs Cinder', answer.err)
        self.assertEqual(1, answer.err.count('\n'))

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
            checkup=types.SimpleNamespace(check=check)))

    def _driver_is(self, module):
        self.enterContext(mock.patch.dict(sys.modules, {_NAME: module}))

    def test_all_is_well(self):
        self._answers(('Objects', 'of 1 byte', '', None))
        answer = self.run_command('check-config', '-f', 'json')
        self.assertEqual((0, ''), (answer.code, answer.err))
        self.assertEqual(
            [{'Subject': 'Objects', 'Value': 'of 1 byte', 'Problem': ''}],
            json.loads(answer.out))
        # What Cinder finds.
        self.assertEqual([[]], self.asked)

    def test_problems(self):
        self._answers(('Driver', 'x', 'Set another.', None))
        self.assertEqual(4, self.run_command('check-config').code)
        self._answers(('Cluster', '', 'It is down.',
                       exceptions.StoreUnavailable('it is down')))
        self.assertEqual(5, self.run_command('check-config').code)

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

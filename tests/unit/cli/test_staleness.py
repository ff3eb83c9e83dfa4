# SPDX-License-Identifier: Apache-2.0

"""``list --stale-after``."""

import contextlib
import datetime
import io
import json
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.format import naming
from tests.unit.cli import base

# When the second backup was begun, and when the test looks.
_SECOND = datetime.datetime(2026, 8, 1, 12, 0, 2, tzinfo=datetime.UTC)
_NOW = _SECOND + datetime.timedelta(hours=36)


class StaleTest(base.CommandTestCase):
    """A volume with two backups, the newer one of 36 hours ago."""

    def setUp(self):
        super().setUp()
        self.volumes = self.enterContext(mock.patch.object(
            cinder_api, 'volumes', return_value=None))
        self.enterContext(mock.patch.object(
            self.store, 'now', return_value=_NOW, create=True))

    def stale(self, age, *options, code=errors.ExitCode.DAMAGED):
        """The rows of the stale volumes, by their ids."""
        answer = self.run_command('list', '--stale-after', age, *options,
                                  '-f', 'json')
        self.assertEqual(code, answer.code, answer.err)
        self.said = answer.err
        return {row['Volume']: row for row in json.loads(answer.out)}

    def _have_volumes(self, *volumes):
        self.volumes.return_value = {
            id_: cinder_api.Volume(
                id_, f'name of {id_}', 'available', 'the-project',
                _NOW - datetime.timedelta(hours=hours), {})
            for id_, hours in volumes}

    def test_by_swift(self):
        self.assertEqual({}, self.stale('36h', code=0))
        self.assertIn('1 volume in Swift: each has a complete backup from the '
                      'last 36h', self.said)
        self.assertEqual(
            {'vol-1': {'Volume': 'vol-1', 'Age': 36 * 3600, 'Backups': 2,
                       'Newest complete': '2026-08-01T12:00:02Z',
                       'Volume name': '', 'Project': ''}},
            self.stale('35h'))
        self.assertIn('1 volume in Swift, 1 of them without a complete backup '
                      'from the last 35h', self.said)

    def test_the_newest_has_to_be_complete(self):
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(2).prefix))
        row = self.stale('36h')['vol-1']
        self.assertEqual((36 * 3600 + 1, 2), (row['Age'], row['Backups']))
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(1).prefix))
        row = self.stale('99w')['vol-1']
        self.assertEqual((None, None), (row['Age'], row['Newest complete']))

    def test_by_cinder(self):
        self._have_volumes(('vol-1', 999), ('old', 50), ('new', 30))
        found = self.stale('48h')
        # What was made after that needs no backup yet.
        self.assertEqual(['old'], list(found))
        self.assertEqual(('name of old', 'the-project', 0, None), tuple(
            found['old'][name] for name in ('Volume name', 'Project',
                                            'Backups', 'Age')))
        self.assertEqual(['vol-1', 'new', 'old'], list(self.stale('12h')))
        self.assertIn('3 volumes in Cinder, 3 of them', self.said)
        self.assertEqual(['old'], list(self.stale('12h', '--volume', 'ol')))

    def test_a_volume_that_is_gone(self):
        self._have_volumes(('new', 1))
        self.assertEqual({}, self.stale('2h', code=0))
        self.assertIn('to this login: 1 volume with', self.said)

    def test_a_cinder_that_does_not_answer(self):
        self.volumes.side_effect = exceptions.ConfigurationError('no route')
        answer = self.run_command('list', '--stale-after', '36h')
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)

    def test_on_a_terminal(self):
        for width in ('200', '80'):
            answer = self.run_command('list', '--stale-after', '1h',
                                      '--max-width', width)
            self.assertIn('1 d 12 h', answer.out)
            self.assertIn('vol-1', answer.out)

    def test_not_an_age(self):
        with contextlib.redirect_stderr(io.StringIO()) as told:
            self.run_command('list', '--stale-after', '36')
        self.assertIn("'36' is not an age", told.getvalue())

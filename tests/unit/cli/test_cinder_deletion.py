# SPDX-License-Identifier: Apache-2.0

"""How Cinder deletes a backup, as far as a mock can show it."""

import argparse
from unittest import mock

from keystoneauth1 import exceptions as ksa_exceptions
import openstack.exceptions
from oslotest import base

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_deletion

_GONE = openstack.exceptions.NotFoundException()


def _in(status, why=None):
    return mock.Mock(status=status, fail_reason=why)


class DeleterTest(base.BaseTestCase):
    """It is gone, or why it is not."""

    def setUp(self):
        super().setUp()
        self.api = self.enterContext(mock.patch.object(
            cinder_api, 'connect')).return_value
        self.pauses = []
        self.deleter = cinder_deletion.Deleter(
            argparse.Namespace(), {}, 1, sleep=self.pauses.append)

    def _refused(self):
        return str(self.assertRaises(cinder_api.CinderError,
                                     self.deleter.delete, 'bak-1'))

    def test_until_it_is_gone(self):
        self.api.get_backup.side_effect = [
            *[_in('deleting')] * 20, _GONE]
        self.deleter.delete('bak-1')
        self.api.delete_backup.assert_called_once_with('bak-1')
        self.assertEqual(20, len(self.pauses))
        self.assertEqual((0.5, 5), (self.pauses[0], self.pauses[-1]))

    def test_one_that_is_gone_already(self):
        # openstacksdk says nothing of it.
        self.api.get_backup.side_effect = _GONE
        self.deleter.delete('bak-1')
        self.assertEqual([], self.pauses)

    def test_one_that_fails(self):
        self.api.get_backup.side_effect = [
            _in('deleting'), _in('error_deleting', 'Swift is away')]
        text = self._refused()
        self.assertIn("'error_deleting'", text)
        self.assertIn('Swift is away', text)
        self.assertIn('bak-1', text)

    def test_one_that_is_refused(self):
        self.api.delete_backup.side_effect = (
            openstack.exceptions.BadRequestException(
                details='Incremental backups exist for this backup.'))
        self.assertIn('Incremental backups exist', self._refused())
        self.assertEqual([], self.api.get_backup.mock_calls)

    def test_a_cinder_that_goes_away(self):
        away = ksa_exceptions.ConnectFailure('no route')
        self.api.get_backup.side_effect = away
        self.assertIn('no route', self._refused())
        self.assertGreater(len(self.pauses), 10)
        self.api.get_backup.side_effect = [away, _in('deleting'), away, _GONE]
        self.deleter.delete('bak-1')

    def test_a_host_that_does_not_come_back(self):
        self.api.get_backup.return_value = _in('deleting')
        self.assertIn('within 2 hours', self._refused())
        self.assertGreater(sum(self.pauses), 3600)

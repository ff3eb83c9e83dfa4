# SPDX-License-Identifier: Apache-2.0

"""How Cinder makes backups, as far as a mock can show it."""

import argparse
import collections
import datetime
from unittest import mock

from keystoneauth1 import exceptions as ksa_exceptions
import openstack.exceptions
from oslotest import base

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_jobs

_REFUSAL = openstack.exceptions.BadRequestException(
    details='No backups available to do an incremental backup.',
    http_status=400)


class _Cinder:
    """Backups whose states are scripted, by the ids of their volumes.

    Each attempt has a list of states, of which the last one stays.
    """

    def __init__(self, scripts):
        self.scripts = {volume: collections.deque(attempts)
                        for volume, attempts in scripts.items()}
        self.states = {}
        self.asked = []
        self.deleted = []
        self.made = []
        self.running = self.most = 0

    def post(self, path, json):
        assert path == '/backups'
        backup = json['backup']
        self.asked.append(backup)
        script = self.scripts[backup['volume_id']].popleft()
        if isinstance(script, Exception):
            raise script
        id_ = f'backup-{len(self.asked)}'
        self.states[id_] = collections.deque(script)
        self.running += 1
        self.most = max(self.most, self.running)
        return mock.Mock(status_code=202,
                         json=lambda: {'backup': {'id': id_}})

    def get_backup(self, id_):
        if id_ in self.deleted:
            raise openstack.exceptions.NotFoundException
        states = self.states[id_]
        state = states.popleft() if len(states) > 1 else states[0]
        if isinstance(state, Exception):
            raise state
        if state != 'creating':
            self.running -= 1
        return mock.Mock(status=state, fail_reason=(
            'Swift is away' if state == 'error' else None))

    def delete_backup(self, id_):
        self.deleted.append(id_)

    def create_snapshot(self, **attributes):
        self.made.append(attributes)
        return mock.Mock(id=f'snapshot-{len(self.made)}')

    def get_snapshot(self, id_):
        return mock.Mock(status='available', spec=['status'])

    def delete_snapshot(self, id_):
        self.deleted.append(id_)

    def snapshots(self, volume_id):
        made = [mock.Mock(id='old', status='available'),
                mock.Mock(id='read', status='backing-up'),
                mock.Mock(id='mine', status='available')]
        made[0].name = made[1].name = 'cinder-swift-backup: last night'
        made[2].name = 'before the upgrade'
        return made


class JobsTest(base.BaseTestCase):
    """Some at a time, each once more if it fails."""

    def setUp(self):
        super().setUp()
        self.now = 0.0

    def _sleep(self, seconds):
        self.now += seconds

    def make(self, scripts, at_once=2, longest=1, **options):
        """What is made, by the ids of the volumes."""
        self.cinder = _Cinder(scripts)
        with mock.patch.object(cinder_api, 'connect',
                               return_value=self.cinder):
            jobs = cinder_jobs.Jobs(
                argparse.Namespace(), {}, 1, at_once=at_once,
                longest=datetime.timedelta(hours=longest), sleep=self._sleep,
                clock=lambda: self.now)
        found = list(jobs.make(
            cinder_jobs.Wanted(volume, 'tonight', **options)
            for volume in scripts))
        self.assertEqual(len(scripts), len(found))
        return {made.wanted.volume_id: made for made in found}

    def test_some_at_a_time(self):
        scripts = {f'volume-{number}': [['creating'] * (number % 3 + 1)
                                        + ['available']]
                   for number in range(7)}
        for at_once in (1, 2, 5):
            made = self.make(scripts, at_once)
            self.assertEqual({''}, {each.why for each in made.values()})
            self.assertEqual(at_once, self.cinder.most)
            self.assertEqual([], self.cinder.deleted)
            self.assertEqual(7, len(self.cinder.asked))

    def test_how(self):
        made = self.make({'a': [['creating', 'available']]}, incremental=True,
                         force=True)
        self.assertEqual(
            [{'volume_id': 'a', 'name': 'tonight', 'incremental': True,
              'force': True}], self.cinder.asked)
        self.assertEqual(('backup-1', 1, datetime.timedelta(seconds=3)), (
            made['a'].backup_id, made['a'].attempts, made['a'].took))

    def test_once_more(self):
        made = self.make({'a': [['creating', 'error'], ['available']],
                          'b': [['available']]})
        self.assertEqual(('', 2, 'backup-3'), (
            made['a'].why, made['a'].attempts, made['a'].backup_id))
        self.assertEqual(['backup-1'], self.cinder.deleted)

    def test_twice_in_vain(self):
        made = self.make({'a': [['error'], ['creating', 'error']]})
        self.assertEqual('Cinder reports status error: Swift is away',
                         made['a'].why)
        # Nothing of them counts for the quota.
        self.assertEqual(['backup-1', 'backup-2'], self.cinder.deleted)
        self.assertEqual('backup-2', made['a'].backup_id)

    def test_one_that_is_refused(self):
        made = self.make({'a': [_REFUSAL, _REFUSAL]})
        self.assertIn('No backups available', made['a'].why)
        self.assertEqual(('', [], 2), (
            made['a'].backup_id, self.cinder.deleted, made['a'].attempts))

    def test_an_incremental_that_is_refused(self):
        made = self.make({'a': [_REFUSAL, ['available']]}, incremental=True)
        self.assertEqual(('', False), (made['a'].why,
                                       made['a'].wanted.incremental))
        self.assertEqual([True, False], [
            asked['incremental'] for asked in self.cinder.asked])

    def test_no_clear_answer(self):
        for error in (ksa_exceptions.ConnectTimeout('timed out'),
                      openstack.exceptions.HttpException(
                          'Bad gateway', http_status=502)):
            made = self.make({'a': [error]}, from_snapshot=True)
            self.assertIn('may have started the backup', made['a'].why)
            # So it is not started once more.
            self.assertEqual((1, 1), (made['a'].attempts,
                                      len(self.cinder.asked)))

    def test_of_a_snapshot(self):
        made = self.make({'a': [['error'], ['available']]},
                         from_snapshot=True)
        self.assertEqual('', made['a'].why)
        self.assertEqual(
            [{'volume_id': 'a', 'name': 'cinder-swift-backup: tonight',
              'is_forced': True}] * 2, self.cinder.made)
        self.assertEqual(['snapshot-1', 'snapshot-2'], [
            asked['snapshot_id'] for asked in self.cinder.asked])
        # And that of last night.
        self.assertEqual(
            ['old', 'snapshot-1', 'backup-1', 'old', 'snapshot-2'],
            self.cinder.deleted)

    def test_a_cinder_that_is_away_for_a_moment(self):
        away = ksa_exceptions.ConnectFailure('no route')
        made = self.make({'a': [[away, away, 'creating', away, 'available']]})
        self.assertEqual('', made['a'].why)

    def test_a_cinder_that_stays_away(self):
        away = ksa_exceptions.ConnectFailure('no route')
        made = self.make({'a': [[away]], 'b': [['available']]})
        self.assertIn('no route', made['a'].why)
        self.assertIn('may still finish the backup', made['a'].why)
        # So it is not made twice.
        self.assertEqual(1, made['a'].attempts)
        self.assertEqual('', made['b'].why)

    def test_a_host_that_does_not_come_back(self):
        made = self.make({'a': [['creating']]}, longest=5)
        self.assertIn('not finished within --longest', made['a'].why)
        self.assertEqual(([], 1), (self.cinder.deleted, made['a'].attempts))
        self.assertGreater(made['a'].took, datetime.timedelta(hours=5))

    def test_somebody_deletes_it(self):
        made = self.make({'a': [[openstack.exceptions.NotFoundException()]]})
        self.assertIn('somebody deleted the backup', made['a'].why)

# SPDX-License-Identifier: Apache-2.0

"""``metrics``."""

import datetime
import pathlib
import re
from unittest import mock

from prometheus_client import parser

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.unit.cli import base

_CREATED = datetime.datetime(2026, 8, 1, 12, 0, 2, tzinfo=datetime.UTC)
_MONITORING = (pathlib.Path(__file__).resolve().parents[3]
               / 'doc' / 'source' / 'admin' / 'monitoring')
_LABELS = ('account', 'volume_id', 'volume_name', 'project_id', 'state',
           'container')
_ACCOUNT = 'memory'
_OF_VOLUME = ('last_complete_timestamp_seconds', 'volume_bytes',
              'stored_bytes', 'objects', 'chain_length',
              'last_verified_timestamp_seconds',
              'unprotected_since_timestamp_seconds')


class MetricsTest(base.CommandTestCase):
    """A volume with a chain of two."""

    def setUp(self):
        super().setUp()
        self.file = self.directory / 'backups.prom'
        self.volumes = self.enterContext(mock.patch.object(
            cinder_api, 'volumes', return_value=None))

    def metrics(self, *options):
        """The values, by names without the prefix and by their labels."""
        answer = self.run_command('metrics', self.file, *options)
        self.assertEqual(0, answer.code, answer.err)
        return self._parsed(self.file.read_text())

    @staticmethod
    def _parsed(text):
        return {(sample.name.removeprefix('cinder_swift_backup_'),
                 *(sample.labels[label] for label in _LABELS
                   if label in sample.labels)): sample.value
                for family in parser.text_string_to_metric_families(text)
                for sample in family.samples}

    def _of(self, found, volume='vol-1', name='', project=''):
        return {metric: found[(metric, volume, name, project)]
                for metric in _OF_VOLUME
                if (metric, volume, name, project) in found}

    def test_a_volume(self):
        found = self.metrics()
        stored = sum(len(self.bench.get(name)) for name in self.bench.names())
        self.assertEqual(
            {'last_complete_timestamp_seconds': _CREATED.timestamp(),
             'unprotected_since_timestamp_seconds': _CREATED.timestamp(),
             'last_verified_timestamp_seconds': 0, 'chain_length': 1,
             'volume_bytes': len(base.DATA), 'stored_bytes': stored,
             'objects': len(self.bench.names())}, self._of(found))
        self.assertEqual(
            [2, 0, 0, 0],
            [found[('backups', 'vol-1', '', '', state)] for state in (
                'complete', 'arriving', 'orphaned', 'damaged')])
        self.assertEqual(
            [1, stored, len(self.bench.names()), 2],
            [found[('account_volumes', _ACCOUNT)],
             found[('account_stored_bytes', _ACCOUNT)],
             found[('account_objects', _ACCOUNT)],
             found[('account_backups', _ACCOUNT, 'complete')]])
        self.assertAlmostEqual(
            datetime.datetime.now().timestamp(),
            found[('metrics_timestamp_seconds', _ACCOUNT)], delta=60)

    def test_verified(self):
        self.run_command('verify', '--all', '--deep')
        self.assertAlmostEqual(
            datetime.datetime.now().timestamp(),
            self._of(self.metrics())['last_verified_timestamp_seconds'],
            delta=60)

    def test_damage(self):
        for number in (2, 1):
            self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
                base.ref(number).prefix))
            found = self.metrics('--grace', '0')
            self.assertEqual(3 - number,
                             found[('account_backups', _ACCOUNT, 'orphaned')])
        # Nothing can be restored.
        self.assertEqual(
            {'stored_bytes', 'objects', 'unprotected_since_timestamp_seconds'},
            set(self._of(found)))
        self.assertEqual(
            0, self._of(found)['unprotected_since_timestamp_seconds'])

    def test_packs(self):
        self.bench.archive(3, base.DATA, form=chains.Form.PACKS)
        found = self._of(self.metrics())
        self.assertEqual((0, len(self.bench.names())),
                         (found['chain_length'], found['objects']))

    def test_volumes_of_cinder(self):
        created = _CREATED - datetime.timedelta(days=9)
        self.volumes.return_value = {
            'bare': cinder_api.Volume('bare', 'a "name"\n', 'available',
                                      'p-1', created, {})}
        found = self.metrics()
        # The other one is gone, so nobody can back it up.
        self.assertEqual(
            {'unprotected_since_timestamp_seconds': created.timestamp()},
            self._of(found, 'bare', 'a "name"\n', 'p-1'))
        self.assertNotIn('unprotected_since_timestamp_seconds',
                         self._of(found))
        self.assertEqual(1, self._of(found)['chain_length'])

    def test_what_alerts_and_the_dashboard_ask_for(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        told = {name for name, *_ in self.metrics()}
        for path in _MONITORING.iterdir():
            asked = set(re.findall(r'cinder_swift_backup_(\w+)',
                                   path.read_text()))
            self.assertNotEqual(set(), asked)
            self.assertEqual(set(), asked - told, path.name)

    def test_a_copy(self):
        lag = 'copy_lag_seconds', _ACCOUNT, base.CONTAINER
        self.assertNotIn(lag, self.metrics())
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        self.assertEqual(
            0, self.metrics()[lag])
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(2).prefix))
        self.assertEqual(
            1, self.metrics()[lag])

    def test_to_a_pipe(self):
        answer = self.run_command('metrics', '-')
        self.assertEqual(self.metrics().keys(),
                         self._parsed(answer.out).keys())

    def test_a_file_that_nobody_reads(self):
        for name, is_told in (('a.prom', False), ('a.txt', True)):
            answer = self.run_command('metrics', self.directory / name)
            self.assertEqual(0, answer.code)
            self.assertEqual(is_told, 'only reads files' in answer.err)

    def test_no_backups(self):
        for name in self.bench.names():
            self.bench.memory.delete(base.CONTAINER, name)
        self.assertEqual(0, self.metrics()[('account_volumes', _ACCOUNT)])

    def test_what_fails_leaves_the_file(self):
        self.file.write_text('as it was')
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('away')))
        answer = self.run_command('metrics', self.file)
        self.assertEqual(errors.ExitCode.STORE, answer.code)
        self.assertEqual('as it was', self.file.read_text())
        self.assertEqual([self.file], list(self.directory.iterdir()))

    def test_a_file_that_cannot_be_written(self):
        answer = self.run_command('metrics', self.directory / 'no' / 'file')
        self.assertEqual(errors.ExitCode.TARGET, answer.code)
        self.assertIn('cannot be written (No such file or directory)',
                      answer.err)

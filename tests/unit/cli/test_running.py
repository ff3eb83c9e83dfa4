# SPDX-License-Identifier: Apache-2.0

"""``run``, with a Cinder that makes backups in the memory of the test."""

import contextlib
import datetime
import io
import json
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_deletion
from cinder_swift_backup.cli import cinder_jobs
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import run_lock
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_TOOK = datetime.timedelta(seconds=5)


class RunTestCase(base.RecordsTestCase):
    """A volume with a chain of two, and another without backups."""

    def setUp(self):
        super().setUp()
        self.lock = self.directory / 'lock'
        for backup in ('bak-1', 'bak-2'):
            self._has_record(backup, 'available')
        self.volumes = self.enterContext(mock.patch.object(
            cinder_api, 'volumes', return_value={}))
        for id_ in ('vol-1', 'vol-2'):
            self._has_volume(id_)
        self.deleter = self.enterContext(mock.patch.object(
            cinder_deletion, 'Deleter')).return_value
        self.jobs = self.enterContext(mock.patch.object(
            cinder_jobs, 'Jobs'))
        self.jobs.return_value.make.side_effect = self._make
        self.why = {}
        self.wanted = []

    def _has_volume(self, id_, status='available', **metadata):
        self.volumes.return_value[id_] = cinder_api.Volume(
            id_, f'name of {id_}', status, 'p-1', None, metadata)

    def _make(self, wanted):
        """What Cinder does."""
        for each in wanted:
            self.wanted.append(each)
            why = self.why.get(each.volume_id, '')
            if each.volume_id == 'vol-1' and not why:
                self.bench.archive(3, base.DATA)
                self._has_record('bak-3', 'available')
            yield cinder_jobs.Made(each, 'bak-3', why, _TOOK, 1)


    def run_it(self, *arguments, code=0):
        """The rows, by the ids of the volumes."""
        answer = self.run_command('run', *(arguments or ('--all',)),
                                  '--lock', self.lock, '-f', 'json')
        self.assertEqual(code, answer.code, answer.err)
        self.said = answer.err
        return {row['Volume']: row for row in json.loads(answer.out or '[]')}

    def results(self, *arguments, code=0):
        """What became of each volume, and why not."""
        return {volume: (row['Result'], row['Problem']) for volume, row
                in self.run_it(*arguments, code=code).items()}


class BackUpTest(RunTestCase):
    """What Cinder is asked for."""

    def test_all(self):
        rows = self.run_it()
        self.assertEqual(
            {'Volume': 'vol-1', 'Volume name': 'name of vol-1',
             'Backup': 'bak-3', 'Asked for': 'incremental',
             'Result': 'backed up', 'Took': 5, 'Problem': '',
             'Deleted': 0, 'Verified': None},
            rows['vol-1'])
        self.assertEqual('full', rows['vol-2']['Asked for'])
        self.assertIn('2 volumes: 2 backed up.', self.said)
        self.assertEqual([True, False],
                         [each.incremental for each in self.wanted])
        self.assertEqual([], self.deleter.delete.mock_calls)

    def test_options(self):
        self.run_it('--volume', 'vol-1', '--full', '--force', '--at-once',
                    '5', '--longest', '2h')
        self.assertEqual(
            {'at_once': 5, 'longest': datetime.timedelta(hours=2)},
            self.jobs.call_args.kwargs)
        (wanted,) = self.wanted
        self.assertEqual((False, True, False), (
            wanted.incremental, wanted.force, wanted.from_snapshot))

    def test_policy(self):
        self._has_volume('vol-2', backup_policy='gold')
        self.assertEqual(['vol-2'], list(self.run_it('--policy', 'gold')))
        self.assertEqual({}, self.run_it('--policy', 'silver',
                                         code=errors.ExitCode.SELECTION))
        self.assertIn('no volume has the property backup_policy=silver',
                      self.said)

    def test_a_volume_that_is_gone(self):
        self.run_it('--volume', 'vol-1', '--volume', 'vol-9',
                    code=errors.ExitCode.SELECTION)
        self.assertIn("begins with 'vol-9'", self.said)
        self.assertEqual([], self.wanted)

    def test_a_variable_that_is_not_set(self):
        with contextlib.redirect_stderr(io.StringIO()) as told:
            answer = self.run_command('run', '--volume', '', '--lock',
                                      self.lock)
        self.assertEqual(errors.ExitCode.USAGE, answer.code)
        self.assertIn('the id is empty', told.getvalue())

    def test_a_backup_that_is_still_being_made(self):
        self._has_record('bak-9', 'creating')
        found = self.results('--volume', 'vol-1', '--snapshot',
                             code=errors.ExitCode.STORE)
        self.assertIn('still making backup bak-9', found['vol-1'][1])
        self.assertEqual([], self.wanted)

    def test_volumes_that_cannot_be_backed_up(self):
        self._has_volume('vol-2', 'in-use')
        self._has_volume('vol-3', 'error')
        self.assertEqual(
            {'vol-1': ('backed up', ''),
             'vol-2': ('cannot be backed up',
                       'the volume is in use: use --snapshot or --force'),
             'vol-3': ('cannot be backed up',
                       'Cinder backs up no volumes in status error')},
            self.results(code=errors.ExitCode.STORE))
        for option in ('--force', '--snapshot'):
            self.assertEqual(('backed up', ''), self.results(
                '--volume', 'vol-2', option)['vol-2'])
        self.assertTrue(self.wanted[-1].from_snapshot)

    def test_one_that_fails(self):
        self.why['vol-1'] = 'status error: Swift is away'
        self.assertEqual(
            {'vol-1': ('failed', 'status error: Swift is away'),
             'vol-2': ('backed up', '')},
            self.results(code=errors.ExitCode.STORE))
        self.assertIn('1 backed up, 1 failed', self.said)

    def test_dry_run(self):
        self._has_volume('vol-2', 'in-use')
        self.assertEqual(
            {'vol-1': 'would be backed up', 'vol-2': 'cannot be backed up'},
            {volume: row['Result'] for volume, row
             in self.run_it('--all', '--dry-run').items()})
        self.assertEqual([], self.wanted)

    def test_no_cinder(self):
        self.volumes.return_value = None
        self.run_it(code=errors.ExitCode.CONFIGURATION)
        self.assertIn('has no Cinder', self.said)

    def test_another_run(self):
        with run_lock.held(self.lock):
            self.run_it(code=errors.ExitCode.BUSY)
        self.assertEqual([], self.wanted)
        self.assertIn('another run holds the lock', self.said)

    def test_interrupted(self):
        self.jobs.return_value.make.side_effect = KeyboardInterrupt
        self.run_it(code=errors.ExitCode.INTERRUPTED)
        self.assertIn('Cinder still finishes the backups', self.said)


class AfterwardsTest(RunTestCase):
    """What is done with old backups, and with new ones."""

    def test_forget(self):
        rows = self.run_it('--all', '--keep-last', '1')
        self.assertEqual([mock.call('bak-2'), mock.call('bak-1')],
                         self.deleter.delete.mock_calls)
        self.assertEqual([2, 0], [row['Deleted'] for row in rows.values()])
        self.assertIn('2 backed up; 2 old backups deleted.', self.said)

    def test_nothing_goes_where_the_backup_failed(self):
        self.why['vol-1'] = 'no'
        rows = self.run_it('--all', '--keep-last', '1',
                           code=errors.ExitCode.STORE)
        # The old ones are the newest.
        self.assertEqual([], self.deleter.delete.mock_calls)
        self.assertEqual(0, rows['vol-1']['Deleted'])

    def test_what_was_just_made_stays(self):
        # By a host whose clock is years behind.
        def make(wanted):
            for each in wanted:
                for name in list(self.bench.names()):
                    if name.startswith(base.ref(1).prefix):
                        self.bench.put(
                            name.replace('20260801', '20200801').replace(
                                'bak-1', 'bak-3'),
                            self.bench.get(name).replace(b'bak-1', b'bak-3'))
                self._has_record('bak-3', 'available')
                yield cinder_jobs.Made(each, 'bak-3', '', _TOOK, 1)

        self.jobs.return_value.make.side_effect = make
        rows = self.run_it('--volume', 'vol-1', '--keep-last', '1')
        self.assertEqual([], self.deleter.delete.mock_calls)
        self.assertEqual(0, rows['vol-1']['Deleted'])

    def test_interrupted_then(self):
        self.deleter.delete.side_effect = KeyboardInterrupt
        self.run_it('--all', '--keep-last', '1',
                    code=errors.ExitCode.INTERRUPTED)
        self.assertIn('The backups were made.', self.said)

    def test_only_of_these_volumes(self):
        self.run_it('--volume', 'vol-2', '--keep-last', '1')
        self.assertEqual([], self.deleter.delete.mock_calls)

    def test_a_delete_that_fails(self):
        self.deleter.delete.side_effect = cinder_api.CinderError('refused')
        rows = self.run_it('--all', '--keep-last', '1',
                           code=errors.ExitCode.STORE)
        self.assertEqual(('backed up', 0), (
            rows['vol-1']['Result'], rows['vol-1']['Deleted']))
        self.assertIn('refused', self.said)

    def test_a_store_that_fails_then(self):
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('away')))
        rows = self.run_it('--all', '--keep-last', '1', '--sample', '5',
                           code=errors.ExitCode.STORE)
        self.assertEqual('backed up', rows['vol-1']['Result'])
        self.assertIn('away', self.said)

    def test_sample(self):
        rows = self.run_it('--volume', 'vol-1', '--sample', '50')
        self.assertEqual('sampled', rows['vol-1']['Verified'])

    def test_a_damaged_backup(self):
        name = f'{base.ref(3).prefix}-00000'
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=name.__eq__))
        rows = self.run_it('--volume', 'vol-1', '--sample', '100',
                           code=errors.ExitCode.DAMAGED)
        self.assertEqual('damaged', rows['vol-1']['Verified'])
        self.assertIn(name, rows['vol-1']['Problem'])

    def test_one_whose_objects_are_gone(self):
        made = self._make

        def make(wanted):
            yield from made(wanted)
            self.bench.memory.delete(base.CONTAINER, next(
                name for name in self.bench.names()
                if name.startswith(base.ref(3).prefix)
                and engine_base.is_chunk(name)))

        self.jobs.return_value.make.side_effect = make
        rows = self.run_it('--volume', 'vol-1', '--sample', '100',
                           code=errors.ExitCode.DAMAGED)
        self.assertEqual('damaged', rows['vol-1']['Verified'])

    def test_one_that_cannot_be_fetched(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('away'),
            matching=engine_base.is_chunk))
        rows = self.run_it('--volume', 'vol-1', '--sample', '100',
                           code=errors.ExitCode.STORE)
        self.assertEqual('unknown', rows['vol-1']['Verified'])

    def test_another_account(self):
        rows = self.run_it('--volume', 'vol-2', '--sample', '100',
                           code=errors.ExitCode.DAMAGED)
        self.assertEqual('missing', rows['vol-2']['Verified'])
        self.assertIn('not in the Swift account', rows['vol-2']['Problem'])
        self.assertNotIn(naming.manifest_name(base.ref(3).prefix),
                         self.bench.names())

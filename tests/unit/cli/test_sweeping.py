# SPDX-License-Identifier: Apache-2.0

"""``sweep``."""

import datetime
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.format import naming
from tests.fakes import points
from tests.unit.cli import base

_OTHER = base.DATA[:100] + b'!' * 300 + base.DATA[400:]


class SweepTest(base.CommandTestCase):
    """Two backups that share packs, one of which is deleted."""

    def setUp(self):
        super().setUp()
        self.records = self.enterContext(mock.patch.object(
            cinder_api, 'read', return_value={}))
        writer = points.Writer(self.bench.memory)
        second = writer.write(base.ref(4), _OTHER, writer.write(
            base.ref(3), base.DATA))
        self.needed = {pack.name for pack in second.packs}
        self.bench.delete(base.ref(3))
        self._wait(2)

    def _wait(self, days):
        self.bench.memory.ahead += datetime.timedelta(days=days)

    def _packs(self):
        return set(filter(naming.is_pack, self.bench.names()))

    def _sweep(self, *options):
        (row,) = self.run_json('sweep', *options)
        return row

    def test_in_two_steps(self):
        self.assertNotEqual(self.needed, self._packs())
        count = len(self._packs())
        row = self._sweep()
        unneeded = count - len(self.needed)
        self.assertEqual(
            ('vol-1', count, unneeded, 0, base.CONTAINER, ''),
            tuple(row[name] for name in (
                'Volume', 'Packs', 'Waiting', 'Unneeded', 'Container',
                'Kept because')))
        self._wait(2)
        row = self._sweep('--dry-run')
        self.assertEqual((0, unneeded), (row['Waiting'], row['Unneeded']))
        self.assertGreater(row['Frees'], 0)
        self.assertEqual(count, len(self._packs()))
        self._sweep('--volume', 'VOL')
        self.assertEqual(self.needed, self._packs())
        self.assertEqual(0, self.run_command('verify', 'bak-4',
                                             '--deep').code)

    def test_a_backup_on_record_without_a_manifest(self):
        self._sweep()
        self._wait(2)
        before = self._packs()
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(4).prefix))
        self.records.return_value = {'bak-4': deletion.Record(
            'bak-4', 'vol-1', 'available', base.CONTAINER,
            is_available=True)}
        (row,) = base.json.loads(self.run_command(
            'sweep', '-f', 'json').out)
        self.assertEqual('a backup on record has no manifest: bak-4',
                         row['Kept because'])
        self.assertEqual(before, self._packs())

    def test_asks_where_somebody_can_answer(self):
        self._sweep()
        self._wait(2)
        before = self._packs()
        answer = self.run_command('sweep', said='n\n')
        self.assertIn('that no backup needs? [y/N]', answer.err)
        self.assertIn('Nothing was deleted.', answer.err)
        self.assertEqual(before, self._packs())
        self.run_command('sweep', said='y\n')
        self.assertEqual(self.needed, self._packs())

    def test_a_delete_notes_packs(self):
        answer = self.run_command('delete', 'bak-4')
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('of the volume that no backup needs will go',
                      answer.err)
        self._wait(2)
        self.assertEqual(len(self._packs()), self._sweep()['Unneeded'])
        self.assertEqual(set(), self._packs())

    def test_another_grace(self):
        self._sweep('--grace', '1')
        self._wait(0.1)
        self._sweep('--grace', '1')
        self.assertEqual(self.needed, self._packs())

    def test_what_cinder_is_backing_up(self):
        self.records.return_value = {'bak-9': deletion.Record(
            'bak-9', 'vol-1', 'creating', is_in_the_making=True)}
        before = self.bench.names()
        for _ in range(3):
            self.assertEqual('Cinder is backing up the volume',
                             self._sweep()['Kept because'])
            self._wait(2)
        self.assertEqual(before, self.bench.names())

    def test_a_cinder_that_cannot_be_asked(self):
        self.records.side_effect = exceptions.ConfigurationError('no Cinder')
        self.assertEqual(errors.ExitCode.CONFIGURATION,
                         self.run_command('sweep').code)

    def test_a_backup_that_cannot_be_read(self):
        self.bench.damage(naming.manifest_name(base.ref(4).prefix),
                          lambda data: data[:-1])
        answer = self.run_command('sweep')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code)
        self.assertIn('a manifest cannot be read', answer.out)

    def test_a_sweep_that_ended_before_the_note_was_gone(self):
        self._sweep()
        for name in self.bench.names():
            if '/packs/condemned' not in name:
                self.bench.memory.delete(base.CONTAINER, name)
        row = self._sweep('--container', base.CONTAINER)
        self.assertEqual(('vol-1', 0), (row['Volume'], row['Packs']))
        self.assertEqual([], self.bench.names())

    def test_nothing_to_sweep(self):
        answer = self.run_command('sweep', '--volume', 'other')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        for name in self._packs():
            self.bench.memory.delete(base.CONTAINER, name)
        answer = self.run_command('sweep', '--container', base.CONTAINER)
        self.assertEqual(0, answer.code)
        self.assertIn('There are no packs in account memory, container',
                      answer.err)

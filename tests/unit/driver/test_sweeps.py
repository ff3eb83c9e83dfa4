# SPDX-License-Identifier: Apache-2.0

"""When packs are swept, by Cinder's records."""

import datetime
from unittest import mock

from cinder import objects

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import observers
from cinder_swift_backup.driver import sweeps
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.unit.engine import base

_DATA = bytes(range(200)) * 3
_DAY = datetime.timedelta(days=1)


class SweepsTest(base.EngineTestCase):
    """Two backups that share packs, one of which was deleted."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        objects.register_all()
        for number, data in ((1, _DATA), (2, b'!' * 300 + _DATA[300:])):
            self.bench.archive(number, data, form=chains.Form.PACKS,
                               parent=number - 1 or None)
        self.bench.delete(base.ref(1))
        self.packs = self._packs()
        self.records = []
        self.listed = self.enterContext(mock.patch.object(
            objects.BackupList, 'get_all', side_effect=self._get_all))
        self.store.heal()

    def _get_all(self, context, filters):
        self.assertTrue(context.is_admin)
        self.assertEqual('yes', context.read_deleted)
        return [record for record in self.records
                if record.volume_id == filters['volume_id']]

    def _packs(self):
        return list(filter(naming.is_pack, self.bench.names()))

    def _record(self, number, status, container=base.CONTAINER, **others):
        self.records.append(mock.Mock(**{
            'id': f'bak-{number}', 'volume_id': 'vol-1', 'status': status,
            'container': container, 'project_id': 'p',
            'service_metadata': base.ref(number).prefix, **others}))

    def _sweep(self, function, number, days=0, **options):
        if function is sweeps.after_delete:
            options.setdefault('makers', ())
        self.bench.memory.ahead += days * _DAY
        context = mock.Mock()
        context.elevated = lambda read_deleted: mock.Mock(
            is_admin=True, read_deleted=read_deleted)
        function(context,
                 observers.Database('the test', 60), self.bench.repository,
                 base.ref(number), _DAY, **options)

    def test_after_a_grace(self):
        self._record(2, 'available')
        for days in (2, 0.5):
            self._sweep(sweeps.after_delete, 1, days)
            self.assertEqual(self.packs, self._packs())
        self._sweep(sweeps.after_delete, 1, 1)
        self.assertEqual(
            sorted(self.bench.repository.load(base.ref(2)).point.packs
                   .names()), self._packs())

    def test_all_with_the_last_backup(self):
        self._record(1, 'deleted')
        self._record(2, 'deleting')
        self._record(3, 'deleting')
        self._record(4, 'available', container='elsewhere')
        self.bench.delete(base.ref(2))
        self._sweep(sweeps.after_delete, 2)
        self.assertEqual([], self.bench.names())

    def test_packs_of_a_backup_that_nobody_knows(self):
        # Such as one that another cloud is making.
        self._record(2, 'deleting')
        self.bench.delete(base.ref(2))
        self.bench.put('volume_vol-1/packs/other-000001', b'x')
        self._sweep(sweeps.after_delete, 2)
        self.assertEqual(
            [name for name in self.packs if '/bak-2-' not in name]
            + ['volume_vol-1/packs/other-000001'], self._packs())

    def test_a_manifest_of_the_delete_before(self):
        self._record(1, 'deleted')
        self._record(2, 'deleting')
        found = list(self.bench.memory.list(base.CONTAINER, ''))
        self.bench.delete(base.ref(2))
        self.store.script(faulty.Rule('list', after=lambda _: found))
        self._sweep(sweeps.after_delete, 2)
        self.assertEqual([], self._packs())

    def test_the_last_recovery_point_beside_chunks(self):
        self._record(2, 'deleting')
        self._record(3, 'available')
        # It has never stored anything.
        self._record(4, 'error', service_metadata=None)
        self._record(5, 'available', service_metadata='volume_other/x')
        self._record(1, 'deleted')
        self.bench.archive(3, _DATA)
        self.bench.delete(base.ref(2))
        self._sweep(sweeps.after_delete, 2)
        self.assertEqual([], self._packs())

    def test_packs_of_a_backup_whose_record_was_purged(self):
        self._record(2, 'deleting')
        remains = self.bench.repository.find_objects(base.ref(2),
                                                     complete=True)
        self.assertEqual({'bak-1', 'bak-2'}, remains.makers)
        self.bench.delete(base.ref(2))
        self._sweep(sweeps.after_delete, 2, makers=remains.makers)
        self.assertEqual([], self._packs())

    def test_a_second_record_that_was_deleted(self):
        # Somebody has imported the record again, and deleted that.
        self._record(2, 'available')
        self._record(2, 'deleted', id='imported-again')
        self._record(3, 'available', container='elsewhere')
        self._record(3, 'available')
        self.bench.archive(3, _DATA[::-1], form=chains.Form.PACKS)
        for days in (2, 2, 2):
            self._sweep(sweeps.after_backup, 3, days)
        for number in (2, 3):
            point = self.bench.repository.load(base.ref(number)).point
            self.assertLessEqual(set(point.packs.names()), set(self._packs()))

    def test_others_that_are_on_record(self):
        self._record(2, 'deleting')
        self._record(3, 'available')
        self.bench.delete(base.ref(2))
        self._sweep(sweeps.after_delete, 2)
        self.assertEqual(self.packs, self._packs())

    def test_a_manifest_that_is_lost(self):
        self.bench.archive(4, _DATA, form=chains.Form.PACKS)
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(4).prefix))
        before = self._packs()
        self._record(2, 'available')
        self._record(4, 'available')
        for days in (2, 2, 2):
            self._sweep(sweeps.after_backup, 2, days)
        self.assertEqual(before, self._packs())
        # That of another project is perhaps in another account.
        self.records[1].project_id = 'q'
        for days in (2, 2, 2):
            self._sweep(sweeps.after_backup, 2, days)
        self.assertEqual(
            sorted(self.bench.repository.load(base.ref(2)).point.packs
                   .names()), self._packs())

    def test_one_that_failed(self):
        self._record(1, 'deleted')
        self._record(3, 'error')
        kept = {name: self.bench.get(name) for name in self.bench.names()}
        self.bench.archive(3, _DATA, form=chains.Form.PACKS)
        self.bench.delete(base.ref(2))
        # If only the answer was lost, its manifest is there, listed or not.
        manifest = naming.manifest_name(base.ref(3).prefix)
        self.store.script(faulty.Rule('list', after=lambda found: [
            info for info in found if info.name != manifest]))
        self._sweep(sweeps.after_delete, 2)
        self.store.heal()
        target = self.bench.restore(self.bench.resolve(3), bytes(len(_DATA)))
        self.assertEqual(_DATA, bytes(target.data))
        self.bench.delete(base.ref(3))
        for name, data in kept.items():
            if naming.is_pack(name):
                self.bench.put(name, data)
        self._sweep(sweeps.after_delete, 2)
        self.assertEqual([], self._packs())

    def test_never_while_a_backup_is_made(self):
        self._record(2, 'creating')
        self._record(3, 'creating')
        for days in range(5):
            self._sweep(sweeps.after_backup, 2, days)
        self.assertEqual([], self.store.names('put'))
        self.assertEqual(self.packs, self._packs())
        # Its own does not count.
        del self.records[1]
        for days in (2, 2, 2):
            self._sweep(sweeps.after_backup, 2, days)
        self.assertLess(len(self._packs()), len(self.packs))

    def test_a_manifest_that_a_listing_does_not_show_yet(self):
        self._record(2, 'creating')
        self.store.script(faulty.Rule('list', after=lambda found: [
            info for info in found if 'metadata' not in info.name]))
        for days in (2, 2, 2):
            self._sweep(sweeps.after_backup, 2, days)
        self.store.heal()
        self.assertEqual(
            sorted(self.bench.repository.load(base.ref(2)).point.packs
                   .names()), self._packs())

    def test_failures_fail_nothing(self):
        self._record(2, 'available')
        # The next sweep would delete some.
        self._sweep(sweeps.after_delete, 1, 2)
        self.bench.memory.ahead += 2 * _DAY
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('down')))
        self._sweep(sweeps.after_delete, 1)
        self.store.heal()
        for error in (observers.DATABASE_ERRORS[1]('away'), ValueError('no')):
            self.listed.side_effect = error
            with mock.patch.object(observers.Database, '_tolerate',
                                   side_effect=error):
                self._sweep(sweeps.after_delete, 1)
        with mock.patch.object(observers.Database, 'insist',
                               side_effect=exceptions.DatabaseUnavailable(
                                   'away')):
            self._sweep(sweeps.after_delete, 1)
        self.assertEqual(self.packs, self._packs())
        self.listed.side_effect = self._get_all
        self._sweep(sweeps.after_delete, 1)
        self.assertLess(len(self._packs()), len(self.packs))

# SPDX-License-Identifier: Apache-2.0

"""Cinder's records in the engine's terms."""

import sys
import types as python_types
from unittest import mock

from cinder_swift_backup import driver
from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import records
from cinder_swift_backup.format import types
from tests.unit.driver import base


class AdoptTest(base.DriverTestCase):
    """The manager passes us the stock driver's backups."""

    def _adopt(self, mapping):
        manager = python_types.SimpleNamespace(MAPPING=mapping)
        with mock.patch.dict(sys.modules,
                             {'cinder.backup.manager': manager}):
            records.adopt_stock_records()
        return mapping

    def test_adopted(self):
        self.assertEqual({records.STOCK: records.OURS}, self._adopt({}))

    def test_what_is_there_stays(self):
        there = {'a': 'b', records.STOCK: 'somebody.else'}
        self.assertEqual(there, self._adopt(dict(there)))

    def test_again(self):
        self.assertEqual({records.STOCK: records.OURS},
                         self._adopt(self._adopt({})))

    def test_no_manager(self):
        with mock.patch.dict(sys.modules):
            sys.modules.pop('cinder.backup.manager', None)
            records.adopt_stock_records()
            self.assertNotIn('cinder.backup.manager', sys.modules)

    def test_paths_are_those_of_the_classes(self):
        for path in (records.STOCK, records.OURS):
            module, _, name = path.rpartition('.')
            __import__(module)
            self.assertTrue(hasattr(sys.modules[module], name), path)
        self.assertIs(driver.SwiftBackupDriver,
                      getattr(sys.modules['cinder_swift_backup.driver'],
                              records.OURS.rpartition('.')[2]))


class RecordTest(base.DriverTestCase):
    """One record."""

    def test_ref(self):
        backup = self.record(container='c', service_metadata='p')
        self.assertEqual(
            types.BackupRef(backup.id, base.VOLUME, 'c', 'p', 1 << 30),
            records.backup_ref(backup))

    def test_never_completed(self):
        for container, prefix in ((None, None), ('c', None), (None, 'p'),
                                  ('c', '')):
            backup = self.record(container=container,
                                 service_metadata=prefix)
            err = self.assertRaises(exceptions.ChainError,
                                    records.backup_ref, backup)
            self.assertIn(backup.id, str(err))

    def test_header(self):
        backup = self.record(display_description='d')
        self.assertEqual(
            types.BackupHeader(backup.id, base.VOLUME, 'nightly', 'd',
                               '2026-08-01 00:00:00+00:00'),
            records.header(backup))


class ChainTest(base.DriverTestCase):
    """From the base to the tip."""

    def _record(self, parent=None):
        backup = self.record(container='c', parent_id=parent and parent.id)
        backup.service_metadata = f'prefix-{backup.id}'
        return backup

    def _refs(self, backup):
        return [ref.backup_id
                for ref in records.chain_refs(self.context(), backup)]

    def test_full(self):
        full = self._record()
        self.assertEqual([full.id], self._refs(full))

    def test_oldest_first(self):
        one = self._record()
        two = self._record(one)
        three = self._record(two)
        self.assertEqual([one.id, two.id, three.id], self._refs(three))
        self.assertEqual([one.id, two.id], self._refs(two))

    def test_circle(self):
        one = self._record()
        two = self._record(one)
        three = self._record(two)
        one.parent_id = two.id
        err = self.assertRaises(exceptions.ChainError, self._refs, three)
        self.assertIn('its own ancestor', str(err))

    def test_its_own_parent(self):
        one = self._record()
        one.parent_id = one.id
        self.assertRaises(exceptions.ChainError, self._refs, one)

    def test_gone(self):
        one = self._record()
        two = self._record(one)
        del self.records[one.id]
        err = self.assertRaises(exceptions.ChainError, self._refs, two)
        for word in (one.id, two.id, 'backup-import'):
            self.assertIn(word, str(err))

    def test_ancestor_that_was_never_completed(self):
        one = self._record()
        two = self._record(one)
        one.service_metadata = None
        err = self.assertRaises(exceptions.ChainError, self._refs, two)
        self.assertIn(one.id, str(err))

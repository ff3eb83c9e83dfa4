# SPDX-License-Identifier: Apache-2.0

"""Cinder's records in the engine's terms."""


from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import records
from cinder_swift_backup.format import types
from tests.unit.driver import base


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
        for word in (one.id, two.id):
            self.assertIn(word, str(err))
        self.assertIs(exceptions.Remedy.IMPORT, err.remedy)

    def test_ancestor_that_was_never_completed(self):
        one = self._record()
        two = self._record(one)
        one.service_metadata = None
        err = self.assertRaises(exceptions.ChainError, self._refs, two)
        self.assertIn(one.id, str(err))

# SPDX-License-Identifier: Apache-2.0

"""What users do with backups, on logical volumes."""

import os

from tests.functional import api
from tests.functional import test_api
from tests.functional.api import MIB


class BackupTestCase(test_api.BackupTestCase):
    """Full, incremental, of snapshots, in use; to new and existing volumes."""

    def setUp(self):
        super().setUp()
        self.need('volume_group')

    def wait(self, manager, thing, status, patience=900):
        """As anywhere; the guest has one slow processor."""
        return super().wait(manager, thing, status, patience)


class OldDataTestCase(api.ApiTestCase):
    """New volumes that hold what others left."""

    _OLD = b'\xee' * MIB
    _OFFSETS = range(0, 1024 * MIB, 16 * MIB)

    def setUp(self):
        super().setUp()
        self.need('volume_group')

    def wait(self, manager, thing, status, patience=900):
        """As anywhere; the guest has one slow processor."""
        return super().wait(manager, thing, status, patience)

    def _delete(self, volume):
        self.cinder.volumes.delete(volume)
        self.wait_gone(self.cinder.volumes, volume)

    def _leave_data(self):
        former = self.make_volume()
        for offset in self._OFFSETS:
            self.write(former, offset, self._OLD)
        self._delete(former)

    def _check_that_it_comes_back(self):
        """See it: at once, or beside a sector that is written."""
        volume = self.make_volume()
        found = 0
        for offset in self._OFFSETS:
            self.write(volume, offset, bytes(512))
        with open(self.volumes.path(volume.id), 'rb') as device:
            for offset in self._OFFSETS:
                found += self._OLD[:512] in os.pread(
                    device.fileno(), MIB, offset)
        self.assertGreater(found, len(self._OFFSETS) // 2)
        self._delete(volume)

    def test_restore_to_a_new_volume(self):
        volume = self.make_volume(5)
        backup = self.back_up(volume)
        expected = self.sha256(volume)
        self._leave_data()
        self._check_that_it_comes_back()
        self._leave_data()
        self.assertEqual(expected, self.sha256(self.restore(backup)))

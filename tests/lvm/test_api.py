# SPDX-License-Identifier: Apache-2.0

"""What users do with backups, on logical volumes."""

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

    def setUp(self):
        super().setUp()
        self.need('volume_group')

    def test_restore_to_a_new_volume(self):
        volume = self.make_volume(5)
        backup = self.back_up(volume)
        expected = self.sha256(volume)
        for _ in range(2):
            former = self.make_volume()
            for offset in range(0, 1024 * MIB, 16 * MIB):
                self.write(former, offset, b'\xee' * MIB)
            self.cinder.volumes.delete(former)
            self.wait_gone(self.cinder.volumes, former)
            self.assertEqual(expected, self.sha256(self.restore(backup)))

# SPDX-License-Identifier: Apache-2.0

"""What users do with backups, on logical volumes."""

import os

from tests.cloud import lvm
from tests.functional import api
from tests.functional import api_cases
from tests.functional.api import MIB


class BackupTestCase(api_cases.BackupTestCase):
    """Full, incremental, of snapshots, in use; to new and existing volumes."""

    def setUp(self):
        super().setUp()
        self.need('volume_group')

    def wait(self, manager, thing, status, patience=900):
        """As anywhere; the guest has one slow processor."""
        return super().wait(manager, thing, status, patience)


class OldDataTestCase(api.ApiTestCase):
    """New volumes that hold what others left."""

    _OLD = b'\xee' * (16 << 10)
    # The blocks of a thin pool are as large as these steps.
    _OFFSETS = range(0, 1024 * MIB, MIB)

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
        # A thin pool takes the blocks that it never used before any other.
        for _ in range(lvm.POOL // (1024 * MIB) + 1):
            former = self.make_volume()
            with open(self.volumes.path(former.id), 'r+b') as device:
                for offset in self._OFFSETS:
                    os.pwrite(device.fileno(), self._OLD, offset + MIB // 2)
            self._delete(former)

    def _check_that_it_comes_back(self):
        """See it: at once, or beside a sector that is written."""
        volume = self.make_volume()
        with open(self.volumes.path(volume.id), 'r+b') as device:
            for offset in self._OFFSETS:
                os.pwrite(device.fileno(), bytes(512), offset)
        with open(self.volumes.path(volume.id), 'rb') as device:
            found = sum(
                os.pread(device.fileno(), len(self._OLD), offset + MIB // 2)
                == self._OLD for offset in self._OFFSETS)
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

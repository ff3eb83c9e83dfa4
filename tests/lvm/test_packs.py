# SPDX-License-Identifier: Apache-2.0

"""A history of backups in packs, on logical volumes.

Only where the cloud makes such.
"""

from cinder_swift_backup.format import naming
from tests.functional import api
from tests.functional.api import MIB


class PacksTestCase(api.ApiTestCase):
    """Each stands alone, and nothing stays when all are deleted."""

    def setUp(self):
        super().setUp()
        self.need('volume_group')

    def wait(self, manager, thing, status, patience=900):
        """As anywhere; the guest has one slow processor."""
        return super().wait(manager, thing, status, patience)

    def test_history(self):
        volume = self.make_volume(60)
        first = self.sha256(volume)
        full = self.back_up(volume)
        if not any(map(naming.is_pack, self.object_names(self.container))):
            self.skipTest('The cloud does not make packs.')
        self.write(volume, 20 * MIB, bytes(MIB))
        self.write(volume, 1000 * MIB, b'new')
        second = self.sha256(volume)
        tip = self.back_up(volume, incremental=True)
        self.assertLess(tip.object_count, full.object_count)
        self.assertEqual(first, self.sha256(self.restore(full)))
        self.delete_backup(full)
        existing = self.make_volume()
        self.fill(existing)
        self.assertEqual(second, self.sha256(self.restore(tip, existing)))
        unchanged = self.back_up(volume, incremental=True)
        self.delete_backup(tip)
        self.assertEqual(second, self.sha256(self.restore(unchanged)))
        self.delete_backup(unchanged)
        self.assertEqual([], self.object_names(self.container))

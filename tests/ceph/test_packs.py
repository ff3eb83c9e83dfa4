# SPDX-License-Identifier: Apache-2.0

"""Changed-block tracking with backups in the form of packs.

Only where the cloud makes such.
"""

from cinder_swift_backup.format import naming
from tests.ceph import osd
from tests.ceph import tracking
from tests.functional.api import MIB


class PacksTestCase(tracking.TrackedTestCase):
    """Incrementals that read only what was written, each alone."""

    def setUp(self):
        super().setUp()
        self.full = self.back_up(self.volume)
        if not any(map(naming.is_pack, self.object_names(self.container))):
            self.skipTest('The cloud does not make packs.')

    def test_history(self):
        self.assertEqual([f'backup.{self.full.id}.snap.csb'], self.marks())
        self.write(self.volume, 305 * MIB, b'new data')
        self.write(self.volume, 950 * MIB, b'where there was nothing')
        with self.volumes.image(self.volume.id) as image:
            image.discard(500 * MIB, 10 * MIB)
        expected = self.sha256(self.volume)
        tip, count = self.incremental()
        self.assertEqual([f'backup.{tip.id}.snap.csb'], self.marks())
        # Objects are of 4 MiB: two to compare, and nothing is read again.
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertFalse(self.reads_all(tip.id))
        self.assertEqual(expected, self.sha256(self.restore(tip)))
        self.delete_backup(self.full)
        unchanged, count = self.incremental()
        self.assertLess(count, osd.SAMPLE + MIB)
        self.delete_backup(tip)
        self.assertEqual([f'backup.{unchanged.id}.snap.csb'], self.marks())
        self.assertEqual(expected, self.sha256(self.restore(unchanged)))
        self.delete_backup(unchanged)
        self.assertEqual([], self.marks())

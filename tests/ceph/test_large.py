# SPDX-License-Identifier: Apache-2.0

"""An image of a TiB with little data, to which nothing was written."""

import random

from cinder_swift_backup.format import naming
from tests.ceph import images
from tests.ceph import osd
from tests.functional.cinder_side import MIB
from tests.functional.cinder_side import OURS

_TIB = 1 << 40


class LargeTestCase(images.ImagesTestCase):
    """What an unchanged incremental takes is not a matter of the size."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_object_size=52428800)

    def _make(self):
        volume, name = self.make_volume(
            random.Random(1).randbytes(16 * MIB), size_gb=1024)
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.resize(_TIB)
            image.write(random.Random(2).randbytes(16 * MIB), _TIB // 2)
        return volume, name

    def _stored(self):
        """How many objects there are, and their bytes."""
        found = [info for container in (
            self.container, naming.segments_container(self.container))
            for info in self.store.list(container, '')]
        # Listings give large objects the size of all their segments.
        return len(found), sum(info.size for info in found
                               if not info.name.endswith('_sha256file'))

    def test_unchanged_incremental(self):
        volume, name = self._make()
        full = self.back_up(OURS, volume, name)
        objects, size = self._stored()
        read = osd.bytes_read(self.cloud.ceph_directory)
        self.back_up(OURS, volume, name, parent=full)
        self.assertLess(
            osd.bytes_read(self.cloud.ceph_directory) - read,
            osd.SAMPLE + MIB)
        more_objects, more_size = self._stored()
        # Manifest, digests, and the segments of digests: 2 GiB if all of them
        # were stored.
        self.assertLess(more_objects - objects, 20)
        self.assertLess(more_size - size, 32 * MIB)

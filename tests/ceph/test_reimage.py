# SPDX-License-Identifier: Apache-2.0

"""An image of Glance's is put onto a volume that has a mark.

There is no Glance here. What Cinder's RBD driver does to the volume is done
instead (``RBDDriver._copy_image_to_volume``):

* Since Cinder 29, ``qemu-img convert -n -S 0`` writes over the volume as far
  as the image goes, zeros included, and the volume is resized to the size that
  it has. It keeps its id, and its snapshots.
* Before, the volume was deleted, its marks first, and ``rbd import`` made
  another one of the same name.
"""

import random
import subprocess
import tempfile

from tests.ceph import osd
from tests.ceph import tracking
from tests.cloud import ceph
from tests.functional.api import MIB

_GIB = 1 << 30
# What qemu-img writes at once.
_PIECE = 2 * MIB


def _make_glance_image():
    """60 MiB: data, zeros where the volume has data, and data again."""
    data = bytearray(60 * MIB)
    for start, length in ((0, 5), (20, 10), (59, 1)):
        data[start * MIB:(start + length) * MIB] = random.Random(
            f'glance {start}').randbytes(length * MIB)
    return bytes(data)


class ReimageTestCase(tracking.TrackedTestCase):
    """The next incremental has what the image has, and the rest as it was."""

    def setUp(self):
        super().setUp()
        self.new = _make_glance_image()
        # Behind these there is data of the volume's as well, which stays.
        self.write(self.volume, 57 * MIB, b'old data' * MIB)

    def _write_over(self):
        with self.volumes.image(self.volume.id) as image:
            for start in range(0, len(self.new), _PIECE):
                image.write(self.new[start:start + _PIECE], start)
            image.flush()
            image.resize(_GIB)

    def _import(self):
        name = f'volume-{self.volume.id}'
        self.remove_marks()
        self.volumes.rbd.RBD().remove(self.volumes.pool, name)
        with tempfile.NamedTemporaryFile() as file:
            file.write(self.new)
            file.flush()
            subprocess.run(
                ['rbd', '--conf', self.cloud.ceph_directory / 'ceph.conf',
                 'import', '--no-progress', '--pool', ceph.POOL,
                 '--order', '22', file.name, name],
                check=True, capture_output=True)
        with self.volumes.image(self.volume.id) as image:
            image.resize(_GIB)

    def _id(self):
        with self.volumes.image(self.volume.id) as image:
            return image.id()

    def _back_up_again(self):
        """An incremental, restored to a new volume and over another one."""
        expected = self.sha256(self.volume)
        backup, count = self.incremental()
        self.assertEqual(expected, self.sha256(self.restore(backup)))
        other = self.make_volume()
        self.fill(other)
        self.assertEqual(expected, self.sha256(self.restore(backup, other)))
        return backup, count

    def test_in_place(self):
        self.back_up(self.volume)
        before = self._id()
        for _ in range(2):
            self._write_over()
            self.assertEqual(before, self._id())
            backup, count = self._back_up_again()
            self.assertEqual([f'backup.{backup.id}.snap.csb'], self.marks())
            self.assertFalse(self.reads_all(backup.id))
            # What was written is read to compare it, and again to store it.
            self.assertLess(count, osd.SAMPLE + 2 * len(self.new) + 4 * MIB)
        # The same image once more: all was written, nothing is new.
        self.assertEqual(0, backup.object_count)

    def test_in_place_while_it_is_in_use(self):
        # A volume that Nova rebuilds is reserved, and in use afterwards.
        self.back_up(self.volume)
        self.attach()
        self._write_over()
        expected = self.sha256(self.volume)
        backup, _ = self.incremental(force=True)
        self.assertFalse(self.reads_all(backup.id))
        self.assertEqual(expected, self.sha256(self.restore(backup)))
        self._write_over()
        self.detach()
        backup, _ = self._back_up_again()
        self.assertEqual(0, backup.object_count)

    def test_made_anew(self):
        self.back_up(self.volume)
        before = self._id()
        self._import()
        self.assertNotEqual(before, self._id())
        backup, _ = self._back_up_again()
        self.assertTrue(self.reads_all(backup.id))
        self.assertIn('another image', self.log())
        backup, count = self._back_up_again()
        self.assertFalse(self.reads_all(backup.id))
        self.assertLess(count, osd.SAMPLE + MIB)
        self.assertEqual(0, backup.object_count)

# SPDX-License-Identifier: Apache-2.0

"""Changed-block tracking: incrementals that read only what was written."""

import random

from tests.ceph import osd
from tests.ceph import tracking
from tests.functional.api import MIB


class TrackingTestCase(tracking.TrackedTestCase):
    """What may happen to a volume between two backups."""

    def test_only_what_was_written_is_read(self):
        full = self.back_up(self.volume)
        self.assertEqual([f'backup.{full.id}.snap.csb'], self.marks())
        self.write(self.volume, 305 * MIB, b'new data')
        self.write(self.volume, 950 * MIB, b'where there was nothing')
        with self.volumes.image(self.volume.id) as image:
            image.discard(500 * MIB, 10 * MIB)
        expected = self.sha256(self.volume)
        tip, count = self.incremental()
        self.assertEqual([f'backup.{tip.id}.snap.csb'], self.marks())
        # Objects are of 4 MiB: two to compare, and a block of each to store.
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertFalse(self.reads_all(tip.id))
        self.assertEqual(expected, self.sha256(self.restore(tip)))
        unchanged, count = self.incremental()
        self.assertEqual(0, unchanged.object_count)
        self.assertLess(count, osd.SAMPLE + MIB)
        self.assertEqual(expected, self.sha256(self.restore(unchanged)))
        # The same backup, when everything is read.
        self.delete_backup(unchanged)
        self.assertEqual([], self.marks())
        self.write(self.volume, 105 * MIB, b'newer')
        expected = self.sha256(self.volume)
        again, count = self.incremental()
        self.assertGreater(count, 90 * MIB)
        self.assertEqual(expected, self.sha256(self.restore(again)))

    def test_same_backup_either_way(self):
        full = self.back_up(self.volume)
        self.write(self.volume, 305 * MIB, random.Random(3).randbytes(MIB))
        with self.volumes.image(self.volume.id) as image:
            image.discard(700 * MIB, 5 * MIB)
        found = []
        for tracked in (True, False):
            if not tracked:
                self.remove_marks()
            backup, _ = self.incremental()
            self.assertEqual(not tracked, self.reads_all(backup.id))
            found.append(self.stored(backup))
            self.delete_backup(backup)
            # Once more on the full one, which has no mark any more.
        self.assertEqual(*found)
        self.assertEqual([], [
            name for name in self.marks() if full.id not in name])

    def test_image_that_was_restored(self):
        full = self.back_up(self.volume)
        first = self.sha256(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        second, _ = self.incremental()
        self.assertEqual(first, self.sha256(self.restore(full, self.volume)))
        third, _ = self.incremental()
        self.assertFalse(self.reads_all(third.id))
        self.assertEqual(first, self.sha256(self.restore(third)))
        self.assertNotEqual(first, self.sha256(self.restore(second)))

    def test_image_that_was_rolled_back_to_the_second_of_two(self):
        # Ceph's map then calls objects unchanged that are not.
        self.back_up(self.volume)
        for _ in range(2):
            snapshot = self._snapshot(self.volume)
        then = self.sha256(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        self.incremental()
        self._revert(self.volume, snapshot)
        self.assertEqual(then, self.sha256(self.volume))
        tip, _ = self.incremental()
        self.assertEqual(then, self.sha256(self.restore(tip)))

    def _snapshot(self, volume):
        snapshot = self.cinder.volume_snapshots.create(volume.id)
        self.addCleanup(self._forget_snapshot, snapshot)
        return self.wait(self.cinder.volume_snapshots, snapshot, 'available')

    def _revert(self, volume, snapshot):
        self.cinder.volumes.revert_to_snapshot(volume, snapshot)
        self.wait(self.cinder.volumes, volume, 'available')

    def test_image_that_was_rolled_back_behind_its_mark(self):
        self.back_up(self.volume)
        self.write(self.volume, 205 * MIB, b'second')
        with self.volumes.image(self.volume.id) as image:
            image.discard(400 * MIB, 10 * MIB)
        then = self.sha256(self.volume)
        snapshot = self._snapshot(self.volume)
        self.write(self.volume, 305 * MIB, b'third')
        self.write(self.volume, 450 * MIB, b'where there was nothing')
        self._revert(self.volume, snapshot)
        self.assertEqual(then, self.sha256(self.volume))
        # There can be no mark, but that of the parent is used.
        tip, count = self.incremental()
        self.assertFalse(self.reads_all(tip.id))
        self.assertLess(count, osd.SAMPLE + 40 * MIB)
        self.assertEqual([], self.marks())
        self.assertEqual(then, self.sha256(self.restore(tip)))

    def test_clone_that_was_rolled_back(self):
        # What its origin has shows through again, and Ceph's map has a trace
        # of what was there instead.
        clone = self.cinder.volumes.create(1, source_volid=self.volume.id)
        clone = self.wait(self.cinder.volumes, clone, 'available')
        self.addCleanup(self.forget_volume, clone)
        then = self.sha256(clone)
        snapshot = self._snapshot(clone)
        self.write(clone, 305 * MIB, b'its own')
        # This has a snapshot of the clone, which stays.
        other = self.cinder.volumes.create(1, source_volid=clone.id)
        other = self.wait(self.cinder.volumes, other, 'available')
        self.addCleanup(self.forget_volume, other)
        self._revert(clone, snapshot)
        self.assertEqual(then, self.sha256(clone))
        backup = self.back_up(clone)
        self.assertEqual(then, self.sha256(self.restore(backup)))
        # The same as a target: zeros have to be written there, too.
        empty = self.make_volume()
        zeros = self.back_up(empty)
        self.assertEqual(self.sha256(empty),
                         self.sha256(self.restore(zeros, clone)))

    def test_image_without_maps(self):
        # Ceph has to look at each of its objects.
        rbd = self.volumes.rbd
        with self.volumes.image(self.volume.id) as image:
            image.update_features(
                rbd.RBD_FEATURE_FAST_DIFF | rbd.RBD_FEATURE_OBJECT_MAP, False)
        self.back_up(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        with self.volumes.image(self.volume.id) as image:
            image.discard(700 * MIB, 5 * MIB)
        expected = self.sha256(self.volume)
        tip, count = self.incremental()
        self.assertFalse(self.reads_all(tip.id))
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertEqual(expected, self.sha256(self.restore(tip)))

    def test_image_that_was_rolled_back(self):
        then = self.sha256(self.volume)
        snapshot = self._snapshot(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        self.back_up(self.volume)
        self._revert(self.volume, snapshot)
        self.assertEqual(then, self.sha256(self.volume))
        tip, _ = self.incremental()
        self.assertEqual(then, self.sha256(self.restore(tip)))

    def _forget_snapshot(self, snapshot):
        self.cinder.volume_snapshots.delete(snapshot)
        self.wait_gone(self.cinder.volume_snapshots, snapshot)

    def test_another_image_of_the_same_name(self):
        # As after a migration: no snapshot comes along.
        self.back_up(self.volume)
        name = f'volume-{self.volume.id}'
        pool = self.volumes.pool
        with self.volumes.image(self.volume.id) as image:
            image.copy(pool, f'{name}.copy')
        self.remove_marks()
        rbd = self.volumes.rbd.RBD()
        rbd.remove(pool, name)
        rbd.rename(pool, f'{name}.copy', name)
        self.write(self.volume, 305 * MIB, b'second')
        expected = self.sha256(self.volume)
        tip, _ = self.incremental()
        self.assertTrue(self.reads_all(tip.id))
        self.assertIn('another image', self.log())
        self.assertEqual(expected, self.sha256(self.restore(tip)))

    def test_volume_that_grew(self):
        self.back_up(self.volume)
        self.cinder.volumes.extend(self.volume, 2)
        self.volume = self.wait(self.cinder.volumes, self.volume, 'available')
        self.write(self.volume, 1500 * MIB, b'behind the old end')
        expected = self.sha256(self.volume)
        tip, count = self.incremental()
        self.assertFalse(self.reads_all(tip.id))
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertEqual(expected, self.sha256(self.restore(tip)))

    def test_in_use(self):
        full = self.back_up(self.volume)
        self.attach()
        self.write(self.volume, 305 * MIB, b'second')
        expected = self.sha256(self.volume)
        tip, count = self.incremental(force=True)
        self.assertLess(count, osd.SAMPLE + 8 * MIB)
        self.assertEqual([f'backup.{tip.id}.snap.csb'], self.marks())
        self.assertEqual(expected, self.sha256(self.restore(tip)))
        self.detach()
        with self.volumes.image(self.volume.id) as image:
            image.discard(304 * MIB, 4 * MIB)
        expected = self.sha256(self.volume)
        newest, _ = self.incremental()
        self.assertEqual(expected, self.sha256(self.restore(newest)))
        self.assertEqual([f'backup.{newest.id}.snap.csb'], self.marks())
        self.assertNotIn(full.id, ''.join(self.marks()))

    def test_snapshot(self):
        self.back_up(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        then = self.sha256(self.volume)
        snapshot = self._snapshot(self.volume)
        self.write(self.volume, 505 * MIB, b'third')
        now = self.sha256(self.volume)
        tip, _ = self.incremental(snapshot_id=snapshot.id)
        self.assertEqual(then, self.sha256(self.restore(tip)))
        newest, _ = self.incremental()
        self.assertEqual(now, self.sha256(self.restore(newest)))
        # It could be reverted to the snapshot.
        self.assertEqual([], self.marks())

    def test_volume_is_deleted(self):
        backup = self.back_up(self.volume)
        self.assertNotEqual([], self.marks())
        self.cinder.volumes.delete(self.volume)
        self.wait_gone(self.cinder.volumes, self.volume)
        self.delete_backup(backup)


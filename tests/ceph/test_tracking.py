# SPDX-License-Identifier: Apache-2.0

"""Changed-block tracking: incrementals that read only what was written."""

import json
import pathlib
import random
import uuid

from cinder_swift_backup.format import naming
from tests.ceph import lies
from tests.ceph import osd
from tests.fakes import blobs
from tests.functional import api
from tests.functional.api import MIB

_READ_ALL = 'All of the volume is read'


class TrackingTestCase(api.ApiTestCase):
    """A volume of 1 GiB with 100 MiB of data, and its backups."""

    def setUp(self):
        super().setUp()
        self.need('ceph_directory')
        lies.expect_none(self)
        self.volume = self.make_volume()
        for number in range(10):
            self.write(self.volume, number * 100 * MIB,
                       random.Random(number).randbytes(10 * MIB))

    def _marks(self):
        with self.volumes.image(self.volume.id) as image:
            return [each['name'] for each in image.list_snaps()
                    if each['name'].endswith('.snap.csb')]

    def _remove_marks(self):
        with self.volumes.image(self.volume.id) as image:
            for name in self._marks():
                image.remove_snap(name)

    def _log(self):
        return pathlib.Path(self.cloud.directory, 'cinder',
                            'cinder.log').read_text()

    def _reads(self, backup_id):
        """Whether the log says that a backup had to read everything."""
        return any(_READ_ALL in line and backup_id in line
                   for line in self._log().splitlines())

    def _objects(self, backup):
        """What is stored of a backup, but for names, ids and times."""
        prefix = backup_prefix(self.object_names(self.container), backup)
        chunks = {
            name.removeprefix(prefix): blobs.get(self.store, self.container,
                                                 name)
            for name in self.object_names(self.container, f'{prefix}-')}
        digests = json.loads(blobs.get(
            self.store, self.container, naming.digest_file_name(prefix)))
        return chunks, digests['sha256s']

    def _incremental(self, **options):
        """An incremental, and how many bytes it read from Ceph."""
        before = osd.bytes_read(self.cloud.ceph_directory)
        backup = self.back_up(self.volume, incremental=True, **options)
        return backup, osd.bytes_read(self.cloud.ceph_directory) - before

    def test_only_what_was_written_is_read(self):
        full = self.back_up(self.volume)
        self.assertEqual([f'backup.{full.id}.snap.csb'], self._marks())
        self.write(self.volume, 305 * MIB, b'new data')
        self.write(self.volume, 950 * MIB, b'where there was nothing')
        with self.volumes.image(self.volume.id) as image:
            image.discard(500 * MIB, 10 * MIB)
        expected = self.sha256(self.volume)
        tip, count = self._incremental()
        self.assertEqual([f'backup.{tip.id}.snap.csb'], self._marks())
        # Objects are of 4 MiB: two to compare, and a block of each to store.
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertFalse(self._reads(tip.id))
        self.assertEqual(expected, self.sha256(self.restore(tip)))
        unchanged, count = self._incremental()
        self.assertEqual(0, unchanged.object_count)
        self.assertLess(count, osd.SAMPLE + MIB)
        self.assertEqual(expected, self.sha256(self.restore(unchanged)))
        # The same backup, when everything is read.
        self.delete_backup(unchanged)
        self.assertEqual([], self._marks())
        self.write(self.volume, 105 * MIB, b'newer')
        expected = self.sha256(self.volume)
        again, count = self._incremental()
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
                self._remove_marks()
            backup, _ = self._incremental()
            self.assertEqual(not tracked, self._reads(backup.id))
            found.append(self._objects(backup))
            self.delete_backup(backup)
            # Once more on the full one, which has no mark any more.
        self.assertEqual(*found)
        self.assertEqual([], [
            name for name in self._marks() if full.id not in name])

    def test_image_that_was_restored(self):
        full = self.back_up(self.volume)
        first = self.sha256(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        second, _ = self._incremental()
        self.assertEqual(first, self.sha256(self.restore(full, self.volume)))
        third, _ = self._incremental()
        self.assertFalse(self._reads(third.id))
        self.assertEqual(first, self.sha256(self.restore(third)))
        self.assertNotEqual(first, self.sha256(self.restore(second)))

    def test_image_that_was_rolled_back_to_the_second_of_two(self):
        # Ceph's map then calls objects unchanged that are not.
        self.back_up(self.volume)
        for _ in range(2):
            snapshot = self._snapshot(self.volume)
        then = self.sha256(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        self._incremental()
        self._revert(self.volume, snapshot)
        self.assertEqual(then, self.sha256(self.volume))
        tip, _ = self._incremental()
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
        tip, count = self._incremental()
        self.assertFalse(self._reads(tip.id))
        self.assertLess(count, osd.SAMPLE + 40 * MIB)
        self.assertEqual([], self._marks())
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
        tip, count = self._incremental()
        self.assertFalse(self._reads(tip.id))
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertEqual(expected, self.sha256(self.restore(tip)))

    def test_image_that_was_rolled_back(self):
        then = self.sha256(self.volume)
        snapshot = self._snapshot(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        self.back_up(self.volume)
        self._revert(self.volume, snapshot)
        self.assertEqual(then, self.sha256(self.volume))
        tip, _ = self._incremental()
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
        self._remove_marks()
        rbd = self.volumes.rbd.RBD()
        rbd.remove(pool, name)
        rbd.rename(pool, f'{name}.copy', name)
        self.write(self.volume, 305 * MIB, b'second')
        expected = self.sha256(self.volume)
        tip, _ = self._incremental()
        self.assertTrue(self._reads(tip.id))
        self.assertIn('another image', self._log())
        self.assertEqual(expected, self.sha256(self.restore(tip)))

    def test_volume_that_grew(self):
        self.back_up(self.volume)
        self.cinder.volumes.extend(self.volume, 2)
        self.volume = self.wait(self.cinder.volumes, self.volume, 'available')
        self.write(self.volume, 1500 * MIB, b'behind the old end')
        expected = self.sha256(self.volume)
        tip, count = self._incremental()
        self.assertFalse(self._reads(tip.id))
        self.assertLess(count, osd.SAMPLE + 12 * MIB)
        self.assertEqual(expected, self.sha256(self.restore(tip)))

    def test_in_use(self):
        full = self.back_up(self.volume)
        attachment = self.cinder.attachments.create(
            self.volume.id, {'host': 'somewhere'}, str(uuid.uuid4()))
        self.cinder.attachments.complete(attachment['id'])
        self.wait(self.cinder.volumes, self.volume, 'in-use')
        self.write(self.volume, 305 * MIB, b'second')
        expected = self.sha256(self.volume)
        tip, count = self._incremental(force=True)
        self.assertLess(count, osd.SAMPLE + 8 * MIB)
        self.assertEqual([f'backup.{tip.id}.snap.csb'], self._marks())
        self.assertEqual(expected, self.sha256(self.restore(tip)))
        # There is no Nova that could end the attachment.
        self.client(self.cloud.admin).volumes.reset_state(
            self.volume, 'available', 'detached')
        self.wait(self.cinder.volumes, self.volume, 'available')
        with self.volumes.image(self.volume.id) as image:
            image.discard(304 * MIB, 4 * MIB)
        expected = self.sha256(self.volume)
        newest, _ = self._incremental()
        self.assertEqual(expected, self.sha256(self.restore(newest)))
        self.assertEqual([f'backup.{newest.id}.snap.csb'], self._marks())
        self.assertNotIn(full.id, ''.join(self._marks()))

    def test_snapshot(self):
        self.back_up(self.volume)
        self.write(self.volume, 305 * MIB, b'second')
        then = self.sha256(self.volume)
        snapshot = self._snapshot(self.volume)
        self.write(self.volume, 505 * MIB, b'third')
        now = self.sha256(self.volume)
        tip, _ = self._incremental(snapshot_id=snapshot.id)
        self.assertEqual(then, self.sha256(self.restore(tip)))
        newest, _ = self._incremental()
        self.assertEqual(now, self.sha256(self.restore(newest)))
        # It could be reverted to the snapshot.
        self.assertEqual([], self._marks())

    def test_volume_is_deleted(self):
        backup = self.back_up(self.volume)
        self.assertNotEqual([], self._marks())
        self.cinder.volumes.delete(self.volume)
        self.wait_gone(self.cinder.volumes, self.volume)
        self.delete_backup(backup)


def backup_prefix(names, backup):
    """What the names of a backup's objects begin with."""
    (name,) = (name for name in names
               if name.endswith(f'{backup.id}_metadata'))
    return name.removesuffix('_metadata')

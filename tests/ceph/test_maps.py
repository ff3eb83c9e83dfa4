# SPDX-License-Identifier: Apache-2.0

"""Whether images are as librbd says, and what becomes of a lie."""

import random
import re
import subprocess
from unittest import mock

import fixtures

from cinder_swift_backup.engine.volumes import librbd
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.engine.volumes import rbd
from tests.ceph import images
from tests.ceph import lies
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import MIB
from tests.functional.cinder_side import OURS

_SIZE = 24 * MIB


class ReleaseTestCase(images.ImagesTestCase):
    """Which release of librbd there is."""

    def test_release(self):
        told = subprocess.run(['ceph', '--version'], capture_output=True,
                              text=True, check=True).stdout
        numbers = re.search(r'version (\d+)\.(\d+)\.(\d+)', told).groups()
        librbd.release.cache_clear()
        self.assertEqual(tuple(map(int, numbers)), librbd.release())


class _WithoutOrigin(rbd.RbdVolume):
    """An image as librbd before 16.2.8 tells of it."""

    def _objects(self, within, mark, *, include_parent=True):
        return super()._objects(within, mark, include_parent=False)


class _WithoutChanges(rbd.RbdVolume):
    """An image of which librbd says that nothing was written to it."""

    def _objects(self, within, mark, *, include_parent=True):
        return [] if mark else super()._objects(
            within, mark, include_parent=include_parent)


class MapsTestCase(images.ImagesTestCase):
    """Images with and without an origin, backed up and restored to."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())

    def _look_everywhere(self):
        """Have so many places looked at that next to none is left out."""
        self.enterContext(mock.patch.object(maps, 'PLACES', 8192))
        self.enterContext(mock.patch.object(maps, '_MOST', 8192 * BLOCK))

    def _tell(self, kind):
        """Have images tell of themselves as those of a kind do."""
        self.enterContext(mock.patch.object(rbd, 'RbdVolume', kind))

    def _make_origin(self):
        """An image with data in every other object, and a snapshot of it."""
        volume, name = self.make_volume(b'')
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.resize(_SIZE)
            for start in range(0, _SIZE, 8 * MIB):
                image.write(random.Random(start).randbytes(4 * MIB), start)
            image.create_snap('origin')
        return volume, name

    def _remove_snapshot(self, name):
        """Let an image have marks, which it cannot beside a snapshot."""
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.remove_snap('origin')

    def _make_clone(self, origin):
        """A volume that is a clone of an image with a snapshot."""
        volume, name = super().make_volume(b'')
        self.remove_image(name)
        self.ceph.rbd.RBD().clone(
            self.ceph.pool, origin, 'origin', self.ceph.pool, name)
        return volume, name

    def _write(self, name, seed):
        """Write, discard and zero parts of an image."""
        rng = random.Random(seed)
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            for _ in range(4):
                image.write(rng.randbytes(70000),
                            rng.randrange(image.size() - 70000))
            image.discard(rng.randrange(image.size() - 5 * MIB), 5 * MIB)
            image.discard(rng.randrange(_SIZE // (4 * MIB)) * 4 * MIB, 4 * MIB)
            image.write_zeroes(rng.randrange(image.size() - MIB), MIB)

    def _check_chain(self, volume, name):
        """Back an image up and up by its marks, and restore each time."""
        backup = None
        for seed in range(4):
            backup = self.back_up(OURS, volume, name, backup)
            expected = self.content(name)
            self.assertEqual(expected, self.restored(
                OURS, backup, len(expected), b'\xa5' if seed % 2 else b''))
            self._write(name, seed)
        self.assertNotIn('reads the whole volume', self.log.output)
        self.assertNotIn(lies.WORDS, self.log.output)

    def test_healthy_image(self):
        self._look_everywhere()
        volume, name = self._make_origin()
        self._remove_snapshot(name)
        self._write(name, 'image')
        self._check_chain(volume, name)

    def test_healthy_clone(self):
        self._look_everywhere()
        _, origin = self._make_origin()
        volume, name = self._make_clone(origin)
        self._check_chain(volume, name)

    def test_healthy_clone_of_a_clone(self):
        self._look_everywhere()
        _, origin = self._make_origin()
        _, between = self._make_clone(origin)
        self._write(between, 'between')
        with self.ceph.rbd.Image(self.ceph.pool, between) as image:
            image.create_snap('origin')
        volume, name = self._make_clone(between)
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.resize(_SIZE + 8 * MIB)
        self._check_chain(volume, name)
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.flatten()
        self._check_chain(volume, name)

    def test_healthy_image_in_use(self):
        # It is read itself: there is no mark.
        self.configure(backup_swift_rbd_cbt=False)
        self._look_everywhere()
        volume, name = self._make_origin()
        find_lie = maps.Checker.find_lie

        def write_and_find(*arguments):
            with self.ceph.rbd.Image(self.ceph.pool, name) as image:
                image.write(b'in use' * MIB, 4 * MIB)
            return find_lie(*arguments)

        self.enterContext(mock.patch.object(
            maps.Checker, 'find_lie', write_and_find))
        self.back_up(OURS, volume, name)
        self.assertNotIn(lies.WORDS, self.log.output)

    def _assert_lie(self, text):
        """The log has one error of that, and nothing else."""
        (found,) = [line for line in self.log.output.splitlines()
                    if lies.WORDS in line]
        self.assertIn(text, found)

    def test_backup_without_origin(self):
        _, origin = self._make_origin()
        volume, name = self._make_clone(origin)
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.write(b'its own', 9 * MIB)
        expected = self.content(name)
        self._tell(_WithoutOrigin)
        backup = self.back_up(OURS, volume, name)
        self._assert_lie(f'{backup.id}, which reads all')
        self.assertEqual(expected,
                         self.restored(OURS, backup, len(expected), b''))

    def test_backup_without_changes(self):
        volume, name = self._make_origin()
        self._remove_snapshot(name)
        full = self.back_up(OURS, volume, name)
        with self.ceph.rbd.Image(self.ceph.pool, name) as image:
            image.write(b'new' * 4 * MIB, 8 * MIB)
        expected = self.content(name)
        self._tell(_WithoutChanges)
        tip = self.back_up(OURS, volume, name, full)
        self._assert_lie('the same as in the parent')
        self.assertEqual(expected,
                         self.restored(OURS, tip, len(expected), b''))

    def test_restore_without_origin(self):
        volume, name = self.make_volume(bytes(_SIZE))
        backup = self.back_up(OURS, volume, name)
        _, origin = self._make_origin()
        target, name = self._make_clone(origin)
        self._tell(_WithoutOrigin)
        with self.opened(name, 'wb') as handle:
            self.restore_to(OURS, backup, target, handle, False)
        self._assert_lie('The target')
        self.assertEqual(bytes(_SIZE), self.content(name))

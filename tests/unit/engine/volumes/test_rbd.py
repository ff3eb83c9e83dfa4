# SPDX-License-Identifier: Apache-2.0

"""RBD images."""

from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import base as volumes_base
from cinder_swift_backup.format import types
from tests.fakes import volumes as fakes
from tests.unit.engine.volumes import base as common


class RbdVolumeTest(base.BaseTestCase):
    """An RBD image."""

    def setUp(self):
        super().setUp()
        self.image = fakes.Image(common.DATA)
        self.volume = common.open_volume(fakes.RbdHandle(self.image))

    def test_sizes(self):
        self.assertEqual(len(common.DATA), self.volume.size)
        self.assertEqual(len(common.DATA), self.volume.capacity)

    def test_read(self):
        self.assertEqual(common.DATA[300:800],
                         common.read(self.volume, types.Extent(300, 500)))

    def test_read_past_the_end(self):
        self.assertRaises(exceptions.VolumeError, common.read,
                          self.volume, types.Extent(len(common.DATA) - 10, 20))

    def test_write(self):
        self.volume.write(100, memoryview(b'new data'))
        self.assertEqual(common.DATA[:100] + b'new data' + common.DATA[108:],
                         bytes(self.image.data))

    def test_finish_flushes(self):
        self.volume.finish(len(common.DATA))
        self.assertTrue(self.image.flushed)

    def test_zero(self):
        self.volume.zero(types.Extent(100, 3000))
        self.assertEqual(common.DATA[:100] + bytes(3000) + common.DATA[3100:],
                         bytes(self.image.data))

    def test_zero_with_a_librbd_that_only_writes(self):
        class Old(fakes.Image):
            write_zeroes = property()

        image = Old(bytes(range(1, 256)) * 1000)
        before = bytes(image.data)
        common.open_volume(fakes.RbdHandle(image)).zero(
            types.Extent(100, 200000))
        self.assertEqual(before[:100] + bytes(200000) + before[200100:],
                         bytes(image.data))

    def test_data_extents(self):
        self.image.data[1024:4096] = bytes(3072)
        self.assertEqual(
            [types.Extent(0, 1024), types.Extent(4096, 1024)],
            list(self.volume.data_extents(types.Extent(0, len(common.DATA)))))
        self.assertEqual(
            [types.Extent(10, 1014)],
            list(self.volume.data_extents(types.Extent(10, 3000))))
        fresh = common.open_volume(fakes.RbdHandle(fakes.Image(bytes(5000))))
        self.assertEqual(
            [], list(fresh.data_extents(types.Extent(0, 5000))))

    def test_object_of_a_snapshot_may_show_what_its_origin_has(self):
        # Some releases of librbd tell it as one that does not exist.
        real = self.image.diff_iterate

        def diff_iterate(offset, length, snapshot, found, **options):
            real(offset, length, snapshot,
                 lambda start, size, exists: found(start, size, start != 1024),
                 **options)

        with mock.patch.object(self.image, 'diff_iterate', diff_iterate):
            self.assertIn(types.Extent(1024, 1024), list(
                self.volume.data_extents(types.Extent(0, 4096))))

    def test_parts_of_a_window_are_one_question(self):
        # A clone answers each by looking through all of its parent.
        self.image.data[1024:4096] = bytes(3072)
        with mock.patch.object(self.image, 'diff_iterate',
                               wraps=self.image.diff_iterate) as asked:
            for start in range(0, len(common.DATA), 100):
                within = types.Extent(start, min(
                    100, len(common.DATA) - start))
                self.assertEqual(
                    [part for part in (
                        types.Extent(0, 1024).overlap(within),
                        types.Extent(4096, 1024).overlap(within)) if part],
                    list(self.volume.data_extents(within)))
        self.assertEqual(1, asked.call_count)

    def test_hole_that_was_written_to_meanwhile(self):
        self.image.data[1024:4096] = bytes(3072)
        part = types.Extent(2000, 10)
        self.assertEqual([], list(self.volume.data_extents(part)))
        self.assertTrue(self.volume.is_hole(part))
        self.image.write(b'new', 2000)
        self.assertFalse(self.volume.is_hole(part))

    def test_several_windows(self):
        with mock.patch.object(volumes_base, 'WINDOW', 1000):
            self.assertEqual(
                [types.Extent(10, 990), types.Extent(1000, 24),
                 types.Extent(1024, 976), types.Extent(2000, 10)],
                list(self.volume.data_extents(types.Extent(10, 2000))))

    def test_changed_since(self):
        mark = self.volume.freeze('mark')
        self.volume.use(None)
        everything = types.Extent(0, len(common.DATA))
        self.assertEqual([], list(self.volume.changed_since(
            mark, everything)))
        self.volume.write(1500, memoryview(b'new'))
        self.volume.zero(types.Extent(3072, 1024))
        self.assertEqual(
            [types.Extent(1024, 1024), types.Extent(3072, 1024)],
            list(self.volume.changed_since(mark, everything)))
        self.assertEqual(
            [types.Extent(1600, 448)],
            list(self.volume.changed_since(mark, types.Extent(1600, 1000))))
        for other in (types.Mark(mark.image, 'other'),
                      types.Mark('other', mark.snapshot)):
            err = self.assertRaises(exceptions.VolumeError, list,
                                    self.volume.changed_since(
                                        other, everything))
            self.assertIn('other', str(err))

    def test_freeze(self):
        mark = self.volume.freeze('mark')
        self.assertEqual('mark', mark.snapshot)
        self.image._head[:100] = bytes(100)
        self.assertEqual(common.DATA[:200],
                         common.read(self.volume, types.Extent(0, 200)))
        self.volume.use(None)
        self.assertEqual(bytes(100) + common.DATA[100:200],
                         common.read(self.volume, types.Extent(0, 200)))
        self.assertEqual(['mark'], self.volume.snapshots())
        for _ in range(2):
            self.volume.forget('mark')
            self.assertEqual([], self.volume.snapshots())

    def test_freeze_that_fails(self):
        self.image.create_snap('mark')
        self.assertRaises(exceptions.VolumeError, self.volume.freeze, 'mark')
        self.assertEqual(['mark'], self.volume.snapshots())
        with mock.patch.object(self.image, 'set_snap',
                               side_effect=[fakes.Error('no'), None]):
            self.assertRaises(exceptions.VolumeError, self.volume.freeze,
                              'new')
        self.assertEqual(['mark'], self.volume.snapshots())
        self.image.fail()
        for call in (self.volume.snapshots, lambda: self.volume.use(None),
                     lambda: self.volume.forget('mark')):
            self.assertRaises(exceptions.VolumeError, call)

    def test_failing(self):
        # The errors of the module that the image is of, not of the wrapper.
        self.image.fail()
        extent = types.Extent(300, 500)
        for call in (lambda: common.read(self.volume, extent),
                     lambda: self.volume.write(300, memoryview(b'x')),
                     lambda: self.volume.zero(extent)):
            err = self.assertRaises(exceptions.VolumeError, call)
            self.assertIn('errno 110', str(err))
            self.assertEqual(300, err.offset)
        self.assertRaises(exceptions.VolumeError, list,
                          self.volume.data_extents(extent))

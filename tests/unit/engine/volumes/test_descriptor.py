# SPDX-License-Identifier: Apache-2.0

"""Regular files."""

import os
import tempfile
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import kernel
from cinder_swift_backup.format import types
from tests.unit.engine.volumes import base as common


class FileVolumeTest(base.BaseTestCase):
    """A regular file."""

    def setUp(self):
        super().setUp()
        self.file = self.enterContext(tempfile.TemporaryFile())

    def _volume(self, data=common.DATA):
        self.file.write(data)
        self.file.flush()
        return common.open_volume(self.file)

    def _content(self):
        self.file.seek(0)
        return self.file.read()

    def test_read(self):
        found = self._volume()
        self.assertEqual(len(common.DATA), found.size)
        for extent in (types.Extent(300, 500),
                       types.Extent(0, len(common.DATA))):
            self.assertEqual(common.DATA[extent.offset:extent.end],
                             common.read(found, extent))

    def test_read_in_bits(self):
        found = self._volume()
        real = os.preadv
        with mock.patch.object(
                os, 'preadv', side_effect=lambda fd, views, offset: real(
                    fd, [views[0][:7]], offset)) as called:
            self.assertEqual(common.DATA[300:800],
                             common.read(found, types.Extent(300, 500)))
        self.assertEqual(72, called.call_count)

    def test_read_past_the_end(self):
        found = self._volume()
        err = self.assertRaises(
            exceptions.VolumeError, common.read,
            found, types.Extent(len(common.DATA) - 10, 20))
        self.assertEqual((len(common.DATA) + 10, len(common.DATA)),
                         (err.expected, err.actual))

    def test_shrunk_before_it_is_mapped(self):
        # What is missing is no hole.
        found = self._volume()
        self.file.truncate(100)
        self.assertRaises(exceptions.VolumeError, list,
                          found.data_extents(types.Extent(0, 200)))

    def test_shrunk_meanwhile(self):
        found = self._volume()
        self.file.truncate(100)
        self.assertRaises(exceptions.VolumeError, common.read,
                          found, types.Extent(50, 100))

    def test_write(self):
        found = self._volume()
        found.write(100, memoryview(b'new data'))
        self.assertEqual(common.DATA[:100] + b'new data' + common.DATA[108:],
                         self._content())

    def test_write_in_bits(self):
        found = self._volume()
        real = os.pwrite
        with mock.patch.object(
                os, 'pwrite',
                lambda fd, data, offset: real(fd, data[:3], offset)):
            found.write(100, memoryview(b'new data'))
        self.assertEqual(common.DATA[:100] + b'new data' + common.DATA[108:],
                         self._content())

    def test_finish_brings_it_to_its_length(self):
        found = self._volume(b'')
        self.assertIsNone(found.capacity)
        found.write(10, memoryview(b'x'))
        found.finish(1000)
        self.assertEqual(bytes(10) + b'x' + bytes(989), self._content())

    def test_sync_makes_it_durable(self):
        # Pages that are not on the disk yet are not given back.
        found = self._volume()
        calls = mock.Mock()
        with mock.patch('os.fdatasync', calls.sync), \
                mock.patch('os.posix_fadvise', calls.advise):
            found.sync()
        fd = self.file.fileno()
        self.assertEqual(
            [mock.call.sync(fd),
             mock.call.advise(fd, 0, 0, os.POSIX_FADV_DONTNEED)],
            calls.mock_calls)

    def test_one_sync_is_enough_to_know_where_the_holes_are(self):
        found = self._volume()
        with mock.patch('os.fdatasync') as sync:
            for offset in (0, 100):
                list(found.data_extents(types.Extent(offset, 100)))
        sync.assert_called_once_with(self.file.fileno())

    def test_sync_does_not_fail_for_advice(self):
        found = self._volume()
        with mock.patch('os.posix_fadvise', side_effect=OSError(38, 'no')):
            found.sync()

    def test_content_outlives_sync(self):
        found = self._volume()
        found.write(100, memoryview(b'new data'))
        found.sync()
        self.assertEqual(common.DATA[:100] + b'new data' + common.DATA[108:],
                         self._content())

    def test_finish_makes_it_durable(self):
        found = self._volume(b'')
        with mock.patch.object(os, 'fsync') as fsync:
            found.finish(10)
        fsync.assert_called_once_with(self.file.fileno())

    def test_finish_cuts_what_is_longer(self):
        found = self._volume()
        found.finish(10)
        self.assertEqual(common.DATA[:10], self._content())

    def test_hole_reads_as_zeros(self):
        self.file.truncate(1 << 20)
        found = common.open_volume(self.file)
        self.assertEqual(1 << 20, found.size)
        self.assertEqual(bytes(5000), common.read(
            found, types.Extent(70000, 5000)))

    def _data_extents(self, found, offset, length):
        return list(found.data_extents(types.Extent(offset, length)))

    def test_data_extents(self):
        # Holes are at least as large as the blocks of the file system.
        self.file.truncate(4 << 20)
        for offset in (1 << 20, 3 << 20):
            os.pwrite(self.file.fileno(), b'x' * 65536, offset)
        found = common.open_volume(self.file)
        extents = self._data_extents(found, 0, 4 << 20)
        self.assertEqual([1 << 20, 3 << 20],
                         [extent.offset for extent in extents])
        self.assertEqual(extents[:1], self._data_extents(
            found, 500000, 2000000))
        self.assertEqual([types.Extent(1 << 20, 100)], self._data_extents(
            found, 1 << 20, 100))
        self.assertEqual([], self._data_extents(found, 0, 1 << 20))

    def test_hole_that_was_written_to_meanwhile(self):
        self.file.truncate(4 << 20)
        found = common.open_volume(self.file)
        part = types.Extent(2 << 20, 100)
        self.assertEqual([], list(found.data_extents(part)))
        self.assertTrue(found.is_hole(part))
        os.pwrite(self.file.fileno(), b'x' * 65536, 2 << 20)
        self.assertFalse(found.is_hole(part))

    def test_no_data_beyond_the_end(self):
        self.assertEqual([], self._data_extents(self._volume(b''), 0, 1000))
        found = common.open_volume(self.file)
        self.file.write(common.DATA)
        self.file.flush()
        self.assertEqual([types.Extent(0, len(common.DATA))],
                         self._data_extents(found, 0, 1 << 20))

    def test_zero(self):
        found = self._volume(common.DATA * 200)
        used = os.fstat(self.file.fileno()).st_blocks
        found.zero(types.Extent(100, 900000))
        content = self._content()
        self.assertEqual(common.DATA * 200,
                         common.DATA[:100] + (common.DATA * 200)[100:900100]
                         + content[900100:])
        self.assertEqual(bytes(900000), content[100:900100])
        self.assertLess(os.fstat(self.file.fileno()).st_blocks, used / 2)

    def test_zero_beyond_the_end(self):
        found = self._volume()
        found.zero(types.Extent(len(common.DATA) - 10, 1000))
        found.finish(len(common.DATA) + 2000)
        self.assertEqual(common.DATA[:-10] + bytes(2010), self._content())

    def test_zero_in_a_file_system_without_holes(self):
        found = self._volume(common.DATA * 200)
        with mock.patch.object(kernel, 'punch_hole', return_value=False):
            found.zero(types.Extent(100, 900000))
        self.assertEqual(
            common.DATA[:100] + bytes(900000) + (common.DATA * 200)[900100:],
            self._content())

    def test_zero_that_fails(self):
        found = self._volume()
        with mock.patch.object(kernel, 'punch_hole',
                               side_effect=OSError(5, 'I/O error')):
            err = self.assertRaises(exceptions.VolumeError, found.zero,
                                    types.Extent(100, 20))
            self.assertEqual((100, 120), (err.offset, err.end))

# SPDX-License-Identifier: Apache-2.0

"""Block devices: loop devices, full of what a former tenant left."""

import os
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import descriptor
from cinder_swift_backup.engine.volumes import kernel
from cinder_swift_backup.format import types
from tests.fakes import loop_device
from tests.unit.engine.volumes import base as common

_SIZE = 4 << 20
_WHOLE = types.Extent(0, _SIZE)


class DeviceVolumeTest(base.BaseTestCase):
    """On a real device, opened for writing only, as Cinder does."""

    def setUp(self):
        super().setUp()
        self.device = self.useFixture(loop_device.LoopDevice(_SIZE, 0xee))
        self.handle = self.enterContext(open(self.device.path, 'wb'))
        self.volume = common.open_volume(self.handle)

    def _content(self):
        return self.device.content()

    def _cannot(self, *calls):
        """Have the kernel not be able to do some things to the device."""
        for call in calls:
            self.enterContext(mock.patch.object(
                kernel, call, return_value=False))

    def test_sizes(self):
        self.assertIsInstance(self.volume, descriptor.DeviceVolume)
        self.assertEqual(_SIZE, self.volume.size)
        self.assertEqual(_SIZE, self.volume.capacity)

    def test_it_is_not_known_to_read_as_zeros(self):
        self.assertEqual([_WHOLE], list(self.volume.data_extents(_WHOLE)))
        self.assertFalse(self.volume.is_hole(_WHOLE))

    def _zero(self, extent):
        before = self._content()
        self.volume.zero(extent)
        self.volume.finish(_SIZE)
        self.assertEqual(
            before[:extent.offset] + bytes(extent.length)
            + before[extent.end:], self._content())

    def test_zero(self):
        used = self.device.used()
        self._zero(types.Extent(65536, 1 << 20))
        self.assertLess(self.device.used(), used)
        self._zero(_WHOLE)

    def test_zero_without_holes(self):
        self._cannot('punch_hole')
        self._zero(types.Extent(65536, 1 << 20))

    def test_zero_by_writing(self):
        self._cannot('punch_hole', 'zero_out')
        self._zero(types.Extent(65536, (1 << 20) + 512))

    def test_zero_of_parts_of_sectors(self):
        for extent in (types.Extent(100, 1000), types.Extent(5, 1),
                       types.Extent(511, 2), types.Extent(70000, 100000)):
            self._zero(extent)

    def test_what_reads_as_zeros_already_is_zeroed_nevertheless(self):
        # A thin volume without zeroing reads so only until data is written
        # next to it.
        self.volume.zero(_WHOLE)
        self._cannot('punch_hole')
        with mock.patch.object(kernel, 'zero_out',
                               return_value=True) as zero_out:
            self.volume.zero(types.Extent(65536, 1 << 20))
        zero_out.assert_called_once_with(self.handle.fileno(),
                                         types.Extent(65536, 1 << 20))

    def test_zero_that_fails(self):
        self._cannot('punch_hole')
        with mock.patch.object(kernel, 'zero_out',
                               side_effect=OSError(5, 'I/O error')):
            err = self.assertRaises(exceptions.VolumeError, self.volume.zero,
                                    types.Extent(4096, 4096))
            self.assertEqual((4096, 8192), (err.offset, err.end))

    def test_write_past_the_end(self):
        self.assertRaises(exceptions.VolumeError, self.volume.write,
                          _SIZE - 10, memoryview(bytes(20)))

    def test_read(self):
        with open(self.device.path, 'rb') as handle:
            found = common.open_volume(handle)
            self.assertEqual(b'\xee' * 1000, bytes(found.read(
                types.Extent(_SIZE - 1000, 1000), bytearray(1000))))

    def test_it_is_neither_cut_nor_extended(self):
        for size in (1000, 2 * _SIZE):
            self.volume.finish(size)
            self.assertEqual(_SIZE, os.lseek(self.handle.fileno(), 0,
                                             os.SEEK_END))

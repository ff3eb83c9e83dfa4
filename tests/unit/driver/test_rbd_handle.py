# SPDX-License-Identifier: Apache-2.0

"""What os-brick hands over for an RBD image, by its own classes."""

import threading

from os_brick.initiator import linuxrbd
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.volumes import rbd
from cinder_swift_backup.format import types
from tests.fakes import volumes as fakes


class RbdHandleTest(base.BaseTestCase):
    """The image is found in its two wrappers, and its errors are known."""

    def setUp(self):
        super().setUp()
        self.image = fakes.Image(b'data' * 1000)
        volume = linuxrbd.RBDVolume(fakes.OneImageClient(self.image),
                                    'volume-1')
        handle = linuxrbd.RBDVolumeIOWrapper(linuxrbd.RBDImageMetadata(
            volume, 'pool', 'user', '/etc/ceph/ceph.conf'))
        self.volume = volumes.open_volume(handle, threading.Lock())

    def test_kind(self):
        self.assertIsInstance(self.volume, rbd.RbdVolume)
        self.assertEqual(4000, self.volume.size)

    def test_read(self):
        self.assertEqual(b'tada', bytes(self.volume.read(
            types.Extent(2, 4), bytearray(4))))

    def test_write_and_zero(self):
        self.volume.write(2, memoryview(b'new'))
        self.volume.zero(types.Extent(8, 4))
        self.volume.finish(4000)
        self.assertEqual(b'danewata' + bytes(4) + b'data',
                         bytes(self.image.data[:16]))
        self.assertTrue(self.image.flushed)

    def test_data_extents(self):
        self.image.data[1024:] = bytes(2976)
        self.assertEqual([types.Extent(0, 1024)], list(
            self.volume.data_extents(types.Extent(0, 4000))))

    def test_errors_are_ours(self):
        self.image.fail()
        extent = types.Extent(2, 4)
        for call in (
                lambda: self.volume.read(extent, bytearray(4)),
                lambda: self.volume.write(2, memoryview(b'new')),
                lambda: self.volume.zero(extent),
                self.volume.sync,
                lambda: self.volume.finish(4000),
                lambda: list(self.volume.data_extents(extent))):
            err = self.assertRaises(exceptions.VolumeError, call)
            self.assertIn('errno 110', str(err))

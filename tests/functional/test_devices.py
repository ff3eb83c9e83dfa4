# SPDX-License-Identifier: Apache-2.0

"""Volumes that are block devices, full of what a former tenant left."""

import random

from cinder import exception as cinder_exception

from tests.fakes import loop_device
from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

_FORMER = 0xee
_NOISE = random.Random(8).randbytes(2 * CHUNK)
# Zeros in runs of every size, data that ends inside a block and a chunk.
_DATA = b''.join((
    bytes(CHUNK + BLOCK), _NOISE, bytes(3 * CHUNK), _NOISE[:BLOCK // 2],
    bytes(BLOCK * 7 + 512), _NOISE[:70000], bytes(100000), b'the end' * 512,
    bytes(4096)))
_SIZE = -(-len(_DATA) // 512) * 512
_FULL = _DATA + bytes(_SIZE - len(_DATA))


class DeviceTestCase(cinder_side.CinderSideTestCase):
    """Backup from and restore to loop devices."""

    def setUp(self):
        super().setUp()
        self.source = self._device(_SIZE)
        self.source.write(_FULL)
        self.volume, _ = self.make_volume(b'')

    def _device(self, size):
        return self.useFixture(loop_device.LoopDevice(size, _FORMER))

    def _restored(self, driver, backup, *, new, size=_SIZE):
        target = self._device(size)
        volume, _ = self.make_volume(b'')
        # Cinder opens devices for writing only.
        with open(target.path, 'wb') as handle:
            self.restore_to(driver, backup, volume, handle, new)
        return target.content()

    def test_round_trip(self):
        for word in ('zlib', 'none'):
            self.configure(backup_compression_algorithm=word)
            backup = self.back_up(OURS, self.volume, self.source.path)
            for new in (True, False):
                self.assertEqual(_FULL, self._restored(OURS, backup, new=new))
            self.assertEqual(_FULL, self._restored(STOCK, backup, new=False))

    def test_backup_of_the_stock_driver(self):
        backup = self.back_up(STOCK, self.volume, self.source.path)
        self.assertEqual(_FULL, self._restored(OURS, backup, new=True))

    def test_incremental(self):
        base = self.back_up(OURS, self.volume, self.source.path)
        now = bytearray(_FULL)
        now[CHUNK + BLOCK:2 * CHUNK + BLOCK] = bytes(CHUNK)
        now[100:200] = b'x' * 100
        self.source.write(now)
        backup = self.back_up(OURS, self.volume, self.source.path, base)
        for new in (True, False):
            self.assertEqual(now, self._restored(OURS, backup, new=new))

    def test_larger_device_keeps_its_rest(self):
        backup = self.back_up(OURS, self.volume, self.source.path)
        found = self._restored(OURS, backup, new=False, size=_SIZE + 8192)
        self.assertEqual(_FULL + bytes([_FORMER]) * 8192, found)

    def test_smaller_device_is_left_alone(self):
        backup = self.back_up(OURS, self.volume, self.source.path)
        target = self._device(_SIZE - 512)
        volume, _ = self.make_volume(b'')
        with open(target.path, 'wb') as handle:
            self.assertRaises(cinder_exception.InvalidVolume,
                              self.restore_to, OURS, backup, volume, handle,
                              True)
        self.assertEqual({_FORMER}, set(target.content()))

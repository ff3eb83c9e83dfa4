# SPDX-License-Identifier: Apache-2.0

"""Incrementals of what Cinder says was written, by any kind of handle."""

import io
import random
import tempfile
from unittest import mock

from os_brick.initiator import linuxrbd

from cinder_swift_backup.driver import told_changes
from cinder_swift_backup.engine.volumes import image_formats
from cinder_swift_backup.format import types
from tests.fakes import loop_device
from tests.fakes import volumes as fakes
from tests.unit.driver import base

_SIZE = 1000 * 512
_DATA = random.Random(5).randbytes(_SIZE)
_NEW = b'written since'


class Bare:
    """A wrapper with what a handle needs at least, and nothing else."""

    def __init__(self, handle, told):
        self._handle = handle
        self._told = told

    def get_cbt_extents(self):
        if isinstance(self._told, Exception):
            raise self._told
        return self._told

    def seek(self, *where):
        return self._handle.seek(*where)

    def tell(self):
        return self._handle.tell()

    def read(self, *length):
        return self._handle.read(*length)


class Transparent(Bare):
    """A wrapper that has all that its handle has."""

    def __getattr__(self, name):
        return getattr(self._handle, name)


class Counting(io.BytesIO):
    """Counts what is read of it."""

    count = 0

    def read(self, *length):
        found = super().read(*length)
        Counting.count += len(found)
        return found


class ToldTest(base.MethodTestCase):
    """What is not told is not read, but for a sample."""

    def _handles(self, data):
        """Of each kind one, as Cinder has them."""
        file = self.enterContext(tempfile.TemporaryFile())
        file.write(data)
        file.flush()
        volume = linuxrbd.RBDVolume(
            fakes.OneImageClient(fakes.Image(data)), 'volume-1')
        return (file, io.BytesIO(data), linuxrbd.RBDVolumeIOWrapper(
            linuxrbd.RBDImageMetadata(volume, 'pool', 'user', 'conf')))

    def _incremental(self, handle):
        full = self._backup(_DATA)
        backup = self.record(parent_id=full.id, snapshot_id=None,
                             temp_volume_id=None, temp_snapshot_id=None)
        self.driver.backup(backup, handle, False)
        self.assertEqual(full.id, backup.parent_id)
        backup.status = 'restoring'
        return self._restore(backup, b'\xa5' * _SIZE)

    def test_each_kind_of_handle(self):
        now = bytearray(_DATA)
        now[9000:9000 + len(_NEW)] = _NEW
        for wrapper in (Bare, Transparent):
            for handle in self._handles(bytes(now)):
                for told in ([(9000, len(_NEW))], [(9216, 1), (8704, 512)],
                             [{'offset': 0, 'length': _SIZE * 2}]):
                    self.assertEqual(now, self._incremental(
                        wrapper(handle, told)))

    def test_device(self):
        device = self.useFixture(loop_device.LoopDevice(_SIZE, 0xee))
        now = _DATA[:9000] + _NEW + _DATA[9000 + len(_NEW):]
        device.write(now)
        for wrapper in (Bare, Transparent):
            with open(device.path, 'rb') as handle:
                self.assertEqual(now, self._incremental(
                    wrapper(handle, [(9000, len(_NEW))])))

    def test_little_is_read(self):
        # The beginning is read to see whether it is that of a qcow2 file.
        self.enterContext(mock.patch.object(image_formats, 'HEAD', 4096))
        now = _NEW + _DATA[len(_NEW):]
        Counting.count = 0
        self.assertEqual(now, self._incremental(
            Bare(Counting(now), [(0, 512)])))
        # The block twice, and the sample.
        self.assertLessEqual(Counting.count, 66 * 512 + 4096)

    def test_nothing_was_written(self):
        self.assertEqual(_DATA, self._incremental(
            Bare(io.BytesIO(_DATA), [])))

    def test_what_is_not_true(self):
        now = bytes(_SIZE // 2) + _DATA[_SIZE // 2:]
        self.assertEqual(now, self._incremental(Bare(io.BytesIO(now), [])))

    def test_what_is_no_answer(self):
        now = _NEW + _DATA[len(_NEW):]
        for told in (None, 5, 'many', [1], [(1, 2, 3)], [(0, -1)], [(-1, 5)],
                     [('0', '5')], [(True, False)], [{}], ValueError('no'),
                     OSError(5, 'no')):
            handle = Bare(io.BytesIO(now), told)
            self.assertIsNone(told_changes.ask(handle))
            self.assertEqual(now, self._incremental(handle))

    def test_full_backup_does_not_ask(self):
        handle = Bare(io.BytesIO(_DATA), [])
        handle.get_cbt_extents = mock.Mock()
        self.driver.backup(self.record(), handle, False)
        handle.get_cbt_extents.assert_not_called()

    def test_handle_that_says_nothing(self):
        for handle in self._handles(_DATA):
            self.assertIsNone(told_changes.ask(handle))

    def test_answer(self):
        self.assertEqual((types.Extent(5, 7), types.Extent(1, 0)),
                         told_changes.ask(Bare(None, iter([(5, 7), [1, 0]]))))

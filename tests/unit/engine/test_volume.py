# SPDX-License-Identifier: Apache-2.0

"""The three kinds of volumes, and what is none."""

from concurrent import futures
import io
import os
import tempfile
import threading
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volume
from cinder_swift_backup.format import types
from tests.fakes import volumes

_DATA = bytes(range(256)) * 20


def _open(handle):
    return volume.open_volume(handle, threading.Lock())


def _read(found, extent):
    """The bytes of an extent, through a buffer that is larger."""
    return bytes(found.read(extent, bytearray(extent.length + 10)))


class OpenTest(base.BaseTestCase):
    """Which kind a handle is."""

    def test_file(self):
        with tempfile.TemporaryFile() as handle:
            self.assertIsInstance(_open(handle), volume.FileVolume)

    def test_rbd(self):
        handle = volumes.RbdHandle(volumes.Image(_DATA))
        self.assertIsInstance(_open(handle), volume.ImageVolume)

    def test_seeking(self):
        self.assertIsInstance(_open(io.BytesIO(_DATA)),
                              volume.SeekingVolume)

    def test_handle_whose_fileno_is_no_number(self):
        handle = mock.Mock(spec=['fileno', 'seek', 'tell'])
        handle.tell.return_value = 7
        found = _open(handle)
        self.assertIsInstance(found, volume.SeekingVolume)
        self.assertEqual(7, found.size)

    def test_none_of_them(self):
        err = self.assertRaises(exceptions.VolumeError, _open, 'a path')
        self.assertIn("'a path'", str(err))


class FileVolumeTest(base.BaseTestCase):
    """A regular file; a block device differs in its capacity only."""

    def setUp(self):
        super().setUp()
        self.file = self.enterContext(tempfile.TemporaryFile())

    def _volume(self, data=_DATA):
        self.file.write(data)
        self.file.flush()
        return _open(self.file)

    def _content(self):
        self.file.seek(0)
        return self.file.read()

    def test_read(self):
        found = self._volume()
        self.assertEqual(len(_DATA), found.size)
        self.assertEqual(_DATA[300:800], _read(found, types.Extent(300, 500)))
        self.assertEqual(_DATA, _read(found, types.Extent(0, len(_DATA))))

    def test_read_in_bits(self):
        found = self._volume()
        real = os.pread
        with mock.patch.object(
                os, 'pread',
                lambda fd, length, offset: real(fd, min(length, 7), offset)):
            self.assertEqual(_DATA[300:800],
                             _read(found, types.Extent(300, 500)))

    def test_read_past_the_end(self):
        found = self._volume()
        err = self.assertRaises(
            exceptions.VolumeError, _read,
            found, types.Extent(len(_DATA) - 10, 20))
        self.assertIn(f'ended at {len(_DATA)} ', str(err))

    def test_shrunk_meanwhile(self):
        found = self._volume()
        self.file.truncate(100)
        self.assertRaises(exceptions.VolumeError, _read,
                          found, types.Extent(50, 100))

    def test_write(self):
        found = self._volume()
        found.write(100, memoryview(b'new data'))
        self.assertEqual(_DATA[:100] + b'new data' + _DATA[108:],
                         self._content())

    def test_write_in_bits(self):
        found = self._volume()
        real = os.pwrite
        with mock.patch.object(
                os, 'pwrite',
                lambda fd, data, offset: real(fd, data[:3], offset)):
            found.write(100, memoryview(b'new data'))
        self.assertEqual(_DATA[:100] + b'new data' + _DATA[108:],
                         self._content())

    def test_finish_brings_it_to_its_length(self):
        found = self._volume(b'')
        self.assertTrue(found.blank)
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

    def test_sync_does_not_fail_for_advice(self):
        found = self._volume()
        with mock.patch('os.posix_fadvise', side_effect=OSError(38, 'no')):
            found.sync()

    def test_content_outlives_sync(self):
        found = self._volume()
        found.write(100, memoryview(b'new data'))
        found.sync()
        self.assertEqual(_DATA[:100] + b'new data' + _DATA[108:],
                         self._content())

    def test_finish_makes_it_durable(self):
        found = self._volume(b'')
        with mock.patch.object(os, 'fsync') as fsync:
            found.finish(10)
        fsync.assert_called_once_with(self.file.fileno())

    def test_finish_does_not_cut(self):
        found = self._volume()
        found.finish(10)
        self.assertEqual(_DATA, self._content())

    def test_a_file_with_content_is_not_blank(self):
        self.assertFalse(self._volume().blank)

    def test_hole_reads_as_zeros(self):
        self.file.truncate(1 << 20)
        found = _open(self.file)
        self.assertEqual(1 << 20, found.size)
        self.assertEqual(bytes(5000), _read(found, types.Extent(70000, 5000)))

    def test_a_device_has_a_capacity_and_is_not_truncated(self):
        with mock.patch.object(volume.stat, 'S_ISREG', return_value=False):
            found = self._volume()
        self.assertEqual(len(_DATA), found.capacity)
        self.assertFalse(found.blank)
        found.finish(len(_DATA) + 1000)
        self.assertEqual(_DATA, self._content())

    def test_an_empty_device_is_not_blank(self):
        with mock.patch.object(volume.stat, 'S_ISREG', return_value=False):
            self.assertFalse(self._volume(b'').blank)


class ImageVolumeTest(base.BaseTestCase):
    """An RBD image."""

    def setUp(self):
        super().setUp()
        self.image = volumes.Image(_DATA)
        self.volume = _open(volumes.RbdHandle(self.image))

    def test_sizes(self):
        self.assertEqual(len(_DATA), self.volume.size)
        self.assertEqual(len(_DATA), self.volume.capacity)
        self.assertFalse(self.volume.blank)

    def test_read(self):
        self.assertEqual(_DATA[300:800],
                         _read(self.volume, types.Extent(300, 500)))

    def test_read_past_the_end(self):
        self.assertRaises(exceptions.VolumeError, _read,
                          self.volume, types.Extent(len(_DATA) - 10, 20))

    def test_write(self):
        self.volume.write(100, memoryview(b'new data'))
        self.assertEqual(_DATA[:100] + b'new data' + _DATA[108:],
                         bytes(self.image.data))

    def test_finish_flushes(self):
        self.volume.finish(len(_DATA))
        self.assertTrue(self.image.flushed)


    def test_failing(self):
        self.image.fail()
        err = self.assertRaises(exceptions.VolumeError, _read,
                                self.volume, types.Extent(300, 500))
        self.assertIn('errno 110', str(err))
        self.assertIn('offset 300', str(err))


class SeekingVolumeTest(base.BaseTestCase):
    """Anything with a position."""

    def test_sizes(self):
        found = _open(io.BytesIO(_DATA))
        self.assertEqual(len(_DATA), found.size)
        self.assertEqual(len(_DATA), found.capacity)
        self.assertFalse(found.blank)

    def test_read_and_write(self):
        handle = io.BytesIO(_DATA)
        found = _open(handle)
        self.assertEqual(_DATA[300:800], _read(found, types.Extent(300, 500)))
        found.write(100, memoryview(b'new data'))
        self.assertEqual(_DATA[:100] + b'new data' + _DATA[108:],
                         handle.getvalue())

    def test_read_past_the_end(self):
        found = _open(io.BytesIO(_DATA))
        self.assertRaises(exceptions.VolumeError, _read,
                          found, types.Extent(len(_DATA) - 10, 20))

    def test_handle_that_writes_less_than_it_is_given(self):
        class Stingy(io.BytesIO):
            def write(self, data):
                return super().write(data[:3])

        handle = Stingy(_DATA)
        _open(handle).write(100, memoryview(b'new data'))
        self.assertEqual(b'new data', handle.getvalue()[100:108])

    def test_handle_whose_write_tells_nothing(self):
        class Silent(io.BytesIO):
            def write(self, data):
                super().write(data)

        handle = Silent(_DATA)
        _open(handle).write(100, memoryview(b'new data'))
        self.assertEqual(b'new data', handle.getvalue()[100:108])

    def test_finish_flushes(self):
        handle = mock.Mock(spec=['seek', 'tell', 'flush'])
        handle.tell.return_value = 5
        _open(handle).finish(5)
        handle.flush.assert_called_once_with()

    def test_failing(self):
        handle = mock.Mock(spec=['seek', 'tell', 'read', 'write', 'flush'])
        handle.tell.return_value = 5000
        found = _open(handle)
        for name, call, where in (
                ('read', lambda: _read(found, types.Extent(300, 500)),
                 'at offset 300'),
                ('write', lambda: found.write(300, memoryview(b'data')),
                 'at offset 300'),
                ('flush', lambda: found.finish(300), 'durable'),
                ('flush', found.sync, 'durable')):
            getattr(handle, name).side_effect = OSError(5, 'I/O error')
            err = self.assertRaises(exceptions.VolumeError, call)
            self.assertIn('I/O error', str(err))
            self.assertIn(where, str(err))

    def test_position_is_never_shared(self):
        # The handle notices when another thread comes between seek and use.
        class Touchy(io.BytesIO):
            def __init__(self, data):
                super().__init__(data)
                self.owner = None

            def seek(self, *where):
                self.owner = threading.get_ident()
                return super().seek(*where)

            def read(self, size=-1):
                position = self.tell()
                for _ in range(50):
                    os.sched_yield()
                assert self.owner == threading.get_ident()
                assert self.tell() == position
                return super().read(size)

        found = _open(Touchy(_DATA))

        def read_often(start):
            return all(_read(found, types.Extent(start, 100))
                       == _DATA[start:start + 100] for _ in range(50))

        with futures.ThreadPoolExecutor(3) as executor:
            self.assertEqual(
                [True] * 3, list(executor.map(read_often, (0, 333, 777))))

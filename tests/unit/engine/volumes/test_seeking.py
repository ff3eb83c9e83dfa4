# SPDX-License-Identifier: Apache-2.0

"""Handles with a position."""

from concurrent import futures
import io
import os
import threading
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from tests.unit.engine.volumes import base as common


class SeekingVolumeTest(base.BaseTestCase):
    """Anything with a position."""

    def test_sizes(self):
        found = common.open_volume(io.BytesIO(common.DATA))
        self.assertEqual(len(common.DATA), found.size)
        self.assertEqual(len(common.DATA), found.capacity)

    def test_read_and_write(self):
        handle = io.BytesIO(common.DATA)
        found = common.open_volume(handle)
        self.assertEqual(common.DATA[300:800],
                         common.read(found, types.Extent(300, 500)))
        found.write(100, memoryview(b'new data'))
        self.assertEqual(common.DATA[:100] + b'new data' + common.DATA[108:],
                         handle.getvalue())

    def test_read_past_the_end(self):
        found = common.open_volume(io.BytesIO(common.DATA))
        self.assertRaises(exceptions.VolumeError, common.read,
                          found, types.Extent(len(common.DATA) - 10, 20))

    def test_handle_that_writes_less_than_it_is_given(self):
        class Stingy(io.BytesIO):
            def write(self, data):
                return super().write(data[:3])

        handle = Stingy(common.DATA)
        common.open_volume(handle).write(100, memoryview(b'new data'))
        self.assertEqual(b'new data', handle.getvalue()[100:108])

    def test_handle_whose_write_tells_nothing(self):
        class Silent(io.BytesIO):
            def write(self, data):
                super().write(data)

        handle = Silent(common.DATA)
        common.open_volume(handle).write(100, memoryview(b'new data'))
        self.assertEqual(b'new data', handle.getvalue()[100:108])

    def test_zero(self):
        handle = io.BytesIO(common.DATA)
        found = common.open_volume(handle)
        self.assertEqual([types.Extent(5, 1000)],
                         list(found.data_extents(types.Extent(5, 1000))))
        self.assertFalse(found.is_hole(types.Extent(5, 1000)))
        found.zero(types.Extent(300, 1000))
        self.assertEqual(common.DATA[:300] + bytes(1000) + common.DATA[1300:],
                         handle.getvalue())

    def test_finish_flushes(self):
        handle = mock.Mock(spec=['seek', 'tell', 'flush'])
        handle.tell.return_value = 5
        common.open_volume(handle).finish(5)
        handle.flush.assert_called_once_with()

    def test_failing(self):
        handle = mock.Mock(spec=['seek', 'tell', 'read', 'write', 'flush'])
        handle.tell.return_value = 5000
        found = common.open_volume(handle)
        for name, call, where in (
                ('read', lambda: common.read(found, types.Extent(300, 500)),
                 (300, 800)),
                ('write', lambda: found.write(300, memoryview(b'data')),
                 (300, 304)),
                ('flush', lambda: found.finish(300), (None, None)),
                ('flush', found.sync, (None, None))):
            getattr(handle, name).side_effect = OSError(5, 'I/O error')
            err = self.assertRaises(exceptions.VolumeError, call)
            self.assertIn('I/O error', str(err))
            self.assertEqual(where, (err.offset, err.end))

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

        found = common.open_volume(Touchy(common.DATA))

        def read_often(start):
            return all(common.read(found, types.Extent(start, 100))
                       == common.DATA[start:start + 100] for _ in range(50))

        with futures.ThreadPoolExecutor(3) as executor:
            self.assertEqual(
                [True] * 3, list(executor.map(read_often, (0, 333, 777))))

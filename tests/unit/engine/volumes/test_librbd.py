# SPDX-License-Identifier: Apache-2.0

"""Which release of librbd there is, and which of them leave something out."""

import ctypes
import pathlib
import tempfile
import threading
from unittest import mock

from oslotest import base

from cinder_swift_backup.engine.volumes import librbd
from cinder_swift_backup.engine.volumes import rbd
from cinder_swift_backup.format import types
from tests.fakes import volumes as fakes

_DATA = bytes(range(256)) * 16
_LINE = ('7f0000000000-7f0000001000 r-xp 00000000 fe:00 123    '
         '/usr/lib/x86_64-linux-gnu/ceph/libceph-common.so.2.0.0\n')


class ReleaseTest(base.BaseTestCase):
    """What the loaded library says."""

    def setUp(self):
        super().setUp()
        librbd.release.cache_clear()
        self.addCleanup(librbd.release.cache_clear)
        directory = self.enterContext(tempfile.TemporaryDirectory())
        self.maps = pathlib.Path(directory, 'maps')
        self.enterContext(mock.patch.object(librbd, '_MAPS', self.maps))

    def _release(self, text, line=_LINE):
        self.maps.write_text(f'some\nlines\n{line}')
        library = mock.Mock()
        getattr(library, librbd._SYMBOL).return_value = text
        with mock.patch.object(ctypes, 'CDLL', return_value=library) as cdll:
            found = librbd.release()
        for call in cdll.call_args_list:
            self.assertEqual('libceph-common.so.2', call.args[0])
        return found

    def test_release(self):
        for text, numbers in ((b'16.2.15', (16, 2, 15)),
                              (b'19.2.0-1-g3815e3391b1', (19, 2, 0)),
                              (b'Development', None), (None, None)):
            self.assertEqual(numbers, self._release(text))
            librbd.release.cache_clear()

    def test_no_library(self):
        self.assertIsNone(self._release(b'16.2.15', line=''))
        librbd.release.cache_clear()
        # There is no such file, so it is not loaded.
        self.maps.write_text(_LINE.replace('.so.2', '.so.999'))
        self.assertIsNone(librbd.release())

    def test_library_without_the_function(self):
        self.maps.write_text(_LINE)
        with mock.patch.object(ctypes, 'CDLL', return_value=mock.Mock(
                spec=[])):
            self.assertIsNone(librbd.release())

    def test_which_leave_out_origins(self):
        for numbers, wrong in (((14, 2, 4), True), ((16, 2, 7), True),
                               ((16, 2, 8), False), ((17, 1, 0), False),
                               (None, False)):
            with mock.patch.object(librbd, 'release', return_value=numbers):
                self.assertEqual(wrong, librbd.leaves_out_origins())


class CloneTest(base.BaseTestCase):
    """What an old librbd says of a clone is not believed."""

    def _volume(self, parent, old):
        found = fakes.Image(bytes(len(_DATA)))
        found.parent = parent
        with mock.patch.object(librbd, 'leaves_out_origins',
                               return_value=old):
            return rbd.RbdVolume(found, threading.Lock())

    def test_clone(self):
        whole = types.Extent(0, len(_DATA))
        for parent, old, told in (
                (('volumes', 'origin', 'snap'), True, False),
                (('volumes', 'origin', 'snap'), False, True),
                (None, True, True)):
            volume = self._volume(parent, old)
            self.assertEqual(told, volume.tells_holes)
            found = list(volume.data_extents(whole))
            self.assertEqual(not told, found == [whole])
            outer = rbd.ClonedVolume(volume, mock.Mock(), 'snap')
            self.assertEqual(told, outer.tells_holes)

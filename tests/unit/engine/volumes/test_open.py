# SPDX-License-Identifier: Apache-2.0

"""Which kind a handle is."""

import io
import tempfile
import threading
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.volumes import file
from cinder_swift_backup.engine.volumes import image
from cinder_swift_backup.engine.volumes import seeking
from tests.fakes import volumes as fakes

_DATA = bytes(range(256)) * 20


def _open(handle):
    return volumes.open_volume(handle, threading.Lock())


class OpenTest(base.BaseTestCase):
    """Which kind a handle is."""

    def test_file(self):
        with tempfile.TemporaryFile() as handle:
            self.assertIsInstance(_open(handle), file.FileVolume)

    def test_rbd(self):
        handle = fakes.RbdHandle(fakes.Image(_DATA))
        self.assertIsInstance(_open(handle), image.ImageVolume)

    def test_seeking(self):
        self.assertIsInstance(_open(io.BytesIO(_DATA)),
                              seeking.SeekingVolume)

    def test_handle_whose_fileno_is_no_number(self):
        handle = mock.Mock(spec=['fileno', 'seek', 'tell'])
        handle.tell.return_value = 7
        found = _open(handle)
        self.assertIsInstance(found, seeking.SeekingVolume)
        self.assertEqual(7, found.size)

    def test_none_of_them(self):
        err = self.assertRaises(exceptions.VolumeError, _open, 'a path')
        self.assertIn("'a path'", str(err))

# SPDX-License-Identifier: Apache-2.0

"""Which kind a handle is."""

import io
import tempfile
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import descriptor
from cinder_swift_backup.engine.volumes import rbd
from cinder_swift_backup.engine.volumes import seeking
from tests.fakes import volumes as fakes
from tests.unit.engine.volumes import base as common


class OpenTest(base.BaseTestCase):
    """Which kind a handle is."""

    def test_file(self):
        with tempfile.TemporaryFile() as handle:
            self.assertIsInstance(common.open_volume(handle),
                                  descriptor.FileVolume)

    def test_rbd(self):
        handle = fakes.RbdHandle(fakes.Image(common.DATA))
        self.assertIsInstance(common.open_volume(handle), rbd.RbdVolume)

    def test_seeking(self):
        self.assertIsInstance(common.open_volume(io.BytesIO(common.DATA)),
                              seeking.SeekingVolume)

    def test_handle_whose_fileno_is_no_number(self):
        handle = mock.Mock(spec=['fileno', 'seek', 'tell'])
        handle.tell.return_value = 7
        found = common.open_volume(handle)
        self.assertIsInstance(found, seeking.SeekingVolume)
        self.assertEqual(7, found.size)

    def test_none_of_them(self):
        err = self.assertRaises(exceptions.VolumeError,
                                common.open_volume, 'a path')
        self.assertIn("'a path'", str(err))

    def test_one_that_fails_at_once(self):
        with tempfile.TemporaryFile() as handle, mock.patch(
                'os.lseek', side_effect=OSError(5, 'I/O error')):
            self.assertRaises(exceptions.VolumeError, common.open_volume,
                              handle)
        handle = mock.Mock(spec=['seek', 'tell'])
        handle.seek.side_effect = OSError(5, 'I/O error')
        self.assertRaises(exceptions.VolumeError, common.open_volume, handle)

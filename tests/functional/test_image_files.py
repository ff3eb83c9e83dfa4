# SPDX-License-Identifier: Apache-2.0

"""Volumes in files of a format of their own, by the real Cinder."""

import os

from cinder import exception as cinder_exception

from cinder_swift_backup.driver import compat
from tests.fakes import images
from tests.functional import cinder_side
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

_WHOLE = images.load('qcow2') + b'more of it' * CHUNK
_OVERLAY = images.load('qcow2-overlay') + b'written since' * CHUNK
_RAW = b'a disk' * CHUNK


class ImageFileTestCase(cinder_side.EachFormTestCase):
    """Both drivers, on files as those of Cinder's driver for NFS."""

    def _back_up(self, driver, data):
        return self.back_up(driver, *self.make_volume(data))

    def _restore(self, backup, before=b'', file_format=None):
        volume, path = self.make_volume(before)
        os.truncate(path, len(before))
        if file_format is not None:
            volume.admin_metadata['format'] = file_format
            with volume.obj_as_admin():
                volume.save()
        with open(path, 'r+b') as handle:
            self.restore_to(OURS, backup, volume, handle, False)
        return path.read_bytes()

    def _assert_refused(self, call, *arguments, **options):
        err = self.assertRaises(cinder_exception.InvalidVolume, call,
                                *arguments, **options)
        self.assertLessEqual(len(str(err)), 255)
        return str(err)

    def test_part_of_a_volume_is_not_backed_up(self):
        self.store.ensure_container(self.container, create=True)
        text = self._assert_refused(self._back_up, OURS, _OVERLAY)
        self.assertIn('the volume is in a qcow2 file that needs a backing '
                      'file, which the backup would not include. Back up a '
                      'snapshot of the volume instead. [', text)
        self.assertIn('backing file qcow2', text)
        self.assertEqual([], self.object_names(self.container))

    def test_whole_file_goes_there_and_back(self):
        backup = self._back_up(OURS, _WHOLE)
        self.assertEqual(_WHOLE, self._restore(backup))
        self.assertEqual(_WHOLE, self._restore(backup, _RAW, 'qcow2'))
        if self.form == 'chunks':
            self.assertEqual(
                _WHOLE, self.restore_new(STOCK, backup).read_bytes())

    def test_format_that_cinder_expects(self):
        if not compat.FORMATS_ARE_RECORDED:
            self.skipTest('this release looks at the file')
        for data, other in ((_WHOLE, 'raw'), (_RAW, 'qcow2')):
            text = self._assert_refused(
                self._restore, self._back_up(OURS, data), b'', other)
            self.assertIn(f'must be in format {other}. Restore to ', text)

    def test_volume_is_not_restored_onto_part_of_another(self):
        for data in (_WHOLE, _RAW):
            text = self._assert_refused(
                self._restore, self._back_up(OURS, data), _OVERLAY)
            self.assertIn('Restore to a new volume, or to one without '
                          'snapshots.', text)

    def test_part_of_a_volume_by_the_stock_driver(self):
        backup = self._back_up(STOCK, _OVERLAY)
        self.assertEqual(_OVERLAY, self._restore(backup))
        self.assertEqual(_OVERLAY, self._restore(backup, _OVERLAY))

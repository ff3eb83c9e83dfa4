# SPDX-License-Identifier: Apache-2.0

"""Volumes that are files in a format of their own, as on NFS."""

import os
import random
import struct

from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import MIB
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

_GIB = 1 << 30
_NOISE = random.Random(9).randbytes(3 * MIB)
# The header of version 3, which says that there is no backing file.
_QCOW2 = struct.pack('>4sIQIIQ', b'QFI\xfb', 3, 0, 0, 16, _GIB).ljust(
    104, b'\0') + _NOISE
# VMDK has a footer, which has to be the last of the file.
_TAIL = random.Random(10).randbytes(1000)


class ImageFileTestCase(cinder_side.EachFormTestCase):
    """Each comes back with the length that was backed up."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_object_size=4096 * BLOCK)

    def _make(self, length, head=_QCOW2):
        """An image file in a volume of 1 GiB."""
        volume, path = self.make_volume(head)
        with open(path, 'r+b') as handle:
            handle.truncate(length)
            handle.seek(length - len(_TAIL))
            handle.write(_TAIL)
        return volume, path

    def _check(self, length, restored, head=_QCOW2):
        self.assertEqual(length, os.path.getsize(restored))
        with open(restored, 'rb') as handle:
            self.assertEqual(head, handle.read(len(head)))
            handle.seek(length - len(_TAIL))
            self.assertEqual(_TAIL, handle.read())
        # The hole between them was not written.
        self.assertLess(os.stat(restored).st_blocks * 512, 8 * MIB)

    def _check_round_trip(self, writer, length):
        backup = self.back_up(writer, *self._make(length))
        self._check(length, self.restore_new(OURS, backup))

    def test_longer_than_its_volume(self):
        for writer in (OURS, STOCK):
            self._check_round_trip(writer, _GIB + 3 * BLOCK + 512)

    def test_shorter_than_its_volume(self):
        for writer in (OURS, STOCK):
            self._check_round_trip(writer, 5 * MIB + 512)

    def test_over_a_longer_file(self):
        length = 5 * MIB + 512
        backup = self.back_up(OURS, *self._make(length))
        self._check(length, self.restore_existing(OURS, backup, 7 * MIB))

    def test_raw_content_in_a_larger_volume(self):
        backup = self.back_up(OURS, *self._make(_GIB, _NOISE))
        volume, path = self.make_volume(b'', size_gb=2)
        with open(path, 'wb') as handle:
            self.restore_to(OURS, backup, volume, handle, True)
        self.assertEqual(2 * _GIB, os.path.getsize(path))
        os.truncate(path, _GIB)
        self._check(_GIB, path, _NOISE)

# SPDX-License-Identifier: Apache-2.0

"""A volume of 1 TiB with 1 GiB of data, through the real Swift."""

import os
import random

from cinder_swift_backup.format import naming
from tests.cloud import volumes
from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import MIB
from tests.functional.cinder_side import OURS

_GIB = 1 << 30
_SIZE = 1 << 40
_STRETCH = 4 * MIB


class LargeVolumeTestCase(cinder_side.CinderSideTestCase):
    """As an operator has it configured, but for the container."""

    # Fewer objects than this are those of a backup without changes.
    unchanged = 1

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_object_size=52428800)

    def _write(self, path, number):
        """One of 256 stretches of data, the same each time."""
        with open(path, 'r+b') as handle:
            handle.seek(random.Random(number).randrange(_SIZE - _STRETCH))
            handle.write(random.Random(-number).randbytes(_STRETCH))

    def _data(self, handle):
        """The blocks of a file that are not zeros, and a hash of each."""
        numbers = set()
        for offset, piece in volumes.stored_pieces(handle):
            numbers.update(range(offset // BLOCK,
                                 (offset + len(piece) - 1) // BLOCK + 1))
        for number in sorted(numbers):
            block = os.pread(handle.fileno(), BLOCK, number * BLOCK)
            if block.count(0) != len(block):
                yield number, hash(block)

    def test_chain(self):
        volume, path = self.make_volume(b'', size_gb=_SIZE // _GIB)
        os.truncate(path, _SIZE)
        for number in range(1, 257):
            self._write(path, number)
        full = self.back_up(OURS, volume, path)
        unchanged = self.back_up(OURS, volume, path, parent=full)
        self.assertLess(unchanged.object_count, self.unchanged)
        self._write(path, 300)
        changed = self.back_up(OURS, volume, path, parent=unchanged)
        self.assertLess(changed.object_count, self.unchanged + 5)
        self.check_digests()
        restored = self._restore(changed)
        with open(path, 'rb') as one, open(restored, 'rb') as other:
            self.assertEqual(_SIZE, os.fstat(other.fileno()).st_size)
            self.assertEqual(list(self._data(one)), list(self._data(other)))
        for backup in (changed, unchanged, full):
            OURS(self.context).delete_backup(backup)
            backup.destroy()
        self.assertEqual([], self.object_names(self.container))
        self.check_digests(are_there=False)

    def check_digests(self, *, are_there=True):
        """They are in a container of their own, for there are many."""
        self.assertIs(are_there, bool(self.object_names(
            naming.segments_container(self.container))))

    def _restore(self, backup):
        """Restore to a new volume of the same size; returns its file."""
        volume, path = self.make_volume(b'', size_gb=_SIZE // _GIB)
        with open(path, 'wb') as handle:
            self.restore_to(OURS, backup, volume, handle, True)
        return path


class PackedVolumeTestCase(LargeVolumeTestCase):
    """The same in packs, of which each backup has pages of its own."""

    # 16 pages of a GiB are one object.
    unchanged = 1024 // 16 + 1

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_form='packs')

    def check_digests(self, *, are_there=True):
        """They are in packs."""

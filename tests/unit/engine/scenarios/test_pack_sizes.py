# SPDX-License-Identifier: Apache-2.0

"""Volumes in packs in the sizes that windows, pages and packs really have.

The files are sparse, and have data where two windows, pages or stretches of
holes meet.
"""

import random
from typing import ClassVar

import fixtures
import testscenarios

from cinder_swift_backup.engine.volumes import descriptor
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.unit.engine import base

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
_PIECE = 100_000
_MARGIN = 150_000


class SizesTest(testscenarios.WithScenarios, base.EngineTestCase):
    """A full backup and incrementals of a volume that grows."""

    # The size of blocks, and of the volume, in bytes.
    scenarios: ClassVar[list] = [
        ('512 bytes', {'block': 512, 'size': 150 * _MIB}),
        ('default', {'block': 32 * _KIB, 'size': 3 * _GIB}),
        ('no power of two', {'block': 700 * _KIB, 'size': 130 * _GIB}),
        ('more than a chunk', {'block': 3 * _MIB, 'size': 130 * _GIB}),
        ('more than a pack', {'block': 64 * _MIB, 'size': 130 * _GIB}),
        ('the largest', {'block': 256 * _MIB, 'size': 900 * _MIB})]

    def setUp(self):
        super().setUp()
        self.have_volumes_of_any_size()
        self.source = random.Random(self.block)
        self.directory = self.useFixture(fixtures.TempDir())

    def _file(self, name):
        handle = open(self.directory.join(name), 'w+b')  # noqa: SIM115
        self.addCleanup(handle.close)
        return handle

    def _write(self, handle, *offsets):
        for offset in offsets:
            handle.seek(offset + self.source.randrange(-_MARGIN, _MARGIN))
            handle.write(self.source.randbytes(_PIECE))
        handle.flush()

    def _back_up(self, number, handle, parent=None):
        self.bench.archive(
            number, descriptor.FileVolume(handle.fileno()), parent=parent,
            geometry=types.Geometry(self.block, self.block),
            form=chains.Form.PACKS, codec='zlib')

    def _extents(self, *handles):
        """Where any of some files has data."""
        for handle in handles:
            volume = descriptor.FileVolume(handle.fileno())
            yield from volume.data_extents(types.Extent(0, volume.size))

    def _check(self, number, handle):
        target = self._file(f'restored-{number}')
        self.bench.restore_to(descriptor.FileVolume(target.fileno()),
                              self.bench.resolve(number), size=self.size)
        self.assertEqual(handle.seek(0, 2), target.seek(0, 2))
        for extent in self._extents(handle, target):
            for part in extent.parts(64 * _MIB):
                found = []
                for file in (handle, target):
                    file.seek(part.offset)
                    found.append(file.read(part.length))
                self.assertEqual(*map(hash, found), part)

    def test_history(self):
        boundaries = [where for where in (
            _MIB, 8 * _MIB, 64 * _MIB, 128 * _MIB, _GIB, 2 * _GIB, 64 * _GIB,
            128 * _GIB, self.size // 2) if where < self.size - _MIB]
        image = self._file('image')
        image.truncate(self.size)
        self._write(image, _MARGIN, *boundaries)
        self._back_up(1, image)
        self._check(1, image)
        # In other places nearby, and where there were holes.
        self._write(image, *boundaries[::2])
        image.seek(boundaries[1] - _MARGIN)
        image.write(bytes(2 * _MARGIN))
        image.flush()
        self._back_up(2, image, parent=1)
        self._check(2, image)
        image.truncate(self.size + 12345)
        self._write(image, self.size - _PIECE)
        self._back_up(3, image, parent=2)
        self._check(3, image)

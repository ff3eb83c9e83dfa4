# SPDX-License-Identifier: Apache-2.0

"""Extents and geometry: the arithmetic that everything rests on."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types

_EXTENTS = st.builds(types.Extent, st.integers(0, 40), st.integers(1, 20))


def _bytes_of(extent):
    return set(range(extent.offset, extent.end))


class ExtentTest(base.BaseTestCase):
    """``[offset, offset + length)``."""

    def test_end_is_exclusive(self):
        self.assertEqual(15, types.Extent(10, 5).end)

    def test_sorts_by_offset_first(self):
        self.assertEqual(
            [types.Extent(1, 9), types.Extent(2, 1), types.Extent(2, 3)],
            sorted([types.Extent(2, 3), types.Extent(2, 1),
                    types.Extent(1, 9)]))

    def test_cannot_be_changed(self):
        self.assertRaises(dataclasses.FrozenInstanceError, setattr,
                          types.Extent(1, 2), 'offset', 3)

    @given(_EXTENTS, _EXTENTS)
    def test_overlap_is_the_common_bytes(self, one, other):
        common = one.overlap(other)
        self.assertEqual(_bytes_of(one) & _bytes_of(other),
                         _bytes_of(common) if common else set())

    def test_touching_extents_do_not_overlap(self):
        self.assertIsNone(types.Extent(0, 5).overlap(types.Extent(5, 5)))


class GeometryTest(base.BaseTestCase):
    """Cutting a volume."""

    @given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 300))
    def test_chunks_cover_the_volume_once(self, block, factor, size):
        geometry = types.Geometry(block * factor, block)
        covered = 0
        for index in range(geometry.chunks(size)):
            chunk = geometry.chunk(index, size)
            self.assertEqual(covered, chunk.offset)
            self.assertTrue(0 < chunk.length <= geometry.chunk_size)
            covered = chunk.end
        self.assertEqual(size, covered)

    @given(st.integers(1, 8), st.integers(0, 300))
    def test_blocks_are_just_enough(self, block, size):
        count = types.Geometry(block, block).blocks(size)
        self.assertTrue((count - 1) * block < size <= count * block
                        or (count == 0 and size == 0))

    def test_chunk_must_be_whole_blocks(self):
        err = self.assertRaises(exceptions.ConfigurationError,
                                types.Geometry, 100, 32)
        self.assertIn('chunks of 100 ', str(err))
        self.assertIn('blocks of 32', str(err))
        self.assertIs(exceptions.Remedy.SIZES, err.remedy)

    def test_sizes_must_be_positive(self):
        for sizes in ((0, 1), (1, 0), (-32, 32), (32, -32), (-32, -32)):
            self.assertRaises(exceptions.ConfigurationError,
                              types.Geometry, *sizes)

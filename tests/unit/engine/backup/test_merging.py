# SPDX-License-Identifier: Apache-2.0

"""Which changed blocks become one object."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine.backup import merging
from cinder_swift_backup.format import types


class MergeBlocksTest(base.BaseTestCase):
    """Few objects, but no byte outside the chunk."""

    @given(st.sets(st.integers(0, 30)), st.integers(1, 10),
           st.integers(0, 40), st.integers(0, 5), st.integers(1, 10))
    def test_properties(self, blocks, block_size, gap, start, last):
        count = max(blocks, default=0) + 1
        length = (count - 1) * block_size + min(last, block_size)
        within = types.Extent(start * block_size, length)
        extents = merging.merge_blocks(sorted(blocks), block_size, within,
                                       gap)
        changed = {within.offset + position for position in range(length)
                   if position // block_size in blocks}
        stored = {position for extent in extents
                  for position in range(extent.offset, extent.end)}
        self.assertLessEqual(changed, stored)
        for extent in extents:
            self.assertGreaterEqual(extent.offset, within.offset)
            self.assertLessEqual(extent.end, within.end)
            # Nothing is stored at either end that has not changed.
            self.assertIn(extent.offset, changed)
            self.assertIn(extent.end - 1, changed)
        for one, other in itertools.pairwise(extents):
            self.assertGreater(other.offset - one.end, gap)

    def test_gap_is_inclusive(self):
        within = types.Extent(0, 100)
        self.assertEqual(
            [types.Extent(0, 40)],
            merging.merge_blocks([0, 3], 10, within, gap=20))
        self.assertEqual(
            [types.Extent(0, 10), types.Extent(30, 10)],
            merging.merge_blocks([0, 3], 10, within, gap=19))

    def test_neighbours_are_one_extent_without_any_gap(self):
        self.assertEqual(
            [types.Extent(10, 30)],
            merging.merge_blocks([1, 2, 3], 10, types.Extent(0, 100), gap=0))

    def test_short_last_block(self):
        self.assertEqual(
            [types.Extent(190, 5)],
            merging.merge_blocks([9], 10, types.Extent(100, 95)))

    def test_no_blocks(self):
        self.assertEqual(
            [], merging.merge_blocks([], 10, types.Extent(0, 100)))

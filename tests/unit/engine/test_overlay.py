# SPDX-License-Identifier: Apache-2.0

"""Chunks of a page over each other."""

import itertools

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine import overlay
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types
from tests import selection


class OverlayTest(base.BaseTestCase):
    """Compared with noting the chunk of each byte."""

    @given(st.lists(st.tuples(st.integers(0, 11), st.integers(1, 90))),
           st.integers(1, 96), st.sampled_from((0, 96)))
    @settings(max_examples=selection.examples(200))
    def test_each_byte(self, chunks, length, start):
        table = packed_chunks.PackedChunks(str)
        expected = [0] * 96
        for number, (block, most) in enumerate(chunks, 1):
            # Whole blocks or less, which end within the page.
            first = block * 8
            size = min(most, 96 - first)
            end = first + size
            table.add(types.Extent(start + first, size), 'none', 0,
                      types.Extent(0, 1))
            expected[first:end] = [number] * size
            # Nothing shows below a block that is shorter than it is now.
            expected[end:end + -end % 8] = [0] * (-end % 8)
        extent = types.Extent(start, length)
        runs = overlay.runs(extent, table, 8)
        found = []
        for number, offset, size in zip(runs.numbers, runs.offsets,
                                        runs.lengths, strict=True):
            self.assertEqual(start + len(found), offset)
            found += [number] * size
        self.assertEqual(expected[:length], found)
        self.assertEqual(
            [expected[:length].count(number)
             for number in range(1, len(chunks) + 1)],
            list(overlay.provided(extent, table, 8)))
        self.assertEqual(len(runs.numbers), len(list(itertools.groupby(
            found))))

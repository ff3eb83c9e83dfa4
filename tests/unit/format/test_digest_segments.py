# SPDX-License-Identifier: Apache-2.0

"""How a digest file is cut."""

import itertools
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from tests.unit.format import strategies


@st.composite
def _runs(draw):
    """The number of digests, and runs of zeros among them."""
    count = draw(st.integers(0, 400))
    points = sorted(draw(st.lists(st.integers(0, count), max_size=8,
                                  unique=True)))
    return count, list(zip(points[::2], points[1::2], strict=False))


class CutTest(base.BaseTestCase):
    """Every digest once, in order."""

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(digest_segments, 'LEAST', 4))

    @given(_runs(), st.integers(1, 60))
    def test_properties(self, found, size):
        count, zeros = found
        parts = digest_segments.cut(count, zeros, size)
        self.assertEqual(count, sum(map(len, parts)))
        position = 0
        for part in parts:
            self.assertEqual(position, part.first)
            self.assertGreater(len(part), 0)
            self.assertLessEqual(len(part), size)
            position = part.end
            if not part.zeros:
                continue
            self.assertEqual(size, len(part))
            self.assertTrue(any(first <= part.first and part.end <= end
                                for first, end in zeros))
        # The first and the last have more than digests.
        for part in (*parts[:1], *parts[-1:]):
            self.assertFalse(part.zeros)
        for one, two in itertools.pairwise(parts):
            if two.zeros and not one.zeros and size >= 8:
                self.assertGreaterEqual(len(one), 4)

    @given(_runs(), st.integers(10, 100))
    def test_number(self, found, most):
        count, zeros = found
        with mock.patch.object(digest_segments, 'NORMAL', 10):
            size = digest_segments.segment_size(count, most, None, 0)
            self.assertLessEqual(
                len(digest_segments.cut(count, zeros, size)), most)

    def test_long_runs_are_one_segment(self):
        parts = digest_segments.cut(1000, [(0, 900)], 100)
        self.assertEqual(
            [(0, 4, False), *((4 + 100 * at, 104 + 100 * at, True)
                              for at in range(8)),
             (804, 902, False), (902, 1000, False)],
            [(part.first, part.end, part.zeros) for part in parts])
        self.assertEqual(700 * 67, digest_segments.saved(parts))

    def test_size_that_cannot_be(self):
        self.assertIsNone(digest_segments.segment_size(1000, 10, 4000,
                                                       4096))
        self.assertIsNone(digest_segments.segment_size(1000, 10, 10000,
                                                       4096))
        self.assertEqual(250, digest_segments.segment_size(
            1000, 10, 4096 + 250 * 67, 4096))


class EncodeTest(base.BaseTestCase):
    """The parts of a file make up the file."""

    @given(strategies.headers, _runs(), st.integers(1, 60))
    def test_together_they_are_the_file(self, header, found, size):
        count, zeros = found
        table = digests.DigestTable(
            16, b''.join(bytes([at % 251]) * 32 for at in range(count)))
        with mock.patch.object(digest_segments, 'LEAST', 4):
            parts = digest_segments.cut(count, zeros, size)
        bodies = [b''.join(digest_file.encode(header, table, part))
                  for part in parts or [digest_segments.Part(0, 0)]]
        self.assertEqual(b''.join(digest_file.encode(header, table)),
                         b''.join(bodies))
        for part, body in zip(parts, bodies, strict=False):
            self.assertEqual(len(body), digest_file.encoded_length(
                header, 16, count, part))

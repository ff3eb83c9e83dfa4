# SPDX-License-Identifier: Apache-2.0

"""Finding what is not zero."""

import itertools
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import types
from cinder_swift_backup.format import zeros


def _runs(data):
    return list(zeros.split(memoryview(data)))


class RunsTest(base.BaseTestCase):
    """Runs of data and of zeros, in grains."""

    @given(st.lists(st.tuples(st.sampled_from((b'\0', b'x')),
                              st.integers(0, 20)), max_size=10))
    def test_any_data(self, parts):
        data = b''.join(byte * count for byte, count in parts)
        with mock.patch.object(zeros, 'GRAIN', 8):
            runs = _runs(data)
        position = 0
        for is_zero, run in runs:
            self.assertEqual(position, run.offset)
            position = run.end
            grains = [data[start:start + 8]
                      for start in range(run.offset, run.end, 8)]
            self.assertEqual({is_zero}, {not any(grain) for grain in grains})
        self.assertEqual(len(data), position)
        for (one, _), (other, _) in itertools.pairwise(runs):
            self.assertNotEqual(one, other)

    def test_all_zeros(self):
        self.assertEqual([], _runs(b''))
        for size in (1, 65536, 65537, 1 << 20):
            self.assertEqual([(True, types.Extent(0, size))],
                             _runs(bytes(size)))

    def test_all_data(self):
        for size in (1, 65536, 65537, 1 << 20):
            self.assertEqual([(False, types.Extent(0, size))],
                             _runs(b'x' * size))

    def test_one_byte_in_the_last_short_grain(self):
        self.assertEqual([(True, types.Extent(0, 65536)),
                          (False, types.Extent(65536, 2))],
                         _runs(bytes(65537) + b'x'))

# SPDX-License-Identifier: Apache-2.0

"""Finding what is not zero."""

import itertools
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine import zeros
from cinder_swift_backup.format import types


def _runs(data):
    return list(zeros.data_runs(memoryview(data)))


class DataRunsTest(base.BaseTestCase):
    """Runs of data, in grains."""

    @given(st.lists(st.tuples(st.sampled_from((b'\0', b'x')),
                              st.integers(0, 20)), max_size=10))
    def test_only_zeros_are_left_out(self, parts):
        data = b''.join(byte * count for byte, count in parts)
        with mock.patch.object(zeros, '_GRAIN', 8):
            runs = _runs(data)
        rebuilt = bytearray(len(data))
        for run in runs:
            self.assertLessEqual(run.end, len(data))
            rebuilt[run.offset:run.end] = data[run.offset:run.end]
        self.assertEqual(data, bytes(rebuilt))
        for one, other in itertools.pairwise(runs):
            self.assertLess(one.end, other.offset)
        grains = {start for start in range(0, len(data), 8)
                  if any(data[start:start + 8])}
        self.assertEqual(grains, {start for start in range(0, len(data), 8)
                                  for run in runs
                                  if run.offset <= start < run.end})

    def test_all_zeros(self):
        for size in (0, 1, 65536, 65537, 1 << 20):
            self.assertEqual([], _runs(bytes(size)))

    def test_all_data(self):
        for size in (1, 65536, 65537, 1 << 20):
            self.assertEqual([types.Extent(0, size)], _runs(b'x' * size))

    def test_one_byte_in_the_last_short_grain(self):
        self.assertEqual([types.Extent(65536, 2)],
                         _runs(bytes(65537) + b'x'))

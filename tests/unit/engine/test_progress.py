# SPDX-License-Identifier: Apache-2.0

"""Percentages."""

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import progress


class PercentageTest(base.BaseTestCase):
    """Whole per cent, 0 to 100."""

    @given(st.integers(0, 1 << 50), st.integers(0, 1 << 50))
    def test_range(self, one, other):
        done, total = sorted((one, other))
        percent = progress.percentage(done, total)
        self.assertIn(percent, range(101))
        self.assertEqual(done == total, percent == 100)

    def test_values(self):
        for done, total, expected in ((0, 3, 0), (1, 3, 33), (2, 3, 66),
                                      (3, 3, 100), (0, 0, 100)):
            self.assertEqual(expected, progress.percentage(done, total))

    def test_more_than_all(self):
        for done, total in ((4, 3), (-1, 3), (1, 0)):
            self.assertRaises(exceptions.VolumeError,
                              progress.percentage, done, total)

    def test_silent(self):
        progress.Silent().checkpoint()
        progress.Silent().advanced(1, 2)

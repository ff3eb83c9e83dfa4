# SPDX-License-Identifier: Apache-2.0

"""The set of intervals, against a set of integers."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine import intervals
from cinder_swift_backup.format import types

_EXTENTS = st.builds(types.Extent, st.integers(0, 60), st.integers(0, 15))


def _bytes_of(extents):
    return [position for extent in extents
            for position in range(extent.offset, extent.end)]


def _gaps(taken, end):
    """What nobody claimed between 0 and ``end``."""
    found = []
    position = 0
    for extent in taken.extents():
        if extent.offset > position:
            found.append(types.Extent(position, extent.offset - position))
        position = extent.end
    if position < end:
        found.append(types.Extent(position, end - position))
    return found


class IntervalSetTest(base.BaseTestCase):
    """Claims and gaps."""

    @given(st.lists(_EXTENTS, max_size=30), st.integers(0, 80))
    def test_against_a_set_of_integers(self, claims, end):
        taken = intervals.IntervalSet()
        model = set()
        for extent in claims:
            free = taken.claim(extent)
            self.assertEqual(sorted(set(_bytes_of([extent])) - model),
                             _bytes_of(free))
            self.assertTrue(all(part.length > 0 for part in free))
            for one, other in itertools.pairwise(free):
                self.assertLess(one.end, other.offset)
            model.update(_bytes_of([extent]))
        self.assertEqual(sorted(set(range(end)) - model),
                         [position for position
                          in _bytes_of(_gaps(taken, end)) if position < end])

    @given(st.lists(_EXTENTS, max_size=30))
    def test_gaps_reach_the_end_and_no_further(self, claims):
        taken = intervals.IntervalSet()
        for extent in claims:
            taken.claim(extent)
        self.assertLess(max(_bytes_of(_gaps(taken, 100))), 100)

    @given(st.lists(_EXTENTS, max_size=30), _EXTENTS)
    def test_within(self, claims, extent):
        taken = intervals.IntervalSet()
        for each in claims:
            taken.claim(each)
        found = taken.within(extent)
        self.assertEqual(
            sorted(set(_bytes_of(claims)) & set(_bytes_of([extent]))),
            _bytes_of(found))
        self.assertEqual(bool(found), taken.overlaps(extent)
                         and extent.length > 0)
        self.assertTrue(all(part.length > 0 for part in found))

    def test_touching_claims_melt(self):
        taken = intervals.IntervalSet()
        for extent in (types.Extent(0, 5), types.Extent(10, 5),
                       types.Extent(5, 5)):
            self.assertEqual([extent], taken.claim(extent))
        self.assertEqual([types.Extent(15, 5)], _gaps(taken, 20))
        self.assertEqual([], taken.claim(types.Extent(0, 15)))

    def test_claim_around_others(self):
        taken = intervals.IntervalSet()
        taken.claim(types.Extent(10, 5))
        taken.claim(types.Extent(20, 5))
        self.assertEqual(
            [types.Extent(5, 5), types.Extent(15, 5), types.Extent(25, 5)],
            taken.claim(types.Extent(5, 25)))

    def test_nothing_claimed_is_one_gap(self):
        self.assertEqual([types.Extent(0, 9)],
                         _gaps(intervals.IntervalSet(), 9))
        self.assertEqual([], _gaps(intervals.IntervalSet(), 0))

# SPDX-License-Identifier: Apache-2.0

"""Plans: a chain laid over in any way."""

import random
import tracemalloc

from hypothesis import assume
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.unit.engine import base as engine_base
from tests.unit.engine import strategies


def _content(record):
    """Some data for a chunk, other data for every name and position."""
    return random.Random(record.name).randbytes(record.extent.length)


def _naive(chain, size):
    """What writing everything in order, oldest first, leaves."""
    volume = bytearray(size)
    covered = set()
    for link in chain.links:
        for record in link.manifest.chunks:
            extent = record.extent
            volume[extent.offset:extent.end] = _content(record)
            covered.update(range(extent.offset, extent.end))
    return volume, covered


class PlanRestoreTest(base.BaseTestCase):
    """The overlay."""

    @given(strategies.chains_of_any_kind())
    def test_against_writing_oldest_first(self, chain):
        size = max(link.manifest.end for link in chain.links)
        expected, covered = _naive(chain, size)
        if len(covered) < size:
            err = self.assertRaises(exceptions.ChainError,
                                    planner.plan_restore, chain)
            hole = min(set(range(size)) - covered)
            self.assertEqual(hole, err.offset)
            return
        self._check(planner.plan_restore(chain), expected)

    @given(strategies.chains_of_any_kind(), st.integers(1, 60))
    def test_with_a_base_that_covers_everything(self, chain, size):
        full = chains.Chain((strategies.link(9, [types.Extent(0, size)]),
                            *chain.links))
        end = max(link.manifest.end for link in full.links)
        expected, covered = _naive(full, end)
        assume(len(covered) == end)
        self._check(planner.plan_restore(full), expected)

    def _check(self, plan, expected):
        volume = bytearray(len(expected))
        times = [0] * len(expected)
        for chunk in plan.chunks:
            content = _content(chunk.record)
            for extent in chunk.extents:
                start = extent.offset - chunk.record.extent.offset
                self.assertGreaterEqual(start, 0)
                self.assertLessEqual(extent.end, chunk.record.extent.end)
                volume[extent.offset:extent.end] = content[
                    start:start + extent.length]
                for position in range(extent.offset, extent.end):
                    times[position] += 1
        self.assertEqual(expected, volume)
        self.assertEqual([1] * len(expected), times)
        self.assertEqual(len(expected), plan.end)
        firsts = [chunk.extents[0].offset for chunk in plan.chunks]
        self.assertEqual(sorted(firsts), firsts)

    def test_what_is_hidden_is_not_fetched(self):
        chain = chains.Chain((
            strategies.link(1, [types.Extent(0, 10), types.Extent(10, 10)]),
            strategies.link(2, [types.Extent(0, 10)])))
        plan = planner.plan_restore(chain)
        self.assertEqual(
            [chain.links[1].manifest.chunks[0],
             chain.links[0].manifest.chunks[1]],
            [chunk.record for chunk in plan.chunks])

    def test_each_backup_has_its_own_container(self):
        other = types.BackupRef('bak-2', 'vol-1', 'elsewhere', 'p')
        chain = chains.Chain((
            strategies.link(1, [types.Extent(0, 20)]),
            chains.ChainLink(
                other, strategies.link(2, [types.Extent(0, 10)]).manifest)))
        plan = planner.plan_restore(chain)
        self.assertEqual(['elsewhere', engine_base.CONTAINER],
                         [chunk.container for chunk in plan.chunks])

    def test_smaller_than_its_base(self):
        chain = chains.Chain((
            strategies.link(1, [types.Extent(0, 10), types.Extent(10, 10)],
                            20),
            strategies.link(2, [types.Extent(2, 3)], 7)))
        plan = planner.plan_restore(chain)
        self.assertEqual(7, plan.end)
        self.assertEqual([types.Extent(0, 2), types.Extent(2, 3),
                          types.Extent(5, 2)],
                         sorted(extent for chunk in plan.chunks
                                for extent in chunk.extents))

    def test_the_volume_size_counts(self):
        chain = chains.Chain((
            strategies.link(1, [types.Extent(0, 10)], volume_size=12),))
        err = self.assertRaises(exceptions.ChainError,
                                planner.plan_restore, chain)
        self.assertIn('bak-1', str(err))
        self.assertEqual((10, 12), (err.offset, err.end))

    def test_gap_at_the_start(self):
        chain = chains.Chain((strategies.link(1, [types.Extent(5, 5)]),))
        self.assertRaises(exceptions.ChainError, planner.plan_restore, chain)

    def test_memory(self):
        # Of chunks that have ended, only what the plan says of them is left.
        chain = chains.Chain((strategies.link(1, [
            types.Extent(number, 1) for number in range(10_000)]),))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        plan = planner.plan_restore(chain)
        self.assertLess(tracemalloc.get_traced_memory()[1]
                        / len(plan.chunks), 100)

    def test_nothing(self):
        plan = planner.plan_restore(chains.Chain((strategies.link(1, []),)))
        self.assertEqual(([], 0), (list(plan.chunks), plan.end))

# SPDX-License-Identifier: Apache-2.0

"""Limits of speed, in simulated time."""

import random
import threading
import time

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base as test_base

from cinder_swift_backup.stores import bandwidth
from cinder_swift_backup.stores import base
from tests.fakes import clock

_RATE = 1 << 20


class LimitTest(test_base.BaseTestCase):
    """What one, or several after each other, may move."""

    def setUp(self):
        super().setUp()
        self.clock = self.useFixture(clock.Clock())

    def _seconds(self, limit, counts):
        """How long one takes who does nothing else."""
        began = self.clock.now
        for count in counts:
            limit.wait(count, base.NEVER)
        return self.clock.now - began

    def test_none(self):
        self.assertEqual(0, self._seconds(bandwidth.Limit(), [1 << 40] * 9))
        self.assertEqual(base.PIECE, bandwidth.Limit().piece)

    def test_the_rate_is_kept(self):
        # The last piece moves after its wait.
        seconds = self._seconds(bandwidth.Limit(_RATE), [_RATE // 16] * 161)
        self.assertAlmostEqual(10, seconds, delta=0.2)

    def test_unused_time_is_lost(self):
        limit = bandwidth.Limit(_RATE)
        limit.wait(1, base.NEVER)
        self.clock.now += 1000
        seconds = self._seconds(limit, [_RATE // 16] * 161)
        self.assertAlmostEqual(10, seconds, delta=0.2)

    def test_change(self):
        both = bandwidth.Bandwidth(_RATE)
        both.set(2 * _RATE)
        for limit in (both.up, both.down):
            seconds = self._seconds(limit, [_RATE // 16] * 161)
            self.assertAlmostEqual(5, seconds, delta=0.2)
        both.set(0)
        self.assertEqual(0, self._seconds(both.up, [1 << 40] * 9))

    def test_pieces_are_small_where_the_rate_is(self):
        for rate, piece in ((bandwidth.LEAST, 32 << 10), (16 << 20, 1 << 20),
                            (1 << 40, base.PIECE)):
            self.assertEqual(piece, bandwidth.Limit(rate).piece)

    def test_whoever_is_told_to_stop_does_not_wait(self):
        class _Stop:
            def wait(self, seconds):
                raise KeyError(seconds)
        limit = bandwidth.Limit(_RATE)
        limit.wait(10 * _RATE, base.NEVER)
        self.assertRaises(KeyError, limit.wait, 1, _Stop())

    @given(st.integers(bandwidth.LEAST, 1 << 30), st.randoms())
    def test_turns(self, rate, rand):
        """Who moves one piece after the other gets as much as each other."""
        limit = bandwidth.Limit(rate)
        due = {}

        class _Stop:
            waits = 0.0

            def wait(self, seconds):
                self.waits = seconds

        moved = dict.fromkeys(range(7), 0)
        for who in moved:
            due[who] = self.clock.now
        for _ in range(700):
            earliest = min(due.values())
            who = rand.choice([each for each in due if due[each] == earliest])
            self.clock.now = earliest
            stop = _Stop()
            limit.wait(limit.piece, stop)
            moved[who] += 1
            due[who] = self.clock.now + max(stop.waits, 1e-9)
        self.assertLessEqual(max(moved.values()) - min(moved.values()), 2)


class ThreadsTest(test_base.BaseTestCase):
    """All who share a limit, at once."""

    def test_together_they_are_no_faster(self):
        limit = bandwidth.Limit(1 << 20)
        waits = []

        class _Stop:
            def wait(self, seconds):
                waits.append(seconds)

        def move():
            for _ in range(50):
                limit.wait(limit.piece, _Stop())
                time.sleep(random.random() / 10000)
        threads = [threading.Thread(target=move) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # What was booked: 400 pieces of a sixteenth of a second, of which
        # nobody has waited for any.
        self.assertGreater(max(waits), 400 / 16 - 5)

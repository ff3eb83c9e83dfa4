# SPDX-License-Identifier: Apache-2.0

"""Many requests against servers that limit them, in simulated time."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import congestion
from tests.fakes import clock

_LONGEST = 30


class _Waits(Exception):
    pass


class _Impatient:
    """A stop for those who look whether they may go."""

    def check(self):
        pass

    def wait(self, seconds):
        raise _Waits


class CongestionTest(base.BaseTestCase):
    """The rules, one by one."""

    def setUp(self):
        super().setUp()
        self.clock = self.useFixture(clock.Clock())
        self.state = congestion.Congestion(2, _LONGEST)
        self.stack = self.enterContext(contextlib.ExitStack())

    def _forget_thread(self):
        """Have the next request look like one of another thread."""
        self.state._thread.has_room = False

    def _go(self):
        began = self.stack.enter_context(self.state.room(_Impatient()))
        self._forget_thread()
        return began

    def _room(self, most=100):
        """How many may go now."""
        with contextlib.ExitStack() as stack:
            for count in range(most):
                try:
                    stack.enter_context(self.state.room(_Impatient()))
                except _Waits:
                    return count
                self._forget_thread()
            return most

    def test_no_limit_at_first(self):
        self.assertEqual(100, self._room())

    def test_half_of_those_that_are_refused(self):
        began = [self._go() for _ in range(32)]
        for each in began:
            self.state.refused(each, None)
        self.stack.close()
        self.clock.now += 2
        self.assertEqual(16, self._room())

    def test_one_when_the_store_is_away(self):
        began = [self._go() for _ in range(32)]
        for each in began:
            self.state.failed(each)
        self.stack.close()
        self.assertEqual(0, self._room())
        self.clock.now += 2
        self.assertEqual(1, self._room())
        self.state.succeeded()
        self.assertEqual(2, self._room())

    def test_request_within_another(self):
        self.state.failed(self._go())
        self.stack.close()
        self.clock.now += 2
        with self.state.room(_Impatient()), self.state.room(_Impatient()):
            self.clock.now += 1
        self.assertEqual(1, self._room())

    def test_there_is_always_one(self):
        for _ in range(10):
            self.clock.now += _LONGEST
            self.state.refused(self._go(), None)
            self.stack.close()
        self.clock.now += _LONGEST
        self.assertEqual(1, self._room())

    def test_pauses_double(self):
        for pause in (2, 4, 8, 16, 30, 30):
            self.state.failed(self._go())
            self.stack.close()
            self.clock.now += pause - .01
            self.assertEqual(0, self._room())
            self.clock.now += .02
        self.state.succeeded()
        self.state.failed(self._go())
        self.stack.close()
        self.clock.now += 2
        self.assertEqual(1, self._room())

    def test_pause_as_asked_for(self):
        self.state.refused(self._go(), 45)
        self.stack.close()
        self.clock.now += 44
        self.assertEqual(0, self._room())
        self.clock.now += 1
        self.assertEqual(1, self._room())

    def test_wider_with_each_success(self):
        began = [self._go() for _ in range(32)]
        self.state.refused(began[0], None)
        self.stack.close()
        self.clock.now += 2
        for width in (16, 17, 18, 19):
            self.assertEqual(width, self._room())
            for _ in range(width + 1):
                self.state.succeeded()

    @given(st.lists(st.sampled_from('srfw'), max_size=200))
    def test_never_stuck(self, events):
        state = congestion.Congestion(2, _LONGEST)
        for event in events:
            with state.room(store_base.NEVER) as began:
                if event == 's':
                    state.succeeded()
                elif event == 'r':
                    state.refused(began, None)
                elif event == 'f':
                    state.failed(began)
                else:
                    state.refused(began, 7)
        with state.room(store_base.NEVER):
            pass

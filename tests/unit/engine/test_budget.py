# SPDX-License-Identifier: Apache-2.0

"""Memory is shared, nobody waits for ever, and nobody is left out."""

import random

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine import budget as budgets

_Need = budgets.Need


def _granted(share):
    return share.granted.done()


class BudgetTest(base.BaseTestCase):
    """The rules, one by one."""

    def test_no_limit(self):
        budget = budgets.Budget()
        shares = [budget.admit(_Need(1 << 40, 1 << 40)) for _ in range(9)]
        shares += [budget.ask(1 << 40) for _ in range(9)]
        self.assertTrue(all(map(_granted, shares)))
        for share in shares:
            budget.give_back(share)
        self.assertEqual(0, budget.held)

    def test_operations_leave_room_for_a_task(self):
        budget = budgets.Budget(100)
        first = budget.admit(_Need(20, 50))
        second = budget.admit(_Need(20, 10))
        third = budget.admit(_Need(20, 10))
        self.assertEqual([True, True, False],
                         [*map(_granted, (first, second, third))])
        self.assertTrue(_granted(budget.ask(50)))
        budget.give_back(first)
        # The task goes on, and is in nobody's way.
        self.assertTrue(_granted(third))
        self.assertEqual(90, budget.held)

    def test_tasks_take_turns(self):
        budget = budgets.Budget(100)
        running = [budget.ask(50), budget.ask(50)]
        waiting = [budget.ask(60), budget.ask(10), budget.ask(10)]
        self.assertFalse(any(map(_granted, waiting)))
        budget.give_back(running.pop())
        # The small ones do not come before the large one.
        self.assertFalse(any(map(_granted, waiting)))
        budget.give_back(running.pop())
        self.assertTrue(all(map(_granted, waiting)))

    def test_what_is_too_large_runs_alone(self):
        budget = budgets.Budget(100)
        alone = budget.admit(_Need(500, 500))
        other = budget.admit(_Need(1, 1))
        task, next_task = budget.ask(500), budget.ask(500)
        self.assertEqual(
            [True, False, True, False],
            [*map(_granted, (alone, other, task, next_task))])
        budget.give_back(task)
        self.assertTrue(_granted(next_task))
        budget.give_back(next_task)
        budget.give_back(alone)
        self.assertTrue(_granted(other))

    def test_tasks_wait_while_an_operation_comes_in(self):
        budget = budgets.Budget(100)
        budget.admit(_Need(10, 60))
        budget.ask(60)
        task = budget.ask(25)
        second = budget.admit(_Need(10, 60))
        later = budget.ask(5)
        self.assertFalse(_granted(second))
        self.assertFalse(_granted(later))
        budget.give_back(task)
        self.assertTrue(_granted(second))
        self.assertTrue(_granted(later))

    def test_whoever_waits_no_more_is_in_nobodys_way(self):
        budget = budgets.Budget(100)
        running = budget.ask(60)
        waiting, small = budget.ask(60), budget.ask(10)
        budget.give_back(waiting)
        self.assertTrue(_granted(small))
        budget.admit(_Need(50, 50))
        operation, other = (budget.admit(_Need(60, 50)),
                            budget.admit(_Need(1, 1)))
        budget.give_back(operation)
        budget.give_back(running)
        self.assertTrue(_granted(other) or not _granted(operation))

    def test_limit_may_change(self):
        budget = budgets.Budget(100)
        running, waiting = budget.ask(60), budget.ask(60)
        budget.limit = 200
        # It is noticed with the next that is asked for or given back.
        self.assertTrue(_granted(budget.ask(1)))
        self.assertTrue(_granted(waiting))
        budget.limit = 10
        late = budget.ask(60)
        self.assertFalse(_granted(late))
        budget.give_back(running)
        self.assertFalse(_granted(late))


class _Operation:
    """Runs its tasks as a pipeline does, and may have some at once."""

    def __init__(self, budget, need, tasks, workers):
        self._budget = budget
        self._workers = workers
        self._share = budget.admit(need)
        self._asked = None
        self.left = list(tasks)
        self.running = []
        self.ended = False

    @property
    def admitted(self):
        return self._share.granted.done()

    def step(self, rand):
        """Do one thing that can be done now; whether there was any."""
        if not self.admitted or self.ended:
            return False
        choices = []
        if self._asked is not None:
            if self._asked.granted.done():
                choices.append(self._start)
        elif self.left and len(self.running) < self._workers:
            choices.append(self._ask)
        if self.running:
            choices.append(self._end_one)
        if not (self.left or self.running or self._asked):
            choices.append(self._leave)
        if not choices:
            return False
        rand.choice(choices)()
        return True

    def _ask(self):
        self._asked = self._budget.ask(self.left.pop())

    def _start(self):
        self.running.append(self._asked)
        self._asked = None

    def _end_one(self):
        self._budget.give_back(self.running.pop(0))

    def _leave(self):
        self._budget.give_back(self._share)
        self.ended = True


_OPERATIONS = st.lists(st.tuples(
    st.integers(0, 60), st.lists(st.integers(0, 120), max_size=8),
    st.integers(1, 4)), min_size=1, max_size=8)


class AnyLoadTest(base.BaseTestCase):
    """Whatever runs, in whatever order."""

    @given(st.integers(1, 150), _OPERATIONS, st.integers())
    def test_everybody_comes_to_an_end(self, limit, some, seed):
        rand = random.Random(seed)
        budget = budgets.Budget(limit)
        operations = [_Operation(budget, _Need(always, max(tasks, default=0)),
                                 tasks, workers)
                      for always, tasks, workers in some]
        fits = all(always + max(tasks, default=0) <= limit
                   for always, tasks, _ in some)
        while not all(operation.ended for operation in operations):
            rand.shuffle(operations)
            self.assertTrue(
                any(operation.step(rand) for operation in operations),
                'nobody can do anything')
            if fits:
                self.assertLessEqual(budget.held, limit)
        self.assertEqual(0, budget.held)

    @given(st.integers())
    def test_everybody_gets_the_same(self, seed):
        rand = random.Random(seed)
        budget = budgets.Budget(100)
        operations = [_Operation(budget, _Need(0, 40), [40] * 400, 4)
                      for _ in range(6)]
        for _ in range(3000):
            rand.choice(operations).step(rand)
        left = [len(operation.left) for operation in operations]
        self.assertLess(max(left), 400)
        self.assertLess(max(left) - min(left), 60, left)

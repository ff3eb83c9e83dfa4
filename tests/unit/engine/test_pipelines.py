# SPDX-License-Identifier: Apache-2.0

"""The pipeline: how many at once, what order, and how it ends."""

import itertools
import threading
import time
from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine import pipelines

# Seconds: longer than anything here takes, so that a lost wake-up fails the
# test instead of hanging it.
_PATIENCE = 60


class Boom(Exception):
    """What a test's task raises."""


def _nothing():
    pass


def _patient(told):
    """A task that goes on until it is stopped, and then calls ``told``."""
    def task(stop):
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            try:
                stop.check()
            except exceptions.Cancelled:
                told()
                raise
            time.sleep(0.001)
    return task


class Gauge:
    """Tasks that tell how many of them run at once."""

    def __init__(self):
        self._lock = threading.Lock()
        self.running = 0
        self.most = 0
        self.ended = 0

    def task(self, stop):
        """Take a moment."""
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(0.002)
        with self._lock:
            self.running -= 1
            self.ended += 1


class PipelineTestCase(base.BaseTestCase):
    """On native threads, none of which may be left behind."""

    def _run(self, tasks, collect=lambda result: None, checkpoint=_nothing,
             workers=3):
        """Run functions as tasks that take a worker each."""
        self._run_tasks((pipelines.Task(task, 1) for task in tasks), collect,
                        checkpoint, workers, full=1)

    def _run_tasks(self, tasks, collect=lambda result: None,
                   checkpoint=_nothing, workers=3, full=1):
        pipeline = pipelines.Pipeline(pipelines.Runtime(), workers)
        before = set(threading.enumerate())
        try:
            pipeline.run(tasks, collect, checkpoint, full)
        finally:
            self.assertEqual(set(), set(threading.enumerate()) - before,
                             'a thread was left behind')


class ResultsTest(PipelineTestCase):
    """When all goes well."""

    def test_every_result_is_collected_once(self):
        for workers in (1, 2, 5):
            results = []
            self._run([lambda stop, number=number: number
                       for number in range(50)], results.append,
                      workers=workers)
            self.assertEqual(list(range(50)), sorted(results))

    def test_no_tasks(self):
        self._run([])

    def test_bounded_number_at_once(self):
        gauge = Gauge()
        self._run([gauge.task] * 30, workers=3)
        self.assertEqual(30, gauge.ended)
        self.assertLessEqual(gauge.most, 3)
        self.assertGreater(gauge.most, 1)

    def test_bounded_size_at_once(self):
        for size, most in ((1, 16), (2, 16), (3, 10), (5, 6), (8, 4), (9, 3),
                           (16, 2), (100, 2)):
            gauge = Gauge()
            self._run_tasks([pipelines.Task(gauge.task, size)] * 40,
                            workers=2, full=16)
            self.assertEqual(40, gauge.ended)
            self.assertLessEqual(gauge.most, most, size)

    def test_small_ones_are_at_it_at_the_same_time(self):
        for workers in (1, 2):
            count = workers * pipelines.AT_ONCE
            meeting = threading.Barrier(count, timeout=_PATIENCE)
            self._run_tasks(
                [pipelines.Task(lambda stop, met=meeting: met.wait(), 1)]
                * count, workers=workers, full=100)

    def test_tasks_that_come_of_others(self):
        found = []

        def tasks():
            yield pipelines.Task(lambda stop: 3, 1)
            while len(found) < 3:
                if found and found[-1] > 1:
                    yield pipelines.Task(
                        lambda stop, last=found[-1]: last - 1, 1)
                yield None

        self._run_tasks(tasks(), found.append)
        self.assertEqual([3, 2, 1], found)

    def test_waiting_for_nothing(self):
        self.assertRaises(RuntimeError, self._run_tasks, [None])

    def test_as_many_as_workers_are_at_it_at_the_same_time(self):
        meeting = threading.Barrier(3, timeout=_PATIENCE)
        results = []
        self._run([lambda stop: meeting.wait()] * 3, results.append)
        self.assertEqual([0, 1, 2], sorted(results))

    def test_tasks_are_made_only_when_there_is_room(self):
        # The back-pressure: a task may hold a chunk from when it is made.
        collected = []
        ahead = []

        def tasks():
            for number in range(40):
                ahead.append(number - len(collected))
                yield lambda stop: None

        self._run(tasks(), collected.append, workers=4)
        self.assertLessEqual(max(ahead), 4)

    def test_one_worker_keeps_the_order(self):
        results = []
        self._run([lambda stop, number=number: number
                   for number in range(20)], results.append, workers=1)
        self.assertEqual(list(range(20)), results)

    def test_results_come_as_they_end(self):
        first_may_end = threading.Event()
        results = []

        def slow(stop):
            self.assertTrue(first_may_end.wait(_PATIENCE))
            return 'slow'

        def collect(result):
            results.append(result)
            if result == 'quick':
                first_may_end.set()

        self._run([slow, lambda stop: 'quick'], collect)
        self.assertEqual(['quick', 'slow'], results)

    def test_only_the_coordinator_collects(self):
        threads = set()
        with mock.patch.object(pipelines, 'POLL', 0):
            self._run([lambda stop: None] * 10,
                      lambda result: threads.add(threading.get_ident()),
                      lambda: threads.add(threading.get_ident()))
        self.assertEqual({threading.get_ident()}, threads)


class FailureTest(PipelineTestCase):
    """What fails ends it all, in order."""

    def test_error_is_raised_after_all_have_ended(self):
        events = []
        begun = threading.Event()
        failed = threading.Event()

        def slow(stop):
            begun.set()
            self.assertTrue(failed.wait(_PATIENCE))
            time.sleep(0.05)
            events.append('slow ended')

        def failing(stop):
            self.assertTrue(begun.wait(_PATIENCE))
            failed.set()
            raise Boom

        self.assertRaises(Boom, self._run, [slow, failing])
        self.assertEqual(['slow ended'], events)

    def test_others_are_told_to_stop(self):
        told = []
        patient = _patient(lambda: told.append(True))
        met = threading.Barrier(3, timeout=_PATIENCE)

        def begun(stop):
            met.wait()
            patient(stop)

        def failing(stop):
            met.wait()
            raise Boom

        self.assertRaises(Boom, self._run, [begun, begun, failing])
        self.assertEqual([True, True], told)

    def test_no_task_begins_after_an_error(self):
        begun = []

        def task(stop):
            begun.append(len(begun))
            if begun[-1] == 2:
                raise Boom

        self.assertRaises(Boom, self._run, [task] * 100, workers=1)
        self.assertEqual([0, 1, 2], begun)

    def test_first_error_counts(self):
        failed = threading.Event()

        def first(stop):
            failed.set()
            raise Boom('first')

        def second(stop):
            failed.wait(_PATIENCE)
            time.sleep(0.1)
            raise Boom('second')

        err = self.assertRaises(Boom, self._run, [second, first])
        self.assertEqual('first', str(err))

    def test_error_while_making_tasks(self):
        def tasks():
            yield lambda stop: None
            raise Boom

        self.assertRaises(Boom, self._run, tasks())

    def test_error_while_collecting(self):
        gauge = Gauge()

        def collect(result):
            raise Boom

        self.assertRaises(Boom, self._run, [gauge.task] * 50, collect)
        self.assertEqual(0, gauge.running)
        self.assertLess(gauge.ended, 10)

    def test_errors_that_are_no_exceptions(self):
        def collect(result):
            raise KeyboardInterrupt

        self.assertRaises(KeyboardInterrupt, self._run,
                          [Gauge().task] * 5, collect)


class CheckpointTest(PipelineTestCase):
    """Called now and then, and may end it."""

    def test_is_paced(self):
        calls = []
        with mock.patch.object(pipelines, 'POLL', 0.05):
            begun = time.monotonic()
            self._run([lambda stop: time.sleep(0.005)] * 60,
                      checkpoint=lambda: calls.append(time.monotonic()))
            taken = time.monotonic() - begun
        self.assertGreater(len(calls), 0)
        self.assertLessEqual(len(calls), taken / 0.05)
        for one, other in itertools.pairwise(calls):
            self.assertGreaterEqual(other - one, 0.05)

    def test_is_called_though_nothing_ends(self):
        called = threading.Event()

        def slow(stop):
            self.assertTrue(called.wait(_PATIENCE))

        with mock.patch.object(pipelines, 'POLL', 0.02):
            self._run([slow], checkpoint=called.set)
        self.assertTrue(called.is_set())

    def test_cancels(self):
        begun = []
        seen = []
        patient = _patient(lambda: seen.append('stopped'))

        def task(stop):
            begun.append(True)
            patient(stop)

        def checkpoint():
            if len(begun) == 3:
                raise exceptions.Cancelled('from outside')

        with mock.patch.object(pipelines, 'POLL', 0.02):
            err = self.assertRaises(exceptions.Cancelled, self._run,
                                    [task] * 9, checkpoint=checkpoint)
        self.assertEqual('from outside', str(err))
        self.assertEqual(['stopped'] * 3, seen)


class StopFlagTest(base.BaseTestCase):
    """The flag."""

    def test_wait_ends_when_it_is_set(self):
        stop = pipelines.StopFlag()
        stop.wait(0)
        threading.Timer(0.01, stop.set).start()
        self.assertRaises(exceptions.Cancelled, stop.wait, 600)

    def test_check(self):
        stop = pipelines.StopFlag()
        stop.check()
        stop.set()
        self.assertRaises(exceptions.Cancelled, stop.check)


class MemoryTest(PipelineTestCase):
    """Tasks that hold much memory take turns with those of others."""

    def setUp(self):
        super().setUp()
        self.budget = budget.Budget(100)

    def _run_with(self, tasks, collect=lambda result: None,
                  checkpoint=_nothing):
        pipelines.Pipeline(pipelines.Runtime(), 8, self.budget).run(
            tasks, collect, checkpoint, full=8)

    def test_no_more_at_once_than_fit_in(self):
        gauge = Gauge()
        self._run_with([pipelines.Task(gauge.task, 1, 30)] * 40)
        self.assertEqual(40, gauge.ended)
        self.assertEqual(3, gauge.most)
        self.assertEqual(0, self.budget.held)

    def test_several_pipelines(self):
        gauge = Gauge()
        threads = [threading.Thread(
            target=self._run_with,
            args=([pipelines.Task(gauge.task, 1, 50)] * 20,))
            for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_PATIENCE)
        self.assertEqual(80, gauge.ended)
        self.assertLessEqual(gauge.most, 2)
        self.assertEqual(0, self.budget.held)

    def test_what_fails_gives_all_back(self):
        def fail(stop):
            raise Boom
        for tasks in ([pipelines.Task(fail, 1, 30)] * 9,
                      [pipelines.Task(_patient(_nothing), 1, 40),
                       pipelines.Task(_patient(_nothing), 1, 40),
                       pipelines.Task(fail, 1, 1),
                       pipelines.Task(fail, 1, 40)]):
            self.assertRaises(Boom, self._run_with, tasks)
            self.assertEqual(0, self.budget.held)
            self.assertTrue(self.budget.ask(100).granted.done())
            self.budget = budget.Budget(100)

    def test_whoever_waits_can_be_cancelled(self):
        held = self.budget.ask(100)

        def cancel():
            raise exceptions.Cancelled('by somebody')
        self.enterContext(mock.patch.object(pipelines, 'POLL', 0.01))
        self.assertRaises(
            exceptions.Cancelled, self._run_with,
            [pipelines.Task(lambda stop: None, 1, 50)], checkpoint=cancel)
        self.budget.give_back(held)
        self.assertEqual(0, self.budget.held)

    def test_small_tasks_do_not_wait(self):
        self.budget.ask(100)
        results = []
        self._run_with([pipelines.Task(lambda stop: 1, 1)] * 9,
                       results.append)
        self.assertEqual(9, len(results))

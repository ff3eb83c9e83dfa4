# SPDX-License-Identifier: Apache-2.0

"""How the engine notices that a caller wants no more."""

from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.stores import memory
from tests.fakes import observers


class OperationTest(base.BaseTestCase):
    """What one operation works with."""

    def setUp(self):
        super().setUp()
        self.memory = memory.MemoryStore()
        self.memory.ensure_container('c', create=True)
        self.quiet = operations.Operation(
            self.memory, pipelines.Pipeline(pipelines.Runtime(), 2), '/spool')

    def test_nobody_follows(self):
        self.assertEqual(7, self.quiet.one(lambda stop: 7))
        self.assertEqual([], list(self.quiet.store.list('c', '')))
        self.assertEqual('/spool', self.quiet.directory)

    def test_observer_ends_requests_of_the_coordinator(self):
        with mock.patch.object(pipelines, 'POLL', 0):
            watched = self.quiet.during(observers.Recorder(cancel_at=1))
        self.assertEqual('/spool', watched.directory)
        self.assertRaises(exceptions.Cancelled, list,
                          watched.store.list('c', ''))
        # The one that it was made from goes on.
        self.assertEqual([], list(self.quiet.store.list('c', '')))

    def test_observer_ends_workers(self):
        def work(stop):
            stop.wait(600)

        with mock.patch.object(pipelines, 'POLL', 0.01):
            watched = self.quiet.during(observers.Recorder(cancel_at=2))
            self.assertRaises(exceptions.Cancelled, watched.one, work)

    def test_flag_ends_requests_of_a_worker(self):
        stop = pipelines.StopFlag()
        observer = observers.Recorder()
        theirs = self.quiet.during(observer).until(stop)
        self.assertIsNot(observer, theirs.observer)
        self.assertEqual([], list(theirs.store.list('c', '')))
        stop.set()
        self.assertRaises(exceptions.Cancelled, list,
                          theirs.store.list('c', ''))

    def test_failure_of_the_only_task(self):
        self.assertRaises(ZeroDivisionError, self.quiet.one,
                          lambda stop: 1 // 0)


class WatchTest(base.BaseTestCase):
    """The coordinator's own waits."""

    def test_looks_while_it_waits(self):
        looks = []
        with mock.patch.object(pipelines, 'POLL', 0.01):
            watch = operations.Watch(lambda: looks.append(True))
            watch.wait(1)
            self.assertGreater(len(looks), 1)
            looks.clear()
            watch.wait(0)
        self.assertEqual([], looks)

    def test_looks_are_paced(self):
        looks = []
        with mock.patch.object(pipelines, 'POLL', 0):
            watch = operations.Watch(lambda: looks.append(True))
        watch.check()
        watch.check()
        self.assertEqual([True], looks)

    def test_ends_when_the_checkpoint_raises(self):
        with mock.patch.object(pipelines, 'POLL', 0.01):
            watch = operations.Watch(mock.Mock(
                side_effect=exceptions.Cancelled('from outside')))
            self.assertRaises(exceptions.Cancelled, watch.wait, 600)

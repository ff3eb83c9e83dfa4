# SPDX-License-Identifier: Apache-2.0

"""How the engine notices that a caller wants no more."""

from unittest import mock

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines


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

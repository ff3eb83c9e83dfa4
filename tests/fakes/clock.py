# SPDX-License-Identifier: Apache-2.0

"""Time that passes only when somebody sleeps, for tests of one thread."""

from unittest import mock

import fixtures


class Clock(fixtures.Fixture):
    """Takes the place of ``time.sleep`` and ``time.monotonic``.

    ``now`` is in seconds; ``sleeps`` has how long each sleep was.
    """

    def __init__(self):
        self.now = 1000.0
        self.sleeps = []

    def _setUp(self):
        self.enterContext(mock.patch('time.sleep', self._sleep))
        self.enterContext(mock.patch('time.monotonic', lambda: self.now))

    def enterContext(self, context):
        """Undo with the fixture."""
        self.addCleanup(context.__exit__, None, None, None)
        return context.__enter__()

    def _sleep(self, seconds):
        self.sleeps.append(seconds)
        self.now += seconds

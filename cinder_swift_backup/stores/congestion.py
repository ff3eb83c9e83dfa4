# SPDX-License-Identifier: Apache-2.0

"""Has all requests of an operation slow down together, and recover.

One writer that Swift tells to wait is slowed down. Thirty-two that are each
told so, and each try again by themselves, keep it busy with refusing them,
until one after the other has used up its attempts. So what one request learns
holds for all, as with TCP:

1. At most ``window`` requests are on their way. At first there is no limit.
2. A request that is refused for being one too many halves the window; one
   that nobody answers, or that fails for want of a server, makes it 1. Those
   that were on their way already when it shrank, change nothing more.
3. No request begins before the pause is over that Swift has asked for
   (``Retry-After``), or one that doubles with each failure in a row; but once
   the store is given up, nobody waits for it.
4. Each success widens the window by 1 up to half of what it was, and then by
   1 for each time that as many have succeeded as it lets through.
"""

from collections.abc import Iterator
import contextlib
import math
import threading
import time

from cinder_swift_backup.stores import base

# Seconds between two looks for room.
_POLL = 0.1


class Congestion:
    """What the requests of one operation know of the store's state."""

    def __init__(self, pause: float, longest: float) -> None:
        """Prepare.

        :param pause: the first one, in seconds
        :param longest: the longest that the store has not asked for
        """
        self._first_pause = pause = min(pause, longest)
        self._longest = longest
        self._lock = threading.Lock()
        self._thread = threading.local()
        self._window = math.inf
        self._threshold = math.inf
        self._flying = 0
        self._pause = pause
        self._paused_until = 0.0
        self._shrunk = 0.0
        # When a request last got its answer.
        self.last_success = -math.inf
        # Whether a request was given up, and none has got an answer since it
        # first failed.
        self.gone = False
        self._gone_since = 0.0

    @contextlib.contextmanager
    def room(self, stop: base.Stop) -> Iterator[float]:
        """Wait until a request may go, and let others go when it has ended.

        Yields when it began, for :meth:`refused` and :meth:`failed`. A request
        that is made while the same thread has another on its way goes along
        with that, which could not end otherwise.

        :raises Exception: what ``stop`` raises
        """
        if getattr(self._thread, 'has_room', False):
            yield time.monotonic()
            return
        while (wait := self._enter()) > 0:
            stop.wait(wait)
        self._thread.has_room = True
        try:
            yield time.monotonic()
        finally:
            self._thread.has_room = False
            with self._lock:
                self._flying -= 1

    def succeeded(self) -> None:
        """A request got its answer."""
        with self._lock:
            self.last_success = time.monotonic()
            self.gone = False
            self._pause = self._first_pause
            if self._window < self._threshold:
                self._window += 1
            else:
                self._window += 1 / self._window

    def refused(self, began: float, retry_after: float | None) -> None:
        """A request was one too many.

        :param retry_after: seconds that the store asked for, if it did
        """
        with self._lock:
            if self._shrink(began):
                self._window = self._threshold
            self._wait_for(began, retry_after)

    def failed(self, began: float) -> None:
        """A request met no store that works."""
        with self._lock:
            if self._shrink(began):
                self._window = 1
            self._wait_for(began, None)

    def wait_at_most(self, seconds: float) -> None:
        """Shorten the pause that the store has asked for."""
        with self._lock:
            self._paused_until = min(self._paused_until,
                                     time.monotonic() + seconds)

    def give_up(self, since: float) -> float:
        """A request that has failed since then is not repeated any more.

        Returns since when requests have failed, the others included.
        """
        with self._lock:
            if self.last_success >= since:
                return since
            if not self.gone:
                self.gone = True
                self._gone_since = since
            return self._gone_since

    def _enter(self) -> float:
        """Seconds to wait, or 0 after having gone through."""
        with self._lock:
            left = self._paused_until - time.monotonic()
            if left > 0 and not self.gone:
                return left
            if self._flying and self._flying + 1 > self._window:
                return _POLL
            self._flying += 1
            return 0

    def _shrink(self, began: float) -> bool:
        if began <= self._shrunk:
            return False
        self._shrunk = time.monotonic()
        self._threshold = max(1, min(self._window, self._flying) / 2)
        return True

    def _wait_for(self, began: float, retry_after: float | None) -> None:
        now = time.monotonic()
        if retry_after is not None:
            self._paused_until = max(self._paused_until, now + retry_after)
        elif began >= self._paused_until:
            self._paused_until = now + self._pause
            self._pause = min(2 * self._pause, self._longest)

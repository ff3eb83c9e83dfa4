# SPDX-License-Identifier: Apache-2.0

"""Sends and receives no faster than somebody wants.

1. Whoever is about to move a piece of a body books the time that it takes at
   the rate, behind what others have booked.
2. Then it waits until that time begins.

So all that share a limit get their turns in the order in which they ask, one
piece each, and nobody who has many pieces to move comes before others. Time
that nobody has booked is lost, but for a moment that makes up for late wakes.
"""

import threading
import time

from cinder_swift_backup.stores import base

# Bytes a second. Swift gives up a connection on which 64 KiB, which it handles
# at once, take more than a minute: see ``client_chunk_size`` and
# ``client_timeout`` of its proxy. Fifteen backups of small objects have up to
# 32 connections each.
LEAST = 512 << 10
# Seconds of unused time that are made up for.
_MOMENT = 0.1
# Pieces a second, so that many connections all move.
_PIECES = 16


class Limit:
    """How many bytes a second all who share it move; 0 for any number.

    The ``rate`` may be changed at any time.
    """

    def __init__(self, rate: int = 0) -> None:
        self._lock = threading.Lock()
        self._booked_until = 0.0
        self.rate = rate

    @property
    def piece(self) -> int:
        """How many bytes to move at once, at most."""
        if not self.rate:
            return base.PIECE
        return max(1, min(base.PIECE, self.rate // _PIECES))

    def wait(self, count: int, stop: base.Stop) -> None:
        """Wait until so many bytes may be moved.

        :raises Exception: what ``stop`` raises
        """
        rate = self.rate
        if not rate:
            return
        with self._lock:
            now = time.monotonic()
            begin = max(self._booked_until, now - _MOMENT)
            self._booked_until = begin + count / rate
        if begin > now:
            stop.wait(begin - now)


class Bandwidth:
    """Limits of the two directions: ``up`` to the store, and ``down``."""

    def __init__(self, rate: int = 0) -> None:
        """Prepare.

        :param rate: bytes a second in each direction; 0 for any number
        """
        self.up = Limit(rate)
        self.down = Limit(rate)

    def set(self, rate: int) -> None:
        """Change the rate of both."""
        self.up.rate = self.down.rate = rate


UNLIMITED = Bandwidth()

# SPDX-License-Identifier: Apache-2.0

"""Counts what an operation moves to a store and back."""

import threading


class Traffic:
    """Counts of one store, for all who use it.

    ``sent`` are the bytes of the ``objects`` that were put, ``received`` those
    of bodies that were read, all of them as they are stored. ``retries`` is
    how often a request was sent again because it had failed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.objects = 0
        self.sent = 0
        self.received = 0
        self.retries = 0

    def put(self, length: int) -> None:
        """Count an object that was stored."""
        with self._lock:
            self.objects += 1
            self.sent += length

    def receive(self, length: int) -> None:
        """Count bytes that came."""
        with self._lock:
            self.received += length

    def retry(self) -> None:
        """Count a request that is sent again."""
        with self._lock:
            self.retries += 1

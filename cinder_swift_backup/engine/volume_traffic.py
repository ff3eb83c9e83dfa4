# SPDX-License-Identifier: Apache-2.0

"""Counts what an operation does to a volume."""

from cinder_swift_backup.engine import pipelines


class VolumeTraffic:
    """Counts of one operation; workers may add, also where they compute.

    ``read`` are the bytes of the volume that a backup has read, each counted
    once, and ``written`` those that a restore has written.
    """

    def __init__(self, runtime: pipelines.Runtime) -> None:
        self._lock = runtime.lock()
        self.read = 0
        self.written = 0

    def add_read(self, length: int) -> None:
        """Count bytes that were read."""
        with self._lock:
            self.read += length

    def add_written(self, length: int) -> None:
        """Count bytes that were written."""
        with self._lock:
            self.written += length

# SPDX-License-Identifier: Apache-2.0

"""Volumes whose handle has a position, and takes no offsets."""

import os
from typing import Any

from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.format import types


class SeekingVolume(base.WithoutMap):
    """Seeks and reads or writes under a lock."""

    is_device = False

    def __init__(self, handle: Any, lock: base.Lock) -> None:
        self._handle = handle
        self._lock = lock
        with base.failing(base.MEASURING):
            handle.seek(0, os.SEEK_END)
            self.size: int = handle.tell()
        self.capacity: int | None = self.size

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`."""
        with self._lock, base.failing(base.READING, extent):
            return base.read_all(extent, self._read_once)

    def _read_once(self, offset: int, length: int) -> bytes:
        self._handle.seek(offset)
        data: bytes = self._handle.read(length)
        return data

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`base.VolumeWriter`."""
        extent = types.Extent(offset, len(data))
        with self._lock, base.failing(base.WRITING, extent):
            self._handle.seek(offset)
            while data:
                # A raw handle says how much it took, others nothing.
                written = self._handle.write(bytes(data))
                data = data[len(data) if written is None else written:]

    def zero(self, extent: types.Extent) -> None:
        """See :class:`base.VolumeWriter`."""
        base.write_zeros(self.write, extent)

    def sync(self) -> None:
        """See :class:`base.VolumeWriter`."""
        with self._lock, base.failing(base.SYNCING):
            self._handle.flush()

    def finish(self, size: int) -> None:
        """See :class:`base.VolumeWriter`; a device has its size already."""
        self.sync()

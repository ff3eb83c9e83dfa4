# SPDX-License-Identifier: Apache-2.0

"""Volumes in memory and handles of the kinds that Cinder passes."""

import io
import threading

from cinder_swift_backup.format import types


class RamVolume:
    """A volume that notes what is written where.

    :param blank: whether the engine may take it to read as zeros
    """

    def __init__(self, data: bytes, *, blank: bool = False) -> None:
        self.data = bytearray(data)
        self.size = len(data)
        self.capacity: int | None = len(data)
        self.blank = blank
        self.writes: list[types.Extent] = []
        self.synced = 0
        self.finished: int | None = None
        self._lock = threading.Lock()

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See the engine's VolumeReader."""
        view = memoryview(buffer)[:extent.length]
        view[:] = self.data[extent.offset:extent.end]
        return view

    def write(self, offset: int, data: memoryview) -> None:
        """See the engine's VolumeWriter."""
        with self._lock:
            self.writes.append(types.Extent(offset, len(data)))
            self.data[offset:offset + len(data)] = data

    def sync(self) -> None:
        """See the engine's VolumeWriter."""
        self.synced += 1

    def finish(self, size: int) -> None:
        """See the engine's VolumeWriter."""
        self.finished = size


class Error(Exception):
    """Not an OSError, as ``rbd.Error``."""


class Image:
    """The calls of ``rbd.Image`` that the engine makes."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.flushed = False
        self._failing = False

    def size(self) -> int:
        """The image's size in bytes."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at an offset, as many as there are."""
        if self._failing:
            raise Error('[errno 110] RBD read error')
        return bytes(self.data[offset:offset + length])

    def fail(self) -> None:
        """Have the next reads fail as librbd's do."""
        self._failing = True

    def write(self, data: bytes, offset: int) -> int:
        """As strict as librbd's binding: bytes only, and inside the image."""
        if not isinstance(data, bytes):
            raise TypeError('data must be a string')
        if offset + len(data) > len(self.data):
            raise ValueError('write past the end of the image')
        self.data[offset:offset + len(data)] = data
        return len(data)

    def flush(self) -> None:
        """Make writes durable."""
        self.flushed = True


class RbdHandle(io.RawIOBase):
    """What os-brick hands out for an RBD image: no file descriptor."""

    def __init__(self, image: Image) -> None:
        super().__init__()
        self._image = image

    @property
    def rbd_image(self) -> Image:
        """The image itself."""
        return self._image

    def seekable(self) -> bool:
        """It seeks as well, which is the slower way."""
        return True

    def fileno(self) -> int:
        """There is none."""
        raise OSError('fileno() not supported by RBD()')

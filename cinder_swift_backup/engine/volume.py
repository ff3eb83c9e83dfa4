# SPDX-License-Identifier: Apache-2.0

"""Reading and writing volumes by offset, from several threads at once.

Cinder hands over one of three kinds of handle, tried in this order:

1. one with a file descriptor: a block device or a regular file;
2. os-brick's wrapper around an RBD image, whose image takes offsets;
3. anything else that can seek: used under a lock.

What is in here runs in offloaded functions and never logs.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import io
import os
import stat
import sys
from typing import Any
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types

_SYNC = 'when what was written was to be made durable'
Lock = contextlib.AbstractContextManager[Any]


class VolumeReader(Protocol):
    """The volume to back up; ``size`` is in bytes."""

    size: int

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """Exactly the bytes of ``extent``, in ``buffer`` or not.

        :param buffer: at least as long as the extent; the view is valid
            until the next read into it
        :raises VolumeError: when there are fewer
        """


class VolumeWriter(Protocol):
    """The volume to restore to.

    ``capacity`` is in bytes and None for a regular file, which grows;
    ``blank`` says that it reads as zeros where nothing is written.
    """

    capacity: int | None
    blank: bool

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data`` at ``offset``."""

    def sync(self) -> None:
        """Make durable what was written so far."""

    def finish(self, size: int) -> None:
        """Make what was written durable and the volume ``size`` bytes."""


class FileVolume:
    """A block device or a regular file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        status = os.fstat(fd)
        self._regular = stat.S_ISREG(status.st_mode)
        self.size: int = os.lseek(fd, 0, os.SEEK_END)
        self.capacity = None if self._regular else self.size
        self.blank = self._regular and not self.size

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`VolumeReader`."""
        view = memoryview(buffer)[:extent.length]
        count = 0
        with _failing(f'at offset {extent.offset}'):
            while count < extent.length:
                done = os.preadv(self._fd, [view[count:]],
                                 extent.offset + count)
                if not done:
                    raise _ended(extent, extent.offset + count)
                count += done
        return view

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`VolumeWriter`."""
        with _failing(f'at offset {offset}'):
            while data:
                written = os.pwrite(self._fd, data, offset)
                offset += written
                data = data[written:]

    def sync(self) -> None:
        """See :class:`VolumeWriter`."""
        with _failing(_SYNC):
            os.fdatasync(self._fd)
        # Nobody on this host reads it soon. Giving the pages back keeps those
        # of others, and the next chunk gets pages that are warm. The data is
        # safe whatever becomes of the advice.
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def finish(self, size: int) -> None:
        """See :class:`VolumeWriter`."""
        with _failing(_SYNC):
            if self._regular and os.fstat(self._fd).st_size < size:
                os.ftruncate(self._fd, size)
            os.fsync(self._fd)


class ImageVolume:
    """An RBD image, whose calls take offsets and release the GIL."""

    blank = False

    def __init__(self, image: Any) -> None:
        self._image = image
        # librbd's binding has a tree of errors of its own, and need not be
        # installed where it is not used.
        binding = sys.modules[type(image).__module__]
        self._errors = (OSError, getattr(binding, 'Error', OSError))
        self.size: int = image.size()
        self.capacity: int | None = self.size

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`VolumeReader`; librbd makes buffers of its own."""
        with _failing(f'at offset {extent.offset}', self._errors):
            return _read_all(extent, self._image.read)

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`VolumeWriter`."""
        with _failing(f'at offset {offset}', self._errors):
            self._image.write(bytes(data), offset)

    def sync(self) -> None:
        """See :class:`VolumeWriter`."""
        with _failing(_SYNC, self._errors):
            self._image.flush()

    def finish(self, size: int) -> None:
        """See :class:`VolumeWriter`; an image has its size already."""
        self.sync()


class SeekingVolume:
    """A handle that has nothing but a position, shared under a lock."""

    blank = False

    def __init__(self, handle: Any, lock: Lock) -> None:
        self._handle = handle
        self._lock = lock
        handle.seek(0, os.SEEK_END)
        self.size: int = handle.tell()
        self.capacity: int | None = self.size

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`VolumeReader`."""
        with self._lock, _failing(f'at offset {extent.offset}'):
            return _read_all(extent, self._read_once)

    def _read_once(self, offset: int, length: int) -> bytes:
        self._handle.seek(offset)
        data: bytes = self._handle.read(length)
        return data

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`VolumeWriter`."""
        with self._lock, _failing(f'at offset {offset}'):
            self._handle.seek(offset)
            while data:
                # A raw handle says how much it took, others nothing.
                written = self._handle.write(bytes(data))
                data = data[len(data) if written is None else written:]

    def sync(self) -> None:
        """See :class:`VolumeWriter`."""
        with self._lock, _failing(_SYNC):
            self._handle.flush()

    def finish(self, size: int) -> None:
        """See :class:`VolumeWriter`; a device has its size already."""
        self.sync()


Volume = FileVolume | ImageVolume | SeekingVolume


def open_volume(handle: Any, lock: Lock) -> Volume:
    """The volume behind a handle that Cinder attached.

    :param lock: for the kind of handle that must not be shared
    :raises VolumeError: when it is none of the kinds we know
    """
    fd = _fileno(handle)
    if fd is not None:
        return FileVolume(fd)
    image = getattr(handle, 'rbd_image', None)
    if image is not None:
        return ImageVolume(image)
    if hasattr(handle, 'seek') and hasattr(handle, 'tell'):
        return SeekingVolume(handle, lock)
    raise exceptions.VolumeError(
        f'The volume is attached as {handle!r}, which cannot be read or '
        f'written by offset.')


@contextlib.contextmanager
def _failing(where: str,
             errors: tuple[type[Exception], ...] = (OSError,),
             ) -> Iterator[None]:
    try:
        yield
    except errors as err:
        raise exceptions.VolumeError(
            f'The volume failed {where}: {err}. Look for its '
            f'cause on the host and in the storage, then repeat the '
            f'operation.') from err


def _fileno(handle: Any) -> int | None:
    try:
        fd = handle.fileno()
    except (AttributeError, io.UnsupportedOperation, OSError):
        return None
    return fd if isinstance(fd, int) else None


def _read_all(extent: types.Extent,
              read: Callable[[int, int], bytes]) -> memoryview:
    pieces = []
    offset = extent.offset
    while offset < extent.end:
        piece = read(offset, extent.end - offset)
        if not piece:
            raise _ended(extent, offset)
        pieces.append(piece)
        offset += len(piece)
    return memoryview(pieces[0] if len(pieces) == 1 else b''.join(pieces))


def _ended(extent: types.Extent, offset: int) -> exceptions.VolumeError:
    return exceptions.VolumeError(
        f'The volume ended at {offset} instead of {extent.end} bytes: it was '
        f'resized or detached during the backup.')

# SPDX-License-Identifier: Apache-2.0

"""Volumes with a file descriptor: regular files and block devices.

To make an extent read as zeros, they try these in turn:

1. Punch a hole, which also frees the space. Most file systems support it, and
   so do devices that guarantee zeros where they unmap.
2. On a device: have the kernel zero it (BLKZEROOUT), which many devices do by
   themselves.
3. Write zeros.

That a device reads as zeros already is no reason to skip an extent. A thin
volume of a pool without zeroing reads as zeros only until data is written next
to them: then old data appears in the rest of what is newly allocated.
"""

from collections.abc import Iterator
import contextlib
import errno
import os
import stat

from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.engine.volumes import kernel
from cinder_swift_backup.format import types


class _DescriptorVolume:
    """What files and devices have in common."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        with base.failing(base.MEASURING):
            self.size: int = os.lseek(fd, 0, os.SEEK_END)

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`."""
        view = memoryview(buffer)[:extent.length]
        count = 0
        with base.failing(base.READING, extent):
            while count < extent.length:
                done = os.preadv(self._fd, [view[count:]],
                                 extent.offset + count)
                if not done:
                    raise base.ended(extent, extent.offset + count)
                count += done
        return view

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> None:
        """See :class:`base.VolumeReader`: nothing is known of it."""

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`base.VolumeWriter`."""
        extent = types.Extent(offset, len(data))
        with base.failing(base.WRITING, extent):
            while data:
                written = os.pwrite(self._fd, data, offset)
                offset += written
                data = data[written:]

    def sync(self) -> None:
        """See :class:`base.VolumeWriter`."""
        with base.failing(base.SYNCING):
            os.fdatasync(self._fd)
        # Nothing on this host will read this data soon. Dropping it from the
        # page cache keeps other data there, and the next chunk reuses the
        # pages. It is only advice, and the data is safe already.
        with contextlib.suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)


class FileVolume(_DescriptorVolume):
    """A regular file."""

    capacity: int | None = None
    tells_holes = True
    is_device = False
    _settled = False

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`: what is not in a hole."""
        with base.failing(base.MAPPING):
            self._settle()
            size = os.fstat(self._fd).st_size
            if size < min(within.end, self.size):
                raise base.ended(within, size)
            end = min(within.end, size)
            start = within.offset
            while start < end:
                start = self._seek(start, os.SEEK_DATA, end)
                stop = self._seek(start, os.SEEK_HOLE, end)
                if start < stop:
                    yield types.Extent(start, stop - start)
                start = stop

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`base.VolumeReader`; somebody else may have written."""
        with base.failing(base.MAPPING):
            os.fdatasync(self._fd)
        return not any(True for _ in self.data_extents(extent))

    def _settle(self) -> None:
        """Sync, as some file systems report holes reliably only then.

        Once is enough: nobody else writes, and we do not ask again about what
        we wrote.
        """
        if not self._settled:
            os.fdatasync(self._fd)
            self._settled = True

    def _seek(self, start: int, whence: int, end: int) -> int:
        if start >= end:
            return end
        try:
            return min(os.lseek(self._fd, start, whence), end)
        except OSError as err:
            if err.errno == errno.ENXIO:  # There is none up to the end.
                return end
            raise

    def zero(self, extent: types.Extent) -> None:
        """See :class:`base.VolumeWriter`."""
        with base.failing(base.WRITING, extent):
            if not kernel.punch_hole(self._fd, extent):
                base.write_zeros(self.write, extent)

    def finish(self, size: int) -> None:
        """See :class:`base.VolumeWriter`."""
        with base.failing(base.SYNCING):
            if os.fstat(self._fd).st_size != size:
                os.ftruncate(self._fd, size)
            os.fsync(self._fd)


class DeviceVolume(base.WithoutMap, _DescriptorVolume):
    """A block device."""

    is_device = True

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self.capacity: int | None = self.size

    def zero(self, extent: types.Extent) -> None:
        """See :class:`base.VolumeWriter`."""
        with base.failing(base.WRITING, extent):
            if (not kernel.punch_hole(self._fd, extent)
                    and not kernel.zero_out(self._fd, extent)):
                base.write_zeros(self.write, extent)

    def finish(self, size: int) -> None:
        """See :class:`base.VolumeWriter`; a device has its size already."""
        with base.failing(base.SYNCING):
            os.fsync(self._fd)


def open_descriptor(fd: int) -> FileVolume | DeviceVolume:
    """The volume behind a file descriptor."""
    with base.failing(base.MEASURING):
        regular = stat.S_ISREG(os.fstat(fd).st_mode)
    return FileVolume(fd) if regular else DeviceVolume(fd)

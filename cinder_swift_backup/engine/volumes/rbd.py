# SPDX-License-Identifier: Apache-2.0

"""RBD images. Their calls take offsets and release the GIL."""

import bisect
from collections.abc import Iterator
import itertools
import sys
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.engine.volumes import librbd
from cinder_swift_backup.format import types

# Workers are in two neighbouring windows at most.
_REMEMBERED = 2


class RbdVolume:
    """An image of librbd's Python binding.

    The objects of a clone are looked for in all of its parent, whatever part
    is asked for. So an image is asked for a window at a time, and remembers
    the answer for those who ask for parts of it.

    :param image: the ``rbd.Image``, or os-brick's wrapper around it
    :param lock: for what is remembered
    """

    is_device = True

    def __init__(self, image: Any, lock: base.Lock) -> None:
        self._lock = lock
        # What os-brick opened it with.
        self._client = getattr(image, 'client', None)
        self._windows: dict[int, list[types.Extent]] = {}
        # The errors are in the module of the image, not of its wrapper.
        self._image = getattr(image, 'image', image)
        # They are no OSErrors. The module may not be installed where RBD is
        # not used, so it cannot be imported.
        binding = sys.modules[type(self._image).__module__]
        self._errors = (OSError, getattr(binding, 'Error', OSError))
        with base.failing(base.MEASURING, errors=self._errors):
            self.size: int = self._image.size()
        self.capacity: int | None = self.size
        self.tells_holes = not (librbd.leaves_out_origins()
                                and self._origin_info() is not None)

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`; librbd makes buffers of its own."""
        with base.failing(base.READING, extent, self._errors):
            return base.read_all(extent, self._image.read)

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`: the objects that exist.

        They include the objects of the image's parent.
        """
        if not within.length:
            return
        if not self.tells_holes:
            yield within
            return
        last = (within.end - 1) // base.WINDOW
        for number in range(within.offset // base.WINDOW, last + 1):
            parts = self._window(number)
            first = bisect.bisect_right(parts, within.offset,
                                        key=lambda extent: extent.end)
            for extent in itertools.islice(parts, first, None):
                part = extent.overlap(within)
                if part is None:
                    break
                yield part

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`base.VolumeReader`: whether there are no objects."""
        return self.tells_holes and not any(
            part.overlap(extent) for part in self._objects(extent, None))

    def _window(self, number: int) -> list[types.Extent]:
        """The objects in a window of the image, in order."""
        with self._lock:
            if number not in self._windows:
                start = number * base.WINDOW
                whole = types.Extent(start,
                                     min(base.WINDOW, self.size - start))
                # An object that is said not to exist, instead of not being
                # named, was there in a snapshot. In a clone that was reverted
                # what its origin has there shows through, which not every
                # release of librbd considers.
                parts = sorted(self._objects(whole, None))
                while len(self._windows) >= _REMEMBERED:
                    del self._windows[next(iter(self._windows))]
                self._windows[number] = parts
            return self._windows[number]

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`: whole objects."""
        self._check(mark)
        yield from sorted(self._objects(within, mark.snapshot))

    def _check(self, mark: types.Mark) -> None:
        """Make sure that a mark is one of this image."""
        with base.failing(base.MAPPING, errors=self._errors):
            image = self._image.id()
        if mark.image != image:
            raise exceptions.VolumeError(
                'the mark is of another image, as after a migration',
                expected=mark.image, actual=image)
        if mark.snapshot not in self.snapshots():
            raise exceptions.VolumeError(
                'the snapshot of the mark does not exist',
                detail=mark.snapshot)

    def snapshots(self) -> list[str]:
        """The names of all snapshots of the image."""
        with base.failing(base.MAPPING, errors=self._errors):
            return [snap['name'] for snap in self._image.list_snaps()]

    def freeze(self, snapshot: str) -> types.Mark:
        """Make a snapshot, and read from it from now on.

        :raises VolumeError: when that fails; then all is as before
        """
        with base.failing(base.MARKING, errors=self._errors):
            mark = types.Mark(self._image.id(), snapshot)
            self._image.create_snap(snapshot)
            try:
                self.use(snapshot)
            except BaseException:
                self.use(None)
                self._image.remove_snap(snapshot)
                raise
        return mark

    def use(self, snapshot: str | None) -> None:
        """Read from a snapshot from now on, or from the image itself.

        :raises VolumeError: when that fails
        """
        with base.failing(base.MARKING, errors=self._errors):
            self._image.set_snap(snapshot)
            self.size = self._image.size()
        with self._lock:
            self._windows.clear()

    def origin(self) -> tuple['RbdVolume', str, str] | None:
        """What a clone is of, if nothing was written to it.

        :returns: the image, which has to be closed, its name, and that of its
            snapshot; None if it is no clone, or has something of its own
        :raises VolumeError: when that cannot be found out
        """
        if self._client is None:
            return None
        origin = self._origin_info()
        if origin is None:
            return None
        pool, name, snapshot = origin
        with base.failing(base.MARKING, errors=self._errors):
            if pool != self._client.rbd_pool or self._objects(
                    types.Extent(0, self.size), None, include_parent=False):
                return None
            image = self._client.rbd.Image(self._client.ioctx, name)
        return RbdVolume(image, self._lock), name, snapshot

    def _origin_info(self) -> tuple[str, str, str] | None:
        """Pool, image and snapshot that this is a clone of, if it is one."""
        try:
            pool, name, snapshot = self._image.parent_info()
        except self._errors:
            return None
        return pool, name, snapshot

    def close(self) -> None:
        """Close an image that was opened here.

        :raises VolumeError: when that fails
        """
        with base.failing(base.MARKING, errors=self._errors):
            self._image.close()

    def forget(self, snapshot: str) -> None:
        """Remove a snapshot; it need not exist.

        :raises VolumeError: when that fails
        """
        if snapshot not in self.snapshots():
            return
        with base.failing(base.MARKING, errors=self._errors):
            self._image.remove_snap(snapshot)

    def _objects(self, within: types.Extent, mark: str | None, *,
                 include_parent: bool = True) -> list[types.Extent]:
        """The objects that differ from a mark, or from nothing.

        :param include_parent: whether those of a clone's origin count
        """
        parts: list[types.Extent] = []

        def note(offset: int, length: int, exists: bool) -> None:
            parts.append(types.Extent(offset, length))

        with base.failing(base.MAPPING, errors=self._errors):
            self._image.diff_iterate(
                within.offset, within.length, mark, note,
                include_parent=include_parent, whole_object=True)
        return parts

    def write(self, offset: int, data: memoryview) -> None:
        """See :class:`base.VolumeWriter`."""
        extent = types.Extent(offset, len(data))
        with base.failing(base.WRITING, extent, self._errors):
            self._image.write(bytes(data), offset)

    def zero(self, extent: types.Extent) -> None:
        """See :class:`base.VolumeWriter`.

        A discard is not enough: librbd only discards whole objects, and the
        rest keeps its data.
        """
        with base.failing(base.WRITING, extent, self._errors):
            if hasattr(self._image, 'write_zeroes'):
                self._image.write_zeroes(extent.offset, extent.length)
                return
        base.write_zeros(self.write, extent)

    def sync(self) -> None:
        """See :class:`base.VolumeWriter`."""
        with base.failing(base.SYNCING, errors=self._errors):
            self._image.flush()

    def finish(self, size: int) -> None:
        """See :class:`base.VolumeWriter`; an image has its size already."""
        self.sync()


class ClonedVolume:
    """A clone that nothing was written to; it knows what its origin knows.

    A volume that is in use is backed up from one. It has what its origin had
    when the snapshot was made that it is a clone of, so the origin tells what
    was written since a mark of the origin's.

    :param clone: what is read
    :param origin: nobody else may use it meanwhile
    :param snapshot: of the origin, which is what the clone has
    """

    is_device = True

    def __init__(self, clone: RbdVolume, origin: RbdVolume,
                 snapshot: str) -> None:
        self._clone = clone
        self._origin = origin
        self._snapshot = snapshot
        self.size = clone.size
        self.tells_holes = clone.tells_holes
        origin.use(snapshot)

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`."""
        return self._clone.read(extent, buffer)

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`."""
        return self._clone.data_extents(within)

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`base.VolumeReader`."""
        return self._clone.is_hole(extent)

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`: what the origin says."""
        self._origin.use(self._snapshot)
        return self._origin.changed_since(mark, within)

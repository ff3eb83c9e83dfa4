# SPDX-License-Identifier: Apache-2.0

"""Volumes in memory and handles of the kinds that Cinder passes."""

from collections.abc import Callable
from collections.abc import Iterator
import io
import threading

from cinder_swift_backup.format import types


class RamVolume:
    """A volume that notes what is written where.

    :param sparse: whether it tells where it has no data, to 16 bytes
    """

    def __init__(self, data: bytes, *, sparse: bool = False) -> None:
        self.data = bytearray(data)
        self.size = len(data)
        self.capacity: int | None = len(data)
        self.is_device = True
        self.sparse = sparse
        self.tells_holes = sparse
        self.writes: list[types.Extent] = []
        self.zeroed: list[types.Extent] = []
        self.synced = 0
        self.finished: int | None = None
        self._lock = threading.Lock()

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See the engine's VolumeReader."""
        view = memoryview(buffer)[:extent.length]
        view[:] = self.data[extent.offset:extent.end]
        return view

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> None:
        """See the engine's VolumeReader."""

    def write(self, offset: int, data: memoryview) -> None:
        """See the engine's VolumeWriter."""
        with self._lock:
            self.writes.append(types.Extent(offset, len(data)))
            self.data[offset:offset + len(data)] = data

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See the engine's VolumeReader."""
        if not self.sparse:
            yield within
            return
        for offset in range(within.offset, within.end, 16):
            extent = types.Extent(offset, min(16, within.end - offset))
            if any(self.data[extent.offset:extent.end]):
                yield extent

    def is_hole(self, extent: types.Extent) -> bool:
        """See the engine's VolumeReader."""
        return not any(True for _ in self.data_extents(extent))

    def zero(self, extent: types.Extent) -> None:
        """See the engine's VolumeWriter."""
        with self._lock:
            self.zeroed.append(extent)
            self.data[extent.offset:extent.end] = bytes(extent.length)

    def sync(self) -> None:
        """See the engine's VolumeWriter."""
        self.synced += 1

    def finish(self, size: int) -> None:
        """See the engine's VolumeWriter."""
        self.finished = size


# Whether clones have something of their own.
OWN = False


class Error(Exception):
    """Not an OSError, as ``rbd.Error``."""


class Image:
    """The calls of ``rbd.Image`` that the engine makes."""

    def __init__(self, data: bytes) -> None:
        self._head = bytearray(data)
        self._at: str | None = None
        self.parent: tuple[str, str, str] | None = None
        self.flushed = False
        self._snapshots: dict[str, bytes] = {}
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
        """Have the next calls fail as librbd's do."""
        self._failing = True

    def write(self, data: bytes, offset: int) -> int:
        """As strict as librbd's binding: bytes only, and inside the image."""
        if self._failing:
            raise Error('[errno 110] RBD write error')
        if not isinstance(data, bytes):
            raise TypeError('data must be a string')
        if offset + len(data) > len(self.data):
            raise ValueError('write past the end of the image')
        self.data[offset:offset + len(data)] = data
        return len(data)

    def write_zeroes(self, offset: int, length: int) -> None:
        """Zeros at an offset, whatever was there."""
        if self._failing:
            raise Error('[errno 110] RBD write_zeroes error')
        self.data[offset:offset + length] = bytes(length)

    def parent_info(self) -> tuple[str, str, str]:
        """Pool, image and snapshot that it is a clone of."""
        if self.parent is None:
            raise Error('[errno 2] RBD image has no parent')
        return self.parent

    def close(self) -> None:
        """Nothing is open."""

    def id(self) -> str:
        """What no other image has."""
        return f'id-{id(self)}'

    def list_snaps(self) -> Iterator[dict[str, object]]:
        """The snapshots, as far as their names."""
        if self._failing:
            raise Error('[errno 110] RBD list_snaps error')
        return iter([{'name': name} for name in self._snapshots])

    def create_snap(self, name: str) -> None:
        """Keep what there is now."""
        if name in self._snapshots:
            raise Error('[errno 17] RBD snapshot exists')
        self._snapshots[name] = bytes(self._head)

    def remove_snap(self, name: str) -> None:
        """Forget what there was."""
        if self._at is not None:
            raise Error('[errno 30] RBD read-only image')
        del self._snapshots[name]

    def set_snap(self, name: str | None) -> None:
        """Use a snapshot from now on, or the image."""
        if self._failing:
            raise Error('[errno 110] RBD set_snap error')
        if name is not None:
            self._snapshots[name]
        self._at = name

    @property
    def data(self) -> bytearray:
        """What it holds, or the snapshot that is used."""
        return (self._head if self._at is None
                else bytearray(self._snapshots[self._at]))

    def diff_iterate(self, offset: int, length: int,
                     from_snapshot: str | None,
                     iterate_cb: Callable[[int, int, bool], None], *,
                     include_parent: bool, whole_object: bool) -> None:
        """Tell the objects, here of 1024 bytes, that there are."""
        if self._failing:
            raise Error('[errno 110] RBD diff_iterate error')
        assert whole_object
        if not include_parent and not OWN:
            return
        before = bytes(len(self.data))
        if from_snapshot is not None:
            if from_snapshot not in self._snapshots:
                raise Error('[errno 2] RBD image not found')
            before = self._snapshots[from_snapshot]
            # What is behind the end of the shorter one is nothing.
            before = before[:len(self.data)].ljust(len(self.data), b'\0')
        for start in range(0, offset + length, 1024):
            stop = min(start + 1024, offset + length)
            if stop > offset and self.data[start:stop] != before[start:stop]:
                begin = max(start, offset)
                iterate_cb(begin, stop - begin, any(self.data[start:stop]))

    def flush(self) -> None:
        """Make writes durable."""
        if self._failing:
            raise Error('[errno 110] RBD flush error')
        self.flushed = True


class RbdClient:
    """As much of os-brick's as one needs to open another image."""

    rbd_pool = 'volumes'
    ioctx = None

    def __init__(self, images: dict[str, Image]) -> None:
        self.rbd = self
        self._images = images

    def Image(self, ioctx: None, name: str) -> Image:
        """Open an image."""
        if name not in self._images:
            raise Error('[errno 2] RBD image not found')
        return self._images[name]


class RbdVolume:
    """As os-brick wraps an image: it passes on what it does not know.

    :param images: all images of the pool, by name
    """

    def __init__(self, image: Image, images: dict[str, Image]) -> None:
        self.image = image
        self.client = RbdClient(images)

    def __getattr__(self, name: str) -> object:
        return getattr(self.image, name)


class RbdHandle(io.RawIOBase):
    """What os-brick hands out for an RBD image: no file descriptor."""

    def __init__(self, image: Image,
                 images: dict[str, Image] | None = None) -> None:
        super().__init__()
        self._image = RbdVolume(image, images or {})

    @property
    def rbd_image(self) -> RbdVolume:
        """The image in its wrapper."""
        return self._image

    def seekable(self) -> bool:
        """It seeks as well, which is the slower way."""
        return True

    def fileno(self) -> int:
        """There is none."""
        raise OSError('fileno() not supported by RBD()')


class OneImageClient:
    """As much of os-brick's RBDClient as its own volume needs."""

    ioctx = None

    def __init__(self, image: Image) -> None:
        self.rbd = self
        self.Image = lambda *arguments, **options: image
        self.Error = Error

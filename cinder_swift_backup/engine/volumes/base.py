# SPDX-License-Identifier: Apache-2.0

"""The interface of volumes, and what all kinds of them share."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from typing import Any
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zeros

# Bytes to ask a volume about at once, so that one can stop in between: in so
# much Ceph lists 16 thousand objects.
WINDOW = 64 << 30
Lock = contextlib.AbstractContextManager[Any]
# For the texts of errors, after "failed".
MEASURING = 'while reporting its size'
MAPPING = 'while reporting its data or snapshots'
READING = 'while being read'
WRITING = 'while being written'
MARKING = 'in a snapshot operation'
SYNCING = 'while flushing writes'


class VolumeReader(Protocol):
    """The volume to back up.

    ``size`` is in bytes. ``tells_holes`` says whether it knows of parts
    without data.
    """

    size: int
    tells_holes: bool

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """Read exactly the bytes of ``extent``.

        :param buffer: at least as long as the extent, and may be used for the
            result, which is valid until the next read into it
        :raises VolumeError: when the volume ends before the extent
        """

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """The parts of ``within`` that may hold anything but zeros.

        They are disjoint and in ascending order. The rest is certain to read
        as zeros.

        :param within: best one of its :func:`windows`
        """

    def is_hole(self, extent: types.Extent) -> bool:
        """Whether an extent is certain to read as zeros.

        Storage is asked now, even if it has answered before.
        """

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> Iterator[types.Extent] | None:
        """The parts of ``within`` that may have changed since a mark.

        They are disjoint and in ascending order. None if that is not known.

        :param within: best a few of its :func:`windows` at a time
        :raises VolumeError: when the volume has no such mark
        """


class VolumeWriter(VolumeReader, Protocol):
    """The volume to restore to; as a reader, it has what is there before.

    ``capacity`` is in bytes, and None for a regular file, which grows.
    """

    capacity: int | None

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data`` at ``offset``."""

    def zero(self, extent: types.Extent) -> None:
        """Make ``extent`` read as zeros, and free its space if possible."""

    def sync(self) -> None:
        """Make everything durable that was written so far."""

    def finish(self, size: int) -> None:
        """Make everything durable, and give a regular file its length.

        :param size: the length in bytes; ignored by devices and images
        """


def windows(within: types.Extent) -> Iterator[types.Extent]:
    """The parts of an extent that a volume is asked about one by one.

    Whoever can be told to stop asks so, since an answer may take a while and
    cannot be interrupted.
    """
    return within.parts(WINDOW)


class WithoutMap:
    """What a volume says that knows nothing of its own data."""

    tells_holes = False

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`VolumeReader`: it may have data everywhere."""
        yield within

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`VolumeReader`: nothing is certain."""
        return False

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> None:
        """See :class:`VolumeReader`: nothing is known of it."""


@contextlib.contextmanager
def failing(doing: str, extent: types.Extent | None = None,
            errors: tuple[type[Exception], ...] = (OSError,),
            ) -> Iterator[None]:
    """Raise our error for those of a volume.

    :param doing: completes "the volume failed ..."
    :param extent: of the volume that was read or written
    :raises VolumeError: for any of ``errors``
    """
    try:
        yield
    except errors as err:
        raise exceptions.VolumeError(
            f'the volume failed {doing} ({err})',
            offset=extent.offset if extent else None,
            end=extent.end if extent else None,
            remedy=exceptions.Remedy.STORAGE) from err


def read_all(extent: types.Extent,
             read: Callable[[int, int], bytes]) -> memoryview:
    """Read an extent with a function that may return fewer bytes at once.

    :param read: takes an offset and a length, both in bytes
    :raises VolumeError: when it returns nothing
    """
    pieces = []
    offset = extent.offset
    while offset < extent.end:
        piece = read(offset, extent.end - offset)
        if not piece:
            raise ended(extent, offset)
        pieces.append(piece)
        offset += len(piece)
    return memoryview(pieces[0] if len(pieces) == 1 else b''.join(pieces))


def write_zeros(write: Callable[[int, memoryview], None],
                extent: types.Extent) -> None:
    """Zero an extent by writing, for volumes that can do no better.

    :param write: takes an offset in bytes and the data
    """
    offset = extent.offset
    for piece in zeros.pieces(extent.length, zeros.GRAIN):
        write(offset, piece)
        offset += len(piece)


def ended(extent: types.Extent, offset: int) -> exceptions.VolumeError:
    """The error for a volume that ends at ``offset``, inside an extent."""
    return exceptions.VolumeError(
        'the volume ended early: it may have been resized or detached',
        offset=extent.offset, end=extent.end, expected=extent.end,
        actual=offset, remedy=exceptions.Remedy.REPEAT)


def until(volume: VolumeReader, stop: pipelines.StopFlag) -> VolumeReader:
    """The same volume for a worker, until its flag is set.

    Most volumes answer soon. One that may wait for long has such a method.
    """
    ending = getattr(volume, 'until', None)
    return volume if ending is None else ending(stop)


def is_device(volume: object) -> bool:
    """Whether a volume is certainly a device or an image, and so raw.

    What does not say so may be a file in a format of its own.
    """
    return bool(getattr(volume, 'is_device', False))

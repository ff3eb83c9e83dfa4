# SPDX-License-Identifier: Apache-2.0

"""What the engine asks of a volume, and what the kinds have in common."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
from typing import Any
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types

Lock = contextlib.AbstractContextManager[Any]
# For the texts of errors, after "failed".
SYNCING = 'when what was written was to be made durable'


class VolumeReader(Protocol):
    """The volume to back up; ``size`` is in bytes."""

    size: int

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """Exactly the bytes of ``extent``, in ``buffer`` or not.

        :param buffer: at least as long as the extent; the view is valid
            until the next read into it
        :raises VolumeError: when there are fewer
        """

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """Where ``within`` may hold something else than zeros.

        Disjoint extents in ascending order. What is outside of them reads as
        zeros for sure; what is inside may, too.
        """


class VolumeWriter(Protocol):
    """The volume to restore to.

    ``capacity`` is in bytes, and None for a regular file, which grows.
    """

    capacity: int | None

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`VolumeReader`."""

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of ``data`` at ``offset``."""

    def zero(self, extent: types.Extent) -> None:
        """Have ``extent`` read as zeros, and take up no room if possible."""

    def sync(self) -> None:
        """Make durable what was written so far."""

    def finish(self, size: int) -> None:
        """Make what was written durable, and a regular file ``size`` bytes.

        :param size: in bytes; a regular file is extended or cut to it
        """


@contextlib.contextmanager
def failing(where: str, errors: tuple[type[Exception], ...] = (OSError,),
            ) -> Iterator[None]:
    """Turn what a volume raises into our error.

    :param where: what failed, for the text
    :raises VolumeError: for any of ``errors``
    """
    try:
        yield
    except errors as err:
        raise exceptions.VolumeError(
            f'the volume failed {where} ({err})',
            remedy=exceptions.Remedy.STORAGE) from err


def read_all(extent: types.Extent,
             read: Callable[[int, int], bytes]) -> memoryview:
    """All bytes of an extent from a function that may give fewer at once.

    :param read: takes an offset and a length, both in bytes
    :raises VolumeError: when it gives nothing
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


def ended(extent: types.Extent, offset: int) -> exceptions.VolumeError:
    """The error for a volume that ends at ``offset``, inside an extent."""
    return exceptions.VolumeError(
        'the volume ended early: it was resized or detached meanwhile',
        offset=extent.offset, end=extent.end, expected=extent.end,
        actual=offset, remedy=exceptions.Remedy.REPEAT)

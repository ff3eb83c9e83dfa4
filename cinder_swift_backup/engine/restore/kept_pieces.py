# SPDX-License-Identifier: Apache-2.0

"""Keeps what was fetched and decoded, for whoever wants more of it soon.

1. Whoever wants something that is not there makes it; others who want the same
   wait for that.
2. What nobody has wanted for the longest time goes when there are too many,
   but not before whoever uses it has done so.

The data is in temporary files without a name, which the system keeps in memory
as long as there is room.
"""

from array import array
import bisect
import collections
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import os
import tempfile
from typing import Any

from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import types


class Pieces:
    """Extents of a volume in a temporary file, one after the other."""

    def __init__(self, directory: str | None,
                 extents: Sequence[types.Extent]) -> None:
        """Prepare.

        :param directory: for the file; the system's if None
        :param extents: disjoint, in any order
        :raises SpoolError: when no file can be created
        """
        self._directory = directory
        self._offsets = array('q')
        self._places = array('q')
        place = 0
        for extent in sorted(extents):
            self._offsets.append(extent.offset)
            self._places.append(place)
            place += extent.length
        with spool.failing(directory):
            self._file = tempfile.TemporaryFile(  # noqa: SIM115
                buffering=0, prefix='pieces-', dir=directory)

    def close(self) -> None:
        """Forget the data."""
        self._file.close()

    def _place(self, offset: int) -> int:
        at = bisect.bisect_right(self._offsets, offset) - 1
        return self._places[at] + offset - self._offsets[at]

    def write(self, offset: int, data: memoryview, *,
              repeated: bool = False) -> None:
        """Take data of one of the extents.

        :raises SpoolError: when there is no room
        """
        place = self._place(offset)
        with spool.failing(self._directory):
            while data:
                count = os.pwrite(self._file.fileno(), data, place)
                place += count
                data = data[count:]

    def read(self, extent: types.Extent, target: memoryview) -> None:
        """Give a part of one of the extents.

        :param target: as long as the part; what was not written is zeros
        :raises SpoolError: when the file cannot be read
        """
        place = self._place(extent.offset)
        with spool.failing(self._directory):
            while target:
                count = os.preadv(self._file.fileno(), [target], place)
                if not count:
                    target[:] = bytes(len(target))
                    return
                place += count
                target = target[count:]


class _Entry:
    """A place for pieces; ``lock`` is held while they are made."""

    def __init__(self,
                 lock: contextlib.AbstractContextManager[Any]) -> None:
        self.lock = lock
        self.pieces: Pieces | None = None
        self.users = 0
        self.is_dropped = False


class KeptPieces:
    """Some pieces by keys; may be used by several threads."""

    def __init__(self, most: int, new_lock: Callable[
            [], contextlib.AbstractContextManager[Any]]) -> None:
        """Prepare.

        :param most: how many to keep
        :param new_lock: makes locks
        """
        self._most = most
        self._new_lock = new_lock
        self._lock = new_lock()
        self._entries: collections.OrderedDict[Hashable, _Entry] = (
            collections.OrderedDict())

    def is_known(self, key: Hashable) -> bool:
        """Whether pieces are there, or are being made."""
        with self._lock:
            return key in self._entries

    def is_being_made(self, key: Hashable) -> bool:
        """Whether somebody is making some pieces now."""
        with self._lock:
            entry = self._entries.get(key)
            return entry is not None and entry.pieces is None

    @contextlib.contextmanager
    def holding(self, key: Hashable,
                make: Callable[[], Pieces]) -> Iterator[Pieces]:
        """Pieces, which stay until the end of a block.

        :param make: makes them if they are not there
        """
        entry = self._take(key)
        try:
            with entry.lock:
                if entry.pieces is None:
                    entry.pieces = make()
            yield entry.pieces
        finally:
            self._give_back(key, entry)

    def _take(self, key: Hashable) -> _Entry:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = _Entry(self._new_lock())
            self._entries.move_to_end(key)
            entry.users += 1
            dropped = ([self._entries.popitem(last=False)[1]]
                       if len(self._entries) > self._most else [])
            self._drop(dropped)
            return entry

    def _give_back(self, key: Hashable, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1
            if entry.pieces is None and self._entries.get(key) is entry:
                # Whoever comes next tries again.
                del self._entries[key]
                entry.is_dropped = True
            if entry.is_dropped:
                self._drop([entry])

    @staticmethod
    def _drop(entries: Sequence[_Entry]) -> None:
        for entry in entries:
            entry.is_dropped = True
            if not entry.users and entry.pieces is not None:
                entry.pieces.close()
                entry.pieces = None

    def close(self) -> None:
        """Forget all pieces."""
        with self._lock:
            self._drop(list(self._entries.values()))
            self._entries.clear()

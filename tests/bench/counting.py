# SPDX-License-Identifier: Apache-2.0

"""A store that counts, and keeps what is the same once.

What is put is cut into pieces. A piece that was there before is not kept
again, so that a store of many TiB of the same noise fits on a disk. What is
read is what was put.

Memory: about 100 bytes for each piece that is unlike all others, 4 for each
piece of an object, and some for each object.
"""

from array import array
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import hashlib
import os
import tempfile
import threading
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import bodies
from cinder_swift_backup.stores import traffic

_T = TypeVar('_T')
_PIECE = 64 << 10


class Pieces:
    """Pieces of objects in a temporary file, each once."""

    def __init__(self) -> None:
        # Until the end of the run; only the name goes now.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115
        self._numbers: dict[bytes, int] = {}
        self._offsets = array('q', [0])
        self._lock = threading.Lock()

    def keep(self, piece: bytes) -> int:
        """Keep a piece; returns its number."""
        digest = hashlib.blake2b(piece, digest_size=16).digest()
        with self._lock:
            known = self._numbers.setdefault(digest, len(self._numbers))
            if known == len(self._offsets) - 1:
                self._file.write(piece)
                self._file.flush()
                self._offsets.append(self._offsets[-1] + len(piece))
            return known

    def get(self, number: int) -> bytes:
        """A piece by its number."""
        start, end = self._offsets[number], self._offsets[number + 1]
        return os.pread(self._file.fileno(), end - start, start)

    def close(self) -> None:
        """Drop all of them."""
        self._file.close()


class CountingStore(base.ExistsByStat):
    """Keeps objects as pieces, and counts them."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._objects: dict[str, array[int]] = {}
        self._large: dict[str, tuple[base.Segment, ...]] = {}
        self._stats: dict[str, base.Stat] = {}
        self.traffic = traffic.Traffic()

    def until(self, stop: base.Stop) -> 'CountingStore':
        """See the contract."""
        return self

    def capabilities(self) -> base.Capabilities:
        """Swift's defaults."""
        return base.Capabilities(max_object_size=5 << 30, max_segments=1000)

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None,
                         like: str | None = None,
                         sync: base.Sync | None = None) -> None:
        """See the contract."""

    def put(self, container: str, name: str, body: base.Body) -> str:
        """See the contract."""
        self.traffic.put(body.length)
        numbers = array('I')
        reader = bodies.BodyReader(name, body, base.NEVER)
        with contextlib.closing(reader):
            rest = b''
            while view := reader.read():
                rest += view
                whole = len(rest) // _PIECE * _PIECE
                for start in range(0, whole, _PIECE):
                    numbers.append(self._pieces.keep(
                        rest[start:start + _PIECE]))
                rest = rest[whole:]
            if rest:
                numbers.append(self._pieces.keep(rest))
        self._objects[name] = numbers
        self._stats[name] = base.Stat(body.length, reader.md5())
        return reader.md5()

    def put_large(self, container: str, name: str,
                  segments: Sequence[base.Segment]) -> None:
        """See the contract."""
        self.traffic.put(0)
        self._large[name] = tuple(segments)
        self._stats[name] = base.Stat(
            sum(segment.size for segment in segments), '')

    def stat(self, container: str, name: str) -> base.Stat:
        """See the contract."""
        if name not in self._stats:
            raise exceptions.ObjectNotFound('it was not put', name=name)
        return self._stats[name]

    def annotate(self, container: str, name: str,
                 notes: Mapping[str, str]) -> None:
        """See the contract."""
        self._stats[name] = dataclasses.replace(self.stat(container, name),
                                                notes=dict(notes))

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...] | None:
        """See the contract."""
        return self._large.get(name)

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False, rare: bool = False) -> _T:
        """See the contract."""
        size = self.stat(container, name).size
        return use(self._read(name, extent or types.Extent(0, size)))

    def _read(self, name: str, extent: types.Extent) -> Iterator[bytes]:
        names = ([segment.name for segment in self._large[name]]
                 if name in self._large else [name])
        offset = 0
        for each in names:
            whole = types.Extent(offset, self._stats[each].size)
            part = whole.overlap(extent)
            if part is not None:
                yield from self._part(each, part.offset - offset,
                                      part.end - offset)
            offset = whole.end

    def _part(self, name: str, start: int, end: int) -> Iterator[bytes]:
        """Part of an object that is kept as such, which may be empty."""
        first = start // _PIECE
        offset = first * _PIECE
        for number in self._objects[name][first:-(-end // _PIECE)]:
            piece = self._pieces.get(number)
            yield piece[max(start - offset, 0):end - offset]
            offset += len(piece)

    def delete(self, container: str, name: str) -> None:
        """See the contract."""
        self._objects.pop(name, None)
        self._stats.pop(name, None)

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract."""
        now = datetime.datetime.now(datetime.UTC)
        return (base.ObjectInfo(name, stat.size, stat.etag, now)
                for name, stat in sorted(self._stats.items())
                if name.startswith(prefix))

    def close(self) -> None:
        """See the contract."""
        self._pieces.close()

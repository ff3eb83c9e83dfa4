# SPDX-License-Identifier: Apache-2.0

"""Writes the pages of a manifest.

Some pages are one object. For each of them:

1. Copy the parent's page if the backup has stored nothing of its part of the
   volume.
2. Else lay the new chunks over those of the parent's page, and leave out what
   provides nothing any more.
3. Count what that has changed: how many chunks of each pack are named, how
   many of its stored bytes are needed, and what is stored by which codec.

Memory: the pages of one object for each worker, of some MiB at most.
"""

from array import array
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import hashlib
import itertools
from typing import TypeVar

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import overlay
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_K = TypeVar('_K', int, str)
# How many pages are one object.
IN_OBJECT = 16


class Tally:
    """Chunks and bytes that were counted, and may be fewer than before.

    ``by_key`` has for each pack the number of chunks, and how many of their
    stored bytes are needed; ``by_word`` for each codec the chunks, their bytes
    of volume and of store.
    """

    def __init__(self) -> None:
        self.by_key: dict[int, list[int]] = {}
        self.by_word: dict[str, list[int]] = {}

    def change(self, chunks: packed_chunks.PackedChunks, before: Sequence[int],
               now: Sequence[int]) -> None:
        """Count what has changed of the chunks of a page.

        :param before: how many bytes of the volume the first of the chunks
            have provided, which were counted
        :param now: how many each of them provides; those that provide none do
            not count any more
        """
        for index, (some, then) in enumerate(zip(
                now, itertools.chain(before, itertools.repeat(0)),
                strict=False)):
            # Most are what they were.
            if some == then and some:
                continue
            if index < len(before):
                self._count(chunks, index, then, -1)
            if some:
                self._count(chunks, index, some, 1)

    def _count(self, chunks: packed_chunks.PackedChunks, index: int,
               provided: int, sign: int) -> None:
        length, stored = chunks.lengths[index], chunks.place(index).length
        _add(self.by_key, chunks.packs[index],
             (sign, sign * (stored * provided // length)))
        _add(self.by_word, chunks.compression(index),
             (sign, sign * length, sign * stored))

    def add(self, other: 'Tally') -> None:
        """Count what another has counted."""
        for key, numbers in other.by_key.items():
            _add(self.by_key, key, numbers)
        for word, numbers in other.by_word.items():
            _add(self.by_word, word, numbers)


def _add(table: dict[_K, list[int]], key: _K,
         numbers: Sequence[int]) -> None:
    found = table.setdefault(key, [0] * len(numbers))
    for place, number in enumerate(numbers):
        found[place] += number


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """Pages to put as one object; ``number`` is that of the object."""

    number: int
    pages: tuple[pages.Page, ...]
    body: tuple[bytes, ...]
    tally: Tally


@dataclasses.dataclass(frozen=True, slots=True)
class Written:
    """Pages that were put: their object, if there are any, and what changed.

    ``number`` is that of the object, from 0.
    """

    number: int
    record: types.ChunkRecord | None
    pages: tuple[pages.Page, ...]
    tally: Tally


class PageWriter:
    """Writes the pages of one backup; may be used by several workers."""

    def __init__(self, operation: operations.Operation, ref: types.BackupRef,
                 block_size: int, size: int,
                 parent: chains.ChainLink | None) -> None:
        """Prepare.

        :param size: of the volume in bytes
        :param parent: in the form of packs too, with blocks and pages of the
            same size
        """
        self._operation = operation
        self._ref = ref
        self._block_size = block_size
        self._page_size = pages.size(block_size)
        self._size = size
        self._parent = parent
        # Those of the parent, by their numbers.
        self._before: dict[int, pages.Page] = {}
        point = None if parent is None else parent.manifest.point
        if point is not None:
            self._before = {page.extent.offset // self._page_size: page
                            for page in point.pages}
        self._point = point

    @property
    def objects(self) -> int:
        """How many objects there may be, also of what the parent had."""
        last = max(self._before, default=-1) + 1
        count = max(last, -(-self._size // self._page_size))
        return -(-count // IN_OBJECT)

    def extent(self, number: int) -> types.Extent:
        """The part of the volume that an object is of, perhaps behind it."""
        length = IN_OBJECT * self._page_size
        return types.Extent(number * length, length)

    def write(self, number: int,
              added: Mapping[int, packed_chunks.PackedChunks],
              stop: pipelines.StopFlag) -> Written:
        """Write the pages of an object.

        :param added: the new chunks, by the numbers of pages
        :raises FormatError: when a page of the parent is damaged
        :raises ChunkMissing: when a page of the parent is not there
        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        return self.put(self.make(number, added, stop), stop)

    def make(self, number: int,
             added: Mapping[int, packed_chunks.PackedChunks],
             stop: pipelines.StopFlag) -> Made:
        """Make the pages of an object; as :meth:`write`, but for the put."""
        worker = self._operation.until(stop)
        name = self.name(number)
        tally = Tally()
        made: list[pages.Page] = []
        body: list[bytes] = []
        position = 0
        numbers = range(number * IN_OBJECT, (number + 1) * IN_OBJECT)
        before = self._fetch(worker, numbers)
        for page in numbers:
            stop.check()
            encoded = self._page(worker, page, before.get(page),
                                 added.get(page), tally)
            if encoded is None:
                continue
            made.append(pages.Page(
                self._extent(page), name,
                types.Extent(position, len(encoded)),
                hashlib.sha256(encoded).digest()))
            body.append(encoded)
            position += len(encoded)
        return Made(number, tuple(made), tuple(body), tally)

    def put(self, made: Made, stop: pipelines.StopFlag) -> Written:
        """Put the pages of an object, if there are any.

        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        if not made.pages:
            return Written(made.number, None, (), made.tally)
        name, body = self.name(made.number), made.body
        length = sum(map(len, body))
        md5 = hashlib.md5(b''.join(body), usedforsecurity=False).hexdigest()
        self._operation.store.until(stop).put(
            self._ref.container, name,
            base.Body(length, lambda: iter(body), md5))
        start = made.pages[0].extent.offset
        return Written(made.number, types.ChunkRecord(
            name, types.Extent(start, made.pages[-1].extent.end - start),
            pages.WORD, length, md5), made.pages, made.tally)

    def name(self, number: int) -> str:
        """The name of an object of pages."""
        return naming.chunk_name(self._ref.prefix, number * IN_OBJECT)

    def _extent(self, page: int) -> types.Extent:
        start = page * self._page_size
        return types.Extent(start, min(self._page_size, self._size - start))

    def _fetch(self, worker: operations.Operation, numbers: Iterable[int],
               ) -> dict[int, point_objects.StoredPage]:
        """Pages of the parent, by their numbers."""
        if self._parent is None:
            return {}
        objects = point_objects.PointObjects(worker)
        found = filter(None, map(self._before.get, numbers))
        return {stored.page.extent.offset // self._page_size: stored
                for run in point_objects.runs(found)
                for stored in objects.run(self._parent.ref, run)}

    def _page(self, worker: operations.Operation, number: int,
              before: point_objects.StoredPage | None,
              added: packed_chunks.PackedChunks | None,
              tally: Tally) -> bytes | None:
        """A page as stored; None if there is none.

        :param before: that of the parent
        """
        if before is None and added is None:
            return None
        extent = self._extent(number)
        if (added is None and before is not None
                and before.page.extent == extent):
            return before.encoded
        old = packed_chunks.PackedChunks(str)
        if before is not None and self._parent and self._point is not None:
            old = point_objects.PointObjects(worker).chunks(
                self._parent.ref, self._point, before)
        return worker.call(self._merge, extent, before, old, added, tally)

    def _merge(self, extent: types.Extent,
               before: point_objects.StoredPage | None,
               old: packed_chunks.PackedChunks,
               added: packed_chunks.PackedChunks | None,
               tally: Tally) -> bytes | None:
        were = array('q')
        if before is not None:
            were = overlay.provided(before.page.extent, old, self._block_size)
        chunks = packed_chunks.PackedChunks(str)
        chunks.extend(old)
        if added is not None:
            chunks.extend(added)
        now = (overlay.provided(extent, chunks, self._block_size)
               if extent.length > 0 else array('q', bytes(8 * len(chunks))))
        tally.change(chunks, were, now)
        chunks = chunks.select(index for index, some in enumerate(now)
                               if some)
        if not chunks:
            return None
        return pages.encode(chunks, self._block_size, extent)

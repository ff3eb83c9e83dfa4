# SPDX-License-Identifier: Apache-2.0

"""Reads what tells of the chunks of a backup in the form of packs.

Pages tell which chunk has which part of the volume. Those that are neighbours
in an object come with one request, those of some objects at a time, and are
decoded one by one.

The digests are in the indexes of the packs:

1. Fetch the indexes of some packs, several at a time.
2. Put their digests where the blocks are on the volume, pack by pack in the
   order of the manifest, so that the newest win.

What is fetched is compared with its SHA-256, which the manifest has.

Memory: one page, and some more as they are stored, or some indexes: a few MiB.
"""

import bisect
from collections.abc import Callable
from collections.abc import Container
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests as digests_
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import pages as pages_
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_T = TypeVar('_T')
# Pages that are neighbours in an object, one or more.
Run = Sequence[pages_.Page]
# How many indexes a worker fetches at once. It mostly waits for the store.
_AT_ONCE = 4
# How many indexes are fetched before the first of them is put.
_AHEAD = 16
# Bytes of pages that are fetched with one request, and before the first of
# them is decoded; one page may have more.
_RUN = 4 << 20
_PAGES_AHEAD = 8 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A part of the volume, maybe cut at its end.

    ``name`` is that of the object that tells of it. ``chunks`` are those that
    have it; None if it is all zeros.
    """

    extent: types.Extent
    name: str
    chunks: packed_chunks.PackedChunks | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StoredPage:
    """A page as it is stored, which is the one that the manifest names."""

    page: pages_.Page
    encoded: bytes


class PointObjects:
    """The pages and the indexes of backups in a store."""

    def __init__(self, operation: operations.Operation) -> None:
        self._operation = operation
        self._call = operation.call

    def parts(self, ref: types.BackupRef, point: chains.Point, end: int,
              ) -> Iterator['Part']:
        """The parts of a volume that pages are of, in order.

        :param end: where the last one ends, in bytes
        :raises FormatError: when a page is damaged
        :raises ChunkMissing: when the object of one is not there
        """
        found = self.pages(ref, point.pages_until(end))
        stored = next(found, None)
        for extent in types.Extent(0, end).parts(point.page_size):
            if stored is None or stored.page.extent.offset != extent.offset:
                yield Part(extent, naming.manifest_name(ref.prefix))
                continue
            yield Part(extent, stored.page.name,
                       self.chunks(ref, point, stored))
            stored = next(found, None)

    def part(self, ref: types.BackupRef, point: chains.Point,
             extent: types.Extent) -> 'Part':
        """The part of a volume that one page is of.

        :param extent: of the page, maybe cut
        :raises FormatError: when the page is damaged
        :raises ChunkMissing: when its object is not there
        """
        at = bisect.bisect_left(point.pages, extent.offset,
                                key=lambda page: page.extent.offset)
        if (at == len(point.pages)
                or point.pages[at].extent.offset != extent.offset):
            return Part(extent, naming.manifest_name(ref.prefix))
        page = point.pages[at]
        stored, = self.run(ref, [page])
        return Part(extent, page.name, self.chunks(ref, point, stored))

    def pages(self, ref: types.BackupRef,
              pages: Iterable[pages_.Page]) -> Iterator[StoredPage]:
        """Some pages as they are stored, in their order.

        :raises FormatError: when one is damaged
        :raises ChunkMissing: when the object of one is not there
        """
        for some in _ahead(runs(pages)):
            found = self._runs(ref, some)
            for number in range(len(some)):
                yield from found.pop(number)

    def _runs(self, ref: types.BackupRef, some: Sequence[Run],
              ) -> dict[int, list[StoredPage]]:
        """Some runs of pages, by their numbers."""
        found: dict[int, list[StoredPage]] = {}

        def fetch(number: int, stop: pipelines.StopFlag,
                  ) -> tuple[int, list[StoredPage]]:
            return number, self.run(ref, some[number],
                                    self._operation.store.until(stop))

        self._operation.run(
            (pipelines.Task(functools.partial(fetch, number), 1)
             for number in range(len(some))),
            lambda result: found.update([result]), full=_AT_ONCE)
        return found

    def run(self, ref: types.BackupRef, run: Run,
            store: base.ObjectStore | None = None) -> list[StoredPage]:
        """Pages that are neighbours in an object, as they are stored.

        :param run: one or more of them
        :param store: for a worker; by default the coordinator's
        :raises FormatError: when one is damaged
        :raises ChunkMissing: when the object is not there
        """
        start = run[0].place.offset

        def cut(pieces: Iterator[bytes]) -> list[StoredPage]:
            return self._call(_cut, run, b''.join(pieces))

        return _read(store or self._operation.store, ref, run[0].name,
                     types.Extent(start, run[-1].place.end - start), cut)

    def chunks(self, ref: types.BackupRef, point: chains.Point,
               stored: StoredPage) -> packed_chunks.PackedChunks:
        """The chunks of a page.

        :raises FormatError: when it is damaged
        """
        with _about(ref):
            return self._call(
                pages_.decode, stored.page, stored.encoded, point.block_size,
                point.page_size, point.packs)

    def index(self, ref: types.BackupRef, pack: packs_.Pack,
              store: base.ObjectStore | None = None) -> packs_.Index:
        """The index of a pack.

        :param store: for a worker; by default the coordinator's
        :raises FormatError: when it is damaged
        :raises ChunkMissing: when the pack is not there
        """
        def decode(pieces: Iterator[bytes]) -> packs_.Index:
            return self._call(packs_.decode, pack, b''.join(pieces))

        return _read(store or self._operation.store, ref, pack.name,
                     pack.index_place, decode)

    def digests(self, ref: types.BackupRef, point: chains.Point, size: int,
                lost: set[int] | None = None) -> digests_.DigestTable:
        """The digests of all blocks of a volume of so many bytes.

        The caller has to close them.

        :param lost: the numbers of packs to leave out; if given, a pack
            whose index cannot be had is left out, too, and added
        :raises FormatError: when an index is damaged
        :raises ChunkMissing: when a pack is not there
        :raises SpoolError: when there is no room for them
        :raises KeyUnavailable: when they are encrypted, and the key of that
            cannot be had
        """
        table = self._call(spool.of_zeros, self._operation.directory,
                           point.block_size, size, self._digest(point))
        try:
            self._fill(ref, point, table, lost)
        except BaseException:
            self._call(table.close)
            raise
        return table

    def _digest(self, point: chains.Point) -> digests_.Digest:
        key = self._operation.keys.unlock(point.encryption)
        return digests_.sha256 if key is None else key.digest

    def _fill(self, ref: types.BackupRef, point: chains.Point,
              table: digests_.DigestTable, lost: set[int] | None) -> None:
        """Put the digests of all indexes, in the order of the packs."""
        found: dict[int, packs_.Index | None] = {}
        # How many were put.
        done = 0

        def fetch(number: int, stop: pipelines.StopFlag,
                  ) -> tuple[int, packs_.Index | None]:
            store = self._operation.store.until(stop)
            if lost is None:
                return number, self._index(ref, point, number, store)
            return number, self._index_or_none(ref, point, number, store,
                                               lost)

        def tasks() -> Iterator[
                pipelines.Task[tuple[int, packs_.Index | None]] | None]:
            for number in range(len(point.packs)):
                while number >= done + _AHEAD:
                    yield None
                yield pipelines.Task(functools.partial(fetch, number), 1)

        def collect(result: tuple[int, packs_.Index | None]) -> None:
            nonlocal done
            found.update([result])
            while done in found:
                index = found.pop(done)
                if index is not None:
                    self._call(_put, table, index)
                elif lost is not None:
                    lost.add(done)
                done += 1

        self._operation.run(tasks(), collect, full=_AT_ONCE)


    def _index_or_none(self, ref: types.BackupRef, point: chains.Point,
                       number: int, store: base.ObjectStore,
                       lost: Container[int]) -> packs_.Index | None:
        """The index of a pack; None if it cannot be had."""
        if number in lost:
            return None
        try:
            return self._index(ref, point, number, store)
        except (exceptions.FormatError, exceptions.IntegrityError):
            return None

    def _index(self, ref: types.BackupRef, point: chains.Point, number: int,
               store: base.ObjectStore) -> packs_.Index:
        index = self.index(ref, point.packs[number], store)
        _check_blocks(ref, point, point.packs.name(number), index)
        return index


def _read(store: base.ObjectStore, ref: types.BackupRef, name: str,
          place: types.Extent, decode: Callable[[Iterator[bytes]], _T]) -> _T:
    """Read part of an object, whose lack is damage of the backup."""
    try:
        with _about(ref):
            return store.read(ref.container, name, decode, place)
    except exceptions.ObjectNotFound as err:
        raise exceptions.ChunkMissing(
            'an object that the manifest names is missing', name=name,
            container=ref.container, backup_id=ref.backup_id,
            remedy=exceptions.Remedy.OTHER_BACKUP) from err


@contextlib.contextmanager
def _about(ref: types.BackupRef) -> Iterator[None]:
    """Have damage tell which backup it is of."""
    try:
        yield
    except (exceptions.FormatError, exceptions.IntegrityError) as err:
        err.about(container=ref.container, backup_id=ref.backup_id)
        raise


def runs(pages: Iterable[pages_.Page]) -> Iterator[Run]:
    """Pages with their neighbours in an object, of some MiB at most."""
    run: list[pages_.Page] = []
    for page in pages:
        if run and (page.name != run[-1].name
                    or page.place.offset != run[-1].place.end
                    or page.place.end - run[0].place.offset > _RUN):
            yield run
            run = []
        run.append(page)
    if run:
        yield run


def _ahead(runs: Iterable[Run]) -> Iterator[list[Run]]:
    """Some runs, as many as are fetched at a time."""
    some: list[Run] = []
    length = 0
    for run in runs:
        more = run[-1].place.end - run[0].place.offset
        if some and length + more > _PAGES_AHEAD:
            yield some
            some, length = [], 0
        some.append(run)
        length += more
    if some:
        yield some


def _cut(run: Run, body: bytes) -> list[StoredPage]:
    """Cut what was fetched where a page ends, and check each."""
    start = run[0].place.offset
    found = []
    for page in run:
        encoded = body[page.place.offset - start:page.place.end - start]
        pages_.check(page, encoded)
        found.append(StoredPage(page, encoded))
    return found


def _check_blocks(ref: types.BackupRef, point: chains.Point, name: str,
                  index: packs_.Index) -> None:
    if index.block_size == point.block_size:
        return
    raise exceptions.FormatError(
        'the blocks of a pack have another size than those of the manifest',
        name=name, expected=point.block_size, actual=index.block_size,
        container=ref.container, backup_id=ref.backup_id,
        remedy=exceptions.Remedy.OTHER_BACKUP)


def digests_of(index: packs_.Index, size: int, directory: str | None,
               digest: digests_.Digest) -> digests_.DigestTable:
    """The digests of one index, where its blocks are on the volume.

    All others are those of zeros. The caller has to close them.

    :param size: of the volume, or of as much as there are digests of
    :param directory: for the temporary file; the system's if None
    :param digest: gives those of blocks
    :raises SpoolError: when there is no room for them
    """
    table = spool.of_zeros(directory, index.block_size, size, digest)
    _put(table, index)
    return table


def _put(table: digests_.DigestTable, index: packs_.Index) -> None:
    """Put the digests of an index, as far as the volume has the blocks."""
    count = len(table)
    for extent, packed in index.digests():
        first = extent.offset // table.block_size
        if first < count:
            table.put(first, packed[:(count - first) * digests_.DIGEST_SIZE])

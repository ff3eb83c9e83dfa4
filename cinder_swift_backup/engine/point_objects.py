# SPDX-License-Identifier: Apache-2.0

"""Reads what tells of the chunks of a backup in the form of packs.

Pages tell which chunk has which part of the volume, and come one at a time.
The digests are in the indexes of the packs:

1. Fetch the indexes of some packs, several at a time.
2. Put their digests where the blocks are on the volume, pack by pack in the
   order of the manifest, so that the newest win.

What is fetched is compared with its SHA-256, which the manifest has.

Memory: one page, or some indexes of a few MiB at most.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools
import itertools
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import pages as pages_
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_T = TypeVar('_T')
# How many indexes a worker fetches at once. It mostly waits for the store.
_AT_ONCE = 4
# How many indexes are fetched before the first of them is put.
_AHEAD = 16


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A part of the volume, maybe cut at its end.

    ``name`` is that of the object that tells of it. ``chunks`` are those that
    have it; None if it is all zeros.
    """

    extent: types.Extent
    name: str
    chunks: packed_chunks.PackedChunks | None = None


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
        pages = iter(point.pages)
        page = next(pages, None)
        for extent in types.Extent(0, end).parts(point.page_size):
            if page is None or page.extent.offset != extent.offset:
                yield Part(extent, naming.manifest_name(ref.prefix))
                continue
            yield Part(extent, page.name, self.page(ref, point, page))
            page = next(pages, None)

    def page(self, ref: types.BackupRef, point: chains.Point,
             page: pages_.Page) -> packed_chunks.PackedChunks:
        """The chunks of a page.

        :raises FormatError: when it is damaged
        :raises ChunkMissing: when its object is not there
        """
        def decode(pieces: Iterator[bytes]) -> packed_chunks.PackedChunks:
            return self._call(pages_.decode, page, b''.join(pieces),
                              point.block_size, point.page_size, point.packs)

        return _read(self._operation.store, ref, page.name, page.place,
                     decode)

    def copy(self, ref: types.BackupRef, page: pages_.Page) -> bytes:
        """A page as it is stored.

        :raises FormatError: when it is damaged
        :raises ChunkMissing: when its object is not there
        """
        def check(pieces: Iterator[bytes]) -> bytes:
            encoded = b''.join(pieces)
            pages_.check(page, encoded)
            return encoded

        return _read(self._operation.store, ref, page.name, page.place, check)

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

    def digests(self, ref: types.BackupRef, point: chains.Point,
                size: int) -> digests.DigestTable:
        """The digests of all blocks of a volume of so many bytes.

        The caller has to close them.

        :raises FormatError: when an index is damaged
        :raises ChunkMissing: when a pack is not there
        :raises SpoolError: when there is no room for them
        """
        table = self._call(spool.of_zeros, self._operation.directory,
                           point.block_size, size)
        try:
            numbers = iter(range(len(point.packs)))
            while some := list(itertools.islice(numbers, _AHEAD)):
                for index in self._indexes(ref, point, some):
                    self._call(_put, table, index)
        except BaseException:
            self._call(table.close)
            raise
        return table

    def _indexes(self, ref: types.BackupRef, point: chains.Point,
                 numbers: list[int]) -> Iterator[packs_.Index]:
        """The indexes of some packs, in order."""
        found: dict[int, packs_.Index] = {}

        def fetch(number: int, stop: pipelines.StopFlag,
                  ) -> tuple[int, packs_.Index]:
            return number, self.index(ref, point.packs[number],
                                      self._operation.store.until(stop))

        self._operation.run(
            (pipelines.Task(functools.partial(fetch, number), 1)
             for number in numbers),
            lambda result: found.update([result]), full=_AT_ONCE)
        for number in numbers:
            index = found.pop(number)
            if index.block_size != point.block_size:
                raise exceptions.FormatError(
                    'the blocks of a pack have another size than those of the '
                    'manifest', name=point.packs.name(number),
                    expected=point.block_size, actual=index.block_size,
                    container=ref.container, backup_id=ref.backup_id,
                    remedy=exceptions.Remedy.OTHER_BACKUP)
            yield index


def _read(store: base.ObjectStore, ref: types.BackupRef, name: str,
          place: types.Extent, decode: Callable[[Iterator[bytes]], _T]) -> _T:
    """Read part of an object, whose lack is damage of the backup."""
    try:
        return store.read(ref.container, name, decode, place)
    except exceptions.ObjectNotFound as err:
        raise exceptions.ChunkMissing(
            'an object that the manifest names is missing', name=name,
            container=ref.container, backup_id=ref.backup_id,
            remedy=exceptions.Remedy.OTHER_BACKUP) from err
    except (exceptions.FormatError, exceptions.IntegrityError) as err:
        err.about(container=ref.container, backup_id=ref.backup_id)
        raise


def digests_of(index: packs_.Index, size: int,
               directory: str | None) -> digests.DigestTable:
    """The digests of one index, where its blocks are on the volume.

    All others are those of zeros. The caller has to close them.

    :param size: of the volume, or of as much as there are digests of
    :param directory: for the temporary file; the system's if None
    :raises SpoolError: when there is no room for them
    """
    table = spool.of_zeros(directory, index.block_size, size)
    _put(table, index)
    return table


def _put(table: digests.DigestTable, index: packs_.Index) -> None:
    """Put the digests of an index, as far as the volume has the blocks."""
    count = len(table)
    for extent, packed in index.digests():
        first = extent.offset // table.block_size
        if first < count:
            table.put(first, packed[:(count - first) * digests.DIGEST_SIZE])

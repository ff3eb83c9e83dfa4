# SPDX-License-Identifier: Apache-2.0

"""Rebuilds the manifest of a recovery point from packs.

The indexes of packs tell which chunks there are, and which packs the parent of
a backup needed. So:

1. List the packs of the volume. Take those of the backup, and those whose
   makers are in the origin of the first of these.
2. Read the index of each, and give it a key, in the order of their makers.
   Newer chunks replace older ones, as they did when they were stored.
3. Make the pages from that. Where pages of the backup are left, they have to
   be the same, but for keys. If all are left, that proves that nothing is
   missing and nothing else was stored.
4. Put the pages and the manifest, as a backup does.

Without all pages to compare with, nobody knows whether packs are missing:
those of a sweep that has found no manifest, or of a backup that was never
completed. Gaps in the numbers of the backup's own packs are noticed.
What the manifest told of names and snapshots is lost.

Memory: 37 bytes for each chunk, and 96 for each pack.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import functools
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import condemned_packs
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.backup import committing
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.engine.backup import point_assembly
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import pages as pages_
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_T = TypeVar('_T')
_R = TypeVar('_R')
Volume = condemned_packs.Volume
# How many indexes or pages a worker waits for at a time.
_AT_ONCE = 4
# The zone in the prefix of a backup of which nothing but packs is left.
_ZONE = 'rebuilt'
DESCRIPTION = 'rebuilt from packs'


@dataclasses.dataclass(frozen=True, slots=True)
class LostPoint:
    """A backup that has put packs and has no manifest.

    ``maker`` has put them, see :mod:`cinder_swift_backup.format.naming`.
    ``ref`` is where the manifest was, or is going to be where nothing of it is
    left. ``modified`` is when the last pack was put, in UTC.
    """

    maker: str
    ref: types.BackupRef
    packs: int
    stored_bytes: int
    modified: datetime.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Rebuilt:
    """A rebuilt manifest; ``is_proven`` is whether all pages were left."""

    manifest: chains.Manifest
    is_proven: bool


# The packs of each maker, in the order of their numbers.
_Packs = Mapping[str, Sequence[base.ObjectInfo]]


class Rebuilder:
    """Rebuilds the manifests of one volume."""

    def __init__(self, repo: repository.Repository, volume: Volume) -> None:
        self._repository = repo
        self._volume = volume
        self._root = volume.packs

    def find(self) -> list[LostPoint]:
        """The backups that have put packs and have no manifest, oldest first.

        Most of them were deleted, and others need their packs.

        :raises StoreError: when the store fails
        """
        packs = self._packs()
        prefixes: dict[str, list[str]] = {}
        whole = set()
        for info in self._repository.store.list(self._volume.container,
                                                self._volume.root):
            place = naming.place(info.name)
            if place is None:
                continue
            prefixes.setdefault(place.backup_id, []).append(place.prefix)
            if info.name == naming.manifest_name(place.prefix):
                whole.add(place.backup_id)
        found = [self._lost(maker, infos, prefixes)
                 for maker, infos in packs.items()
                 if naming.backup_of(maker) not in whole]
        return sorted(found, key=lambda point: (point.modified, point.maker))

    def _packs(self) -> _Packs:
        found: dict[str, dict[int, base.ObjectInfo]] = {}
        for info in self._repository.store.list(self._volume.container,
                                                self._root):
            maker = naming.pack_maker(info.name.removeprefix(self._root))
            if maker is not None:
                found.setdefault(maker[0], {})[maker[1]] = info
        return {maker: [numbered[number] for number in sorted(numbered)]
                for maker, numbered in found.items()}

    def _lost(self, maker: str, infos: Sequence[base.ObjectInfo],
              prefixes: Mapping[str, Sequence[str]]) -> LostPoint:
        modified = max(info.modified for info in infos)
        backup_id = naming.backup_of(maker)
        volume_id = self._volume.root.strip('/').removeprefix(naming.ALL)
        is_converted = maker != backup_id
        prefix = next((known for known in prefixes.get(backup_id, ())
                       if naming.is_converted(known) is is_converted),
                      naming.backup_prefix(volume_id, backup_id, _ZONE,
                                           modified))
        return LostPoint(
            maker, types.BackupRef(backup_id, volume_id,
                                   self._volume.container, prefix),
            len(infos), sum(info.size for info in infos), modified)

    def rebuild(self, point: LostPoint, grace: datetime.timedelta,
                observer: operations.Observer) -> Rebuilt:
        """Put the manifest of a recovery point again, and its pages.

        :param grace: that of sweeps
        :raises FormatError: when a pack that may be needed has no readable
            index
        :raises IntegrityError: when pages are left that tell of other chunks
        :raises ChainError: when a sweep may be about to delete a pack
        :raises StoreError: when the store fails
        """
        repo = self._repository.during(observer)
        task = _Rebuild(repo, point, grace, observer)
        return task.run(self._packs())


class _Rebuild:
    """One manifest."""

    def __init__(self, repo: repository.Repository, point: LostPoint,
                 grace: datetime.timedelta,
                 observer: operations.Observer) -> None:
        self._repository = repo
        self._operation = repo.operation
        self._point = point
        self._grace = grace
        self._observer = observer

    def run(self, packs: _Packs) -> Rebuilt:
        own = packs.get(self._point.maker)
        if not own:
            raise exceptions.ObjectNotFound(
                'the packs of the backup are gone',
                backup_id=self._point.ref.backup_id,
                container=self._point.ref.container)
        _check_numbers(self._point, own)
        _, first = _read_pack(self._operation.store, self._point.ref, 0,
                              own[0])
        needed = [info for maker in (*first.origin.makers, self._point.maker)
                  for info in packs.get(maker, ())]
        named, added = self._chunks(needed, first)
        written, is_proven = self._pages(first, added)
        manifest = self._manifest(
            first, point_assembly.assemble(
                self._point.ref.prefix, first.block_size, None, named,
                written, first.origin.encryption))
        committing.commit(self._repository, jobs.ArchiveJob(
            ref=self._point.ref, header=manifest.header,
            geometry=types.Geometry(first.block_size, first.block_size),
            compression=codecs.NONE.word, form=chains.Form.PACKS,
            grace=self._grace), manifest, _Observer(self._observer))
        return Rebuilt(manifest, is_proven)

    def _chunks(self, infos: Sequence[base.ObjectInfo], first: packs_.Index,
                ) -> tuple[list[packs_.Pack],
                           dict[int, packed_chunks.PackedChunks]]:
        """All packs, and their chunks by the pages that they are of."""
        ref = self._point.ref
        found: dict[int, tuple[packs_.Pack, packs_.Index]] = {}
        named: list[packs_.Pack] = []
        added: dict[int, packed_chunks.PackedChunks] = {}

        def read(key: int, stop: pipelines.StopFlag,
                 ) -> tuple[int, tuple[packs_.Pack, packs_.Index]]:
            return key, self._operation.call(
                _read_pack, self._operation.store.until(stop), ref, key,
                infos[key])

        def collect(
                result: tuple[int, tuple[packs_.Pack, packs_.Index]]) -> None:
            found.update([result])
            while len(named) in found:
                pack, index = found.pop(len(named))
                _check_blocks(ref, pack, index, first)
                self._operation.call(_add, added, pack, index,
                                     first.origin.volume_size)
                named.append(pack)
                self._observer.advanced(len(named), len(infos))

        self._operation.run(
            (pipelines.Task(functools.partial(read, key), 1)
             for key in range(len(infos))), collect, full=_AT_ONCE)
        return named, added

    def _pages(self, first: packs_.Index,
               added: Mapping[int, packed_chunks.PackedChunks],
               ) -> tuple[list[page_writer.Written], bool]:
        """Put all pages; whether there were all to compare them with."""
        ref = self._point.ref
        writer = page_writer.PageWriter(
            self._operation, ref, first.block_size, first.origin.volume_size,
            None)
        left = {info.name for info in self._operation.store.list(
            ref.container, ref.prefix)}
        made: list[page_writer.Made] = []

        def make(number: int, stop: pipelines.StopFlag) -> page_writer.Made:
            one = writer.make(number, added, stop)
            name = writer.name(number)
            if name in left:
                self._compare(name, one, stop)
            return one

        # All of them first: if one differs, the others are worth more as
        # they are.
        self._run(make, range(writer.objects), made.append)
        written: list[page_writer.Written] = []
        self._run(writer.put, made, written.append)
        with_pages = [one for one in made if one.pages]
        return written, bool(with_pages) and all(
            writer.name(one.number) in left for one in with_pages)

    def _run(self, function: Callable[[_T, pipelines.StopFlag], _R],
             items: Iterable[_T], collect: Callable[[_R], None]) -> None:
        self._operation.run(
            (pipelines.Task(functools.partial(function, item), 1)
             for item in items), collect, full=_AT_ONCE)

    def _compare(self, name: str, made: page_writer.Made,
                 stop: pipelines.StopFlag) -> None:
        """Compare pages with those that are left."""
        ref = self._point.ref

        def read(pieces: Iterator[bytes]) -> bytes:
            return b''.join(pieces)

        stored = self._operation.store.until(stop).read(
            ref.container, name, read)
        call = self._operation.call
        if call(_tables, name, stored) != call(_tables, name,
                                               b''.join(made.body)):
            raise exceptions.IntegrityError(
                'the packs do not have what the pages of the backup tell of: '
                'some are missing, or others were added',
                backup_id=ref.backup_id, container=ref.container, name=name)

    def _manifest(self, first: packs_.Index,
                  point: chains.Point) -> chains.Manifest:
        ref = self._point.ref
        created = self._point.modified.replace(microsecond=0)
        return chains.Manifest(
            header=types.BackupHeader(
                ref.backup_id, ref.volume_id, None, DESCRIPTION,
                str(created)),
            chunks=chunk_table.ChunkTable(ref.prefix),
            volume_size=first.origin.volume_size, point=point)


class _Observer(operations.Silent):
    """Follows the end of a rebuild."""

    def __init__(self, observer: operations.Observer) -> None:
        self._observer = observer

    def checkpoint(self) -> None:
        """See :class:`operations.Observer`."""
        self._observer.checkpoint()

    def confirm(self) -> None:
        """See :class:`operations.ArchiveObserver`; nobody else knows it."""

    def stored(self, manifest: chains.Manifest) -> None:
        """See :class:`operations.ArchiveObserver`; there is no record."""


def _read_pack(store: base.ObjectStore, ref: types.BackupRef, key: int,
               info: base.ObjectInfo) -> tuple[packs_.Pack, packs_.Index]:
    """A pack as a manifest names it, and its index."""
    def read(place: types.Extent) -> bytes:
        return store.read(ref.container, info.name, b''.join, place)

    try:
        start = max(info.size - packs_.FOOTER, 0)
        length, digest = packs_.footer(info.name, info.size, read(
            types.Extent(start, info.size - start)))
        pack = packs_.Pack(key, info.name, info.size, info.etag, length,
                           digest)
        return pack, packs_.decode(pack, read(pack.index_place))
    except exceptions.FormatError as err:
        err.about(backup_id=ref.backup_id, container=ref.container)
        raise


def _check_numbers(point: LostPoint, own: Sequence[base.ObjectInfo]) -> None:
    """Notice that packs are missing before others."""
    numbers = []
    for info in own:
        maker = naming.pack_maker(info.name.removeprefix(
            naming.packs(point.ref.prefix)))
        numbers.append(0 if maker is None else maker[1])
    if numbers != list(range(1, len(own) + 1)):
        raise exceptions.IntegrityError(
            'packs of the backup are missing',
            backup_id=point.ref.backup_id, container=point.ref.container,
            expected=numbers[-1], actual=len(own))


def _check_blocks(ref: types.BackupRef, pack: packs_.Pack,
                  index: packs_.Index, first: packs_.Index) -> None:
    if index.block_size != first.block_size:
        raise exceptions.FormatError(
            'the blocks of a pack have another size than those of others',
            name=pack.name, expected=first.block_size,
            actual=index.block_size, container=ref.container,
            backup_id=ref.backup_id)


def _add(added: dict[int, packed_chunks.PackedChunks], pack: packs_.Pack,
         index: packs_.Index, size: int) -> None:
    """Add the chunks of a pack to the pages that they are of."""
    chunks, page_size = index.chunks, pages_.size(index.block_size)
    for number in range(len(chunks)):
        extent = types.Extent(chunks.offsets[number], chunks.lengths[number])
        if extent.offset < size:
            added.setdefault(
                extent.offset // page_size,
                packed_chunks.PackedChunks(str)).add(
                    extent, chunks.compression(number), pack.key,
                    chunks.place(number))


def _tables(name: str, body: bytes) -> Iterable[bytes]:
    return packed_chunks.without_keys(name, body, pages_.MOST_BLOCKS)

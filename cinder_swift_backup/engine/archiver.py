# SPDX-License-Identifier: Apache-2.0

"""Making a backup of a volume.

1. Cut the volume into chunks. Each worker takes one through all of its
   stages: read by offset, hash every block, compress, put. An incremental
   stores only what differs from the parent's digests.
2. The coordinator keeps the results in the order of the volume, reports
   progress and notices cancellation.
3. When every chunk is confirmed by the store, put the digest file, then the
   manifest. The manifest is the commit point: without it there is no backup.
4. Tell the observer, who notes what there is now.
5. Whatever goes wrong before that, delete every object that may exist.

Memory: a worker holds a chunk, the parts of it to store, and their compressed
form twice while it is put together: at most workers x 4 x chunk size, besides
32 bytes for each block of the volume.
"""

from collections.abc import Iterator
import dataclasses
import functools
import hashlib
import itertools
import threading

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipeline
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volume
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Parent:
    """The backup that an incremental builds on."""

    ref: types.BackupRef
    digests: digests.DigestTable


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveJob:
    """What to back up, under which names, and on top of what."""

    ref: types.BackupRef
    header: types.BackupHeader
    geometry: types.Geometry
    codec: codecs.Codec = codecs.NONE
    level: codecs.Level = codecs.Level.BALANCED
    parent: Parent | None = None
    volume_meta: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Encoded:
    """An extent in the form in which it is stored."""

    extent: types.Extent
    compression: str
    body: bytes
    md5: str
    stored_md5: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Result:
    """What became of one chunk of the volume."""

    chunk: types.Extent
    digests: bytes
    records: tuple[types.ChunkRecord, ...]


class _Names:
    """Hands out object names and remembers them for the clean-up."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.used: list[str] = []

    def next(self) -> str:
        with self._lock:
            name = naming.chunk_name(self._prefix, next(self._numbers))
            self.used.append(name)
            return name


class Archiver:
    """Writes backups to a repository."""

    def __init__(self, repo: repository.Repository,
                 workers: pipeline.Pipeline) -> None:
        self._repository = repo
        self._store = repo.store
        self._pipeline = workers

    def archive(self, job: ArchiveJob, source: volume.VolumeReader,
                observer: progress.ArchiveObserver) -> types.Manifest:
        """Back up a volume; all or nothing.

        :raises Cancelled: when the observer cancelled; nothing is left
        :raises StoreError: when the store failed; nothing is left that can
            still be reached
        """
        names = _Names(job.ref.prefix)
        try:
            manifest = self._archive(job, source, observer, names)
            # A cancellation that came while the manifest was on its way has
            # not seen it, and nobody would delete it later.
            observer.checkpoint()
            observer.stored(manifest)
        except Exception as err:
            self._clean_up(job.ref, names, err)
            raise
        return manifest

    def _archive(self, job: ArchiveJob, source: volume.VolumeReader,
                 observer: progress.Observer,
                 names: _Names) -> types.Manifest:
        size = source.size
        geometry = job.geometry
        packed = bytearray(geometry.blocks(size) * digests.DIGEST_SIZE)
        records: list[types.ChunkRecord] = []
        done = 0

        def collect(result: _Result) -> None:
            nonlocal done
            start = (result.chunk.offset // geometry.block_size
                     * digests.DIGEST_SIZE)
            packed[start:start + len(result.digests)] = result.digests
            records.extend(result.records)
            done += result.chunk.length
            observer.advanced(done, size)

        observer.checkpoint()
        self._pipeline.run(self._tasks(job, source, names), collect,
                           observer.checkpoint)
        records.sort(key=lambda record: record.extent)
        manifest = types.Manifest(
            header=job.header, chunks=tuple(records), volume_size=size,
            volume_meta=job.volume_meta,
            parent_id=job.parent.ref.backup_id if job.parent else None,
            parent=job.parent.ref if job.parent else None)
        self._commit(job, manifest,
                     digests.DigestTable(geometry.block_size, packed),
                     observer)
        return manifest

    def _tasks(self, job: ArchiveJob, source: volume.VolumeReader,
               names: _Names) -> Iterator['functools.partial[_Result]']:
        for index in range(job.geometry.chunks(source.size)):
            chunk = job.geometry.chunk(index, source.size)
            yield functools.partial(self._archive_chunk, job, source, names,
                                    chunk)

    def _archive_chunk(self, job: ArchiveJob, source: volume.VolumeReader,
                       names: _Names, chunk: types.Extent,
                       stop: pipeline.StopFlag) -> _Result:
        stop.check()
        prepare = self._pipeline.runtime.offload(_prepare)
        packed, encoded = prepare(job, source, chunk)
        records = []
        store = self._store.until(stop)
        for item in encoded:
            stop.check()
            name = names.next()
            store.put(job.ref.container, name, _body(item))
            records.append(types.ChunkRecord(
                name, item.extent, item.compression, item.md5,
                len(item.body), item.stored_md5))
        return _Result(chunk, packed, tuple(records))

    def _commit(self, job: ArchiveJob, manifest: types.Manifest,
                table: digests.DigestTable,
                observer: progress.Observer) -> None:
        observer.checkpoint()
        self._store.put(
            job.ref.container, naming.digest_file_name(job.ref.prefix),
            base.Body(digests.encoded_length(job.header, table),
                        lambda: digests.encode(job.header, table)))
        encode = self._pipeline.runtime.offload(manifest_format.encode)
        encoded = encode(manifest)
        observer.checkpoint()
        self._store.put(
            job.ref.container, naming.manifest_name(job.ref.prefix),
            base.Body.of(encoded))

    def _clean_up(self, ref: types.BackupRef, names: _Names,
                  cause: Exception) -> None:
        try:
            self._repository.discard(ref, names.used)
        except exceptions.BackupError as err:
            # The cause is what the caller has to hear of; this is for the
            # operator, whom a later delete of the backup saves the trouble.
            LOG.error('Backup %s failed (%s), and not all of its objects '
                      'under %s in container %s could be deleted: %s',
                      ref.backup_id, cause, ref.prefix, ref.container, err)


def _prepare(job: ArchiveJob, source: volume.VolumeReader,
             chunk: types.Extent) -> tuple[bytes, list[_Encoded]]:
    # Runs offloaded: no logging, no store.
    data = source.read(chunk)
    view = memoryview(data)
    block_size = job.geometry.block_size
    packed = digests.hash_blocks(view, block_size)
    extents = [chunk]
    if job.parent is not None:
        changed = digests.changed_blocks(
            packed, chunk.offset // block_size, job.parent.digests)
        extents = planner.merge_blocks(changed, block_size, chunk)
    return packed, [
        _encode(job, extent, data if extent == chunk else bytes(
            view[extent.offset - chunk.offset:extent.end - chunk.offset]))
        for extent in extents]


def _encode(job: ArchiveJob, extent: types.Extent, data: bytes) -> _Encoded:
    md5 = _md5(data)
    encoder = job.codec.encoder(len(data), job.level)
    view = memoryview(data)
    pieces = [encoder.feed(view[start:start + codecs.PIECE])
              for start in range(0, len(data), codecs.PIECE)]
    pieces.append(encoder.finish())
    if sum(map(len, pieces)) >= len(data):
        return _Encoded(extent, codecs.NONE.word, data, md5, md5)
    body = b''.join(pieces)
    return _Encoded(extent, job.codec.word, body, md5, _md5(body))


def _body(item: _Encoded) -> base.Body:
    return base.Body(len(item.body), lambda: (item.body,), item.stored_md5)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()

# SPDX-License-Identifier: Apache-2.0

"""Making a backup of a volume.

1. Refuse a file that is only part of a volume; see
   :mod:`cinder_swift_backup.engine.volumes.format_checks`.
2. Ask the volume what may differ from the parent, if it knows, and where it
   may have data, and cut it into chunks. A sample tells whether that is true;
   see :mod:`cinder_swift_backup.engine.volumes.maps`. What is
   read and stored in which order, see
   :mod:`cinder_swift_backup.engine.backup.worklist`; how, see
   :mod:`cinder_swift_backup.engine.backup.chunk_writer`. An incremental
   stores only what differs from the parent's digests.
3. The coordinator keeps the results in the order of the volume, reports
   progress and notices cancellation.
4. When every chunk is confirmed by the store, put the digest file, then the
   manifest, unless the parent or a chunk has gone meanwhile. The manifest is
   the commit point: without it there is no backup. So it is asked for, though
   the store has confirmed it.
5. Tell the observer, who records the result.
6. If anything fails before that, delete every object that may exist.

Memory: workers x (chunk size + a few MiB), and 50 bytes for each object.
Blocks above 2 MiB take more. The digests, 32 bytes for each block, are in a
temporary file if they are many, and so are those of the parent; see
:mod:`cinder_swift_backup.engine.spool`.
"""

from array import array
import dataclasses
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import changes
from cinder_swift_backup.engine.backup import chunk_writer
from cinder_swift_backup.engine.backup import holes
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.backup import worklist
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
# What is read, what may differ from the parent, and what each chunk may hold.
_Answers = tuple[volumes.VolumeReader, intervals.IntervalSet | None, bytearray]


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveJob:
    """What to back up, under which names, and on top of what.

    ``compression`` is the word of a codec. ``containers`` is what a container
    for segments of digests is like. ``mark`` has exactly what the volume holds
    as long as it is read. ``track`` says whether to ask the volume what
    differs from the parent's mark, ``read_all`` that nothing is asked.
    ``told`` is what may differ by the word of somebody else; None if nobody
    knows. ``recorded`` is what Cinder has noted of the volume. ``key_id`` is
    that of the backup's own copy of the key, if the volume is encrypted.
    """

    ref: types.BackupRef
    header: types.BackupHeader
    geometry: types.Geometry
    compression: str
    level: codecs.Level = codecs.Level.BALANCED
    parent: parents.Parent | None = None
    volume_meta: str | None = None
    containers: base.NewContainers = base.ANY
    mark: types.Mark | None = None
    track: bool = False
    read_all: bool = False
    told: tuple[types.Extent, ...] | None = None
    recorded: format_checks.Recorded = format_checks.NOTHING
    key_id: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Traces:
    """What may exist of a backup, apart from digest file and manifest.

    ``numbers`` are those of the first blocks of its chunks, ``segments`` are
    names.
    """

    numbers: 'array[int]' = dataclasses.field(
        default_factory=lambda: array('q'))
    segments: list[str] = dataclasses.field(default_factory=list)


class Archiver:
    """Writes backups to a repository."""

    def __init__(self, repo: repository.Repository,
                 pipeline: pipelines.Pipeline) -> None:
        self._repository = repo
        self._store = repo.store
        self._pipeline = pipeline

    def archive(self, job: ArchiveJob, source: volumes.VolumeReader,
                observer: progress.ArchiveObserver) -> chains.Manifest:
        """Back up a volume; all or nothing.

        :raises FormatError: when the codec is not known
        :raises VolumeError: when it cannot be read, is too large for the
            store, or is a file without all of the volume
        :raises SpoolError: when there is no room for the digests
        :raises ChainError: when the parent was deleted meanwhile
        :raises ChunkMissing: when an object of its own was, as a chunk
        :raises Cancelled: when the observer cancelled; nothing is left
        :raises StoreError: when the store failed; nothing is left that can
            still be reached
        """
        traces = _Traces()
        try:
            manifest = self._archive(job, source, observer, traces)
            # A delete that Cinder ran while the manifest was uploaded did not
            # see the manifest. Without this check it would stay for ever.
            observer.confirm()
            observer.stored(manifest)
        except BaseException as err:
            # Also when the thread itself is ended, as eventlet can do.
            self._clean_up(job.ref, traces, err)
            raise
        return manifest

    def _archive(self, job: ArchiveJob, source: volumes.VolumeReader,
                 observer: progress.ArchiveObserver,
                 traces: _Traces) -> chains.Manifest:
        size = source.size
        file_format = self._file_format(job, source, observer)
        file = self._digest_file(job, observer)
        self._repository.digests.check(
            file, job.geometry.block_size, job.geometry.blocks(size),
            observer.checkpoint)
        records = chunk_table.ChunkTable(job.ref.prefix)
        observer.checkpoint()
        call = self._pipeline.runtime.call
        source, changed, states = self._ask(job, source, observer)
        call(self._check_room, source, job.geometry, states)
        with self._pipeline.runtime.closing(
                call(self._make_table, job.geometry, size)) as table:
            writer = self._writer(job, source, table, traces)
            work = self._worklist(job, worklist.Volume(
                writer, job.geometry, size, states, changed), records)

            def collect(result: worklist.Result) -> None:
                work.collect(result)
                observer.advanced(work.done, size)

            self._pipeline.run(work.tasks(), collect,
                               observer.checkpoint,
                               full=job.geometry.chunk_size)
            manifest = chains.Manifest(
                header=job.header, chunks=call(records.in_order),
                volume_size=size, volume_meta=job.volume_meta,
                mark=job.mark, file_format=file_format, key_id=job.key_id,
                parent_id=job.parent.ref.backup_id if job.parent else None,
                parent=job.parent.ref if job.parent else None)
            observer.checkpoint()
            self._repository.digests.put(file, table, traces.segments.append,
                                         observer.checkpoint)
            self._commit(job, manifest, observer)
        return manifest

    def _file_format(self, job: ArchiveJob, source: volumes.VolumeReader,
                     observer: progress.Observer) -> str | None:
        try:
            return self._pipeline.one(
                lambda _: format_checks.source_format(source, job.recorded),
                observer.checkpoint)
        except exceptions.VolumeError as err:
            err.about(backup_id=job.ref.backup_id)
            raise

    def _ask(self, job: ArchiveJob, source: volumes.VolumeReader,
             observer: progress.Observer) -> _Answers:
        """What need not be read, by the word of the volume."""
        if job.read_all:
            return self._unasked(job, source, observer)
        changed = self._changes(job, source, observer)
        left = maps.Left(job.geometry.block_size)
        states = self._pipeline.one(functools.partial(
            holes.chunks, source, job.geometry, changed, left),
            observer.checkpoint)
        lie = maps.Checker(
            source, job.geometry.block_size,
            job.parent.digests if job.parent else None,
        ).find_lie(left, self._pipeline, observer.checkpoint)
        if lie is None:
            return source, changed, states
        LOG.error('Volume %s is not as its storage says: %s, and are not. So '
                  'backup %s, which reads all of the volume now, is right, '
                  'but older ones may lack data. Look for a known defect of '
                  'the file system, the NFS server or librbd, and have '
                  'everything read until it is mended.', job.ref.volume_id,
                  lie, job.ref.backup_id)
        return self._unasked(job, source, observer)

    def _unasked(self, job: ArchiveJob, source: volumes.VolumeReader,
                 observer: progress.Observer) -> _Answers:
        source = volumes.UnmappedVolume(source)
        return source, None, self._pipeline.one(functools.partial(
            holes.chunks, source, job.geometry, None,
            maps.Left(job.geometry.block_size)), observer.checkpoint)

    def _changes(self, job: ArchiveJob, source: volumes.VolumeReader,
                 observer: progress.Observer,
                 ) -> intervals.IntervalSet | None:
        """What may differ from the parent; None if that is not known."""
        if job.parent is None or (job.told is None and not job.track):
            return None
        try:
            if job.told is not None:
                return self._pipeline.runtime.call(
                    changes.take, job.told, source.size, job.parent.manifest,
                    job.geometry.block_size)
            return self._pipeline.one(functools.partial(
                changes.find, source, job.parent.manifest,
                job.geometry.block_size), observer.checkpoint)
        except exceptions.VolumeError as err:
            LOG.warning('All of the volume is read for backup %s, because '
                        'what has changed since backup %s is not known: %s',
                        job.ref.backup_id, job.parent.ref.backup_id, err)
            return None

    def _digest_file(self, job: ArchiveJob, observer: progress.Observer,
                     ) -> digest_objects.DigestFile:
        """Where digests go, and what the cluster lets them be."""
        watch = pipelines.Watch(observer.checkpoint)
        try:
            cluster = self._store.until(watch).capabilities()
        except exceptions.StoreUnavailable as err:
            # A proxy in between may keep the information from us and pass
            # everything else.
            LOG.warning('The limits of the cluster are not known: %s', err)
            cluster = base.Capabilities()
        return digest_objects.DigestFile(
            job.ref, job.header, cluster, job.containers)

    def _check_room(self, source: volumes.VolumeReader,
                    geometry: types.Geometry, states: bytearray) -> None:
        """Refuse now what would not fit when it is read.

        Zeros do. A volume that does not tell where it has none may be full of
        them, and so may what is as in the parent.
        """
        if not source.tells_holes:
            return
        blocks = states.count(holes.DATA) * geometry.blocks(
            geometry.chunk_size)
        spool.check_room(self._repository.directory,
                         blocks * digests.DIGEST_SIZE)

    def _make_table(self, geometry: types.Geometry,
                    size: int) -> digests.DigestTable:
        """The digests of zeros, until others are written."""
        block_size = geometry.block_size
        table = digests.DigestTable(block_size, spool.Spool(
            self._repository.directory, digests.of_zeros(block_size),
            geometry.blocks(size)))
        if size % block_size:
            table.put(size // block_size,
                      digests.packed_zeros(size % block_size, block_size))
        return table

    def _writer(self, job: ArchiveJob, source: volumes.VolumeReader,
                table: digests.DigestTable,
                traces: _Traces) -> chunk_writer.ChunkWriter:
        return chunk_writer.ChunkWriter(
            self._store, self._pipeline.runtime,
            chunk_writer.ChunkForm(
                container=job.ref.container, prefix=job.ref.prefix,
                block_size=job.geometry.block_size,
                compression=job.compression, level=job.level),
            source, table, traces.numbers.append)

    def _worklist(self, job: ArchiveJob, volume: worklist.Volume,
                  records: chunk_table.ChunkTable) -> worklist.Worklist:
        call = self._pipeline.runtime.call
        if job.parent is None:
            return worklist.FullWorklist(volume, records, call)
        return worklist.IncrementalWorklist(volume, records, call,
                                             job.parent.digests)

    def _commit(self, job: ArchiveJob, manifest: chains.Manifest,
                observer: progress.ArchiveObserver) -> None:
        watch = pipelines.Watch(observer.checkpoint)
        store = self._store.until(watch)
        runtime = self._pipeline.runtime
        length = runtime.call(manifest_format.encoded_length, manifest)
        self._confirm_objects(store, job.ref, manifest, observer)
        # What others can undo comes last, so that little time is left.
        if job.parent is not None:
            job.parent.confirm(self._repository.until(watch))
        observer.confirm()
        name = naming.manifest_name(job.ref.prefix)
        store.put(job.ref.container, name, base.Body(
            length, lambda: runtime.each(manifest_format.encode(manifest))))
        if not store.exists(job.ref.container, name):
            raise exceptions.StoreUnavailable(
                'the manifest was not stored', backup_id=job.ref.backup_id,
                container=job.ref.container, name=name,
                remedy=exceptions.Remedy.REPEAT)

    def _confirm_objects(self, store: base.ObjectStore, ref: types.BackupRef,
                         manifest: chains.Manifest,
                         observer: progress.ArchiveObserver) -> None:
        """Make sure that nobody has deleted or replaced what was stored."""
        fault = presence.look(store, self._pipeline, ref, manifest.chunks,
                              observer.checkpoint)
        if fault is None:
            name = naming.digest_file_name(ref.prefix)
            # Deletions begin with it.
            if store.exists(ref.container, name):
                return
            fault = exceptions.ChunkMissing(
                'the file of digests is not there', name=name)
        raise exceptions.ChunkMissing(
            'an object of the backup was deleted or replaced while it was '
            'made', backup_id=ref.backup_id, container=ref.container,
            name=fault.name, detail=fault.clause,
            remedy=exceptions.Remedy.REPEAT)

    def _clean_up(self, ref: types.BackupRef, traces: _Traces,
                  cause: BaseException) -> None:
        try:
            self._repository.discard(ref, (
                naming.chunk_name(ref.prefix, number)
                for number in traces.numbers), traces.segments, spare=False)
        except Exception as err:
            # The caller has to see the cause. This is for the operator, who
            # can delete the backup later and thereby the rest of it.
            LOG.error('Backup %s failed (%s), and not all of its objects '
                      'under %s in container %s could be deleted: %s',
                      ref.backup_id, cause, ref.prefix, ref.container, err)

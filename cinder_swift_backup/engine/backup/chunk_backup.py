# SPDX-License-Identifier: Apache-2.0

"""Makes a backup in the form of chunks.

1. Ask the volume what may differ from the parent, if it knows, and where it
   may have data; see :mod:`cinder_swift_backup.engine.backup.asking`. Cut it
   into chunks.
2. Store chunks; an incremental stores only what differs from the parent's
   digests. What is read and stored in which order, see
   :mod:`cinder_swift_backup.engine.backup.worklist`; how, see
   :mod:`cinder_swift_backup.engine.backup.chunk_writer`.
3. Keep the results in the order of the volume.
4. When every chunk is confirmed by the store, put the digest file, then the
   manifest; see :mod:`cinder_swift_backup.engine.backup.committing`.

Memory: workers x (chunk size + a few MiB), and 40 bytes for each object.
Blocks above 2 MiB take more. The digests, 32 bytes for each block, are in a
temporary file if they are many, and so are those of the parent; see
:mod:`cinder_swift_backup.engine.spool`.
"""

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import asking
from cinder_swift_backup.engine.backup import chunk_writer
from cinder_swift_backup.engine.backup import committing
from cinder_swift_backup.engine.backup import layout
from cinder_swift_backup.engine.backup import storing
from cinder_swift_backup.engine.backup import worklist
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import digests
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)


class ChunkBackup(storing.Storing):
    """One backup in the form of chunks."""

    def make(self, source: volumes.VolumeReader) -> chains.Manifest:
        """Store all of it, the manifest last."""
        job, observer = self._job, self._observer
        operation, call = self._operation, self._operation.call
        size = source.size
        asker = asking.Asker(operation, job, job.geometry)
        file_format = asker.file_format(source)
        file = self._digest_file()
        self._repository.digests.check(
            file, job.geometry.block_size, job.geometry.blocks(size))
        records = chunk_table.ChunkTable(job.ref.prefix)
        observer.checkpoint()
        answers = asker.ask(source)
        call(self._check_room, answers)
        with operation.runtime.closing(call(
                spool.of_zeros, operation.directory, job.geometry.block_size,
                size)) as table:
            work = self._worklist(worklist.Volume(
                chunk_writer.ChunkWriter(operation, job, answers.source, table,
                                         self.traces.numbers.append),
                job.geometry, size, answers.states, answers.may_differ),
                records)

            def collect(result: worklist.Result) -> None:
                work.collect(result)
                observer.advanced(work.done, size)

            operation.run(work.tasks(), collect, full=job.geometry.chunk_size)
            manifest = chains.Manifest(
                header=job.header, chunks=call(records.in_order),
                volume_size=size, volume_meta=job.volume_meta,
                mark=job.mark, file_format=file_format, key_id=job.key_id,
                parent_id=job.parent.ref.backup_id if job.parent else None,
                parent=job.parent.ref if job.parent else None)
            observer.checkpoint()
            self._repository.digests.put(file, table,
                                         self.traces.segments.append)
            committing.commit(self._repository, job, manifest, observer)
        return manifest

    def _digest_file(self) -> digest_objects.DigestFile:
        """Where digests go, and what the cluster lets them be."""
        try:
            cluster = self._operation.store.capabilities()
        except exceptions.StoreUnavailable as err:
            # A proxy in between may keep the information from us and pass
            # everything else.
            LOG.warning('The limits of the cluster are not known: %s', err)
            cluster = base.Capabilities()
        return digest_objects.DigestFile(
            self._job.ref, self._job.header, cluster, self._job.containers)

    def _check_room(self, answers: asking.Answers) -> None:
        """Refuse now what would not fit when it is read.

        Zeros do. A volume that does not tell where it has none may be full of
        them, and so may what is as in the parent.
        """
        if not answers.source.tells_holes:
            return
        geometry = self._job.geometry
        blocks = answers.states.count(layout.DATA) * geometry.blocks(
            geometry.chunk_size)
        spool.check_room(self._operation.directory,
                         blocks * digests.DIGEST_SIZE)

    def _worklist(self, volume: worklist.Volume,
                  records: chunk_table.ChunkTable) -> worklist.Worklist:
        call = self._operation.call
        parent = self._job.parent
        if parent is None:
            return worklist.FullWorklist(volume, records, call)
        return worklist.IncrementalWorklist(volume, records, call,
                                            parent.digests)

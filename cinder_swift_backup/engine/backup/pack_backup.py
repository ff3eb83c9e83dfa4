# SPDX-License-Identifier: Apache-2.0

"""Makes a backup in the form of packs.

1. Ask the volume as for any backup; see
   :mod:`cinder_swift_backup.engine.backup.asking`.
2. Read what may differ from the parent, and what is in packs that are mostly
   dead, see :mod:`cinder_swift_backup.engine.backup.compaction`. Store what
   differs in packs, and write the pages; see
   :mod:`cinder_swift_backup.engine.backup.pack_worklist`.
3. Name the packs that pages still need: the parent's as far as any chunk of
   them is left, and the new ones.
4. Put the manifest; see :mod:`cinder_swift_backup.engine.backup.committing`.

Memory: workers x (a pack and a few MiB), and 96 bytes for each pack. The
digests of the parent are in a temporary file if they are many. There are no
others: those of what is stored are in the indexes of packs.
"""

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import asking
from cinder_swift_backup.engine.backup import committing
from cinder_swift_backup.engine.backup import compaction
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import pack_encoder
from cinder_swift_backup.engine.backup import pack_worklist
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.engine.backup import point_assembly
from cinder_swift_backup.engine.backup import storing
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages


class PackBackup(storing.Storing):
    """One backup in the form of packs."""

    def make(self, source: volumes.VolumeReader) -> chains.Manifest:
        """Store all of it, the manifest last.

        :raises VolumeError: when blocks are too small for so large a volume
        """
        job, operation = self._job, self._operation
        size = source.size
        _check_size(job, size)
        asker = asking.Asker(operation, job, pack_worklist.geometry(
            job.geometry.block_size))
        file_format = asker.file_format(source)
        self._observer.checkpoint()
        work = self._worklist(asker.ask(source), size)

        def collect(result: pack_worklist.Result) -> None:
            work.collect(result)
            self._observer.advanced(work.done, size)

        operation.run(work.tasks(), collect, full=pack_worklist.FULL)
        manifest = chains.Manifest(
            header=job.header, chunks=chunk_table.ChunkTable(job.ref.prefix),
            volume_size=size, volume_meta=job.volume_meta, mark=job.mark,
            file_format=file_format, key_id=job.key_id,
            point=operation.call(self._point, work))
        self._observer.checkpoint()
        committing.commit(self._repository, job, manifest, self._observer)
        return manifest

    @property
    def _before(self) -> chains.Point | None:
        parent = self._job.parent
        return None if parent is None else parent.manifest.point

    @property
    def _wrapped(self) -> encryption.Wrapped | None:
        given = self._job.encryption
        return None if given is None else given.wrapped

    def _worklist(self, answers: asking.Answers,
                  size: int) -> pack_worklist.PackWorklist:
        job, parent, before = self._job, self._job.parent, self._before
        block_size = job.geometry.block_size
        link = None if parent is None else chains.ChainLink(
            parent.ref, parent.manifest)
        return pack_worklist.PackWorklist(
            self._operation, pack_worklist.Volume(
                pack_encoder.PackEncoder(
                    self._operation, job, answers.source,
                    None if parent is None else parent.digests),
                pack_worklist.geometry(block_size), size, answers.states,
                answers.may_differ,
                self._rewriter()),
            job.ref, packer.Packer(
                job.ref.prefix, job.pack_maker, pages.size(block_size),
                0 if before is None else before.packs.last_key + 1,
                packs.Origin(size, tuple(
                    () if before is None else before.packs.makers),
                    self._wrapped),
                None if job.encryption is None else job.encryption.key),
            page_writer.PageWriter(
                self._operation, job.ref, block_size, size, link),
            self.traces)

    def _rewriter(self) -> compaction.Rewriter | None:
        """Who says what to store anew; None for a full backup."""
        parent, before = self._job.parent, self._before
        if parent is None or before is None:
            return None
        return compaction.Rewriter(
            self._operation, chains.ChainLink(parent.ref, parent.manifest),
            before, parent.lost)

    def _point(self, work: pack_worklist.PackWorklist) -> chains.Point:
        """What pages name, once all of them were put."""
        job, before = self._job, self._before
        return point_assembly.assemble(
            job.ref.prefix, job.geometry.block_size, before, work.packs,
            work.written, self._wrapped)


def _check_size(job: jobs.ArchiveJob, size: int) -> None:
    block_size = job.geometry.block_size
    count = -(-size // pages.size(block_size))
    if count > pages.MOST:
        raise exceptions.VolumeError(
            'the volume is too large for blocks of this size',
            detail=f'blocks of {block_size} bytes',
            expected=pages.MOST * pages.size(block_size), actual=size,
            backup_id=job.ref.backup_id,
            remedy=exceptions.Remedy.LARGER_BLOCKS)

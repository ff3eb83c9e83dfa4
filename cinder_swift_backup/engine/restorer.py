# SPDX-License-Identifier: Apache-2.0

"""Bringing a volume back.

1. Resolve the chain: every manifest is read before anything is written.
2. Plan: overlay the chain, newest wins, so that each byte of the volume is
   written once; see :mod:`cinder_swift_backup.engine.planner`.
3. Check that the plan fits the volume, and that all codecs are known.
4. Each worker takes one chunk of the plan and writes what the reader hands on
   of it, block by block as it was compared with the tip's digests; see
   :mod:`cinder_swift_backup.engine.chunk_reader`. Zeros are left out where
   the volume already reads as zeros. It makes large chunks durable, so that
   the volume's disk is busy from the beginning and not only at the end.
5. Bring a regular file to its full length and make that durable too.

Memory: a few MiB for each worker, besides the digests.
"""

import dataclasses
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import chunk_reader
from cinder_swift_backup.engine import pipeline
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import verification
from cinder_swift_backup.engine import volume
from cinder_swift_backup.engine import zeros
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
# Bytes. To wait for the disk for less would take longer than to write it.
_WORTH_SYNCING = 8 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreTarget:
    """The volume to restore to.

    ``size`` is what the volume should be in bytes when it is done; ``blank``
    that it is known to read as zeros where nothing is written.
    """

    writer: volume.VolumeWriter
    size: int
    blank: bool

    def write(self, offset: int, data: memoryview, *,
              repeated: bool) -> None:
        """Write ``data``, but for zeros where it is blank.

        :param repeated: something else may have been written there before
        :raises VolumeError: when the volume cannot be written
        """
        if repeated or not self.blank:
            self.writer.write(offset, data)
            return
        for run in zeros.data_runs(data):
            self.writer.write(offset + run.offset, data[run.offset:run.end])


class Restorer:
    """Reads backups from a repository."""

    def __init__(self, repo: repository.Repository,
                 workers: pipeline.Pipeline, known: codecs.Codecs) -> None:
        self._repository = repo
        self._store = repo.store
        self._pipeline = workers
        self._codecs = known

    def restore(self, chain: types.Chain, target: RestoreTarget,
                observer: progress.Observer, *, verify: bool = True) -> None:
        """Write the tip of ``chain`` to a volume.

        :param verify: whether blocks are compared with the tip's digests
        :raises ChainError: when the chain leaves out part of the volume
        :raises FormatError: when a codec is not known
        :raises IntegrityError: when a chunk is missing or not what the
            manifest says; the volume is then partly written. When the
            digests are missing, or not those of every block that the plan
            writes; nothing is written then
        :raises VolumeError: when the volume is too small
        :raises Cancelled: when the observer cancelled
        """
        plan = planner.plan_restore(chain)
        self._check_fits(chain, plan, target)
        check = (self._digest_check(chain, plan, observer) if verify
                 else None)
        done = 0

        def collect(written: int) -> None:
            nonlocal done
            done += written
            observer.advanced(done, plan.end)

        observer.checkpoint()
        runtime = self._pipeline.runtime
        reader = chunk_reader.ChunkReader(self._store, runtime, self._codecs,
                                          check)
        self._pipeline.run(
            (functools.partial(self._restore_chunk, runtime, reader, chunk,
                               target)
             for chunk in plan.chunks), collect, observer.checkpoint)
        runtime.call(target.writer.finish, target.size)

    def _check_fits(self, chain: types.Chain, plan: planner.RestorePlan,
                    target: RestoreTarget) -> None:
        room = target.writer.capacity
        if room is None:
            room = target.size
        for chunk in plan.chunks:
            chunk_reader.find_codec(self._codecs, chunk.record)
            for extent in chunk.extents:
                if extent.end > room:
                    raise exceptions.VolumeError(
                        f'{chunk.record.name} of backup '
                        f'{chain.tip.ref.backup_id} holds data up to offset '
                        f'{extent.end} and the volume has {room} bytes. '
                        f'Restore to a larger volume.')

    def _digest_check(
            self, chain: types.Chain, plan: planner.RestorePlan,
            observer: progress.Observer) -> verification.DigestCheck | None:
        table = self._repository.until(
            pipeline.Watch(observer.checkpoint)).load_digests(chain.tip.ref)
        if table is None and chain.tip.manifest.has_digests:
            raise exceptions.IntegrityError(
                f'Backup {chain.tip.ref.backup_id} was stored with digests, '
                f'and {naming.digest_file_name(chain.tip.ref.prefix)} is not '
                f'in container {chain.tip.ref.container}. Restore another '
                f'backup, or this one without verification: '
                f'backup_swift_verify_restore = False.')
        if table is None:
            LOG.warning('Backup %s has no digests to verify its restore by.',
                        chain.tip.ref.backup_id)
            return None
        name = naming.digest_file_name(chain.tip.ref.prefix)
        try:
            check = verification.DigestCheck(table, plan.end)
        except exceptions.IntegrityError as err:
            raise exceptions.IntegrityError(
                f'{name} does not fit to the objects of backup '
                f'{chain.tip.ref.backup_id}: {err} One of them is damaged. '
                f'Restore another backup, or this one without verification: '
                f'backup_swift_verify_restore = False.', name=name,
                expected=err.expected, actual=err.actual) from err
        check.check_plan(plan)
        return check

    @staticmethod
    def _restore_chunk(runtime: pipeline.Runtime,
                       reader: chunk_reader.ChunkReader,
                       chunk: planner.PlannedChunk, target: RestoreTarget,
                       stop: pipeline.StopFlag) -> int:
        stop.check()
        reader.read(chunk, target.write, stop)
        length = sum(extent.length for extent in chunk.extents)
        if length >= _WORTH_SYNCING:
            runtime.call(target.writer.sync)
        return length

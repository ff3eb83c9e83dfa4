# SPDX-License-Identifier: Apache-2.0

"""Restoring a volume.

1. Resolve the chain: every manifest is read before anything is written.
2. Plan: overlay the chain, newest wins, so that each byte of the volume is
   written once; see :mod:`cinder_swift_backup.engine.planner`.
3. Check that the plan fits the volume, see
   :mod:`cinder_swift_backup.engine.fitting`, that all codecs are known, and
   that files go to files, see
   :mod:`cinder_swift_backup.engine.format_checks`.
4. Each worker takes one chunk of the plan and writes the blocks that the
   reader has compared with the tip's digests; see
   :mod:`cinder_swift_backup.engine.chunk_reader`. What is zeros by these
   digests is not even read from the store. Zeros become holes where
   the volume supports them, and are skipped where it is known to read as
   zeros. The worker syncs after each large chunk, so that the volume's disk
   works from the beginning and not only at the end.
   If the target may hold part of the backup already, extents whose blocks
   have the right digests are neither fetched nor written.
5. Give a regular file its length, and sync.

Memory: a few MiB for each worker, and some bytes for each object of the chain.
Many digests are in a temporary file; see
:mod:`cinder_swift_backup.engine.spool`.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import chunk_reader
from cinder_swift_backup.engine import doubts as doubts_
from cinder_swift_backup.engine import filling
from cinder_swift_backup.engine import fitting
from cinder_swift_backup.engine import format_checks
from cinder_swift_backup.engine import image_formats
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import salvage
from cinder_swift_backup.engine import verification
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine import windows
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
# Bytes. For less, waiting for the disk takes longer than the writing.
WORTH_SYNCING = 8 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class RestoreTarget:
    """The volume to restore to.

    ``source_size`` is the size of the volume that was backed up, by its
    record, and 0 if that is not known. ``size`` is that of this one, both in
    bytes. ``before`` reads the target, if part of
    the backup may be there already; its ``size`` is what there is.
    ``file_format`` is the format that a file has to have, such as "qcow2" or
    "raw"; None if any will do.
    """

    writer: volumes.VolumeWriter
    source_size: int
    size: int
    before: volumes.VolumeReader | None = None
    file_format: str | None = None

    def length(self, tip: chains.Manifest, restored: int) -> int:
        """The length for a regular file that ``restored`` bytes go to.

        A backup as long as its volume was is raw, and the guest of a larger
        volume has to see the larger size. Any other length means that the
        file has a format of its own, such as qcow2 or VMDK, or a header, such
        as one of LUKS, and must keep its length; unless it was a device, which
        storage has rounded up.
        """
        rounded = (tip.file_format == format_checks.RAW
                   and 0 < self.source_size < restored)
        return (self.size if rounded or restored == self.source_size
                else restored)


class Restorer:
    """Reads backups from a repository."""

    def __init__(self, repo: repository.Repository,
                 pipeline: pipelines.Pipeline, known: codecs.Codecs) -> None:
        self._repository = repo
        self._store = repo.store
        self._pipeline = pipeline
        self._codecs = known

    def restore(self, chain: chains.Chain, target: RestoreTarget,
                observer: progress.Observer, *, verify: bool = True,
                doubts: doubts_.Doubts | None = None) -> None:
        """Write the tip of ``chain`` to a volume.

        :param verify: whether blocks are compared with the tip's digests
        :param doubts: without ``verify``, where to note what does not match,
            or cannot be compared
        :raises ChainError: when the chain leaves out part of the volume
        :raises FormatError: when a codec is not known
        :raises IntegrityError: when a chunk is missing or not what the
            manifest says; the volume is then partly written. When not
            everything that the plan writes can be verified, or the backup
            ends before its volume did; nothing is written then
        :raises VolumeError: when the volume is too small, but not if what
            is behind it is zeros by the tip's digests. When it is a device
            and the backup is of a file in a format of its own, or when it is
            only a part of another volume; nothing is written then
        :raises SpoolError: when there is no room for the digests
        :raises Cancelled: when the observer cancelled
        """
        plan = self.plan(chain)
        with self.checked(chain, plan, observer, verify=verify,
                          doubts=doubts) as check:
            self._check_format(chain.tip, plan, target,
                               self.fetcher(check, observer))
            fit = self._fit(chain, plan, target, check, observer)
            self._check_end(chain, plan, target,
                            sure=check.digests is not None, verify=verify)
            self._execute(fit, target, check, observer)
            self._pipeline.runtime.call(
                target.writer.finish,
                max(fit.end, target.length(chain.tip.manifest, plan.end)))

    def plan(self, chain: chains.Chain) -> planner.RestorePlan:
        """What to fetch for the tip of ``chain``.

        :raises ChainError: when the chain leaves out part of the volume
        :raises FormatError: when a codec is not known
        """
        plan = self._pipeline.runtime.call(planner.plan_restore, chain)
        for chunk in self._pipeline.runtime.call(plan.chunks.of_each_codec):
            chunk_reader.find_codec(self._codecs, chunk.record)
        return plan

    @contextlib.contextmanager
    def checked(self, chain: chains.Chain, plan: planner.RestorePlan,
                observer: progress.Observer, *, verify: bool,
                doubts: doubts_.Doubts | None = None,
                ) -> Iterator[verification.Check]:
        """How to verify what a plan fetches, until the end of a block.

        :param doubts: as of :meth:`restore`
        :raises IntegrityError: when not everything can be verified
        :raises SpoolError: when there is no room for the digests
        """
        check = verification.NONE
        if verify:
            found = self._digest_check(chain, plan, observer)
            check = verification.Check(found)
        elif doubts is not None:
            found = self._digests_if_any(chain, plan, observer)
            doubts.has_digests = found is not None
            check = verification.Check(found, doubts=doubts)
        with self._pipeline.runtime.closing(check):
            yield check

    def fetcher(self, check: verification.Check,
                observer: progress.Observer) -> windows.Fetcher:
        """Fetches parts of a plan into memory."""
        return windows.Fetcher(self._pipeline, self._reader(check), check,
                               observer.checkpoint)

    def _reader(self, check: verification.Check) -> chunk_reader.Reader:
        if check.doubts is not None:
            return salvage.Reader(self._store, self._pipeline.runtime,
                                  self._codecs, check, check.doubts)
        return chunk_reader.ChunkReader(
            self._store, self._pipeline.runtime, self._codecs, check)

    def _check_format(self, tip: chains.ChainLink, plan: planner.RestorePlan,
                      target: RestoreTarget, fetcher: windows.Fetcher) -> None:
        found = None
        if not format_checks.has_no_format(tip.manifest, plan.end,
                                           target.source_size):
            window = self._pipeline.runtime.call(
                windows.first, plan, image_formats.HEAD, fetcher.grain)
            found = image_formats.find(bytes(fetcher.fetch(window)))
        if format_checks.takes_files(target.writer):
            self._check_file(found, target, fetcher.checkpoint)
        else:
            format_checks.check_device(found)

    def _check_file(self, found: image_formats.ImageFormat | None,
                    target: RestoreTarget,
                    checkpoint: pipelines.Checkpoint) -> None:
        head = b''
        # It may be part of this backup that is there already.
        if target.before is None:
            head = self._pipeline.one(
                lambda _: format_checks.read_target(target.writer), checkpoint)
        format_checks.check_file(found, image_formats.find(head),
                                 target.file_format)

    def _execute(self, fit: fitting.Fit, target: RestoreTarget,
                 check: verification.Check,
                 observer: progress.Observer) -> None:
        runtime = self._pipeline.runtime
        plan = fit.plan
        done = 0

        def collect(written: int) -> None:
            nonlocal done
            done += written
            observer.advanced(done, plan.end)

        observer.checkpoint()
        reader = self._reader(check)
        filler = filling.make(target.writer, types.Extent(0, fit.end),
                              self._pipeline, observer.checkpoint)
        self._pipeline.run(
            (pipelines.Task(functools.partial(
                self._restore_chunk, runtime, check, reader, chunk, filler,
                target), chunk.record.extent.length)
             for chunk in plan.chunks), collect, observer.checkpoint,
            full=chunk_reader.FULL)
        if fit.rest.length:
            runtime.call(filler.zero, (fit.rest,))

    def _fit(self, chain: chains.Chain, plan: planner.RestorePlan,
             target: RestoreTarget, check: verification.Check,
             observer: progress.Observer) -> fitting.Fit:
        """What of the plan to restore: all of it, where there is room."""
        room = target.writer.capacity
        if room is None:
            room = target.length(chain.tip.manifest, plan.end)
        if plan.end <= room:
            return fitting.Fit(plan, plan.end)
        try:
            return self._cut(chain, plan, fitting.Room(
                room, target.source_size), check, observer)
        except exceptions.VolumeError:
            # A file can be longer than a volume that storage has rounded up.
            if (target.writer.capacity is None
                    and plan.end > target.source_size):
                return fitting.Fit(plan, plan.end)
            raise

    def _cut(self, chain: chains.Chain, plan: planner.RestorePlan,
             room: fitting.Room, check: verification.Check,
             observer: progress.Observer) -> fitting.Fit:
        """Leave out zeros at the end of a plan."""
        with self._any_digests(chain, plan, check, observer) as table:
            fit = self._pipeline.one(functools.partial(
                fitting.fit, chain, plan, room, table), observer.checkpoint)
        LOG.info('The last %d bytes of backup %s are zeros, and left out.',
                 plan.end - fit.end, chain.tip.ref.backup_id)
        return fit

    @contextlib.contextmanager
    def _any_digests(self, chain: chains.Chain, plan: planner.RestorePlan,
                     check: verification.Check, observer: progress.Observer,
                     ) -> Iterator[digests.DigestTable | None]:
        """The digests of the tip, also where nothing is verified."""
        found, ours = check.digests, None
        if check is verification.NONE:
            found = ours = self._digests_if_any(chain, plan, observer)
        with self._pipeline.runtime.closing(verification.Check(ours)):
            yield None if found is None else found.table

    def _digests_if_any(
            self, chain: chains.Chain, plan: planner.RestorePlan,
            observer: progress.Observer) -> verification.DigestCheck | None:
        """The digests of the tip; None where they are of no use."""
        try:
            return self._load_digests(chain, plan, observer)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            LOG.warning('There are no digests to compare the data with: %s',
                        err)
            return None

    @staticmethod
    def _check_end(chain: chains.Chain, plan: planner.RestorePlan,
                   target: RestoreTarget, *, sure: bool,
                   verify: bool) -> None:
        """Notice that chunks are missing at the end.

        A regular file may be shorter than its volume. A device is only
        shorter if it was a snapshot from before the volume was extended; there
        were no backups of those before digests.

        :param sure: whether digests say that there are no more
        """
        if target.writer.capacity is None or plan.end >= target.source_size:
            return
        err = exceptions.IntegrityError(
            'the backup ends before its volume did, by the record of it',
            backup_id=chain.tip.ref.backup_id,
            container=chain.tip.ref.container,
            name=naming.manifest_name(chain.tip.ref.prefix),
            expected=target.source_size, actual=plan.end,
            remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)
        if verify and not (sure and plan.end):
            raise err
        LOG.warning('The rest of the target is left as it is: %s', err)

    def _load_digests(
            self, chain: chains.Chain, plan: planner.RestorePlan,
            observer: progress.Observer) -> verification.DigestCheck | None:
        return verification.load_digests(
            self._repository.until(pipelines.Watch(observer.checkpoint)),
            chain.tip, plan.end)

    def _digest_check(
            self, chain: chains.Chain, plan: planner.RestorePlan,
            observer: progress.Observer) -> verification.DigestCheck | None:
        ref = chain.tip.ref
        check = self._load_digests(chain, plan, observer)
        if check is not None:
            try:
                self._pipeline.runtime.call(check.check_plan, plan)
            except exceptions.IntegrityError:
                check.table.close()
                raise
            return check
        if chain.tip.manifest.era is chains.Era.DIGESTS:
            raise exceptions.IntegrityError(
                'the backup was stored with a file of digests, which is gone',
                backup_id=ref.backup_id, container=ref.container,
                name=naming.digest_file_name(ref.prefix),
                remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)
        self._pipeline.runtime.call(verification.check_md5s, plan)
        LOG.warning('Backup %s is from before Cinder 2015.1 and has no '
                    'digests. Its objects are compared with their MD5, after '
                    'they were written.', ref.backup_id)
        return None

    @staticmethod
    def _restore_chunk(runtime: pipelines.Runtime,
                       check: verification.Check,
                       reader: chunk_reader.Reader,
                       chunk: planner.PlannedChunk, filler: filling.Filler,
                       target: RestoreTarget,
                       stop: pipelines.StopFlag) -> int:
        stop.check()
        done = runtime.call(check.zeros, chunk.extents)
        runtime.call(filler.zero, done)
        if target.before is not None:
            done |= runtime.call(check.present, chunk.extents, target.before,
                                 stop.check)
        data = tuple(extent for extent in chunk.extents
                     if extent not in done)
        if data:
            reader.read(dataclasses.replace(chunk, extents=data),
                        filler.write, stop)
        if sum(extent.length for extent in data) >= WORTH_SYNCING:
            runtime.call(target.writer.sync)
        return sum(extent.length for extent in chunk.extents)

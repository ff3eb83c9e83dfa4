# SPDX-License-Identifier: Apache-2.0

"""Restoring a volume.

1. Resolve the chain: every manifest is read before anything is written.
2. Plan: overlay the chain, newest wins, so that each byte of the volume is
   written once; see :mod:`cinder_swift_backup.engine.restore.planner`.
3. Check that the plan fits the volume, see
   :mod:`cinder_swift_backup.engine.restore.fitting`, that all codecs are
   known, and that files go to files, see
   :mod:`cinder_swift_backup.engine.volumes.format_checks`.
4. Each worker takes one chunk of the plan and writes the blocks that the
   reader has compared with the tip's digests; see
   :mod:`cinder_swift_backup.engine.restore.chunk_reader`. What is zeros by
   these digests is not even read from the store. Zeros become holes where
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

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools
import itertools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.restore import doubts as doubts_
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import filling
from cinder_swift_backup.engine.restore import fitting
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.engine.restore import windows
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.engine.volumes import image_formats
from cinder_swift_backup.format import chains
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
    bytes. ``before`` reads the target, if part of the backup may be there
    already; its ``size`` is what there is. ``file_format`` is the format that
    a file has to have, such as "qcow2" or "raw"; None if any will do.
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

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo

    def restore(self, chain: chains.Chain, target: RestoreTarget,
                observer: operations.Observer, *,
                doubts: doubts_.Doubts | None = None) -> None:
        """Write the tip of ``chain`` to a volume.

        :param doubts: also restore what does not match the tip's digests, or
            cannot be compared, and note it there
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
        repo = self._repository.during(observer)
        with fetching.prepared(repo, chain, doubts) as (plan, fetcher):
            _Restore(repo.operation, chain, plan, target, fetcher).run()


@dataclasses.dataclass(frozen=True, slots=True)
class _Restore:
    """One restore."""

    operation: operations.Operation
    chain: chains.Chain
    plan: planner.RestorePlan
    target: RestoreTarget
    fetcher: fetching.Fetcher

    def run(self) -> None:
        self._check_format()
        fit = self._fit()
        self._check_end()
        self._execute(fit)
        self.operation.call(
            self.target.writer.finish,
            max(fit.end, self.target.length(self.chain.tip.manifest,
                                            self.plan.end)))

    def _check_format(self) -> None:
        stored = None
        if not format_checks.has_no_format(
                self.chain.tip.manifest, self.plan.end,
                self.target.source_size):
            window = windows.first(self.plan, image_formats.HEAD,
                                   self.fetcher)
            stored = image_formats.find(bytes(windows.fetch(
                window, self.fetcher)))
        if format_checks.takes_files(self.target.writer):
            self._check_file(stored)
        else:
            format_checks.check_device(stored)

    def _check_file(self, stored: image_formats.ImageFormat | None) -> None:
        head = b''
        # It may be part of this backup that is there already.
        if self.target.before is None:
            head = self.operation.one(
                lambda _: format_checks.read_target(self.target.writer))
        format_checks.check_file(stored, image_formats.find(head),
                                 self.target.file_format)

    def _execute(self, fit: fitting.Fit) -> None:
        plan = fit.plan
        done = 0

        def collect(written: int) -> None:
            nonlocal done
            done += written
            self.operation.observer.advanced(done, plan.end)

        self.operation.observer.checkpoint()
        filler = filling.make(self.target.writer, types.Extent(0, fit.end),
                              self.operation)
        self.fetcher.fetch(
            itertools.chain.from_iterable(plan.parts()),
            _Sink(filler, self.target, self.fetcher.check), collect)
        if fit.rest.length:
            self.operation.call(filler.zero, (fit.rest,))

    def _fit(self) -> fitting.Fit:
        """What of the plan to restore: all of it, where there is room."""
        plan, target = self.plan, self.target
        room = target.writer.capacity
        if room is None:
            room = target.length(self.chain.tip.manifest, plan.end)
        if plan.end <= room:
            return fitting.Fit(plan, plan.end)
        try:
            return self._cut(fitting.Room(room, target.source_size))
        except exceptions.VolumeError:
            # A file can be longer than a volume that storage has rounded up.
            if (target.writer.capacity is None
                    and plan.end > target.source_size):
                return fitting.Fit(plan, plan.end)
            raise

    def _cut(self, room: fitting.Room) -> fitting.Fit:
        """Leave out zeros at the end of a plan."""
        check = self.fetcher.check.digests
        fit = self.operation.one(functools.partial(
            fitting.fit, self.chain.tip.ref, self.plan, room,
            None if check is None else check.table))
        LOG.info('The target is too small for the last %d bytes of backup '
                 '%s; they are zeros and were left out.',
                 self.plan.end - fit.end, self.chain.tip.ref.backup_id)
        return fit

    def _check_end(self) -> None:
        """Notice that chunks are missing at the end.

        A regular file may be shorter than its volume. A device is only
        shorter if it was a snapshot from before the volume was extended; there
        were no backups of those before digests. Digests say that there are no
        more.
        """
        plan, target, ref = self.plan, self.target, self.chain.tip.ref
        if target.writer.capacity is None or plan.end >= target.source_size:
            return
        err = exceptions.IntegrityError(
            'the backup is shorter than its volume was, according to its '
            'record',
            backup_id=ref.backup_id, container=ref.container,
            name=naming.manifest_name(ref.prefix),
            expected=target.source_size, actual=plan.end,
            remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED)
        check = self.fetcher.check
        is_sure = check.digests is not None and plan.end
        if check.doubts is None and not is_sure:
            raise err
        LOG.warning('The rest of the target is left as it is: %s', err)


@dataclasses.dataclass(frozen=True, slots=True)
class _Sink:
    """Puts a backup where it is restored to."""

    filler: filling.Filler
    target: RestoreTarget
    check: verification.Check

    def zero(self, extents: Iterable[types.Extent]) -> None:
        """See :class:`fetching.Sink`."""
        self.filler.zero(extents)

    def present(self, extents: Sequence[types.Extent],
                stop: pipelines.StopFlag) -> frozenset[types.Extent]:
        """See :class:`fetching.Sink`."""
        if self.target.before is None:
            return frozenset()
        return self.check.present(extents, self.target.before, stop)

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """See :class:`fetching.Sink`."""
        self.filler.write(offset, data, repeated=repeated)

    def wrote(self, length: int) -> None:
        """See :class:`fetching.Sink`."""
        if length >= WORTH_SYNCING:
            self.target.writer.sync()

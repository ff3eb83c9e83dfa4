# SPDX-License-Identifier: Apache-2.0

"""The loop that gets data out of a backup, for whatever use.

Chunks of a plan that come with one request are a group, see
:mod:`cinder_swift_backup.engine.restore.groups`. For each group, several at a
time:

1. Leave out what digests show to be zeros, and tell the sink.
2. Leave out what the sink has already.
3. Fetch the rest, verify it, and hand it to the sink; see
   :mod:`cinder_swift_backup.engine.restore.chunk_reader`.

A restore, a stream, the look at the format of a file and a deep verify differ
in their sinks, and in how they verify.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
from typing import Protocol

from oslo_log import log as logging

from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import doubts as doubts_
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import planning
from cinder_swift_backup.engine.restore import salvage
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
# Bytes that a task holds at most, however large its group is.
LARGEST = 15 << 20


class Sink(Protocol):
    """Takes what a backup has, where computation runs."""

    def zero(self, extents: Iterable[types.Extent]) -> None:
        """Take extents that are zeros."""

    def present(self, extents: Sequence[types.Extent],
                stop: pipelines.StopFlag) -> frozenset[types.Extent]:
        """Those of some extents that need not be fetched.

        :raises Cancelled: when ``stop`` is set
        """

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """Take verified data, see :class:`chunk_reader.Use`."""

    def wrote(self, length: int) -> None:
        """Learn that all of a group came, so many bytes."""


class Discard:
    """A sink for data of which only the verification counts."""

    def zero(self, extents: Iterable[types.Extent]) -> None:
        """See :class:`Sink`."""

    def present(self, extents: Sequence[types.Extent],
                stop: pipelines.StopFlag) -> frozenset[types.Extent]:
        """See :class:`Sink`."""
        return frozenset()

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """See :class:`Sink`."""

    def wrote(self, length: int) -> None:
        """See :class:`Sink`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches chunks of one backup; ``check`` is how they are verified."""

    operation: operations.Operation
    reader: chunk_reader.Reader
    check: verification.Check

    @property
    def grain(self) -> int:
        """Extents that are fetched begin and end at multiples of this."""
        digests = self.check.digests
        return 1 if digests is None else digests.table.block_size

    def fetch(self, chunks: Iterable[planner.PlannedChunk], sink: Sink,
              collect: Callable[[int], None] = lambda length: None, *,
              whole: bool = True) -> None:
        """Hand all of some chunks to a sink.

        :param collect: called with how many bytes of the volume are done
        :param whole: whether a group keeps a worker as busy as all of it
            would, or as what is taken of it
        :raises BackupError: when not all of them can be had
        :raises Cancelled: when the observer cancelled
        """
        self.operation.run(
            (self._task(group, sink, group.length if whole
                        else _length(group.extents))
             for group in groups.grouped(chunks)), collect,
            full=pipelines.FULL)

    def _task(self, group: groups.Group, sink: Sink,
              size: int) -> pipelines.Task[int]:
        return pipelines.Task(
            functools.partial(self._fetch, group, sink), size,
            min(2 * group.length, LARGEST)
            + budget.of_large_blocks(self.grain))

    def _fetch(self, group: groups.Group, sink: Sink,
               stop: pipelines.StopFlag) -> int:
        stop.check()
        call = self.operation.call
        left = call(self._left, group, sink, stop)
        if left is not None:
            self.reader.read(left, sink.write, stop)
            call(sink.wrote, _length(left.extents))
        return _length(group.extents)

    def _left(self, group: groups.Group, sink: Sink,
              stop: pipelines.StopFlag) -> groups.Group | None:
        """What of a group has to be fetched; None if nothing has."""
        extents = group.extents
        if group.is_zeros:
            self.check.confirm_zeros(group.name, extents)
            sink.zero(extents)
            return None
        done = self.check.zeros(extents)
        sink.zero(done)
        done |= sink.present(extents, stop)
        return group.without(done)


def _length(extents: Iterable[types.Extent]) -> int:
    return sum(extent.length for extent in extents)


def make(operation: operations.Operation,
         check: verification.Check) -> Fetcher:
    """A fetcher that verifies as told, and notes doubts if it has to."""
    reader: chunk_reader.Reader
    if check.doubts is None:
        reader = chunk_reader.ChunkReader(operation, check)
    else:
        reader = salvage.Reader(operation, check, check.doubts)
    return Fetcher(operation, reader, check)


@contextlib.contextmanager
def prepared(repo: repository.Repository, chain: chains.Chain,
             doubts: doubts_.Doubts | None,
             ) -> Iterator[tuple[planner.RestorePlan, Fetcher]]:
    """What to fetch for the tip of a chain, and who does so.

    :param doubts: where to note what does not match the tip's digests, or
        cannot be compared; None to refuse that
    :raises ChainError: when the chain leaves out part of the volume
    :raises FormatError: when a codec is not known
    :raises IntegrityError: when not everything can be verified
    :raises SpoolError: when there is no room for the digests
    """
    operation = repo.operation
    plan = planning.plan(repo, chain)
    chunk_reader.check_codecs(plan, operation.call)
    with operation.runtime.closing(
            _check(repo, chain.tip, plan, doubts)) as check:
        yield plan, make(operation, check)


def _check(repo: repository.Repository, tip: chains.ChainLink,
           plan: planner.RestorePlan,
           doubts: doubts_.Doubts | None) -> verification.Check:
    if doubts is not None:
        return verification.lenient(repo, tip, plan.end, doubts)
    # Those in packs are whole blocks, or they could not be told.
    chunks = plan.chunks if isinstance(plan, planner.ChainPlan) else None
    check = verification.strict(repo, tip, plan.end, chunks)
    if check.digests is None:
        LOG.warning('Backup %s is from before Cinder 2015.1 and has no '
                    'digests. Each object is compared with its MD5, but only '
                    'after its data was written.', tip.ref.backup_id)
    return check

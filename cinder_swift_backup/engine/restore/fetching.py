# SPDX-License-Identifier: Apache-2.0

"""The loop that gets data out of a backup, for whatever use.

For each chunk of a plan, several at a time:

1. Leave out what digests show to be zeros, and tell the sink.
2. Leave out what the sink has already.
3. Fetch the rest, verify it, and hand it to the sink; see
   :mod:`cinder_swift_backup.engine.restore.chunk_reader`.

A restore, a stream, the look at the format of a file and a deep verify differ
in their sinks, and in how they verify.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools
from typing import Protocol

from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import salvage
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import types


class Sink(Protocol):
    """Takes what a backup has, where computation runs."""

    def zero(self, extents: Iterable[types.Extent]) -> None:
        """Take extents that are zeros."""

    def present(self, extents: Sequence[types.Extent],
                proceed: Callable[[], None]) -> frozenset[types.Extent]:
        """Those of some extents that need not be fetched.

        :param proceed: called now and then; may raise to end this
        """

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """Take verified data, see :class:`chunk_reader.Use`."""

    def wrote(self, length: int) -> None:
        """Learn that all of a chunk came, so many bytes."""


class Discard:
    """A sink for data of which only the verification counts."""

    def zero(self, extents: Iterable[types.Extent]) -> None:
        """See :class:`Sink`."""

    def present(self, extents: Sequence[types.Extent],
                proceed: Callable[[], None]) -> frozenset[types.Extent]:
        """See :class:`Sink`."""
        return frozenset()

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """See :class:`Sink`."""

    def wrote(self, length: int) -> None:
        """See :class:`Sink`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches chunks of one backup; ``check`` is how they are verified."""

    pipeline: pipelines.Pipeline
    reader: chunk_reader.Reader
    check: verification.Check
    checkpoint: pipelines.Checkpoint

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
        :param whole: whether a chunk keeps a worker as busy as all of it
            would, or as what is taken of it
        :raises BackupError: when not all of them can be had
        :raises Cancelled: when the checkpoint raised
        """
        self.pipeline.run(
            (pipelines.Task(functools.partial(self._fetch, chunk, sink),
                            chunk.record.extent.length if whole
                            else _length(chunk.extents))
             for chunk in chunks), collect, self.checkpoint,
            full=pipelines.FULL)

    def _fetch(self, chunk: planner.PlannedChunk, sink: Sink,
               stop: pipelines.StopFlag) -> int:
        stop.check()
        call = self.pipeline.runtime.call
        left = call(self._left, chunk, sink, stop)
        if left:
            self.reader.read(dataclasses.replace(chunk, extents=left),
                             sink.write, stop)
            call(sink.wrote, _length(left))
        return _length(chunk.extents)

    def _left(self, chunk: planner.PlannedChunk, sink: Sink,
              stop: pipelines.StopFlag) -> tuple[types.Extent, ...]:
        """What of a chunk has to be fetched."""
        done = self.check.zeros(chunk.extents)
        sink.zero(done)
        done |= sink.present(chunk.extents, stop.check)
        return tuple(extent for extent in chunk.extents if extent not in done)


def _length(extents: Iterable[types.Extent]) -> int:
    return sum(extent.length for extent in extents)


def make(repo: repository.Repository, check: verification.Check,
         checkpoint: pipelines.Checkpoint) -> Fetcher:
    """A fetcher that verifies as told, and notes doubts if it has to."""
    runtime = repo.pipeline.runtime
    reader: chunk_reader.Reader
    if check.doubts is None:
        reader = chunk_reader.ChunkReader(repo.store, runtime, check)
    else:
        reader = salvage.Reader(repo.store, runtime, check, check.doubts)
    return Fetcher(repo.pipeline, reader, check, checkpoint)

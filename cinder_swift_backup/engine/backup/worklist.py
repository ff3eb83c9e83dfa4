# SPDX-License-Identifier: Apache-2.0

"""What to read and store for a backup, and in which order.

A full backup:

1. Each chunk that may hold data is read and stored by one task. Large holes
   in it are left out, so that what is around them becomes objects of its own.
2. The other chunks, these holes, and what turned out to be zeros come last:
   neighbours become one object, of at most 256 MiB, since the stock driver
   decodes an object in memory.

An incremental:

1. If it is known what may differ from the parent, the digests of everything
   else are taken from there, and the rest is looked at:
2. Each chunk that may hold data is hashed by one task and compared with the
   parent. Of the others, the parent's digests tell which were zeros before;
   those that were not come last, as zeros do in a full backup.
3. Runs of changed blocks are stored by tasks of their own. Neighbours across
   the border of a chunk become one object, up to the size of a chunk. For
   that, results are looked at in the order of the volume.

A worklist is for the coordinator's thread alone: it makes tasks for the
pipeline and takes their results.
"""

import abc
import collections
from collections.abc import Iterator
import dataclasses
import functools

from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import chunk_writer
from cinder_swift_backup.engine.backup import layout
from cinder_swift_backup.engine.backup import merging
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zero_form

# Bytes of zeros in one object.
MOST_ZEROS = zero_form.LARGEST
# Bytes: encoding a larger hole takes longer than putting one object more.
LARGE_HOLE = 8 << 20
# Bytes whose digests one task takes from the parent.
_TAKE_OVER = 64 << 30
# Bytes that a task holds besides the stored form of its chunk, and all that
# one holds which only compares.
_BESIDES = 20 << 20
_COMPARING = 6 << 20


def memory(length: int, block_size: int) -> int:
    """How many bytes it takes to store an extent of so many."""
    return (length + min(length, _BESIDES)
            + budget.of_large_blocks(block_size))


def _memory_to_compare(length: int, block_size: int) -> int:
    return (min(length, _COMPARING)
            + budget.of_large_blocks(block_size))


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What a task has done with an extent.

    ``records`` are of the objects that were stored. ``zeros`` are its parts
    that are zeros and were not stored. ``to_store`` are those that differ
    from the parent; None if they are stored already.
    """

    extent: types.Extent
    records: tuple[types.ChunkRecord, ...] = ()
    zeros: tuple[types.Extent, ...] = ()
    to_store: list[types.Extent] | None = None


Task = pipelines.Task[Result]


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """The volume to back up, of ``size`` bytes, and who stores its chunks.

    ``states`` says for each chunk what it may hold; see :mod:`.layout`.
    ``may_differ`` are the parts that may differ from the parent; None if
    nobody knows.
    """

    writer: chunk_writer.ChunkWriter
    geometry: types.Geometry
    size: int
    states: bytearray
    may_differ: intervals.IntervalSet | None = None

    def chunks(self, group: types.Extent) -> Iterator[types.Extent]:
        """The chunks of a group."""
        return group.parts(self.geometry.chunk_size)

    def groups(self) -> Iterator[tuple[int, types.Extent]]:
        """Runs of chunks, each with what they may hold."""
        return layout.groups(self.states, self.geometry, self.size)


class Worklist(abc.ABC):
    """Makes the tasks of one backup."""

    def __init__(self, volume: Volume, records: chunk_table.ChunkTable,
                 call: pipelines.Call) -> None:
        """Prepare.

        :param records: takes the records of all objects
        :param call: calls functions that compute or wait for the disk
        """
        self._volume = volume
        self._records = records
        self._call = call
        self._zeros = intervals.IntervalSet()
        self._running = 0
        # Bytes of the volume that need no more work.
        self.done = 0

    def tasks(self) -> Iterator[Task | None]:
        """All tasks; None as long as there may be more, but not yet."""
        for task in self._tasks():
            self._running += task is not None
            yield task

    def collect(self, result: Result) -> None:
        """Take the result of a task."""
        self._running -= 1
        for record in result.records:
            self._records.append(record)
        self._collect(result)

    @abc.abstractmethod
    def _tasks(self) -> Iterator[Task | None]:
        """See :meth:`tasks`."""

    @abc.abstractmethod
    def _collect(self, result: Result) -> None:
        """See :meth:`collect`; the records are taken already."""

    def _await_all(self) -> Iterator[None]:
        while self._running:
            yield None

    def _write_all_zeros(self) -> Iterator[Task | None]:
        """Store what was claimed as zeros, neighbours as one object."""
        most = types.whole(MOST_ZEROS,
                           self._volume.geometry.block_size)
        for extent in self._call(self._zeros.extents):
            for part in extent.parts(most):
                yield pipelines.Task(
                    functools.partial(self._write_zeros, part), 0)
        yield from self._await_all()

    def _write_zeros(self, extent: types.Extent,
                     stop: pipelines.StopFlag) -> Result:
        return Result(extent, (self._volume.writer.write_zeros(extent, stop),))


class FullWorklist(Worklist):
    """Stores everything."""

    def _tasks(self) -> Iterator[Task | None]:
        for state, group in self._volume.groups():
            if state == layout.HOLE:
                self._zeros.claim(group)
                continue
            for extent in self._volume.chunks(group):
                yield pipelines.Task(
                    functools.partial(self._write, extent), extent.length,
                    memory(extent.length, self._volume.geometry.block_size))
        yield from self._await_all()
        yield from self._write_all_zeros()

    def _write(self, extent: types.Extent,
               stop: pipelines.StopFlag) -> Result:
        writer = self._volume.writer
        records = []
        zeros = []
        for run, has_data in writer.runs(extent, LARGE_HOLE):
            record = writer.write(run, stop) if has_data else None
            if record is None:
                zeros.append(run)
            else:
                records.append(record)
        return Result(extent, tuple(records), tuple(zeros))

    def _collect(self, result: Result) -> None:
        self.done += result.extent.length
        for extent in result.zeros:
            self.done -= extent.length
            self._zeros.claim(extent)


class IncrementalWorklist(Worklist):
    """Stores what differs from the parent."""

    def __init__(self, volume: Volume, records: chunk_table.ChunkTable,
                 call: pipelines.Call, before: digests.DigestTable) -> None:
        """See :class:`Worklist`.

        :param before: the digests of the parent
        """
        super().__init__(volume, records, call)
        self._before = before
        # What to store of extents whose turn has not come, by their offsets.
        self._early: dict[int, Result] = {}
        self._position = 0
        # The last run of changes, which the next may continue.
        self._last: types.Extent | None = None
        self._ready: collections.deque[types.Extent] = collections.deque()

    def _tasks(self) -> Iterator[Task | None]:
        for task in self._looks():
            yield from self._writes()
            yield task
        while self._running or self._ready:
            yield from self._writes()
            if self._running:
                yield None
        self._add(None)
        yield from self._writes()
        yield from self._await_all()
        yield from self._write_all_zeros()

    def _looks(self) -> Iterator[Task]:
        for state, group in self._volume.groups():
            if state == layout.HOLE:
                yield pipelines.Task(
                    functools.partial(self._look_at_holes, group), 0)
                continue
            if state == layout.SAME:
                for part in group.parts(self._step()):
                    yield pipelines.Task(
                        functools.partial(self._take_over, part), 0)
                continue
            for extent in self._volume.chunks(group):
                yield pipelines.Task(
                    functools.partial(self._look, extent),
                    # It holds a few MiB only.
                    extent.length // 2, _memory_to_compare(
                        extent.length, self._volume.geometry.block_size))

    def _look_at_holes(self, group: types.Extent,
                       stop: pipelines.StopFlag) -> Result:
        return Result(group, to_store=[],
                      zeros=self._call(self._new_zeros, group, stop))

    def _new_zeros(self, group: types.Extent,
                   stop: pipelines.StopFlag) -> tuple[types.Extent, ...]:
        """Of chunks that are holes, those that were none before."""
        if self._before.are_zeros(group, stop.check):
            return ()
        return tuple(extent for extent in self._volume.chunks(group)
                     if not self._before.are_zeros(extent, stop.check))

    def _step(self) -> int:
        """How much one task takes over: whole chunks."""
        return types.whole(_TAKE_OVER, self._volume.geometry.chunk_size)

    def _take_over(self, extent: types.Extent,
                   stop: pipelines.StopFlag) -> Result:
        self._volume.writer.take_over(extent, self._before, stop)
        return Result(extent, to_store=[])

    def _look(self, extent: types.Extent,
              stop: pipelines.StopFlag) -> Result:
        may_differ = self._volume.may_differ
        parts = None if may_differ is None else may_differ.within(extent)
        return Result(extent, to_store=self._volume.writer.compare(
            extent, self._before, stop, parts))

    def _writes(self) -> Iterator[Task]:
        while self._ready:
            extent = self._ready.popleft()
            yield pipelines.Task(
                functools.partial(self._write, extent), extent.length,
                memory(extent.length, self._volume.geometry.block_size))

    def _write(self, extent: types.Extent,
               stop: pipelines.StopFlag) -> Result:
        record = self._volume.writer.write(extent, stop)
        if record is None:
            record = self._volume.writer.write_zeros(extent, stop)
        return Result(extent, (record,))

    def _collect(self, result: Result) -> None:
        for extent in result.zeros:
            self._zeros.claim(extent)
        if result.to_store is not None:
            self._in_order(result)

    def _in_order(self, result: Result) -> None:
        self.done += result.extent.length
        self._early[result.extent.offset] = result
        while (early := self._early.pop(self._position, None)) is not None:
            for extent in early.to_store or ():
                self._add(extent)
            self._position = early.extent.end

    def _add(self, extent: types.Extent | None) -> None:
        """Continue the last run of changes, or begin another."""
        last = self._last
        if last is not None and extent is not None:
            joined = types.Extent(last.offset, extent.end - last.offset)
            if (extent.offset - last.end <= merging.MERGE_GAP
                    and joined.length <= self._volume.geometry.chunk_size):
                self._last = joined
                return
        if last is not None:
            self._ready.append(last)
        self._last = extent

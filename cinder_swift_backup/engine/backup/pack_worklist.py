# SPDX-License-Identifier: Apache-2.0

"""What to read and store for a backup in the form of packs, in which order.

1. Windows of the volume that may hold data, and may differ from the parent,
   are read by one task each, which gives encoded chunks of what has changed.
   Of holes, those that were none before become chunks of zeros.
2. The coordinator collects chunks to packs, which further tasks put.
3. When all chunks of some pages are in packs that are sealed, a task writes
   these pages. So what is kept for them is what the packs in the making have.

A full backup is one on top of zeros.

Like a :class:`worklist.Worklist`, it is for the coordinator's thread alone.
"""

from collections.abc import Iterator
import dataclasses
import functools
from typing import TypeAlias

from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import compaction
from cinder_swift_backup.engine.backup import layout
from cinder_swift_backup.engine.backup import pack_encoder
from cinder_swift_backup.engine.backup import packer as packers
from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.engine.backup import traces as traces_
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types

# Bytes of the volume that a task reads, and keeps what it has encoded of.
_WINDOW = 8 << 20
# Blocks of holes that a task looks at: if each second one had data before, its
# result takes 2 MiB.
_HOLES = 1 << 14
# What takes all of a worker: a pack is the most that one holds.
FULL = packers.FULL
# Bytes that a task holds which reads a window or writes pages, with blocks of
# usual sizes, and that one holds besides a pack which puts it.
_LOOKING = 16 << 20
_PUTTING = 8 << 20


def largest(block_size: int) -> int:
    """How many bytes a task holds at most."""
    # A pack is sealed with the chunk that fills it.
    return max(FULL + pages.largest_chunk(block_size) + _PUTTING,
               _of_looking(block_size))


def _of_looking(block_size: int) -> int:
    """How many bytes a task holds that reads a window or writes pages."""
    return _LOOKING + budget.of_large_blocks(block_size)


@dataclasses.dataclass(frozen=True, slots=True)
class Looked:
    """What has changed in an extent that was looked at."""

    extent: types.Extent
    chunks: tuple[pack_encoder.Encoded, ...] = ()


Result: TypeAlias = Looked | packs.Pack | page_writer.Written
Task: TypeAlias = pipelines.Task[Result]


def geometry(block_size: int) -> types.Geometry:
    """How a volume is cut: windows to read, and blocks."""
    return types.Geometry(
        types.whole(_WINDOW, pages.largest_chunk(block_size)), block_size)


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """The volume to back up, of ``size`` bytes, and who encodes its chunks.

    ``states`` says for each window of ``geometry`` what it may hold; see
    :mod:`.layout`. ``may_differ`` are the parts that may differ from the
    parent; None if nobody knows. ``rewriter`` says what to store anew.
    """

    encoder: pack_encoder.PackEncoder
    geometry: types.Geometry
    size: int
    states: bytearray
    may_differ: intervals.IntervalSet | None = None
    rewriter: compaction.Rewriter | None = None


class PackWorklist:
    """Makes the tasks of one backup, and takes their results.

    ``done`` are bytes of the volume that need no more reading. ``packs`` are
    those that were put, ``written`` the pages; both in any order.
    """

    def __init__(self, operation: operations.Operation, volume: Volume,
                 ref: types.BackupRef, packer: packers.Packer,
                 writer: page_writer.PageWriter,
                 traces: traces_.Traces) -> None:
        """Prepare.

        :param traces: notes what is going to be put
        """
        self._operation = operation
        self._volume = volume
        self._ref = ref
        self._packer = packer
        self._writer = writer
        self._traces = traces
        self._block_size = volume.geometry.block_size
        self._memory = _of_looking(self._block_size)
        self._page_size = pages.size(self._block_size)
        self._running = 0
        self._looking = 0
        # The ends of extents whose turn has not come, by their offsets.
        self._early: dict[int, int] = {}
        self._position = 0
        self._sealed: list[packers.Sealed] = []
        # The chunks of sealed packs, by the pages that they are of, and which
        # object of pages comes next.
        self._added: dict[int, packed_chunks.PackedChunks] = {}
        self._next = 0
        self.done = 0
        self.packs: list[packs.Pack] = []
        self.written: list[page_writer.Written] = []

    def tasks(self) -> Iterator[Task | None]:
        """All tasks; None as long as there may be more, but not yet."""
        for task in self._tasks():
            self._running += task is not None
            yield task

    def collect(self, result: Result) -> None:
        """Take the result of a task."""
        self._running -= 1
        if isinstance(result, packs.Pack):
            self.packs.append(result)
        elif isinstance(result, page_writer.Written):
            self.written.append(result)
        else:
            self._looking -= 1
            self._seal(self._packer.add(result.chunks))
            self._advance(result.extent)

    def _tasks(self) -> Iterator[Task | None]:
        for look in self._looks():
            yield from self._ready()
            self._looking += 1
            yield look
        while self._looking:
            yield from self._ready()
            if self._looking:
                yield None
        self._seal(self._packer.seal())
        yield from self._ready()
        while self._running:
            yield None

    def _looks(self) -> Iterator[Task]:
        volume = self._volume
        for state, group in layout.groups(volume.states, volume.geometry,
                                          volume.size):
            if state == layout.HOLE:
                for extent in group.parts(types.whole(
                        _HOLES * self._block_size,
                        volume.geometry.chunk_size)):
                    yield pipelines.Task(functools.partial(
                        self._look_at_zeros, extent, self._anew(extent)), 0)
                continue
            for extent in group.parts(volume.geometry.chunk_size):
                anew = self._anew(extent)
                if state == layout.SAME and not anew:
                    self._advance(extent)
                    continue
                yield pipelines.Task(functools.partial(
                    self._look, extent, anew), FULL, self._memory)

    def _anew(self, extent: types.Extent) -> list[types.Extent]:
        rewriter = self._volume.rewriter
        return [] if rewriter is None else rewriter.within(extent)

    def _look(self, extent: types.Extent, anew: list[types.Extent],
              stop: pipelines.StopFlag) -> Looked:
        may_differ = self._volume.may_differ
        parts = None if may_differ is None else may_differ.within(extent)
        return Looked(extent, tuple(self._volume.encoder.look(
            extent, stop, parts, anew)))

    def _look_at_zeros(self, extent: types.Extent, anew: list[types.Extent],
                       stop: pipelines.StopFlag) -> Looked:
        return Looked(extent, tuple(self._volume.encoder.look_at_zeros(
            extent, stop, anew)))

    def _advance(self, extent: types.Extent) -> None:
        """Note that an extent needs no more reading."""
        self.done += extent.length
        self._early[extent.offset] = extent.end
        while (end := self._early.pop(self._position, None)) is not None:
            self._position = end

    def _seal(self, some: Iterator[packers.Sealed]) -> None:
        for sealed in some:
            self._sealed.append(sealed)
            self._traces.packs += 1
            for chunk, place in sealed.places():
                self._added.setdefault(
                    chunk.extent.offset // self._page_size,
                    packed_chunks.PackedChunks(str)).add(
                        chunk.extent, chunk.word, sealed.key, place)

    def _ready(self) -> Iterator[Task]:
        """Tasks for what has become ready to be put."""
        while self._sealed:
            sealed = self._sealed.pop()
            yield pipelines.Task(functools.partial(
                packers.put, self._operation, self._ref.container,
                self._block_size, sealed), sealed.length,
                sealed.length + _PUTTING)
        while self._next < self._writer.objects and self._are_whole(
                self._next):
            number = self._next
            self._next += 1
            self._traces.numbers.append(number * page_writer.IN_OBJECT)
            yield pipelines.Task(functools.partial(
                self._writer.write, number, self._take(number)), FULL,
                self._memory)

    def _are_whole(self, number: int) -> bool:
        """Whether all that changes the pages of an object is known."""
        extent = self._writer.extent(number)
        first = extent.offset // self._page_size
        return (self._position >= min(extent.end, self._volume.size)
                and self._packer.pages.isdisjoint(
                    range(first, first + page_writer.IN_OBJECT)))

    def _take(self, number: int) -> dict[int, packed_chunks.PackedChunks]:
        """The new chunks of the pages of an object."""
        first = number * page_writer.IN_OBJECT
        return {page: self._added.pop(page)
                for page in range(first, first + page_writer.IN_OBJECT)
                if page in self._added}

# SPDX-License-Identifier: Apache-2.0

"""Plans what to restore; does no input or output.

A plan overlays the chunks of a backup, newest wins:

1. Give each chunk of the chain a rank: newer backups win, and within a backup
   later entries of the manifest do.
2. Sweep over all chunks in the order of their offsets. Between one start and
   the next, the best of the chunks that reach there has the bytes. This
   gives runs of the volume in ascending order; what is past the size the
   volume had at the tip is left out.
3. Refuse at the first gap: a full backup covers its volume.
4. Group the runs by chunk. The chunks are in the order of where they write
   first.

In the form of packs there is a plan for one page of the manifest after the
other, see :mod:`cinder_swift_backup.engine.overlay`. Its chunks are in the
order of where they are stored, so that neighbours come together.

Each byte is therefore written once, in any order and by any worker. On a
volume that reads as zeros, zeros need not be written: no older layer of the
backup is written below them.

With N chunks in the chain this takes O(N log N) time, a few microseconds for
each, and 120 bytes for each at its peak, all of it in arrays: objects would
take ten times as much, and have the garbage collector stop everything.
"""

from array import array
import bisect
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import heapq
import itertools
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import overlay
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types

# A chunk in the sweep: where it starts, its negative number, its length. The
# smaller number wins, so that the best is on top of a heap.
_Item = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedChunk:
    """A chunk to fetch and the extents of the volume it fills."""

    container: str
    record: types.ChunkRecord
    extents: tuple[types.Extent, ...]


# The chunks of one layer, wherever they are.
_Chunks = chunk_table.ChunkTable | packed_chunks.PackedChunks


@dataclasses.dataclass(frozen=True, slots=True)
class _Layer:
    """Chunks that are objects of one container, or parts of such."""

    container: str
    chunks: _Chunks


class _Layers:
    """The chunks of several layers, numbered from the oldest."""

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self._layers = layers
        self._firsts = [0]
        for layer in layers:
            self._firsts.append(self._firsts[-1] + len(layer.chunks))

    def __len__(self) -> int:
        return self._firsts[-1]

    def find(self, number: int) -> tuple[_Layer, int]:
        """The layer that has a chunk, and the chunk's index in there."""
        at = bisect.bisect_right(self._firsts, number) - 1
        return self._layers[at], number - self._firsts[at]

    def items(self) -> Iterator[_Item]:
        """All chunks, in the order of their offsets."""
        return heapq.merge(*(
            _in_order(layer.chunks, first) for layer, first
            in zip(self._layers, self._firsts, strict=False)))


def _in_order(table: _Chunks, first: int) -> Iterable[_Item]:
    items = zip(table.offsets, range(-first, -first - len(table), -1),
                table.lengths, strict=True)
    if table.is_in_order():
        return items
    return sorted(items)


class PlannedChunks:
    """The chunks of a plan, made anew each time.

    ``offsets`` and ``lengths`` are those of all their extents, in bytes.
    ``may_be_neighbours`` is whether chunks that follow each other may do so in
    an object.
    """

    def __init__(self, layers: _Layers, runs: overlay.Runs, *,
                 as_numbered: bool = False) -> None:
        """Prepare.

        :param as_numbered: whether chunks are in the order of their numbers,
            rather than in that of where they write first
        """
        self._layers = layers
        # Only neighbours in a pack follow each other in that order.
        self.may_be_neighbours = as_numbered
        # The number of each planned chunk, in their order, and where its
        # extents begin.
        self._numbers = array('q')
        self._starts = array('q')
        self._group(runs, sorted(runs.numbers) if as_numbered
                    else runs.numbers)

    def _group(self, runs: overlay.Runs, numbers: Iterable[int]) -> None:
        places = array('q', [-1]) * len(self._layers)
        counts = array('q')
        for number in numbers:
            if places[number] < 0:
                places[number] = len(counts)
                counts.append(0)
                self._numbers.append(number)
            counts[places[number]] += 1
        # A loop of Python's, which lets other threads run meanwhile.
        self._starts.append(0)
        for count in counts:
            self._starts.append(self._starts[-1] + count)
        free = self._starts[:]
        self.offsets = array('q', bytes(8 * len(runs.numbers)))
        self.lengths = self.offsets[:]
        for number, offset, length in zip(runs.numbers, runs.offsets,
                                          runs.lengths, strict=True):
            place = places[number]
            self.offsets[free[place]] = offset
            self.lengths[free[place]] = length
            free[place] += 1

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[PlannedChunk]:
        """All chunks."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> PlannedChunk:
        """A chunk."""
        index = range(len(self))[index]
        layer, at = self._layers.find(self._numbers[index])
        start, end = self._starts[index], self._starts[index + 1]
        return PlannedChunk(
            layer.container, layer.chunks[at],
            tuple(map(types.Extent, self.offsets[start:end],
                      self.lengths[start:end])))

    def with_extent(self, index: int) -> PlannedChunk:
        """The chunk that has an extent of ``offsets`` and ``lengths``."""
        return self[self.place(index)]

    def place(self, index: int) -> int:
        """Which of the chunks that is."""
        return bisect.bisect_right(self._starts, index) - 1

    def of_each_codec(self) -> list[PlannedChunk]:
        """The first chunk with each word for a codec."""
        seen = set()
        firsts = []
        for index, number in enumerate(self._numbers):
            layer, at = self._layers.find(number)
            word = layer.chunks.compression(at)
            if word not in seen:
                seen.add(word)
                firsts.append(self[index])
        return firsts


class RestorePlan(Protocol):
    """All writes of a restore."""

    @property
    def end(self) -> int:
        """The restored size in bytes."""

    def parts(self) -> Iterator[PlannedChunks]:
        """The chunks of one part of the volume after the other.

        Only the coordinator may ask for them.

        :raises FormatError: when what tells of them is damaged
        :raises StoreError: when it cannot be had
        """

    def begin_of_part(self, offset: int) -> int:
        """Where the part begins that has an offset of the volume."""

    def part(self, begin: int,
             operation: operations.Operation) -> PlannedChunks:
        """The chunks of one part; any worker may ask for them.

        :param begin: where it begins
        :param operation: the worker's
        :raises FormatError: when what tells of them is damaged
        :raises StoreError: when it cannot be had
        """

    def cut(self, end: int) -> 'RestorePlan':
        """The same for fewer bytes of the volume."""

    def of_each_codec(self, call: pipelines.Call) -> list[PlannedChunk]:
        """A chunk with each word for a codec.

        Then all that tells of chunks has been read and compared.

        :param call: calls what computes
        :raises FormatError: as :meth:`parts` does
        """


@dataclasses.dataclass(frozen=True, slots=True)
class ChainPlan:
    """A :class:`RestorePlan` for a chain, which is one part."""

    chain: chains.Chain
    chunks: PlannedChunks
    end: int

    def parts(self) -> Iterator[PlannedChunks]:
        """See :class:`RestorePlan`."""
        yield self.chunks

    def begin_of_part(self, offset: int) -> int:
        """See :class:`RestorePlan`."""
        return 0

    def part(self, begin: int,
             operation: operations.Operation) -> PlannedChunks:
        """See :class:`RestorePlan`."""
        return self.chunks

    def cut(self, end: int) -> 'ChainPlan':
        """See :class:`RestorePlan`."""
        return plan_restore(self.chain, end)

    def of_each_codec(self, call: pipelines.Call) -> list[PlannedChunk]:
        """See :class:`RestorePlan`."""
        return call(self.chunks.of_each_codec)


def plan_restore(chain: chains.Chain, end: int | None = None) -> ChainPlan:
    """The plan that brings back the tip of ``chain``.

    :param end: where to stop, in bytes; by default where the volume ended
    :raises ChainError: when part of the volume is in none of its backups
    """
    if end is None:
        end = restored_size(chain)
    layers = _Layers([_Layer(link.ref.container, link.manifest.chunks)
                      for link in chain.links])
    try:
        runs = _sweep(layers.items(), 0, end)
    except exceptions.ChainError as err:
        err.detail = f'no backup of the chain {_names(chain)} has them'
        raise
    return ChainPlan(chain, PlannedChunks(layers, runs), end)


def plan_page(container: str, name: str, extent: types.Extent,
              chunks: packed_chunks.PackedChunks | None,
              block_size: int) -> PlannedChunks:
    """The plan for the part of the volume that a page is of.

    What no chunk has is planned as one chunk of zeros.

    :param container: that has the packs
    :param name: of the object that tells of the part
    :param extent: of the part, maybe cut
    :param chunks: those of the page, all in there; None for only zeros
    :param block_size: in bytes
    """
    zeros = packed_chunks.PackedChunks(lambda _: name)
    zeros.add(extent, packed_chunks.ZEROS, 0, types.Extent(0, 0))
    if chunks is None:
        chunks = packed_chunks.PackedChunks(str)
    return PlannedChunks(
        _Layers([_Layer(container, zeros), _Layer(container, chunks)]),
        overlay.runs(extent, chunks, block_size), as_numbered=True)


def _sweep(items: Iterator[_Item], begin: int, end: int) -> overlay.Runs:
    """Who has the bytes from ``begin`` to before ``end``.

    :param items: in the order of their offsets
    :raises ChainError: when some have no owner
    """
    runs = overlay.Runs()
    position = begin
    # Those that reach the position or begin there, the best on top. Those
    # that ended before are dropped when they come to the top, or when all of
    # them have ended.
    reaching: list[tuple[int, int]] = []
    furthest = 0
    for start, rank, length in itertools.chain(items, ((end, 0, 0),)):
        stop = min(start, end)
        while position < stop:
            while reaching and reaching[0][1] <= position:
                heapq.heappop(reaching)
            if not reaching:
                raise exceptions.ChainError(
                    'a manifest is incomplete', offset=position, end=stop,
                    remedy=exceptions.Remedy.OTHER_BACKUP)
            best, until = reaching[0]
            until = min(until, stop)
            runs.add(-best, position, until)
            position = until
        if start >= end:
            return runs
        if furthest <= start:
            reaching.clear()
        furthest = max(furthest, start + length)
        # What a better one covers as a whole never comes up.
        if (not reaching or rank < reaching[0][0]
                or reaching[0][1] < start + length):
            heapq.heappush(reaching, (rank, start + length))
    return runs


def restored_size(chain: chains.Chain) -> int:
    """How many bytes the tip of a chain has."""
    # The stock driver does not record the size. Cinder does not shrink
    # volumes, so the volume was as large as what the chain stores of it.
    size = chain.tip.manifest.volume_size
    if size is None:
        return max(link.manifest.end for link in chain.links)
    return size


def _names(chain: chains.Chain) -> str:
    return ', '.join(link.ref.backup_id for link in chain.links)

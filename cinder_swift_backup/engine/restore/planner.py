# SPDX-License-Identifier: Apache-2.0

"""Plans what to restore; does no input or output.

A plan overlays a chain, newest wins:

1. Give each chunk of the chain a rank: newer backups win, and within a backup
   later entries of the manifest do.
2. Sweep over all chunks in the order of their offsets. Between one start and
   the next, the best of the chunks that reach there has the bytes. This
   gives runs of the volume in ascending order; what is past the size the
   volume had at the tip is left out.
3. Refuse at the first gap: a full backup covers its volume.
4. Group the runs by chunk. The chunks are in the order of where they write
   first.

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
import dataclasses
import heapq
import itertools

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import types

# A chunk in the sweep: where it starts, its negative number, its length. The
# smaller number wins, so that the best is on top of a heap.
_Item = tuple[int, int, int]


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedChunk:
    """One object to fetch and the extents of the volume it fills."""

    container: str
    record: types.ChunkRecord
    extents: tuple[types.Extent, ...]


class _Layers:
    """The chunks of all backups of a chain, numbered from the oldest."""

    def __init__(self, chain: chains.Chain) -> None:
        self._links = chain.links
        self._firsts = [0]
        for link in chain.links:
            self._firsts.append(self._firsts[-1] + len(link.manifest.chunks))

    def __len__(self) -> int:
        return self._firsts[-1]

    def find(self, number: int) -> tuple[chains.ChainLink, int]:
        """The backup that has a chunk, and the chunk's index in there."""
        at = bisect.bisect_right(self._firsts, number) - 1
        return self._links[at], number - self._firsts[at]

    def items(self) -> Iterator[_Item]:
        """All chunks, in the order of their offsets."""
        return heapq.merge(*(
            _in_order(link.manifest.chunks, first) for link, first
            in zip(self._links, self._firsts, strict=False)))


def _in_order(table: chunk_table.ChunkTable, first: int) -> Iterable[_Item]:
    items = zip(table.offsets, range(-first, -first - len(table), -1),
                table.lengths, strict=True)
    if table.is_in_order():
        return items
    return sorted(items)


class PlannedChunks:
    """The chunks of a plan, made anew each time.

    ``offsets`` and ``lengths`` are those of all their extents, in bytes.
    """

    def __init__(self, layers: _Layers, runs: '_Runs') -> None:
        self._layers = layers
        # The number of each planned chunk, in the order of where they write
        # first, and where its extents begin.
        self._numbers = array('q')
        self._starts = array('q')
        self._group(runs)

    def _group(self, runs: '_Runs') -> None:
        places = array('q', [-1]) * len(self._layers)
        counts = array('q')
        for number in runs.numbers:
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
        link, at = self._layers.find(self._numbers[index])
        start, end = self._starts[index], self._starts[index + 1]
        return PlannedChunk(
            link.ref.container, link.manifest.chunks[at],
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
            link, at = self._layers.find(number)
            word = link.manifest.chunks.compression(at)
            if word not in seen:
                seen.add(word)
                firsts.append(self[index])
        return firsts


@dataclasses.dataclass(frozen=True, slots=True)
class RestorePlan:
    """All writes of a restore; ``end`` is the restored size in bytes."""

    chunks: PlannedChunks
    end: int


class _Runs:
    """Runs of the volume in ascending order, and whose they are."""

    def __init__(self) -> None:
        self.numbers = array('q')
        self.offsets = array('q')
        self.lengths = array('q')

    def add(self, number: int, start: int, end: int) -> None:
        # Nothing is between two runs, so only the number decides.
        if self.numbers and self.numbers[-1] == number:
            self.lengths[-1] += end - start
            return
        self.numbers.append(number)
        self.offsets.append(start)
        self.lengths.append(end - start)


def plan_restore(chain: chains.Chain, end: int | None = None) -> RestorePlan:
    """The plan that brings back the tip of ``chain``.

    :param end: where to stop, in bytes; by default where the volume ended
    :raises ChainError: when part of the volume is in none of its backups
    """
    if end is None:
        end = _restored_size(chain)
    layers = _Layers(chain)
    try:
        runs = _sweep(layers.items(), end)
    except exceptions.ChainError as err:
        err.detail = f'no backup of the chain {_names(chain)} has them'
        raise
    return RestorePlan(PlannedChunks(layers, runs), end)


def _sweep(items: Iterator[_Item], end: int) -> _Runs:
    """Who has the bytes from 0 to ``end``.

    :param items: in the order of their offsets
    :raises ChainError: when some have no owner
    """
    runs = _Runs()
    position = 0
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


def _restored_size(chain: chains.Chain) -> int:
    # The stock driver does not record the size. Cinder does not shrink
    # volumes, so the volume was as large as what the chain stores of it.
    size = chain.tip.manifest.volume_size
    if size is None:
        return max(link.manifest.end for link in chain.links)
    return size


def _names(chain: chains.Chain) -> str:
    return ', '.join(link.ref.backup_id for link in chain.links)

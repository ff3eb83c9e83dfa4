# SPDX-License-Identifier: Apache-2.0

"""``python -m tests.bench.year``: a year of nights in packs, without data.

What grows without bounds only shows after many nights. So blocks are only
counted here: which pack has each block of a volume, of which chunk it is, and
which packs the backups need that are kept.

1. A full backup of a volume of plain data.
2. Each night some blocks change, and a backup stores them, along with those
   that the rule of the driver has it rewrite.
3. The last thirty backups are kept, and packs that none of them names go.

Sizes are those of the driver. All numbers scale with the volume, so that a
small one tells of a large one. It needs numpy.
"""

import argparse
from collections.abc import Iterator
import dataclasses

import numpy as np

from cinder_swift_backup.engine.backup import compaction
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import packs

_BLOCK = 32768
_PAGE = 4096
_IN_PACK = packer.FULL // _BLOCK
_IN_CHUNK = (1 << 20) // _BLOCK
# The part of the volume that changes each night.
_CHANGED = 0.01
_NIGHTS = 365
_KEPT = 30
_SCALE = 1 << 40
_LOADS = {
    'uniform': '1 % of the 4 KiB pages, anywhere',
    'hot': 'the same, 90 % of them in a tenth of the volume',
    'clustered': '1 % of the volume, in extents of 1 MiB',
}


def _changes(source: np.random.Generator, count: int,
             load: str) -> np.ndarray:
    """Which of so many blocks change in a night."""
    each = _BLOCK // _PAGE
    number = int(count * each * _CHANGED)
    if load == 'clustered':
        firsts = source.integers(0, count // _IN_CHUNK,
                                 number // each // _IN_CHUNK) * _IN_CHUNK
        where = (firsts[:, None] + np.arange(_IN_CHUNK)).ravel()
    elif load == 'hot':
        where = np.concatenate((
            source.integers(0, count * each // 10, number * 9 // 10),
            source.integers(0, count * each, number // 10))) // each
    else:
        where = source.integers(0, count * each, number) // each
    changed = np.zeros(count, bool)
    changed[where] = True
    return changed


class Volume:
    """Where each block of a volume is stored, and how large all packs are."""

    def __init__(self, count: int) -> None:
        """A full backup of so many blocks."""
        self.count = count
        self._chunks = np.zeros(count, np.int64)
        # Of all chunks and of all packs there have ever been, in blocks.
        self._lengths = np.zeros(0, np.int64)
        self._packs = np.zeros(0, np.int64)
        self.sizes = np.zeros(0, np.int64)
        self.store(np.ones(count, bool))

    def store(self, changed: np.ndarray) -> None:
        """Store these blocks anew, in packs of their own."""
        blocks = np.flatnonzero(changed)
        begins = np.ones(len(blocks), bool)
        begins[1:] = ((np.diff(blocks) != 1)
                      | (blocks[1:] % _IN_CHUNK == 0))
        chunks = np.cumsum(begins) - 1
        lengths = np.bincount(chunks)
        self._chunks[blocks] = len(self._lengths) + chunks
        self._packs = np.concatenate((
            self._packs,
            len(self.sizes) + (np.cumsum(lengths) - lengths) // _IN_PACK))
        self._lengths = np.concatenate((self._lengths, lengths))
        self.sizes = np.bincount(self._packs, weights=self._lengths)

    @property
    def living(self) -> np.ndarray:
        """How many blocks of each pack are needed."""
        return np.bincount(self._packs[self._chunks],
                           minlength=len(self.sizes))

    @property
    def chunks(self) -> int:
        """How many chunks are needed."""
        return len(np.unique(self._chunks))

    def to_rewrite(self) -> np.ndarray:
        """The blocks that the driver would store anew."""
        living = self.living
        keys = compaction.choose(chains.Point(
            _BLOCK, _BLOCK, [
                packs.Pack(key, '', int(self.sizes[key]), '', 0, b'', 1,
                           int(living[key]))
                for key in np.flatnonzero(living).tolist()
            ], (), chunk_table.ChunkTable(''), {}))
        doomed = np.zeros(len(self.sizes), bool)
        doomed[list(keys)] = True
        return doomed[self._packs[self._chunks]]


@dataclasses.dataclass
class Night:
    """After a night; all but the numbers in parts of the volume."""

    number: int
    needed: float
    stored: float
    named: float
    rewritten: float
    packs: int
    chunks: int


def nights(count: int, load: str, rewrites: bool) -> Iterator[Night]:
    """Back up a volume of so many blocks each night."""
    source = np.random.default_rng(3)
    volume = Volume(count)
    last = np.zeros(len(volume.sizes), np.int64)
    new, again = [count], [0]
    for number in range(1, _NIGHTS + 1):
        changed = _changes(source, count, load)
        new.append(int(changed.sum()))
        more = (volume.to_rewrite() & ~changed if rewrites
                else np.zeros(count, bool))
        again.append(int(more.sum()))
        volume.store(changed | more)
        last = np.concatenate((last, np.zeros(
            len(volume.sizes) - len(last), np.int64)))
        named = volume.living > 0
        last[named] = number
        since = max(number - _KEPT + 1, 0)
        yield Night(
            # The tip, and what the nights replaced of which it is kept.
            number, (count + sum(new[since + 1:])) / count,
            volume.sizes[last >= since].sum() / count,
            volume.sizes[named].sum() / count,
            float(np.mean(again[-_KEPT:])) / count,
            int(named.sum()), volume.chunks)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--gib', type=int, default=16,
                        help='size of the volume (default: 16)')
    size = parser.parse_args().gib << 30
    scale = _SCALE / size
    print(f'needed = {compaction.NEEDED}, budget = {compaction.BUDGET}')
    for load, meaning in _LOADS.items():
        print(f'\n{load}: {meaning}')
        print(f'{"rewrites":10}{"night":>6}{"needed":>8}{"stored":>8}'
              f'{"alive":>7}{"tip":>6}{"again":>8}{"packs":>9}{"chunks":>12}')
        for rewrites in (False, True):
            for night in nights(size // _BLOCK, load, rewrites):
                if night.number not in (30, 90, 180, _NIGHTS):
                    continue
                print(f'{"yes" if rewrites else "no":10}{night.number:>6}'
                      f'{night.needed:>8.2f}{night.stored:>8.2f}'
                      f'{night.needed / night.stored:>7.0%}'
                      f'{night.named:>6.2f}{night.rewritten:>8.2%}'
                      f'{night.packs * scale:>9.0f}'
                      f'{night.chunks * scale:>12.0f}', flush=True)


if __name__ == '__main__':
    main()

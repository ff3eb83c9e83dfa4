# SPDX-License-Identifier: Apache-2.0

"""What counts as growth.

1. The first quarter of the samples is warming up and does not count.
2. Memory: the median of the last quarter is at most :data:`MARGIN` above that
   of the second. Medians, because the heap goes up and down by some MiB from
   one round to the next.
3. Threads, descriptors and connections: none in the last quarter has more than
   :data:`SLACK` above the most of the first :data:`SETTLED` rounds, by when
   everything was done that there is to be done.
"""

from collections.abc import Sequence
import dataclasses
import statistics

MIB = 1 << 20
# Bytes. In 200 rounds it takes 80 KiB a round to get there.
MARGIN = 8 * MIB
# A connection to Keystone and one to Swift, which may be idle or closed.
SLACK = 2
# Rounds.
SETTLED = 3
# So that a quarter has two samples.
FEWEST = 8
COUNTS = ('threads', 'descriptors', 'connections')


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What a process holds; memory in bytes."""

    memory: int
    threads: int
    descriptors: int
    connections: int


def growth(samples: Sequence[Sample]) -> list[str]:
    """What has grown over the rounds, in words; nothing if all is flat.

    :param samples: one after each round, :data:`FEWEST` at least
    """
    if len(samples) < FEWEST:
        raise ValueError(f'{len(samples)} samples tell nothing')
    quarter = len(samples) // 4
    return [*_grown_memory(samples[quarter:2 * quarter], samples[-quarter:]),
            *more(samples[:SETTLED], samples[-quarter:])]


def more(before: Sequence[Sample], after: Sequence[Sample]) -> list[str]:
    """Of what there is more after than before, in words, besides memory."""
    return list(filter(None, (_grown_count(name, before, after)
                              for name in COUNTS)))


def _grown_memory(second: Sequence[Sample],
                  last: Sequence[Sample]) -> list[str]:
    before, after = (statistics.median(sample.memory for sample in part)
                     for part in (second, last))
    if after <= before + MARGIN:
        return []
    return [f'memory has grown from {before / MIB:.1f} to '
            f'{after / MIB:.1f} MiB, by more than {MARGIN // MIB}']


def _grown_count(name: str, before: Sequence[Sample],
                 after: Sequence[Sample]) -> str:
    first, last = (max(getattr(sample, name) for sample in part)
                   for part in (before, after))
    if last <= first + SLACK:
        return ''
    return (f'{name} have grown from {first} to {last}, by more than '
            f'{SLACK}')

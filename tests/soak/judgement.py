# SPDX-License-Identifier: Apache-2.0

"""What counts as growth.

1. The first quarter of the samples is warming up and does not count.
2. Memory: the median of the last quarter is at most a margin above that of
   the second. Medians, because memory goes up and down as garbage is
   collected. What is used is resident without what malloc holds free: it keeps
   that for each thread, up to a limit that green threads, with sixty native
   ones to call into, take a hundred rounds to come near. So of fewer than
   those of :data:`LONG` the rest tells nothing.
3. Threads, descriptors and connections: none in the last quarter has more than
   :data:`SLACK` above the most of the first :data:`SETTLED` rounds, by when
   everything was done that there is to be done.
"""

from collections.abc import Sequence
import dataclasses
import statistics

MIB = 1 << 20
# Bytes, and blocks of Python's. 200 rounds get there with 80 KiB or 200 blocks
# a round.
MARGINS = {'resident': 32 * MIB, 'used': 8 * MIB, 'blocks': 20000}
# A connection to Keystone and one to Swift, which may be idle or closed.
SLACK = 2
# Rounds.
SETTLED = 3
# What is only judged after so many of them.
LONG = {'resident': 200, 'blocks': 100}
# So that a quarter has two samples.
FEWEST = 8
COUNTS = ('threads', 'descriptors', 'connections')


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """What a process holds; ``resident`` and ``used`` in bytes."""

    resident: int
    used: int
    blocks: int
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
    second, last = samples[quarter:2 * quarter], samples[-quarter:]
    names = [name for name in MARGINS
             if len(samples) >= LONG.get(name, FEWEST)]
    return [*filter(None, (_grown_memory(name, second, last)
                           for name in names)),
            *more(samples[:SETTLED], last)]


def more(before: Sequence[Sample], after: Sequence[Sample]) -> list[str]:
    """Of what there is more after than before, in words, besides memory."""
    return list(filter(None, (_grown_count(name, before, after)
                              for name in COUNTS)))


def _grown_memory(name: str, second: Sequence[Sample],
                  last: Sequence[Sample]) -> str:
    before, after = (statistics.median(getattr(sample, name)
                                       for sample in part)
                     for part in (second, last))
    if after <= before + MARGINS[name]:
        return ''
    return (f'{name}: from {before:,.0f} to {after:,.0f}, more than '
            f'{MARGINS[name]:,} above')


def _grown_count(name: str, before: Sequence[Sample],
                 after: Sequence[Sample]) -> str:
    first, last = (max(getattr(sample, name) for sample in part)
                   for part in (before, after))
    if last <= first + SLACK:
        return ''
    return f'{name}: from {first} to {last}, more than {SLACK} above'

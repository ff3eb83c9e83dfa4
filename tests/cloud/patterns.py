# SPDX-License-Identifier: Apache-2.0

"""What the demonstration writes to its volume.

The same in every run: some of it compresses, some does not, some is zero,
and most of the volume stays a hole.
"""

from collections.abc import Callable
import dataclasses
import random

MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Write:
    """A stretch of the volume and what is written to it."""

    offset_mib: int
    size_mib: int
    make: Callable[[random.Random], bytes]

    def apply(self, write: Callable[[int, bytes], None]) -> None:
        """Write it, one MiB at a time, the same in every run.

        :param write: takes an offset in bytes, and what to write there
        """
        source = random.Random(self.offset_mib)
        for number in range(self.size_mib):
            write((self.offset_mib + number) * MIB, self.make(source))


def _noise(source: random.Random) -> bytes:
    return source.randbytes(MIB)


def _zeros(source: random.Random) -> bytes:
    return bytes(MIB)


def _text(source: random.Random) -> bytes:
    words = ('volume', 'backup', 'restore', 'chunk', 'object', 'digest')
    line = ' '.join(source.choices(words, k=4000)) + '\n'
    return (line.encode() * (MIB // len(line) + 1))[:MIB]


FIRST = (Write(0, 100, _noise), Write(400, 100, _text))
# Within data, across its end, over data with zeros, and into a hole.
CHANGE = (
    Write(50, 8, _noise),
    Write(496, 8, _text),
    Write(20, 16, _zeros),
    Write(900, 4, _noise),
)

# SPDX-License-Identifier: Apache-2.0

"""The volumes that are measured: files without holes.

* ``mix``: 64 KiB of text and 64 KiB of noise in turn, as in file systems
  that hold documents beside packed files;
* ``noise``: what does not compress, as on encrypted volumes.
"""

from collections.abc import Iterator
import itertools
import pathlib
import random

MIB = 1 << 20
KINDS = ('mix', 'noise')
GRAIN = 64 * 1024
# Text repeats after this much, far outside the window of every codec.
_POOL = 32 * MIB


def write(kind: str, path: pathlib.Path, size: int) -> None:
    """Write an image of ``size`` bytes, the same in every run."""
    with open(path, 'wb') as file:
        file.writelines(itertools.islice(
            grains(kind, random.Random(kind)), size // GRAIN))


def grains(kind: str, source: random.Random) -> Iterator[bytes]:
    """The content of an image without end, :data:`GRAIN` bytes a time."""
    return _KINDS[kind](source)


def _noise(source: random.Random) -> Iterator[bytes]:
    while True:
        yield source.randbytes(GRAIN)


def _mix(source: random.Random) -> Iterator[bytes]:
    text = _text(source)
    for number in itertools.count():
        start = number * GRAIN % len(text)
        yield text[start:start + GRAIN]
        yield source.randbytes(GRAIN)


def _text(source: random.Random) -> bytes:
    """Made-up words, the common ones as common as in a language."""
    letters = 'etaoinshrdlcumwfgypbvk'
    words = [''.join(source.choices(letters, k=source.randint(2, 9)))
             for _ in range(20000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    count = _POOL // 6
    chosen = source.choices(words, weights, k=count)
    text = ' '.join(chosen).encode()
    return text[:len(text) // GRAIN * GRAIN]


_KINDS = {'mix': _mix, 'noise': _noise}

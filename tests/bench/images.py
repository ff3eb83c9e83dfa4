# SPDX-License-Identifier: Apache-2.0

"""The volumes that are measured.

* ``mix``: 64 KiB of text and 64 KiB of noise in turn, as in file systems
  that hold documents beside packed files;
* ``noise``: what does not compress, as on encrypted volumes;
* ``text``: what compresses well;
* ``zeros``: written, not holes;
* ``sparse``: holes, and 3 % of mix in stretches of 4 MiB anywhere;
* ``pieces``: the same in stretches of 1 MiB.
"""

from collections.abc import Iterator
import itertools
import os
import pathlib
import random
import subprocess

MIB = 1 << 20
KINDS = ('mix', 'noise', 'text', 'zeros', 'sparse')
# Those of the matrix, and others.
ALL = (*KINDS, 'pieces')
GRAIN = 64 * 1024
_STRETCHES = {'sparse': 4 * MIB, 'pieces': MIB}
_DATA = 0.03
# What a guest's file system writes at once.
_PAGE = 4096
# Text repeats after this much, far outside the window of every codec.
_POOL = 32 * MIB


def write(kind: str, path: pathlib.Path, size: int) -> None:
    """Write an image of ``size`` bytes, the same in every run."""
    source = random.Random(kind)
    with open(path, 'wb') as file:
        stretch = _STRETCHES.get(kind)
        if stretch is None:
            file.writelines(itertools.islice(grains(kind, source),
                                             size // GRAIN))
            return
        data = grains('mix', source)
        for place in sorted(source.sample(
                range(size // stretch),
                max(round(size * _DATA / stretch), 1))):
            file.seek(place * stretch)
            file.writelines(itertools.islice(data, stretch // GRAIN))
        file.truncate(size)


def change(image: pathlib.Path, path: pathlib.Path, part: float) -> None:
    """Make a copy of an image with some of its pages overwritten.

    :param part: of the pages that are written anew, from 0 to 1; they are
        anywhere, as those of a database
    """
    subprocess.run(['cp', '--sparse=always', str(image), str(path)],
                   check=True)
    source = random.Random(path.name)
    with open(path, 'r+b') as file:
        pages = os.path.getsize(path) // _PAGE
        for page in sorted(source.sample(range(pages), round(pages * part))):
            file.seek(page * _PAGE)
            file.write(source.randbytes(_PAGE))


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


def _only_text(source: random.Random) -> Iterator[bytes]:
    text = _text(source)
    for number in itertools.count():
        start = number * GRAIN % len(text)
        yield text[start:start + GRAIN]


def _zeros(source: random.Random) -> Iterator[bytes]:
    return itertools.repeat(bytes(GRAIN))


_KINDS = {'mix': _mix, 'noise': _noise, 'text': _only_text, 'zeros': _zeros}

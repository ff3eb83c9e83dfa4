# SPDX-License-Identifier: Apache-2.0

"""What each codec and level stores, and how fast, beside the stock driver's.

Everything runs on one core, with the MD5 that either driver computes, on four
kinds of data: ``mix`` and ``noise`` as the other measurements have them,
``text``, the Python sources of the standard library, and ``ELF``, the
machine's shared libraries. Speeds are multiples of the speed of zlib as the
stock driver uses it, on the same data in the same run.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools
import hashlib
import itertools
import pathlib
import random
import sysconfig
import time
import zlib

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import stored_form
from tests.bench import images

_SIZE = 32 << 20
_PIECE = 2 << 20
_WORDS = ('zlib', 'zstd', 'bz2')


def show() -> None:
    """Measure and print the table."""
    kinds = {'mix': _generated('mix'), 'text': _sources(),
             'ELF': _libraries(), 'noise': _generated('noise')}
    print(f'{"":16}' + ''.join(f'{kind:>20}' for kind in kinds))
    print(f'{"":16}' + f'{"speed    stored":>20}' * len(kinds))
    stock = {kind: _timed(_stock, data)
             for kind, data in kinds.items()}
    _row('stock zlib', stock, stock)
    for word, level in itertools.product(_WORDS, codecs.Level):
        codec = codecs.find(word)
        found = {kind: _timed(functools.partial(_ours, codec, level), data)
                 for kind, data in kinds.items()}
        _row(f'{word} {level.value}', found, stock)


Timed = tuple[float, float]


def _row(name: str, found: dict[str, Timed],
         stock: dict[str, Timed]) -> None:
    print(f'{name:16}' + ''.join(
        f'{stock[kind][0] / seconds:11.1f} x{stored:7.3f}'
        for kind, (seconds, stored) in found.items()))


def _timed(encode: Callable[[bytes], int], data: bytes) -> Timed:
    """Seconds a byte, and stored bytes a byte."""
    begun = time.perf_counter()
    length = encode(data)
    return (time.perf_counter() - begun) / len(data), length / len(data)


def _stock(data: bytes) -> int:
    # What does not get smaller is stored as it is. The MD5 is of the data.
    hashlib.md5(data, usedforsecurity=False).hexdigest()
    return min(len(zlib.compress(data)), len(data))


def _ours(codec: codecs.Codec, level: codecs.Level, data: bytes) -> int:
    maker = stored_form.StoredFormMaker(codec, level, len(data))
    view = memoryview(data)
    for start in range(0, len(data), _PIECE):
        maker.feed(view[start:start + _PIECE])
    return len(maker.finish().data)


def _generated(kind: str) -> bytes:
    return b''.join(itertools.islice(
        images.grains(kind, random.Random(kind)), _SIZE // images.GRAIN))


def _sources() -> bytes:
    library = pathlib.Path(sysconfig.get_path('stdlib'))
    return _contents(library.rglob('*.py'))


def _libraries() -> bytes:
    return _contents(itertools.chain.from_iterable(
        pathlib.Path(place).glob('**/*.so*')
        for place in ('/usr/lib', '/lib64', sysconfig.get_path('platlib'))))


def _contents(paths: Iterable[pathlib.Path]) -> bytes:
    """The files' bytes, up to as much as is measured."""
    found = bytearray()
    for path in sorted(paths):
        if path.is_file() and not path.is_symlink():
            found += path.read_bytes()
        if len(found) >= _SIZE:
            break
    return bytes(found[:_SIZE])

# SPDX-License-Identifier: Apache-2.0

"""The stored form of zeros, made without compressing them.

Zlib's is put together from the same blocks again and again: each is flushed
so that it needs nothing of what came before. 256 MiB take 260 KB and no time.

If there are terabytes of zeros, even these add up. By bz2, 256 MiB take 200
bytes, but a second to make; so this pays if it is stored many times.

Any reader takes both, whatever codec the operator has chosen. Zstd does well
in both respects, but not every host of the stock driver has it, so it is only
used where it was chosen.
"""

import bz2
import hashlib
import zlib

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import zeros

_BLOCK = 1 << 20
_HEADER = b'\x78\xda'
# The base of Adler-32 (RFC 1950).
_BASE = 65521
_ZSTD = 'zstd'


def make(word: str, length: int, *, many: bool = False,
         ) -> stored_form.StoredForm:
    """The stored form of so many zeros.

    :param word: of the codec that was chosen
    :param many: whether it will be stored many times
    """
    if word.lower() == _ZSTD:
        found, data = _ZSTD, _zstd(length)
    elif many:
        found, data = 'bz2', _bz2(length)
    else:
        found, data = 'zlib', _zlib(length)
    if len(data) >= length:
        found, data = codecs.NONE.word, bytes(length)
    return stored_form.StoredForm(
        found, memoryview(data),
        hashlib.md5(data, usedforsecurity=False).hexdigest())


def _zlib(length: int) -> bytes:
    count, rest = divmod(length, _BLOCK)
    # Of zeros, one sum of Adler-32 stays 1 and the other counts the bytes.
    adler = (length % _BASE) << 16 | 1
    return b''.join((
        _HEADER, _raw(_BLOCK, zlib.Z_FULL_FLUSH) * count,
        _raw(rest, zlib.Z_FINISH), adler.to_bytes(4, 'big')))


def _raw(length: int, mode: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b''.join((*map(compressor.compress, zeros.pieces(length)),
                     compressor.flush(mode)))


def _bz2(length: int) -> bytes:
    compressor = bz2.BZ2Compressor()
    return b''.join((*map(compressor.compress, zeros.pieces(length)),
                     compressor.flush()))


def _zstd(length: int) -> bytes:
    encoder = codecs.Codecs().find(_ZSTD).encoder(length,
                                                  codecs.Level.BALANCED)
    return b''.join((*map(encoder.feed, zeros.pieces(length)),
                     encoder.finish()))

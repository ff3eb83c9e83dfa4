# SPDX-License-Identifier: Apache-2.0

"""The stored form of zeros, made without compressing them.

Zlib's is put together from the same blocks again and again: each is flushed
so that it needs nothing of what came before. 256 MiB take 260 KB and no time.

If there are terabytes of zeros, even these add up. By bz2, 256 MiB take 208
bytes, but a second to make. So these are here, as a constant.

Any reader takes both, whatever codec the operator has chosen. Zstd does well
in both respects, but not every host of the stock driver has it, so it is only
used where it was chosen.
"""

import functools
import hashlib
import zlib

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import zeros

# Bytes: what the stock driver decodes in memory.
LARGEST = 256 << 20
_BLOCK = 1 << 20
_HEADER = b'\x78\xda'
# The base of Adler-32 (RFC 1950).
_BASE = 65521
_ZSTD = 'zstd'
# The stream of bz2, level 9, for :data:`LARGEST` zeros.
_LARGEST = b''.join((b'BZh9', 5 * bytes.fromhex(
    '3141592653590e09e2df015f8e4000c0000008200030804d4642a025a90a'
    '8097'), bytes.fromhex(
    '3141592653591ecee4db012a3fc000c0040008200030cc0529a6aaa8491b'
    '002248f1772453850906b17caf00')))


@functools.lru_cache(maxsize=16)
def make(word: str, length: int) -> stored_form.StoredForm:
    """The stored form of so many zeros.

    :param word: of the codec that was chosen
    """
    if word.lower() == _ZSTD:
        codec, data = _ZSTD, _zstd(length)
    elif length == LARGEST:
        codec, data = 'bz2', _LARGEST
    else:
        codec, data = 'zlib', _zlib(length)
    if len(data) >= length:
        codec, data = codecs.NONE.word, bytes(length)
    return stored_form.StoredForm(
        codec, memoryview(data),
        hashlib.md5(data, usedforsecurity=False).hexdigest())


def _zlib(length: int) -> bytes:
    count, rest = divmod(length, _BLOCK)
    # Of zeros, one sum of Adler-32 stays 1 and the other counts the bytes.
    adler = (length % _BASE) << 16 | 1
    return b''.join((
        _HEADER, _raw(_BLOCK, zlib.Z_FULL_FLUSH) * count,
        _raw(rest, zlib.Z_FINISH), adler.to_bytes(4, 'big')))


@functools.lru_cache(maxsize=4)
def _raw(length: int, mode: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return b''.join((*map(compressor.compress, zeros.pieces(length)),
                     compressor.flush(mode)))


def _zstd(length: int) -> bytes:
    encoder = codecs.find(_ZSTD).encoder(length, codecs.Level.BALANCED)
    return b''.join((*map(encoder.feed, zeros.pieces(length)),
                     encoder.finish()))

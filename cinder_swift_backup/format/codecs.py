# SPDX-License-Identifier: Apache-2.0

"""How chunk data is compressed, piece by piece.

The manifest names a codec by the word the operator configured, in lower
case. Facts about those words, from Cinder's ``chunkeddriver``:

* ``none``, ``off`` and ``no`` say that data is stored as it is.
* ``gzip`` is a plain zlib stream (RFC 1950), not a gzip file.
* ``zstd`` is read by the PyPI package ``zstd``, which needs one frame that
  carries its content size.
* the stock reader stops at the end of the first zlib stream, so a chunk is
  always exactly one stream.

Encoders are told the length of the data before they get it, decoders the
length that must come out. Neither holds more than a piece of the data, besides
the window of its codec: less than a MiB for zlib, up to 8 MiB for bz2, and up
to 16 MiB for zstd at level small. Frames of zstd that ask for a larger window
than :data:`_ZSTD_WINDOW` are refused.
"""

import bz2
from collections.abc import Callable
import dataclasses
import enum
import sys

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import deflate
from cinder_swift_backup.format import streams

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Level(enum.Enum):
    """The balance between time spent and bytes stored."""

    FAST = 'fast'
    BALANCED = 'balanced'
    SMALL = 'small'


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """A compression under the word that the manifest uses for it.

    ``encoder`` takes the length of the data in bytes and a level,
    ``decoder`` the length that the data must have.
    """

    word: str
    encoder: Callable[[int, Level], streams.Encoder]
    decoder: Callable[[int], streams.Decoder]


def find(word: str) -> Codec:
    """The codec for a word of a manifest or a configuration.

    :raises FormatError: when the word is not known
    """
    codec = _STOCK.get(word.lower())
    if codec is None:
        raise exceptions.FormatError(
            f'unknown compression {word[:80].lower()!r}',
            detail=f'known are {", ".join(sorted(_STOCK))}',
            remedy=exceptions.Remedy.NEWER_RELEASE)
    return codec


def _zlib_encoder(length: int, level: Level) -> streams.Encoder:
    return deflate.Encoder({
        Level.FAST: lambda: deflate.fast_compressor(1, 1),
        Level.BALANCED: lambda: deflate.fast_compressor(3, 6),
        Level.SMALL: lambda: deflate.small_compressor(6),
    }[level]())


def _bz2_encoder(length: int, level: Level) -> streams.Encoder:
    return streams.StreamEncoder(
        bz2.BZ2Compressor(1 if level is Level.FAST else 9))


# The binary logarithm of bytes. The stock driver writes windows of 2 MiB at
# most and we of 4 MiB; a frame may ask for any size up to 2 GiB.
_ZSTD_WINDOW = 23
_ZSTD_LEVELS = {Level.FAST: 1, Level.BALANCED: 3, Level.SMALL: 9}


def _zstd_encoder(length: int, level: Level) -> streams.Encoder:
    compressor = zstd.ZstdCompressor(_ZSTD_LEVELS[level])
    compressor.set_pledged_input_size(length)
    return streams.StreamEncoder(compressor)


def _zstd_stream() -> streams.Decompressor:
    return zstd.ZstdDecompressor(options={
        zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW})


def _stream_codec(word: str, encoder: Callable[[int, Level], streams.Encoder],
                  stream: Callable[[], streams.Decompressor],
                  *errors: type[Exception]) -> Codec:
    return Codec(word, encoder, lambda length: streams.StreamDecoder(
        word, stream(), errors, length))


def _zlib(word: str) -> Codec:
    return _stream_codec(word, _zlib_encoder, deflate.ZlibStream,
                         *deflate.ERRORS)


def _bz2(word: str) -> Codec:
    return _stream_codec(word, _bz2_encoder, bz2.BZ2Decompressor, OSError)


NONE = Codec('none', lambda length, level: streams.PlainEncoder(),
             streams.PlainDecoder)
_STOCK = {
    'none': NONE,
    'off': NONE,
    'no': NONE,
    'zlib': _zlib('zlib'),
    'gzip': _zlib('gzip'),
    'bz2': _bz2('bz2'),
    'bzip2': _bz2('bzip2'),
    'zstd': _stream_codec('zstd', _zstd_encoder, _zstd_stream,
                          zstd.ZstdError),
}

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
length that must come out. Neither holds more than a piece at a time.
"""

import bz2
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import enum
import sys
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import deflate

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

# The most that a decoder gives at once, in bytes.
PIECE = 1 << 20


class Level(enum.Enum):
    """How much time to spend for how few bytes."""

    FAST = 'fast'
    BALANCED = 'balanced'
    SMALL = 'small'


class Encoder(Protocol):
    """Makes the stored form of data."""

    def feed(self, data: memoryview, /) -> bytes:
        """Take more data, give what is ready of its stored form."""

    def finish(self) -> bytes:
        """The rest of the stored form."""


class Decoder(Protocol):
    """Makes data of its stored form."""

    def feed(self, stored: bytes, /) -> Iterator[bytes]:
        """Data that ``stored`` completes, at most :data:`PIECE` at a time.

        Has to be used up before more is fed.

        :raises FormatError: when it is no valid stream, or more than one
        :raises LengthMismatch: when there is more data than there should be
        """

    def finish(self) -> None:
        """Check that nothing is missing.

        :raises FormatError: when the stream is cut off
        :raises LengthMismatch: when there was too little data
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """A compression under the word that the manifest uses for it.

    ``encoder`` takes the length of the data in bytes and a level,
    ``decoder`` the length that the data must have.
    """

    word: str
    encoder: Callable[[int, Level], Encoder]
    decoder: Callable[[int], Decoder]


class Codecs:
    """The codecs by the words of manifests and configurations."""

    def __init__(self, known: Mapping[str, Codec] | None = None) -> None:
        self._known = dict(_STOCK if known is None else known)

    def find(self, word: str) -> Codec:
        """The codec for a word.

        :raises FormatError: when the word is not known
        """
        codec = self._known.get(word.lower())
        if codec is None:
            raise exceptions.FormatError(
                f'unknown compression {word.lower()!r}; known are '
                f'{", ".join(sorted(self._known))}. Restore with the release '
                f'that wrote the backup, or newer.')
        return codec


class _Counter:
    """Lets through no more data than there should be."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._count = 0

    @property
    def left(self) -> int:
        return self._length - self._count

    def add(self, data: bytes) -> bytes:
        self._count += len(data)
        if self._count > self._length:
            raise exceptions.LengthMismatch(
                f'more bytes where the manifest says {self._length}',
                expected=self._length, actual=self._count)
        return data

    def finish(self) -> None:
        if self._count != self._length:
            raise exceptions.LengthMismatch(
                f'{self._count} bytes where the manifest says '
                f'{self._length}', expected=self._length,
                actual=self._count)


class _PlainEncoder:
    def __init__(self, length: int, level: Level) -> None:
        pass

    def feed(self, data: memoryview) -> bytes:
        return bytes(data)

    def finish(self) -> bytes:
        return b''


class _PlainDecoder:
    def __init__(self, length: int) -> None:
        self._counter = _Counter(length)

    def feed(self, stored: bytes) -> Iterator[bytes]:
        yield self._counter.add(stored)

    def finish(self) -> None:
        self._counter.finish()


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes:
        """Take more data, give what is ready."""

    def flush(self) -> bytes:
        """End the stream, give what is left."""


class _StreamEncoder:
    def __init__(self, compressor: _Compressor) -> None:
        self.feed = compressor.compress
        self.finish = compressor.flush


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Whether the end of the stream was seen."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    # zlib, bz2 and zstd name the bound differently, so it is positional.
    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most ``max_length`` bytes of what ``data`` decodes to."""


class _ZlibStream:
    """Gives zlib's kind of decompressor the manners of the others.

    They keep what they could not decode yet; zlib hands it back.
    """

    def __init__(self) -> None:
        self._stream = deflate.decompressor()
        self._rest = b''

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._rest:
            data = self._rest + data
        out = self._stream.decompress(data, max_length)
        self._rest = self._stream.unconsumed_tail
        return out


_ERRORS: tuple[type[Exception], ...] = (
    *deflate.ERRORS, OSError, zstd.ZstdError)


class _StreamDecoder:
    def __init__(self, word: str, stream: _Decompressor,
                 length: int) -> None:
        self._word = word
        self._stream = stream
        self._counter = _Counter(length)

    def feed(self, stored: bytes) -> Iterator[bytes]:
        if self._stream.eof and stored:
            raise self._trailing()
        while not self._stream.eof:
            # One byte more than there should be, so that it is noticed.
            bound = min(PIECE, self._counter.left + 1)
            data = self._decompress(stored, bound)
            stored = b''
            if data:
                yield self._counter.add(data)
            if len(data) < bound:
                break
        if self._stream.unused_data:
            raise self._trailing()

    def _decompress(self, stored: bytes, bound: int) -> bytes:
        try:
            return self._stream.decompress(stored, bound)
        except _ERRORS as err:
            raise exceptions.FormatError(
                f'not a valid {self._word} stream: {err}') from err

    def finish(self) -> None:
        self._counter.finish()
        if not self._stream.eof:
            raise exceptions.FormatError(f'{self._word} stream is cut off')

    def _trailing(self) -> exceptions.FormatError:
        return exceptions.FormatError(
            f'data follows the end of the {self._word} stream')


def _zlib_encoder(length: int, level: Level) -> Encoder:
    return deflate.Encoder({
        Level.FAST: lambda: deflate.fast_compressor(1, 1),
        Level.BALANCED: lambda: deflate.fast_compressor(3, 6),
        Level.SMALL: lambda: deflate.small_compressor(6),
    }[level]())


def _bz2_encoder(length: int, level: Level) -> Encoder:
    return _StreamEncoder(bz2.BZ2Compressor(1 if level is Level.FAST else 9))


_ZSTD_LEVELS = {Level.FAST: 1, Level.BALANCED: 3, Level.SMALL: 9}


def _zstd_encoder(length: int, level: Level) -> Encoder:
    compressor = zstd.ZstdCompressor(_ZSTD_LEVELS[level])
    compressor.set_pledged_input_size(length)
    return _StreamEncoder(compressor)


def _stream_codec(word: str, encoder: Callable[[int, Level], Encoder],
                  stream: Callable[[], _Decompressor]) -> Codec:
    return Codec(word, encoder,
                 lambda length: _StreamDecoder(word, stream(), length))


NONE = Codec('none', _PlainEncoder, _PlainDecoder)
_STOCK = {
    'none': NONE,
    'off': NONE,
    'no': NONE,
    'zlib': _stream_codec('zlib', _zlib_encoder, _ZlibStream),
    'gzip': _stream_codec('gzip', _zlib_encoder, _ZlibStream),
    'bz2': _stream_codec('bz2', _bz2_encoder, bz2.BZ2Decompressor),
    'bzip2': _stream_codec('bzip2', _bz2_encoder, bz2.BZ2Decompressor),
    'zstd': _stream_codec('zstd', _zstd_encoder, zstd.ZstdDecompressor),
}

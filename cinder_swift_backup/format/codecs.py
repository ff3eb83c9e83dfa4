# SPDX-License-Identifier: Apache-2.0

"""How chunk data is compressed.

The manifest names a codec by the word the operator configured, in lower
case. Facts about those words, from Cinder's ``chunkeddriver``:

* ``gzip`` is a plain zlib stream (RFC 1950), not a gzip file.
* ``zstd`` is read by the PyPI package ``zstd``, which needs one frame that
  carries its content size.
* the stock reader stops at the end of the first zlib stream, so a chunk is
  always exactly one stream.
"""

import bz2
from collections.abc import Callable
import dataclasses
import sys
from typing import Protocol
import zlib

from cinder_swift_backup import exceptions

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_NONE = frozenset(('none', 'off', 'no'))
# Feeding a compressor in pieces lets it stop as soon as it is not worth it.
_PIECE = 1 << 20


class _Compressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes:
        """Take more data, give what is ready."""

    def flush(self) -> bytes:
        """End the stream, give what is left."""


class _Decompressor(Protocol):
    # zlib, bz2 and zstd name the bound differently, so it is positional.
    @property
    def eof(self) -> bool:
        """Whether the end of the stream was seen."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """At most ``max_length`` bytes of what ``data`` decodes to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Codec:
    """A compression under the word that the manifest uses for it."""

    word: str
    _compressor: Callable[[int], _Compressor]
    _decompressor: Callable[[], _Decompressor]

    def encode(self, data: memoryview) -> bytes | None:
        """Compress ``data``; None when that does not make it smaller."""
        compressor = self._compressor(len(data))
        pieces: list[bytes] = []
        size = 0
        for start in range(0, len(data), _PIECE):
            piece = compressor.compress(data[start:start + _PIECE])
            size += len(piece)
            pieces.append(piece)
            if size >= len(data):
                return None
        pieces.append(compressor.flush())
        if size + len(pieces[-1]) >= len(data):
            return None
        return b''.join(pieces)

    def decode(self, stored: bytes, length: int) -> bytes:
        """Decompress ``stored``, which must hold exactly ``length`` bytes.

        Never produces more than ``length + 1`` bytes, whatever it is given.

        :raises FormatError: when it is no valid stream, or more than one
        :raises LengthMismatch: when it holds another number of bytes
        """
        decompressor = self._decompressor()
        try:
            data = decompressor.decompress(stored, length + 1)
        except (zlib.error, OSError, zstd.ZstdError) as err:
            raise exceptions.FormatError(
                f'not a valid {self.word} stream: {err}') from err
        if len(data) != length:
            found = 'more' if len(data) > length else str(len(data))
            raise exceptions.LengthMismatch(
                f'{found} bytes where the manifest says {length}')
        if not decompressor.eof:
            raise exceptions.FormatError(f'{self.word} stream is cut off')
        if decompressor.unused_data:
            raise exceptions.FormatError(
                f'data follows the end of the {self.word} stream')
        return data


def _zstd_compressor(size: int) -> _Compressor:
    compressor = zstd.ZstdCompressor()
    compressor.set_pledged_input_size(size)
    return compressor


_ZLIB: tuple[Callable[[int], _Compressor], Callable[[], _Decompressor]] = (
    lambda size: zlib.compressobj(), zlib.decompressobj)
_BZ2: tuple[Callable[[int], _Compressor], Callable[[], _Decompressor]] = (
    lambda size: bz2.BZ2Compressor(), bz2.BZ2Decompressor)
_CODECS = {
    'zlib': _ZLIB,
    'gzip': _ZLIB,
    'bz2': _BZ2,
    'bzip2': _BZ2,
    'zstd': (_zstd_compressor, zstd.ZstdDecompressor),
}


def find(word: str) -> Codec | None:
    """The codec for a word of the manifest or of the configuration.

    :returns: None for the words that mean 'not compressed'
    :raises FormatError: when the word is not known
    """
    word = word.lower()
    if word in _NONE:
        return None
    if word not in _CODECS:
        known = ', '.join(sorted(_NONE | set(_CODECS)))
        raise exceptions.FormatError(
            f'unknown compression {word!r}; known are {known}. '
            f'Restore with the release that wrote the backup, or newer.')
    return Codec(word, *_CODECS[word])

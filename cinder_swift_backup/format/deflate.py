# SPDX-License-Identifier: Apache-2.0

"""Zlib streams (RFC 1950) that spend no time on what does not compress.

Deflate (RFC 1951) has stored blocks, which hold data uncompressed. A
compressor has to try before it uses one; sampling a few bytes is a hundred
times as fast. So:

1. Find the runs of segments that look like noise.
2. They become stored blocks, copied at the speed of memory.
3. The others go through one raw compressor. Before a stored block it is
   flushed and forgets its history, since distances of later matches would
   count the stored bytes, which it has not seen.
4. An empty last block and the Adler-32 of all data end the one stream.

The compressor is Intel's ISA-L where it is installed, which is several times
as fast as zlib at nearly its ratio, and zlib elsewhere and at level 'small'.
"""

from collections.abc import Iterator
import struct
from typing import Protocol
import zlib

from cinder_swift_backup.format import noise
from cinder_swift_backup.format import streams

try:
    from isal import isal_zlib
except ImportError:  # There is no wheel for the machine.
    isal_zlib = None  # type: ignore[assignment]

_LONGEST_STORED = 65535
_RAW = -zlib.MAX_WBITS
# As the header has it: the binary logarithm of bytes, less 8.
_LARGEST_WINDOW = zlib.MAX_WBITS - 8
_HEADER = b'\x78\x9c'
_LAST_BLOCK = b'\x01\x00\x00\xff\xff'


class _RawCompressor(Protocol):
    def compress(self, data: memoryview, /) -> bytes:
        """Take more data, give what is ready."""

    def flush(self, mode: int, /) -> bytes:
        """Give everything there is, up to a whole byte."""


def fast_compressor(isal_level: int, zlib_level: int) -> _RawCompressor:
    """ISA-L's compressor, or zlib's where there is no ISA-L."""
    if isal_zlib is None:
        return small_compressor(zlib_level)
    compressor: _RawCompressor = isal_zlib.compressobj(
        isal_level, zlib.DEFLATED, _RAW)
    return compressor


def small_compressor(zlib_level: int) -> _RawCompressor:
    """The standard library's compressor."""
    return zlib.compressobj(zlib_level, zlib.DEFLATED, _RAW)


class _RawDecompressor(streams.Decompressor, Protocol):
    """zlib's kind of decompressor, that of zlib or of ISA-L."""

    @property
    def unconsumed_tail(self) -> bytes:
        """What the bound left of the input."""


def decompressor() -> _RawDecompressor:
    """ISA-L's decompressor, or zlib's where there is no ISA-L."""
    if isal_zlib is None:
        return zlib.decompressobj()
    stream: _RawDecompressor = isal_zlib.decompressobj()
    return stream


class ZlibStream:
    """Makes zlib's decompressor behave like those of bz2 and zstd.

    They keep input that they could not decode yet; zlib's returns it. ISA-L's
    takes windows that are larger than any there are, and zlib's does not.
    """

    def __init__(self) -> None:
        self._stream = decompressor()
        self._begun = False
        self._rest = b''

    @property
    def eof(self) -> bool:
        """See :class:`streams.Decompressor`."""
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        """See :class:`streams.Decompressor`."""
        return self._stream.unused_data

    def decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        """See :class:`streams.Decompressor`."""
        if data and not self._begun:
            self._begun = True
            if data[0] >> 4 > _LARGEST_WINDOW:
                raise zlib.error('invalid window size')
        if self._rest:
            data = self._rest + data
        out = self._stream.decompress(data, max_length)
        self._rest = self._stream.unconsumed_tail
        return out


# What decompressors raise when the data is no zlib stream.
ERRORS: tuple[type[Exception], ...] = (zlib.error,)
if isal_zlib is not None:
    # The package's stubs take the class for an exception.
    ERRORS += (isal_zlib.error,)  # type: ignore[operator]
_adler32 = zlib.adler32 if isal_zlib is None else isal_zlib.adler32


class Encoder:
    """Encodes data that comes in pieces as one zlib stream."""

    def __init__(self, compressor: _RawCompressor) -> None:
        self._compressor = compressor
        self._adler = zlib.adler32(b'')
        self._started = False
        # Whether the compressor has to be flushed.
        self._pending = False

    def feed(self, data: memoryview) -> bytes:
        """Take more data, give what is ready of the stream."""
        self._adler = _adler32(data, self._adler)
        out: list[bytes | memoryview] = [self._opening()]
        for is_noise, run in noise.split(data):
            part = data[run.offset:run.end]
            if is_noise:
                out.append(self._settle())
                out.extend(_stored_blocks(part))
            else:
                out.append(self._compressor.compress(part))
                self._pending = True
        return b''.join(out)

    def finish(self) -> bytes:
        """End the stream, give the rest of it."""
        return b''.join((self._opening(), self._settle(), _LAST_BLOCK,
                         struct.pack('>I', self._adler)))

    def _opening(self) -> bytes:
        if self._started:
            return b''
        self._started = True
        return _HEADER

    def _settle(self) -> bytes:
        if not self._pending:
            return b''
        self._pending = False
        return self._compressor.flush(zlib.Z_FULL_FLUSH)


def _stored_blocks(data: memoryview) -> Iterator[bytes | memoryview]:
    for start in range(0, len(data), _LONGEST_STORED):
        piece = data[start:start + _LONGEST_STORED]
        yield struct.pack('<BHH', 0, len(piece), len(piece) ^ 0xffff)
        yield piece

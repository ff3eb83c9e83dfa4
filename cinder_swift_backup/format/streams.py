# SPDX-License-Identifier: Apache-2.0

"""Encoders and decoders that take data in pieces.

A decoder:

1. returns at most one piece at a time and no more data than expected, so that
   memory is bounded whatever is stored;
2. counts the data and raises our errors;
3. requires that the stream ends where the stored data ends.
"""

from collections.abc import Iterator
from typing import Protocol
from typing import TypeVar

from cinder_swift_backup import exceptions

_T = TypeVar('_T', bytes, memoryview, bytes | memoryview)
# The most that a decoder gives at once, in bytes.
PIECE = 1 << 20


class Encoder(Protocol):
    """Makes the stored form of data."""

    def feed(self, data: memoryview, /) -> bytes | memoryview:
        """Take more data, give what is ready of its stored form.

        That may be a view of the very data.
        """

    def finish(self) -> bytes:
        """Return the rest of the stored form."""


class Decoder(Protocol):
    """Makes data of its stored form."""

    def feed(self, stored: bytes | memoryview, /,
             ) -> Iterator[bytes | memoryview]:
        """The data decoded so far, at most :data:`PIECE` bytes at a time.

        The caller has to use up each piece before it asks for the next, which
        may be in the same memory, and all of them before it feeds more.

        :raises FormatError: when it is no valid stream, or more than one
        :raises LengthMismatch: when there is more data than there should be
        """

    def finish(self) -> None:
        """Check that nothing is missing.

        :raises FormatError: when the stream is cut off
        :raises LengthMismatch: when there was too little data
        """


class _Counter:
    """Counts data, and raises when there is more than expected."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._count = 0

    @property
    def left(self) -> int:
        return self._length - self._count

    def add(self, data: _T) -> _T:
        self._count += len(data)
        if self._count > self._length:
            raise exceptions.LengthMismatch(
                'an object holds more bytes than the manifest says',
                expected=self._length, actual=self._count,
                remedy=exceptions.Remedy.OTHER_BACKUP)
        return data

    def finish(self) -> None:
        if self._count != self._length:
            raise exceptions.LengthMismatch(
                'an object holds fewer bytes than the manifest says',
                expected=self._length, actual=self._count,
                remedy=exceptions.Remedy.OTHER_BACKUP)


class PlainEncoder:
    """Data as it is."""

    def feed(self, data: memoryview) -> memoryview:
        """See :class:`Encoder`."""
        return data

    def finish(self) -> bytes:
        """See :class:`Encoder`."""
        return b''


class PlainDecoder:
    """Data that is stored as it is, of so many bytes."""

    def __init__(self, length: int) -> None:
        self._counter = _Counter(length)

    def feed(self, stored: bytes | memoryview,
             ) -> Iterator[bytes | memoryview]:
        """See :class:`Decoder`."""
        for start in range(0, len(stored), PIECE):
            yield self._counter.add(stored[start:start + PIECE])

    def finish(self) -> None:
        """See :class:`Decoder`."""
        self._counter.finish()


class Compressor(Protocol):
    """The standard library's kind of compressor."""

    def compress(self, data: memoryview, /) -> bytes:
        """Take more data, give what is ready."""

    def flush(self) -> bytes:
        """End the stream, give what is left."""


class StreamEncoder:
    """One stream by a compressor of the standard library's kind."""

    def __init__(self, compressor: Compressor) -> None:
        self.feed = compressor.compress
        self.finish = compressor.flush


class Decompressor(Protocol):
    """The kind of decompressor that keeps what it cannot give yet."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was seen."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    # zlib, bz2 and zstd name the bound differently, so it is positional.
    def decompress(self, data: bytes | memoryview, max_length: int, /,
                   ) -> bytes:
        """At most ``max_length`` bytes of what ``data`` decodes to."""


class StreamDecoder:
    """Data out of one compressed stream.

    :param word: the codec's, for the texts of errors
    :param errors: what the decompressor raises at what is no such stream
    :param length: how long the data should be, in bytes
    """

    def __init__(self, word: str, stream: Decompressor,
                 errors: tuple[type[Exception], ...], length: int) -> None:
        self._word = word
        self._stream = stream
        self._errors = errors
        self._counter = _Counter(length)

    def feed(self, stored: bytes | memoryview) -> Iterator[bytes]:
        """See :class:`Decoder`."""
        if self._stream.eof and stored:
            raise self._trailing()
        while not self._stream.eof:
            # One byte more than expected, to notice surplus data.
            bound = min(PIECE, self._counter.left + 1)
            data = self._decompress(stored, bound)
            stored = b''
            if data:
                yield self._counter.add(data)
            if len(data) < bound:
                break
        if self._stream.unused_data:
            raise self._trailing()

    def _decompress(self, stored: bytes | memoryview, bound: int) -> bytes:
        try:
            return self._stream.decompress(stored, bound)
        except self._errors as err:
            raise self._damaged(
                f'an object is not a valid {self._word} stream '
                f'({err})') from err

    def finish(self) -> None:
        """See :class:`Decoder`."""
        self._counter.finish()
        if not self._stream.eof:
            raise self._damaged(f'the {self._word} stream is cut off')

    def _trailing(self) -> exceptions.FormatError:
        return self._damaged(
            f'data follows the end of the {self._word} stream')

    @staticmethod
    def _damaged(what: str) -> exceptions.FormatError:
        return exceptions.FormatError(
            what, remedy=exceptions.Remedy.OTHER_BACKUP)

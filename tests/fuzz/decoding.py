# SPDX-License-Identifier: Apache-2.0

"""Targets that decode chunks, or encode and decode them.

The first bytes of the input of a decoder are the length that the manifest
tells.
"""

import bz2
from collections.abc import Callable
from collections.abc import Iterable
import contextlib
import functools
from typing import Any
import zlib

from backports import zstd

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import streams
from tests.fuzz import checks

# Bytes of the length at the beginning.
LENGTH = 3
# Bytes that a decoder may take besides what it was given and has to give: two
# pieces, and what it keeps of the input.
_WORKING = 3 * streams.PIECE
_LEVELS = tuple(codecs.Level)
_WORDS = ('zlib', 'bz2', 'zstd', 'none')


class _Refused(Exception):
    """It is not one whole stream of so many bytes."""


def _strictly(make: Callable[[], Any], errors: type[Exception],
              stored: bytes, length: int) -> bytes:
    stream = make()
    try:
        data: bytes = stream.decompress(stored, length + 1)
        if not stream.eof:  # It may come after all of the data.
            data += stream.decompress(
                getattr(stream, 'unconsumed_tail', b''), 1)
    except errors as err:
        raise _Refused from err
    if not stream.eof or stream.unused_data or len(data) != length:
        raise _Refused
    return data


# What the stock driver decodes with, as strict as we are where it can be. Its
# zstd takes no frame that does not tell its length.
_STRICT: dict[str, Callable[[bytes, int], bytes]] = {
    'zlib': functools.partial(_strictly, zlib.decompressobj, zlib.error),
    'bz2': functools.partial(_strictly, bz2.BZ2Decompressor, OSError)}
_STOCK: dict[str, Callable[[bytes, int], bytes]] = {
    **_STRICT, 'zstd': lambda stored, length: zstd.decompress(stored),
    'none': lambda stored, length: stored}


def decoder(word: str) -> Callable[[bytes], None]:
    """The target for a codec."""
    return functools.partial(_decoder, word)


def _decoder(word: str, data: bytes) -> None:
    length = int.from_bytes(data[:LENGTH], 'little')
    stored = data[LENGTH:]
    with checks.memory(_WORKING + 3 * len(stored) + 2 * length):
        found = checks.value_of(lambda: _decode(word, length, [stored]))
    checks.same(found, checks.value_of(
        lambda: _decode(word, length, checks.cut(stored))))
    if found is None:
        # So the stock driver does not take it either.
        with contextlib.suppress(_Refused, KeyError):
            raise AssertionError(_STRICT[word](stored, length))
        return
    checks.same(length, len(found))
    try:
        checks.same(found, _STOCK[word](stored, length))
    except _Refused:
        # ISA-L does not look at codes that the data does not use.
        assert word == 'zlib'
        checks.same(stored[-4:], zlib.adler32(found).to_bytes(4))
    for level in _LEVELS:
        again = _encode(word, level, found)
        checks.same(found, _decode(word, length, checks.cut(again)))


def _decode(word: str, length: int, pieces: Iterable[bytes]) -> bytes:
    decoder = codecs.find(word).decoder(length)
    data = bytearray()
    for piece in pieces:
        for each in decoder.feed(piece):
            assert len(each) <= streams.PIECE
            data += each
            # Whatever it says, no more may come out.
            assert len(data) <= length
    decoder.finish()
    return bytes(data)


def _encode(word: str, level: codecs.Level, data: bytes) -> bytes:
    encoder = codecs.find(word).encoder(len(data), level)
    stored = [bytes(encoder.feed(memoryview(piece)))
              for piece in checks.cut(data)]
    return b''.join((*stored, encoder.finish()))


def stored(data: bytes) -> None:
    """What is made of data, by a codec that the first byte tells.

    The data is repeated, as often as the second byte tells, for noise and text
    to come together.
    """
    kind, times, part = data[:1], data[1:2], data[2:]
    choice = int.from_bytes(kind)
    whole = part * (1 + int.from_bytes(times))
    codec = codecs.find(_WORDS[choice % len(_WORDS)])
    maker = stored_form.StoredFormMaker(
        codec, _LEVELS[choice // len(_WORDS) % len(_LEVELS)], len(whole))
    for piece in checks.cut(whole):
        maker.feed(memoryview(piece))
    made = maker.finish()
    assert len(made.data) <= len(whole)
    checks.same(whole, _decode(made.compression, len(whole),
                               checks.cut(bytes(made.data))))

# SPDX-License-Identifier: Apache-2.0

"""Codecs: both ways between ours and the libraries the stock driver uses."""

import bz2
import os
import zlib

from backports import zstd as zstd_frames
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base
import testscenarios
import zstd

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import streams
from tests import selection
from tests.fakes import process_memory

_TEXT = b'the quick brown fox jumps over the lazy dog\n' * 2000
# The word, and how the stock driver compresses and decompresses for it.
_WORDS = [
    ('zlib', {'word': 'zlib', 'stock': zlib}),
    ('gzip', {'word': 'gzip', 'stock': zlib}),
    ('bz2', {'word': 'bz2', 'stock': bz2}),
    ('bzip2', {'word': 'bzip2', 'stock': bz2}),
    ('zstd', {'word': 'zstd', 'stock': zstd}),
]
_KINDS = (
    _TEXT, _TEXT * 40, bytes(3 << 20), os.urandom(1000), os.urandom(3 << 20),
    os.urandom(40000) + _TEXT + os.urandom(1 << 20) + bytes(70000),
    b''.join(os.urandom(65536) + _TEXT[:65536] for _ in range(20)))
_ANY = st.sampled_from([entry for _, entry in _WORDS])
_LEVELS = st.sampled_from(codecs.Level)
_STEPS = st.sampled_from((1, 7, 1000, 65536, 1 << 21))
_DAMAGED = (exceptions.FormatError, exceptions.LengthMismatch)


def find(word):
    """One of the codecs that everybody uses."""
    return codecs.find(word)


def pieces(data, step):
    """``data`` in pieces of ``step`` bytes."""
    view = memoryview(data)
    return (view[start:start + step] for start in range(0, len(view), step))


def encode(codec, data, level=codecs.Level.BALANCED, step=1 << 20):
    """The stored form of ``data``, whether it is smaller or not."""
    encoder = codec.encoder(len(data), level)
    return b''.join((*(encoder.feed(piece) for piece in pieces(data, step)),
                     encoder.finish()))


def decode(codec, stored, length, step=1 << 20):
    """What a stored form decodes to."""
    decoder = codec.decoder(length)
    data = [found for piece in pieces(stored, step)
            for found in decoder.feed(bytes(piece))]
    decoder.finish()
    return b''.join(data)


class CodecTest(testscenarios.WithScenarios, base.BaseTestCase):
    """What holds for every codec."""

    scenarios = _WORDS

    def setUp(self):
        super().setUp()
        self.codec = find(self.word)

    def test_round_trip_of_several_pieces(self):
        data = _TEXT * 40
        self.assertGreater(len(data), 3 << 20)
        stored = encode(self.codec, data)
        self.assertLess(len(stored), len(data))
        self.assertEqual(data, decode(self.codec, stored, len(data)))

    def test_keeps_its_word(self):
        self.assertEqual(self.word, self.codec.word)

    def test_word_in_capitals(self):
        self.assertEqual(self.word, find(self.word.upper()).word)

    def test_stock_reads_ours(self):
        for data in _KINDS:
            for level in codecs.Level:
                self.assertEqual(data, self.stock.decompress(
                    encode(self.codec, data, level)))

    def test_ours_reads_stock(self):
        for data in (b'x', *_KINDS):
            stored = self.stock.compress(data)
            self.assertEqual(data, decode(self.codec, stored, len(data)))

    def test_smaller_levels_store_less(self):
        sizes = [len(encode(self.codec, _TEXT * 20, level))
                 for level in codecs.Level]
        self.assertEqual(sorted(sizes, reverse=True), sizes)

    def test_noise_grows_little(self):
        data = os.urandom(3 << 20)
        self.assertLess(len(encode(self.codec, data)), 1.01 * len(data))

    def test_bomb_is_not_unpacked(self):
        stored = self.stock.compress(bytes(64 << 20))
        decoder = self.codec.decoder(1000)
        err = self.assertRaises(exceptions.LengthMismatch,
                                list, decoder.feed(stored))
        self.assertIn('more bytes than the manifest says', str(err))
        self.assertEqual(1000, err.expected)

    def test_pieces_are_bounded(self):
        data = bytes(64 << 20)
        decoder = self.codec.decoder(len(data))
        total = 0
        for piece in decoder.feed(self.stock.compress(data)):
            self.assertLessEqual(len(piece), streams.PIECE)
            total += len(piece)
        decoder.finish()
        self.assertEqual(len(data), total)

    def test_never_asks_for_more_than_there_should_be(self):
        bounds = []

        class Spy:
            eof = False
            unused_data = b''

            def decompress(self, data, max_length):
                bounds.append(max_length)
                return bytes(max_length)

        decoder = streams.StreamDecoder('spy', Spy(), (), 77)
        self.assertRaises(exceptions.LengthMismatch, list,
                          decoder.feed(b'x'))
        self.assertEqual([78], bounds)

    def test_too_little(self):
        stored = self.stock.compress(_TEXT)
        err = self.assertRaises(
            exceptions.LengthMismatch, decode, self.codec, stored,
            len(_TEXT) + 1)
        self.assertIn(str(len(_TEXT)), str(err))
        self.assertEqual(len(_TEXT), err.actual)

    def test_cut_off(self):
        stored = self.stock.compress(_TEXT)
        for end in (0, 1, 4, len(stored) // 2, len(stored) - 1):
            self.assertRaises(_DAMAGED, decode, self.codec, stored[:end],
                              len(_TEXT))

    def test_trailing_garbage(self):
        stored = self.stock.compress(_TEXT)
        for tail in (b'\0', b'garbage' * 100):
            for step in (1, 1 << 20):
                err = self.assertRaises(exceptions.FormatError, decode,
                                        self.codec, stored + tail,
                                        len(_TEXT), step)
                self.assertIn('follows the end', str(err))

    def test_concatenated_streams(self):
        first = self.stock.compress(_TEXT)
        second = self.stock.compress(_TEXT)
        for length in (len(_TEXT), 2 * len(_TEXT)):
            self.assertRaises(_DAMAGED, decode, self.codec, first + second,
                              length)


class AnyCodecTest(base.BaseTestCase):
    """What holds for every codec and any data."""

    @given(_ANY, st.binary(max_size=300), st.integers(100, 400), _LEVELS,
           _STEPS, _STEPS)
    def test_round_trip(self, entry, seed, factor, level, step, other):
        codec = find(entry['word'])
        data = seed * factor + bytes(1000)
        stored = encode(codec, data, level, max(step, 1000))
        self.assertLess(len(stored), len(data))
        self.assertEqual(data, entry['stock'].decompress(stored))
        self.assertEqual(data, decode(codec, stored, len(data), other))

    @given(_ANY, st.binary(max_size=200), st.integers(0, 500))
    def test_any_bytes_give_typed_errors(self, entry, stored, length):
        try:
            data = decode(find(entry['word']), stored, length)
        except _DAMAGED:
            return
        self.assertEqual(length, len(data))

    @given(_ANY, st.data())
    def test_flipped_bits_give_data_or_typed_errors(self, entry, data):
        stored = bytearray(entry['stock'].compress(_TEXT))
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] ^= 1 << data.draw(st.integers(0, 7))
        try:
            found = decode(find(entry['word']), stored, len(_TEXT),
                           data.draw(_STEPS))
        except _DAMAGED:
            return
        self.assertEqual(len(_TEXT), len(found))


class ZlibTest(base.BaseTestCase):
    """zlib gives all of the data before it has seen the checksum."""

    def test_cut_off_after_the_last_byte_of_data(self):
        stored = zlib.compress(_TEXT)
        err = self.assertRaises(
            exceptions.FormatError, decode, find('zlib'), stored[:-1],
            len(_TEXT))
        self.assertIn('cut off', str(err))

    def test_any_header(self):
        # Libraries do not agree on windows that there are not.
        rest = zlib.compress(b'data')[2:]
        accepted = []
        # Those whose check fits are the multiples of 31.
        for header in (*range(0, 1 << 16, 31), *range(1, 1 << 16, 310)):
            stored = header.to_bytes(2) + rest
            try:
                accepted.append(decode(find('zlib'), stored, 4))
            except exceptions.FormatError:
                self.assertRaises(zlib.error, zlib.decompress, stored)
            else:
                self.assertEqual(b'data', zlib.decompress(stored))
        self.assertGreater(len(accepted), 8)


class NoneTest(base.BaseTestCase):
    """Not compressed is a codec like the others."""

    def test_words(self):
        for word in ('none', 'off', 'no', 'None', 'OFF'):
            self.assertEqual('none', find(word).word)

    @given(st.binary(max_size=300), st.integers(1, 100))
    def test_round_trip(self, data, step):
        self.assertEqual(data, encode(codecs.NONE, data, step=step))
        self.assertEqual(data, decode(codecs.NONE, data, len(data), step))

    def test_other_lengths(self):
        for length in (2, 4):
            err = self.assertRaises(exceptions.LengthMismatch, decode,
                                    codecs.NONE, b'abc', length)
            self.assertEqual((length, 3), (err.expected, err.actual))


_MEMORY = '''
import random
import sys
from cinder_swift_backup.format import codecs
from tests.fakes import process_memory

MIB = 1 << 20
COUNT = int(sys.argv[2])
noise = random.Random(1).randbytes(MIB // 2)
piece = memoryview(noise + b'0123456789abcdef' * (MIB // 32))
codec = codecs.find(sys.argv[1])

def pipe(level, count):
    encoder = codec.encoder(count * MIB, level)
    decoder = codec.decoder(count * MIB)
    for _ in range(count):
        for data in decoder.feed(bytes(encoder.feed(piece))):
            pass
    for data in decoder.feed(bytes(encoder.finish())):
        pass
    decoder.finish()

before = process_memory.resident()
for level in codecs.Level:
    pipe(level, COUNT)
print((process_memory.peak() - before) // MIB)
'''


class MemoryTest(base.BaseTestCase):
    """Both ways at once, in a process of its own where nothing else peaks."""

    def test_windows_that_no_driver_writes(self):
        # A frame may ask for 2 GiB before it gives a single byte.
        for window, fits in ((23, True), (24, False), (31, False)):
            compressor = zstd_frames.ZstdCompressor(options={
                zstd_frames.CompressionParameter.window_log: window})
            stored = (compressor.compress(_TEXT)
                      + compressor.flush(compressor.FLUSH_FRAME))
            if fits:
                self.assertEqual(_TEXT, decode(find('zstd'), stored,
                                               len(_TEXT)))
                continue
            err = self.assertRaises(exceptions.FormatError, decode,
                                    find('zstd'), stored, len(_TEXT))
            self.assertIn('memory', str(err))

    @selection.takes_long
    def test_bounded_whatever_the_length(self):
        for word, count, bound in (('none', 200, 4), ('zlib', 80, 8),
                                   ('zstd', 200, 40), ('bz2', 20, 16)):
            (peak,) = process_memory.printed(_MEMORY, word, count)
            self.assertLess(int(peak), bound, word)


class FindTest(base.BaseTestCase):
    """Words that are no codec."""

    def test_unknown(self):
        err = self.assertRaises(exceptions.FormatError, find, 'lzma')
        self.assertIn("'lzma'", str(err))
        self.assertIn('zstd', str(err))

    @given(st.text(max_size=12))
    def test_any_word(self, word):
        try:
            find(word)
        except exceptions.FormatError:
            return
        self.assertIn(word.lower(), ('none', 'off', 'no', 'zlib', 'gzip',
                                     'bz2', 'bzip2', 'zstd'))


class ZstdFrameTest(base.BaseTestCase):
    """The package that the stock driver reads zstd with wants a size."""

    def test_frame_carries_its_content_size(self):
        stored = encode(find('zstd'), _TEXT)
        info = zstd_frames.get_frame_info(stored)
        self.assertEqual(len(_TEXT), info.decompressed_size)

    def test_one_frame(self):
        stored = encode(find('zstd'), _TEXT * 40)
        self.assertEqual(len(stored), zstd_frames.get_frame_size(stored))

    def test_frame_without_content_size_is_read(self):
        compressor = zstd_frames.ZstdCompressor()
        stored = compressor.compress(_TEXT) + compressor.flush()
        self.assertIsNone(
            zstd_frames.get_frame_info(stored).decompressed_size)
        self.assertEqual(_TEXT,
                         decode(find('zstd'), stored, len(_TEXT)))

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

_TEXT = b'the quick brown fox jumps over the lazy dog\n' * 2000
# The word, and how the stock driver compresses and decompresses for it.
_WORDS = [
    ('zlib', {'word': 'zlib', 'stock': zlib}),
    ('gzip', {'word': 'gzip', 'stock': zlib}),
    ('bz2', {'word': 'bz2', 'stock': bz2}),
    ('bzip2', {'word': 'bzip2', 'stock': bz2}),
    ('zstd', {'word': 'zstd', 'stock': zstd}),
]
_ANY = st.sampled_from([entry for _, entry in _WORDS])
_DAMAGED = (exceptions.FormatError, exceptions.LengthMismatch)


class CodecTest(testscenarios.WithScenarios, base.BaseTestCase):
    """What holds for every codec."""

    scenarios = _WORDS

    def setUp(self):
        super().setUp()
        self.codec = codecs.find(self.word)

    def test_round_trip_of_several_pieces(self):
        data = _TEXT * 40
        self.assertGreater(len(data), 3 << 20)
        stored = self.codec.encode(memoryview(data))
        self.assertEqual(data, self.codec.decode(stored, len(data)))

    def test_keeps_its_word(self):
        self.assertEqual(self.word, self.codec.word)

    def test_word_in_capitals(self):
        self.assertEqual(self.word, codecs.find(self.word.upper()).word)

    def test_stock_reads_ours(self):
        for data in (_TEXT, bytes(1 << 20), _TEXT * 40):
            stored = self.codec.encode(memoryview(data))
            self.assertEqual(data, self.stock.decompress(stored))

    def test_ours_reads_stock(self):
        for data in (_TEXT, b'x', os.urandom(1000), bytes(3 << 20)):
            stored = self.stock.compress(data)
            self.assertEqual(data, self.codec.decode(stored, len(data)))

    def test_not_smaller_is_none(self):
        for data in (os.urandom(100), os.urandom(3 << 20), b'', b'x'):
            self.assertIsNone(self.codec.encode(memoryview(data)))

    def test_hopeless_first_piece_is_none_though_the_rest_may_shrink(self):
        # Right either way; what must not come out is a broken stream.
        data = os.urandom(1 << 20) + bytes(1 << 20)
        stored = self.codec.encode(memoryview(data))
        self.assertLess(len(stored), len(data))
        self.assertEqual(data, self.codec.decode(stored, len(data)))

    def test_bomb_is_not_unpacked(self):
        stored = self.stock.compress(bytes(64 << 20))
        err = self.assertRaises(exceptions.LengthMismatch,
                                self.codec.decode, stored, 1000)
        self.assertIn('more bytes where the manifest says 1000', str(err))

    def test_never_makes_more_than_asked_for(self):
        bounds = []

        class Spy:
            eof = True
            unused_data = b''

            def decompress(self, data, max_length):
                bounds.append(max_length)
                return bytes(max_length)

        codec = codecs.Codec('spy', lambda size: None, Spy)
        self.assertRaises(exceptions.LengthMismatch, codec.decode, b'', 77)
        self.assertEqual([78], bounds)

    def test_too_little(self):
        stored = self.stock.compress(_TEXT)
        err = self.assertRaises(
            exceptions.LengthMismatch, self.codec.decode, stored,
            len(_TEXT) + 1)
        self.assertIn(str(len(_TEXT)), str(err))

    def test_cut_off(self):
        stored = self.stock.compress(_TEXT)
        for end in (0, 1, 4, len(stored) // 2, len(stored) - 1):
            self.assertRaises(_DAMAGED, self.codec.decode, stored[:end],
                              len(_TEXT))

    def test_trailing_garbage(self):
        stored = self.stock.compress(_TEXT)
        for tail in (b'\0', b'garbage' * 100):
            err = self.assertRaises(exceptions.FormatError,
                                    self.codec.decode, stored + tail,
                                    len(_TEXT))
            self.assertIn('follows the end', str(err))

    def test_concatenated_streams(self):
        first = self.stock.compress(_TEXT)
        second = self.stock.compress(_TEXT)
        for length in (len(_TEXT), 2 * len(_TEXT)):
            self.assertRaises(_DAMAGED, self.codec.decode, first + second,
                              length)

class AnyCodecTest(base.BaseTestCase):
    """What holds for every codec and any data."""

    @given(_ANY, st.binary(max_size=300), st.integers(100, 400))
    def test_round_trip(self, entry, seed, factor):
        codec = codecs.find(entry['word'])
        data = seed * factor + bytes(1000)
        stored = codec.encode(memoryview(data))
        self.assertLess(len(stored), len(data))
        self.assertEqual(data, codec.decode(stored, len(data)))

    @given(_ANY, st.binary(max_size=200), st.integers(0, 500))
    def test_any_bytes_give_typed_errors(self, entry, stored, length):
        try:
            data = codecs.find(entry['word']).decode(stored, length)
        except _DAMAGED:
            return
        self.assertEqual(length, len(data))

    @given(_ANY, st.data())
    def test_flipped_bits_give_data_or_typed_errors(self, entry, data):
        stored = bytearray(entry['stock'].compress(_TEXT))
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] ^= 1 << data.draw(st.integers(0, 7))
        try:
            found = codecs.find(entry['word']).decode(bytes(stored),
                                                      len(_TEXT))
        except _DAMAGED:
            return
        self.assertEqual(len(_TEXT), len(found))


class ZlibTest(base.BaseTestCase):
    """zlib gives all of the data before it has seen the checksum."""

    def test_cut_off_after_the_last_byte_of_data(self):
        stored = zlib.compress(_TEXT)
        err = self.assertRaises(
            exceptions.FormatError, codecs.find('zlib').decode, stored[:-1],
            len(_TEXT))
        self.assertIn('cut off', str(err))


class FindTest(base.BaseTestCase):
    """Words that are no codec."""

    def test_not_compressed(self):
        for word in ('none', 'off', 'no', 'None', 'OFF'):
            self.assertIsNone(codecs.find(word))

    def test_unknown(self):
        err = self.assertRaises(exceptions.FormatError, codecs.find, 'lzma')
        self.assertIn("'lzma'", str(err))
        self.assertIn('zstd', str(err))

    @given(st.text(max_size=12))
    def test_any_word(self, word):
        try:
            codecs.find(word)
        except exceptions.FormatError:
            return
        self.assertIn(word.lower(), ('none', 'off', 'no', 'zlib', 'gzip',
                                     'bz2', 'bzip2', 'zstd'))


class ZstdFrameTest(base.BaseTestCase):
    """The package that the stock driver reads zstd with wants a size."""

    def test_frame_carries_its_content_size(self):
        stored = codecs.find('zstd').encode(memoryview(_TEXT))
        info = zstd_frames.get_frame_info(stored)
        self.assertEqual(len(_TEXT), info.decompressed_size)

    def test_one_frame(self):
        stored = codecs.find('zstd').encode(memoryview(_TEXT * 40))
        self.assertEqual(len(stored), zstd_frames.get_frame_size(stored))

    def test_frame_without_content_size_is_read(self):
        compressor = zstd_frames.ZstdCompressor()
        stored = compressor.compress(_TEXT) + compressor.flush()
        self.assertIsNone(
            zstd_frames.get_frame_info(stored).decompressed_size)
        self.assertEqual(_TEXT,
                         codecs.find('zstd').decode(stored, len(_TEXT)))

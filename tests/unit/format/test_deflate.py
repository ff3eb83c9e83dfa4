# SPDX-License-Identifier: Apache-2.0

"""Adaptive zlib streams, by ISA-L and by the standard library."""

import importlib.util
import itertools
import os
import sys
from unittest import mock
import zlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import deflate
from cinder_swift_backup.format import streams

_TEXT = b'the quick brown fox jumps over the lazy dog\n' * 2000
_COMPRESSORS = (
    lambda: deflate.fast_compressor(1, 1),
    lambda: deflate.fast_compressor(3, 6),
    lambda: deflate.small_compressor(6))
_SEGMENT = 32 * 1024


def _encode(data, compressor=_COMPRESSORS[1], step=2 << 20):
    encoder = deflate.Encoder(compressor())
    view = memoryview(data)
    return b''.join((
        *(encoder.feed(view[start:start + step])
          for start in range(0, len(data), step)), encoder.finish()))


@st.composite
def _data(draw):
    """Text, noise and zeros in runs that end anywhere."""
    makers = (os.urandom, bytes,
              lambda n: (_TEXT * 3)[:n])
    runs = draw(st.lists(st.tuples(
        st.sampled_from(makers),
        st.sampled_from((1, 511, 512, 4096, _SEGMENT - 1, _SEGMENT,
                         _SEGMENT + 1, 65535, 65536, 150000))), max_size=8))
    return b''.join(make(length) for make, length in runs)


class EncoderTest(base.BaseTestCase):
    """One stream, whatever is in it."""

    @given(_data(), st.sampled_from(_COMPRESSORS),
           st.sampled_from((_SEGMENT, 1000, 100000, 2 << 20)))
    def test_zlib_reads_it(self, data, compressor, step):
        stored = _encode(data, compressor, step)
        reader = zlib.decompressobj()
        self.assertEqual(data, reader.decompress(stored))
        self.assertTrue(reader.eof)
        self.assertEqual(b'', reader.unused_data)

    def test_nothing(self):
        self.assertEqual(b'', zlib.decompress(_encode(b'')))

    def test_matches_do_not_reach_over_stored_blocks(self):
        # The second text would be found in the first, were it not that the
        # compressor has not seen the noise in between.
        data = b''.join((_TEXT[:_SEGMENT], os.urandom(_SEGMENT)) * 20)
        for compressor in _COMPRESSORS:
            self.assertEqual(data, zlib.decompress(
                _encode(data, compressor)))

    def test_noise_is_not_given_to_the_compressor(self):
        compressor = mock.Mock(wraps=deflate.small_compressor(6))
        data = os.urandom(1 << 20)
        stored = _encode(data, lambda: compressor)
        compressor.compress.assert_not_called()
        self.assertEqual(data, zlib.decompress(stored))
        self.assertLess(len(stored), len(data) * 1.0002)

    def test_what_compresses_is_given_to_the_compressor(self):
        for data in (_TEXT, bytes(1 << 20), os.urandom(511)):
            compressor = mock.Mock(wraps=deflate.small_compressor(6))
            _encode(data, lambda given=compressor: given)
            self.assertEqual(len(data), sum(
                len(call.args[0]) for call
                in compressor.compress.call_args_list))

    def test_balanced_stores_no_more_than_zlib_does_of_a_mix(self):
        data = _mix()
        encoder = codecs.find('zlib').encoder(
            len(data), codecs.Level.BALANCED)
        stored = encoder.feed(memoryview(data)) + encoder.finish()
        self.assertLessEqual(len(stored), len(zlib.compress(data)))


def _mix():
    """Text and noise in turn."""
    words = [os.urandom(5).hex().encode() for _ in range(2000)]
    text = b' '.join(itertools.islice(itertools.cycle(
        words[::3] + words[::7] + words), 200000))
    return b''.join(text[start:start + 65536] + os.urandom(65536)
                    for start in range(0, 2 << 20, 65536))


class WithoutIsalTest(base.BaseTestCase):
    """Where there is no wheel of ISA-L for the machine."""

    def setUp(self):
        super().setUp()
        with mock.patch.dict(sys.modules, {'isal': None}):
            self.module = importlib.util.module_from_spec(
                deflate.__spec__)
            deflate.__spec__.loader.exec_module(self.module)

    def test_it_stores_no_more_of_a_mix_either(self):
        data = _mix()
        encoder = self.module.Encoder(self.module.fast_compressor(3, 6))
        stored = encoder.feed(memoryview(data)) + encoder.finish()
        self.assertLessEqual(len(stored), len(zlib.compress(data)))

    def _decode(self, stored, length, step):
        decoder = streams.StreamDecoder(
            'zlib', self.module.ZlibStream(), self.module.ERRORS, length)
        data = [found for start in range(0, len(stored), step)
                for found in decoder.feed(stored[start:start + step])]
        decoder.finish()
        self.assertLessEqual(max(map(len, data), default=0), streams.PIECE)
        return b''.join(data)

    def test_decoding_in_pieces(self):
        data = _TEXT * 40 + os.urandom(100000) + bytes(5 << 20)
        stored = zlib.compress(data)
        for step in (1000, len(stored)):
            self.assertEqual(data, self._decode(stored, len(data), step))
        self.assertEqual(b'x', self._decode(zlib.compress(b'x'), 1, 1))

    def test_streams_that_are_not_right(self):
        stored = zlib.compress(_TEXT)
        for wrong, kind in (
                (stored[:-1], exceptions.FormatError),
                (stored + b'x', exceptions.FormatError),
                (b'no zlib stream', exceptions.FormatError),
                (zlib.compress(_TEXT[:-1]), exceptions.LengthMismatch),
                (zlib.compress(_TEXT + b'x'), exceptions.LengthMismatch),
                (zlib.compress(bytes(64 << 20)), exceptions.LengthMismatch)):
            for step in (7, 1 << 20):
                self.assertRaises(kind, self._decode, wrong, len(_TEXT),
                                  step)

    def test_the_standard_library_does_it(self):
        self.assertIsNone(self.module.isal_zlib)
        data = _TEXT + os.urandom(100000) + _TEXT
        encoder = self.module.Encoder(self.module.fast_compressor(3, 6))
        stored = encoder.feed(memoryview(data)) + encoder.finish()
        self.assertEqual(data, zlib.decompress(stored))
        stream = self.module.decompressor()
        self.assertEqual(data, stream.decompress(stored, len(data) + 1))
        self.assertTrue(stream.eof)
        self.assertRaises(
            self.module.ERRORS, self.module.decompressor().decompress,
            b'no zlib stream', 10)

# SPDX-License-Identifier: Apache-2.0

"""Which form a chunk is stored in, and how it comes to be."""

import hashlib
import random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import stored_form

_SOURCE = random.Random(5)
_NOISE = _SOURCE.randbytes(3 << 20)
_TEXT = b'the quick brown fox jumps over the lazy dog\n' * 30000


def _make(codec, data, step=1 << 20):
    maker = stored_form.StoredFormMaker(codec, codecs.Level.BALANCED,
                                        len(data))
    buffer = bytearray(step)
    for start in range(0, len(data), step):
        piece = data[start:start + step]
        # The same buffer each time, as volumes are read.
        buffer[:len(piece)] = piece
        maker.feed(memoryview(buffer)[:len(piece)])
    return maker.finish()


def _decode(form, length):
    decoder = codecs.find(form.compression).decoder(length)
    data = b''.join(decoder.feed(bytes(form.data)))
    decoder.finish()
    return data


class StoredFormTest(base.BaseTestCase):
    """What comes out."""

    def _check(self, word, data, step=1 << 20):
        form = _make(codecs.find(word), data, step)
        self.assertEqual(data, _decode(form, len(data)))
        self.assertEqual(hashlib.md5(form.data).hexdigest(), form.md5)
        self.assertLessEqual(len(form.data), len(data))
        return form.compression

    def test_words(self):
        for word in ('zlib', 'gzip', 'bz2', 'zstd'):
            self.assertEqual(word, self._check(word, _TEXT))
            self.assertEqual('none', self._check(word, _NOISE))
            self.assertEqual(word, self._check(word, _NOISE + _TEXT))
            self.assertEqual(word, self._check(word, _TEXT + _NOISE))
            # Too little to look like noise.
            self.assertEqual('none', self._check(word, _NOISE[:1000]))
            self.assertEqual('none', self._check(word, b'x'))
        self.assertEqual('none', self._check('none', _TEXT))
        self.assertEqual('none', self._check('none', _NOISE))

    @given(st.sampled_from(('none', 'zlib', 'bz2', 'zstd')),
           st.lists(st.tuples(st.booleans(), st.integers(1, 200000)),
                    max_size=5),
           st.sampled_from((32768, 65536, 100000)))
    def test_any_mix(self, word, parts, step):
        data = b''.join((_NOISE if kind else _TEXT)[:length]
                        for kind, length in parts)
        self._check(word, data, step)

    def test_codecs_are_not_bothered_with_noise(self):
        encoder = mock.Mock()
        codec = codecs.Codec('x', lambda length, level: encoder, None)
        form = _make(codec, _NOISE)
        self.assertEqual('none', form.compression)
        self.assertEqual([], encoder.mock_calls)

    def test_noise_is_encoded_with_what_comes_after_it(self):
        form = _make(codecs.find('zlib'), _NOISE + _TEXT)
        self.assertLess(len(form.data), len(_NOISE) * 1.01)
        self.assertEqual('zlib', form.compression)

    def test_what_does_not_shrink_is_decoded_again(self):
        # A codec that makes everything larger, of data unlike noise.
        class Doubling:
            def feed(self, data):
                return bytes(data) * 2

            def finish(self):
                return b''

        class Halving:
            def feed(self, stored):
                yield stored[:len(stored) // 2]

            def finish(self):
                pass

        form = _make(codecs.Codec('x', lambda length, level: Doubling(),
                                  lambda length: Halving()), _TEXT)
        self.assertEqual('none', form.compression)
        self.assertEqual(_TEXT, bytes(form.data))

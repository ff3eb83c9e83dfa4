# SPDX-License-Identifier: Apache-2.0

"""Zeros that nobody compressed."""

import bz2
import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base
import zstd

from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import zero_form

_MIB = 1 << 20
# What the stock driver decodes with.
_STOCK = {'zlib': zlib.decompress, 'bz2': bz2.decompress,
          'zstd': zstd.decompress, 'none': bytes}


class MakeTest(base.BaseTestCase):
    """Everybody reads it."""

    @given(st.integers(1, 3 * _MIB) | st.sampled_from(
        (1, 65520, 65521, 65522, _MIB - 1, _MIB, _MIB + 1, 2 * _MIB)),
        st.sampled_from(('none', 'zlib', 'gzip', 'bz2', 'zstd', 'ZSTD')))
    def test_decodes_to_zeros(self, length, word):
        self._check(zero_form.make(word, length), length)

    def test_largest(self):
        form = zero_form.make('zlib', zero_form.LARGEST)
        self.assertEqual('bz2', form.compression)
        self._check(form, zero_form.LARGEST)

    def _check(self, form, length):
        self.assertEqual(bytes(length), _STOCK[form.compression](
            bytes(form.data)))
        self.assertEqual(hashlib.md5(form.data).hexdigest(), form.md5)
        self.assertLessEqual(len(form.data), length)
        decoder = codecs.find(form.compression).decoder(length)
        count = 0
        for piece in decoder.feed(bytes(form.data)):
            self.assertEqual(len(piece), piece.count(0))
            count += len(piece)
        decoder.finish()
        self.assertEqual(length, count)

    def test_sizes(self):
        for word, length, bound in (
                ('zlib', zero_form.LARGEST, 209),
                ('none', zero_form.LARGEST, 209),
                ('bz2', zero_form.LARGEST - 512, 300000),
                ('zstd', zero_form.LARGEST, 30000)):
            form = zero_form.make(word, length)
            self.assertLess(len(form.data), bound)

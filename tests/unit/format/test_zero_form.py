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
        st.sampled_from(('none', 'zlib', 'gzip', 'bz2', 'zstd', 'ZSTD')),
        st.booleans())
    def test_decodes_to_zeros(self, length, word, many):
        form = zero_form.make(word, length, many=many)
        self.assertEqual(bytes(length), _STOCK[form.compression](
            bytes(form.data)))
        self.assertEqual(hashlib.md5(form.data).hexdigest(), form.md5)
        self.assertLessEqual(len(form.data), length)
        decoder = codecs.Codecs().find(form.compression).decoder(length)
        count = 0
        for piece in decoder.feed(bytes(form.data)):
            self.assertEqual(len(piece), piece.count(0))
            count += len(piece)
        decoder.finish()
        self.assertEqual(length, count)

    def test_sizes(self):
        length = 256 * _MIB
        for word, many, bound in (('zlib', False, 300000),
                                  ('none', False, 300000),
                                  ('bz2', False, 300000),
                                  ('zstd', False, 30000),
                                  ('zlib', True, 1000), ('none', True, 1000),
                                  ('zstd', True, 30000)):
            form = zero_form.make(word, length, many=many)
            self.assertLess(len(form.data), bound)

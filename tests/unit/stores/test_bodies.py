# SPDX-License-Identifier: Apache-2.0

"""A stream in the shape of a file."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import bodies


class StreamReaderTest(base.BaseTestCase):
    """Reading pieces in other pieces."""

    @given(st.lists(st.binary(max_size=20), max_size=8), st.integers(1, 15))
    def test_read(self, pieces, size):
        whole = b''.join(pieces)
        reader = bodies.StreamReader(
            store_base.Stream(len(whole), lambda: iter(pieces)))
        found = []
        while data := reader.read(size):
            self.assertLessEqual(len(data), size)
            found.append(data)
        self.assertEqual(whole, b''.join(found))
        self.assertEqual(b'', reader.read(size))
        self.assertEqual(hashlib.md5(whole).hexdigest(), reader.md5())

    def test_md5_is_of_what_was_read(self):
        reader = bodies.StreamReader(
            store_base.Stream(6, lambda: iter((b'abc', b'def'))))
        reader.read(2)
        self.assertEqual(hashlib.md5(b'ab').hexdigest(), reader.md5())

# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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

# SPDX-License-Identifier: Apache-2.0

"""Digests of blocks, and telling changed blocks by them."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import digests


def _sha256(data):
    return hashlib.sha256(data).digest()


class HashTest(base.BaseTestCase):
    """Hashing blocks and finding the changed ones."""

    @given(st.binary(max_size=100), st.integers(1, 20))
    def test_hash_blocks(self, data, block_size):
        expected = b''.join(_sha256(data[start:start + block_size])
                            for start in range(0, len(data), block_size))
        self.assertEqual(
            expected, digests.hash_blocks(memoryview(data), block_size))

    @given(st.lists(st.integers(0, 2), max_size=8),
           st.lists(st.integers(0, 2), max_size=8))
    def test_changed_blocks(self, before, now):
        # A naive model: compare one by one, a missing one has changed.
        before_digests = [_sha256(bytes([value])) for value in before]
        now_digests = [_sha256(bytes([value])) for value in now]
        expected = [
            index for index, digest in enumerate(now_digests)
            if index >= len(before_digests)
            or before_digests[index] != digest]
        self.assertEqual(expected, digests.changed_blocks(
            b''.join(now_digests), b''.join(before_digests)))

    def test_nothing_changed(self):
        packed = _sha256(b'a') + _sha256(b'b')
        self.assertEqual([], digests.changed_blocks(packed, packed))
        self.assertEqual([], digests.changed_blocks(bytearray(packed),
                                                    packed))

    def test_table(self):
        table = digests.DigestTable(16, _sha256(b'a') + _sha256(b'b'))
        self.assertEqual(2, len(table))
        self.assertEqual(_sha256(b'b'), table.digest(1))
        self.assertEqual(_sha256(b'a'), table.run(0, 1))
        self.assertEqual(_sha256(b'b'), table.run(1, 9))
        self.assertEqual(b'', table.run(2, 9))

# SPDX-License-Identifier: Apache-2.0

"""Memory of its own for a chunk."""

import mmap
import random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import scratch

_MIB = 1 << 20


class ScratchTest(base.BaseTestCase):
    """Bytes at the end, and from the front."""

    @given(st.integers(0, 100), st.lists(st.binary(max_size=50)))
    def test_any_pieces(self, size, pieces):
        found = scratch.Scratch(size)
        for piece in pieces:
            found.append(piece)
        whole = b''.join(pieces)
        self.assertEqual(len(whole), len(found))
        self.assertEqual(whole, bytes(found.view()))
        self.assertEqual(whole, b''.join(map(bytes, found.drain())))

    def test_more_than_expected(self):
        data = random.Random(1).randbytes(7 * _MIB + 5)
        found = scratch.Scratch(3 * _MIB)
        for start in range(0, len(data), _MIB):
            found.append(memoryview(data)[start:start + _MIB])
        self.assertEqual(data, bytes(found.view()))

    def test_drained_pieces_are_gone(self):
        data = random.Random(1).randbytes(5 * _MIB)
        found = scratch.Scratch(len(data))
        found.append(data)
        pieces = found.drain()
        first = next(pieces)
        self.assertEqual(data[:2 * _MIB], bytes(first))
        second = next(pieces)
        self.assertEqual(data[2 * _MIB:4 * _MIB], bytes(second))
        self.assertEqual(bytes(2 * _MIB), bytes(first))

    def test_kernel_without_huge_pages(self):
        real = mmap.mmap

        class Plain(real):
            def madvise(self, advice, *where):
                if advice == mmap.MADV_HUGEPAGE:
                    raise OSError(22, 'Invalid argument')
                super().madvise(advice, *where)

        with mock.patch('mmap.mmap', Plain):
            found = scratch.Scratch(4 * _MIB)
        found.append(b'data')
        self.assertEqual(b'data', bytes(found.view()))

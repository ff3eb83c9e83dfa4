# SPDX-License-Identifier: Apache-2.0

"""What looks like noise, and what does not."""

import base64
import os
import random
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import noise

_SEGMENT = noise.SEGMENT


class IsNoiseTest(base.BaseTestCase):
    """One segment."""

    def test_noise(self):
        source = random.Random(1)
        for length in (2048, 4096, 10001, _SEGMENT - 1, _SEGMENT):
            for _ in range(500):
                self.assertTrue(noise.is_noise(
                    memoryview(source.randbytes(length))))

    def test_compressed_data(self):
        text = b' '.join(b'%d' % (n * n) for n in range(300000))
        packed = zlib.compress(text)
        self.assertGreater(len(packed), _SEGMENT)
        self.assertTrue(noise.is_noise(memoryview(packed)[:_SEGMENT]))

    def test_what_compresses(self):
        source = random.Random(2)
        for data in (
                bytes(_SEGMENT), bytes(range(256)) * 128,
                bytes(range(0, 256, 3)) * 400, b'the quick brown fox ' * 1700,
                base64.b64encode(source.randbytes(_SEGMENT)),
                source.randbytes(_SEGMENT).hex().encode(),
                struct.pack('<8192I', *(source.randrange(1 << 20)
                                        for _ in range(8192))),
                struct.pack('<4096d', *(source.random()
                                        for _ in range(4096))).replace(
                                            b'\x3f', b'\x00'),
                source.randbytes(_SEGMENT // 2) + bytes(_SEGMENT // 2),
                bytes(_SEGMENT // 2) + source.randbytes(_SEGMENT // 2)):
            self.assertFalse(noise.is_noise(memoryview(data)[:_SEGMENT]),
                             data[:40])

    def test_short_ones_are_not_looked_at(self):
        for length in (0, 1, 255, 256, 257, 2047):
            self.assertFalse(noise.is_noise(memoryview(os.urandom(length))))


class RunsTest(base.BaseTestCase):
    """Segments of one kind are put together."""

    def test_runs(self):
        source = random.Random(3)
        data = (source.randbytes(2 * _SEGMENT) + bytes(3 * _SEGMENT)
                + source.randbytes(_SEGMENT) + bytes(10))
        self.assertEqual(
            [(True, 0, 2), (False, 2, 5), (True, 5, 6), (False, 6, 7)],
            [(kind, *run.block_range(_SEGMENT))
             for kind, run in noise.split(memoryview(data))])

    @given(st.lists(st.booleans(), max_size=6), st.integers(0, 5000))
    def test_runs_cover_everything_in_turn(self, kinds, more):
        source = random.Random(4)
        data = b''.join(source.randbytes(_SEGMENT) if kind
                        else bytes(_SEGMENT) for kind in kinds)
        data += bytes(more)
        position = 0
        before = None
        for kind, run in noise.split(memoryview(data)):
            self.assertEqual(position, run.offset)
            self.assertGreater(run.length, 0)
            self.assertIsNot(kind, before)
            position, before = run.end, kind
        self.assertEqual(len(data), position)

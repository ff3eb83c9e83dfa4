# SPDX-License-Identifier: Apache-2.0

"""The index of a pack."""

import dataclasses
import hashlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import types

_NAME = 'volume_v/packs/b-000001'
_BLOCK = 16


_ORIGIN = packs.Origin(1 << 40, ('bak-1', 'bak-2.0000002a'))


def _index(extents, block_size=_BLOCK):
    """An index of chunks of 9 stored bytes; every third is zeros."""
    chunks = packed_chunks.PackedChunks(lambda _: _NAME)
    packed = b''
    place = 0
    for number, extent in enumerate(extents):
        stored = 0 if number % 3 == 2 else 9
        chunks.add(extent, 'zlib' if stored else 'zeros', 0,
                   types.Extent(place, stored))
        place += stored
        if stored:
            packed += b''.join(
                hashlib.sha256(b'%d' % block).digest()
                for block in range(*extent.block_range(block_size)))
    return packs.Index(block_size, chunks, packed, _ORIGIN)


def _pack(index, encoded=None):
    encoded = encoded or packs.encode(index)
    return packs.Pack(7, _NAME, index.chunks.stored_bytes + len(encoded),
                      '0' * 32, len(encoded), packs.sha256(encoded))


_EXTENTS = st.lists(
    st.builds(lambda first, count, cut: types.Extent(
        first * _BLOCK, count * _BLOCK - cut),
        st.integers(0, 1 << 20), st.integers(1, 40), st.integers(0, 15)),
    max_size=7)


class IndexTest(base.BaseTestCase):
    """What we write we read, and nothing else."""

    @given(_EXTENTS)
    def test_round_trip(self, extents):
        index = _index(extents)
        encoded = packs.encode(index)
        pack = _pack(index)
        found = packs.decode(pack, encoded)
        self.assertEqual(list(index.chunks), list(found.chunks))
        self.assertEqual((index.block_size, index.packed),
                         (found.block_size, found.packed))
        self.assertEqual(
            types.Extent(index.chunks.stored_bytes, len(encoded)),
            pack.index_place)
        # It is found from the end, by who has no manifest.
        self.assertEqual(packs.MAGIC, encoded[-8:])
        length = int.from_bytes(encoded[-44:-40], 'little')
        self.assertEqual(len(encoded), length + 44)
        self.assertEqual(hashlib.sha256(encoded[:length]).digest(),
                         encoded[-40:-8])

    @given(_EXTENTS)
    def test_digests(self, extents):
        index = _index(extents)
        found = list(index.digests())
        self.assertEqual(extents, [extent for extent, _ in found])
        rest = index.packed
        for number, (extent, packed) in enumerate(found):
            first, end = extent.block_range(_BLOCK)
            self.assertEqual((end - first) * digests.DIGEST_SIZE, len(packed))
            if number % 3 == 2:
                self.assertEqual(digests.packed_zeros(extent.length, _BLOCK),
                                 packed)
                continue
            self.assertEqual(rest[:len(packed)], packed)
            rest = rest[len(packed):]

    @given(_EXTENTS, st.data())
    def test_any_damage(self, extents, data):
        index = _index(extents)
        encoded = bytearray(packs.encode(index))
        pack = _pack(index)
        # What is behind the body the manifest tells.
        at = data.draw(st.integers(0, len(encoded) - 45))
        encoded[at] ^= data.draw(st.integers(1, 255))
        err = self.assertRaises(exceptions.FormatError, packs.decode, pack,
                                bytes(encoded))
        self.assertIn('differs from the one that the manifest names',
                      str(err))
        self.assertEqual(_NAME, err.name)

    def _refused(self, why, index, change=lambda encoded: encoded, **fields):
        """An index whose sum is right, but nothing else."""
        body = change(packs.encode(index)[:-44])
        digest = hashlib.sha256(body).digest()
        pack = dataclasses.replace(
            _pack(index), index_sha256=digest, **fields)
        err = self.assertRaises(exceptions.FormatError, packs.decode, pack,
                                body + bytes(44))
        self.assertIn(why, str(err))

    def test_each_fault(self):
        index = _index([types.Extent(0, 32), types.Extent(32, 16)])
        self._refused('cut off', index, lambda body: body[:10])
        self._refused('no index', index, lambda body: b'X' + body[1:])
        for size in (0, types.LARGEST_BLOCK + 1):
            self._refused(
                'blocks cannot have', index, lambda body, size=size: (
                    body[:8] + size.to_bytes(4, 'little') + body[12:]))
        self._refused('chunks instead of', index, lambda body: (
            body[:12] + bytes([9, 0, 0, 0]) + body[16:]))
        self._refused('and may have 0', index, lambda body: (
            body[:12] + bytes(4) + body[16:]))
        self._refused('one digest for each block', index,
                      lambda body: body[:-32])
        self._refused('where its index begins', index, length=1000)
        for why, chunk in (
                ('names other packs', (1, types.Extent(0, 9))),
                ('do not follow each other', (0, types.Extent(1, 9)))):
            chunks = packed_chunks.PackedChunks(lambda _: _NAME)
            chunks.add(types.Extent(0, 16), 'none', *chunk)
            self._refused(why, packs.Index(_BLOCK, chunks, bytes(32),
                                           _ORIGIN))

    def test_each_fault_of_the_origin(self):
        index = _index([types.Extent(0, 16)])
        for why, origin in (
                ('does not tell its makers', packs.Origin(9, ('a/b',))),
                ('does not tell its makers', packs.Origin(9, ('',))),
                ('does not tell its makers', packs.Origin(9, (7,))),
                ('does not tell its makers', packs.Origin(9, None)),
                ('volume_size', packs.Origin(-1)),
                ('volume_size', packs.Origin('9'))):
            self._refused(why, dataclasses.replace(index, origin=origin))
        self._refused('JSON', index, lambda body: body.replace(
            b'"makers"', b'"makers '))

    @given(_EXTENTS)
    def test_footer(self, extents):
        encoded = packs.encode(_index(extents))
        self.assertEqual(
            (len(encoded), packs.sha256(encoded)),
            packs.footer(_NAME, 9000 + len(encoded),
                         encoded[-packs.FOOTER:]))
        for length, end in ((len(encoded) - 1, encoded[-packs.FOOTER:]),
                            (9000, encoded[-20:]),
                            (1 << 20, encoded[-packs.FOOTER:-1] + b'?')):
            err = self.assertRaises(exceptions.FormatError, packs.footer,
                                    _NAME, length, end)
            self.assertEqual(_NAME, err.name)

    def test_largest(self):
        chunks = packed_chunks.PackedChunks(lambda _: _NAME)
        for number in range(packs.MOST):
            # As irregular as can be.
            noise = hashlib.sha256(b'%d' % number).digest()
            chunks.add(types.Extent(
                int.from_bytes(noise[:4], 'little') * _BLOCK, _BLOCK),
                'zlib', 0, types.Extent(0, 1 + noise[5] + 256 * noise[6]))
        encoded = packs.encode(packs.Index(
            _BLOCK, chunks, bytes(packs.MOST * 32), _ORIGIN))
        self.assertLess(len(encoded), packs.LARGEST_INDEX)

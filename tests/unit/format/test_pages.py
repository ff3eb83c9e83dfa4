# SPDX-License-Identifier: Apache-2.0

"""Pages of a manifest."""

import hashlib

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from tests.fakes import documents

_BLOCK = 16
_EXTENT = types.Extent(64, 64)


class PageTest(base.BaseTestCase):
    """Only what the manifest names is believed, and not all of that."""

    def setUp(self):
        super().setUp()
        self.packs = pack_table.PackTable(documents.PREFIX, [packs.Pack(
            7, naming.pack_name(documents.PREFIX, 'bak-1', 1), 100, '0' * 32,
            40, bytes(32))])

    def _decode(self, *chunks, change=lambda encoded: encoded):
        table = packed_chunks.PackedChunks(self.packs.name_of)
        for extent, place, key in chunks:
            table.add(extent, 'zlib', key, place)
        encoded = pages.encode(table, _BLOCK, _EXTENT)
        page = pages.Page(_EXTENT, f'{documents.PREFIX}-00000',
                          types.Extent(0, len(encoded)),
                          hashlib.sha256(encoded).digest())
        return pages.decode(page, change(encoded), _BLOCK, _EXTENT.length,
                            self.packs)

    def test_round_trip(self):
        for chunks in ([], [(_EXTENT, types.Extent(0, 60), 7)]):
            found = self._decode(*chunks)
            self.assertEqual(
                [(extent, place, self.packs.name_of(key))
                 for extent, place, key in chunks],
                [(record.extent, record.place, record.name)
                 for record in found])

    def test_each_fault(self):
        place = types.Extent(0, 60)
        for why, chunk in (
                ('a pack that there is not', (_EXTENT, place, 1)),
                ('not in the part', (types.Extent(48, 16), place, 7)),
                ('not in the part', (types.Extent(112, 32), place, 7)),
                ('behind those of', (_EXTENT, types.Extent(1, 60), 7))):
            err = self.assertRaises(exceptions.FormatError, self._decode,
                                    chunk)
            self.assertIn(why, str(err))
            self.assertIn('a page of the manifest is damaged', str(err))

    def test_another_page(self):
        err = self.assertRaises(
            exceptions.FormatError, self._decode,
            change=lambda encoded: encoded[:-1] + b'\xff')
        self.assertEqual(
            (_EXTENT.offset, _EXTENT.end, f'{documents.PREFIX}-00000'),
            (err.offset, err.end, err.name))
        self.assertNotEqual(err.expected, err.actual)

    def test_sizes(self):
        for block_size, expected in (
                (1 << 15, 1 << 30), (1 << 28, 1 << 30), (3 << 20, 1023 << 20),
                (512, 64 << 20), (1 << 13, 1 << 30),
                (1536, 682 * 1536 * 192)):
            self.assertEqual(expected, pages.size(block_size))
            chunk = pages.largest_chunk(block_size)
            self.assertEqual((0, 0), (chunk % block_size, expected % chunk))
            self.assertLessEqual(expected // block_size, pages.MOST_BLOCKS)
        self.assertEqual(1 << 20, pages.largest_chunk(1 << 15))
        self.assertEqual(1 << 28, pages.largest_chunk(1 << 28))


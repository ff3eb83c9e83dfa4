# SPDX-License-Identifier: Apache-2.0

"""Tables of chunks in packs: what we write we read, and nothing else."""

import struct
import tracemalloc
import zlib

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types

_NAME = 'volume_v/packs/b-000001'


def _decode(data, block_size=16, most=100, first=0):
    return packed_chunks.decode(_NAME, memoryview(data), block_size, str,
                                most, first)


def _chunk(table, offset=0, length=16, word='zlib', pack=0, place=(0, 9)):
    table.add(types.Extent(offset, length), word, pack, types.Extent(*place))


@st.composite
def _tables(draw):
    """A table and the size of its blocks."""
    block_size = draw(st.sampled_from((1, 16, 512, 1 << 15, 1 << 28)))
    table = packed_chunks.PackedChunks(str)
    for _ in range(draw(st.integers(0, 8))):
        first = draw(st.integers(0, 1 << 20))
        count = draw(st.integers(1, 1 << 10))
        cut = draw(st.just(0) | st.integers(0, block_size - 1))
        word = draw(st.sampled_from(packed_chunks.WORDS))
        _chunk(table, first * block_size, count * block_size - cut, word,
               draw(st.integers(0, 1 << 40)),
               (draw(st.integers(0, 1 << 31)),
                0 if word == packed_chunks.ZEROS
                else draw(st.integers(1, 1 << 31))))
    return table, block_size


def _read(data, block_size, first):
    """A table as somebody reads it who has nothing but its description."""
    (count,), planes = struct.unpack('<I', data[:4]), zlib.decompress(data[4:])
    columns, start = [], 0
    for size, signed in ((8, True), (4, False), (4, False), (8, True),
                         (8, True), (4, False), (1, False)):
        columns.append([int.from_bytes(
            bytes(planes[start + number + place * count]
                  for place in range(size)), 'little', signed=signed)
            for number in range(count)])
        start += size * count
    assert start == len(planes)
    block, pack, place = first, 0, 0
    for gap, blocks, short, packs, between, stored, codec in zip(
            *columns, strict=True):
        block += gap
        pack += packs
        place += between
        yield (block * block_size, blocks * block_size - short,
               packed_chunks.WORDS[codec], str(pack), place, stored)
        block += blocks
        place += stored


class RoundTripTest(base.BaseTestCase):
    """Records come out as they were put in."""

    @given(_tables(), st.integers(0, 1 << 20))
    def test_round_trip(self, drawn, first):
        table, block_size = drawn
        stored = table.encode(block_size, first)
        found = _decode(stored, block_size, first=first)
        self.assertEqual(list(table), list(found))
        self.assertEqual(
            [(record.extent.offset, record.extent.length, record.compression,
              record.name, record.place.offset, record.place.length)
             for record in table], list(_read(stored, block_size, first)))

    @given(_tables())
    def test_what_a_table_tells(self, drawn):
        table, _ = drawn
        records = list(table)
        self.assertEqual(len(records), len(table))
        self.assertEqual(sum(record.stored_length for record in records),
                         table.stored_bytes)
        self.assertEqual({record.compression for record in records},
                         set(table.words()))
        self.assertEqual(
            sorted(records, key=lambda record: record.extent.offset)
            == records or not table.is_in_order(), True)
        self.assertEqual([record.place.end for record in records],
                         list(table.place_ends()))
        for record in records:
            self.assertEqual(record.compression == 'zeros', record.is_zeros)
            self.assertIsNone(record.stored_md5)

    def test_places_that_follow(self):
        table = packed_chunks.PackedChunks(str)
        self.assertTrue(table.places_follow())
        _chunk(table, place=(0, 9))
        _chunk(table, place=(9, 1))
        self.assertTrue(table.places_follow())
        _chunk(table, place=(11, 1))
        self.assertFalse(table.places_follow())


class DamageTest(base.BaseTestCase):
    """What is no table is refused, and takes no memory."""

    def _refused(self, data, why, **options):
        err = self.assertRaises(exceptions.FormatError, _decode, data,
                                **options)
        self.assertIn(why, str(err))
        self.assertEqual(_NAME, err.name)

    @given(_tables(), st.data())
    def test_any_damage(self, drawn, data):
        table, block_size = drawn
        stored = bytearray(table.encode(block_size))
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] ^= data.draw(st.integers(1, 255))
        try:
            found = _decode(bytes(stored), block_size)
        except exceptions.FormatError:
            return
        # The window of a zlib stream may be named in several ways.
        self.assertEqual(list(table), list(found))

    @given(st.binary(max_size=200))
    def test_rubbish(self, stored):
        try:
            _decode(stored)
        except exceptions.FormatError as err:
            self.assertTrue(str(err).isprintable())

    def test_each_fault(self):
        def table(**fields):
            chunks = packed_chunks.PackedChunks(str)
            _chunk(chunks, **fields)
            return chunks.encode(16)

        self._refused(b'abc', 'cut off')
        self._refused(table(), 'and may have 0', most=0)
        self._refused(table() + b'x', 'another length')
        self._refused(table()[:-5], 'another length')
        self._refused(table()[:4] + b'not zlib', 'no zlib stream')
        self._refused(table(place=(0, 0)), 'nothing is stored')
        self._refused(table(word='zeros'), 'nothing is stored')
        self._refused(table(place=(-1, 9)), 'before its pack does')
        self._refused(table(place=(1 << 40, 9)), 'no pack can reach')
        self._refused(table(offset=-16), 'before the volume does')
        self._refused(table(pack=-1), 'a key is negative')
        self._refused(table(length=0), 'a chunk is empty')
        self._refused(table(offset=(1 << 62) + (1 << 61) + (1 << 60)
                            + (1 << 59), length=16 << 20), '',
                      block_size=1 << 28)

    def test_a_stream_that_holds_too_much(self):
        bomb = struct.pack('<I', 1) + zlib.compress(bytes(64 << 20))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self._refused(bomb, 'another length')
        self.assertLess(tracemalloc.get_traced_memory()[1], 4 << 20)

    def test_memory(self):
        table = packed_chunks.PackedChunks(str)
        count = 1 << 15
        for number in range(count):
            _chunk(table, 16 * number, place=(9 * number, 9))
        stored = table.encode(16)
        # The regular ones take hardly any room.
        self.assertLess(len(stored), 4096)
        del table
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        found = _decode(stored, most=count)
        self.assertLess(tracemalloc.get_traced_memory()[0], 45 * count)
        self.assertEqual(count, len(found))

# SPDX-License-Identifier: Apache-2.0

"""Chunks that come with one request."""

import itertools
import random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import streams
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import memory
from tests.fakes import blobs
from tests.fakes import operations

_BLOCK = 16
_DATA = random.Random(5).randbytes(1024)
_NAMES = st.sampled_from(('one', 'other'))


def _planned(name, place, extent=None, container='c', stored_md5=None):
    extent = extent or types.Extent(0, 10)
    return planner.PlannedChunk(container, types.ChunkRecord(
        name, extent, 'none', stored_md5=stored_md5, place=place), (extent,))


class GroupedTest(base.BaseTestCase):
    """Which chunks come together."""

    @given(st.lists(st.tuples(_NAMES, st.integers(0, 1 << 20),
                              st.integers(0, 2 << 20)), max_size=12))
    def test_neighbours(self, places):
        chunks = [_planned(name, types.Extent(offset, length))
                  for name, offset, length in places]
        found = list(groups.grouped(chunks))
        self.assertEqual(chunks, [chunk for group in found
                                  for chunk in group.chunks])
        for group in found:
            for one, other in itertools.pairwise(group.chunks):
                gap = other.record.place.offset - one.record.place.end
                self.assertIn(gap, range(groups.GAP + 1))
                self.assertEqual(one.record.name, other.record.name)
        for before, after in itertools.pairwise(found):
            one, other = before.chunks[-1].record, after.chunks[0].record
            gap = other.place.offset - one.place.end
            self.assertTrue(
                one.name != other.name or one.is_zeros or other.is_zeros
                or gap not in range(groups.GAP + 1))

    def test_a_group_has_a_largest_size(self):
        part = 1 << 20
        for volume, most in ((1, 16), (2 << 20, 16), (8 << 20, 8)):
            chunks = [_planned('one', types.Extent(number * part, part),
                               types.Extent(number * volume, volume))
                      for number in range(64)]
            self.assertEqual(
                [most] * (64 // most),
                [len(group.chunks) for group in groups.grouped(chunks)])
        # One chunk may be larger.
        large = _planned('one', types.Extent(0, 1 << 30))
        self.assertEqual(2, len(list(groups.grouped([large, large]))))

    def test_what_is_never_together(self):
        place, after = types.Extent(0, 10), types.Extent(10, 10)
        for one, other in (
                (_planned('a', None), _planned('a', None)),
                (_planned('a', None), _planned('a', after)),
                (_planned('a', place), _planned('a', None)),
                (_planned('a', place), _planned('a', after, container='d')),
                (_planned('a', types.Extent(10, 0)), _planned('a', after)),
                (_planned('a', place), _planned('a', types.Extent(10, 0)))):
            self.assertEqual(2, len(list(groups.grouped([one, other]))))
        self.assertEqual([], list(groups.grouped([])))

    def test_what_is_left(self):
        chunks = tuple(
            _planned('a', types.Extent(start, 10), types.Extent(start, 10))
            for start in (0, 10, 20))
        group = groups.Group(chunks)
        extents = [chunk.extents[0] for chunk in chunks]
        self.assertEqual(30, group.length)
        self.assertEqual(types.Extent(0, 30), group.place)
        self.assertEqual(tuple(extents), group.extents)
        self.assertEqual(group, group.without(frozenset()))
        left = group.without(frozenset(extents[:1]))
        self.assertEqual(chunks[1:], left.chunks)
        self.assertEqual(types.Extent(10, 20), left.place)
        self.assertIsNone(group.without(frozenset(extents)))
        self.assertFalse(group.is_zeros)
        self.assertTrue(groups.Group((
            _planned('a', types.Extent(7, 0)),)).is_zeros)
        self.assertIsNone(groups.Group((_planned('a', None),)).place)


@st.composite
def _packed(draw):
    """An object of several chunks of a volume, and a plan of some of them.

    Between them there are bytes that belong to none.
    """
    stored, chunks = bytearray(), []
    sizes = draw(st.lists(st.integers(1, 8), min_size=1, max_size=8))
    offset = 0
    for size in sizes:
        extent = types.Extent(offset, size * _BLOCK)
        offset = extent.end
        word = draw(st.sampled_from(('none', 'zlib', 'bz2', 'zstd')))
        stored += b'#' * draw(st.integers(0, 30))
        encoder = codecs.find(word).encoder(extent.length, codecs.Level.FAST)
        data = b''.join((
            encoder.feed(memoryview(_DATA)[extent.offset:extent.end]),
            encoder.finish()))
        chunks.append(types.ChunkRecord(
            'pack', extent, word, len(data),
            place=types.Extent(len(stored), len(data))))
        stored += data
    stored += b'#' * draw(st.integers(0, 30))
    taken = draw(st.lists(st.sampled_from(chunks), unique=True, min_size=1))
    taken.sort(key=lambda record: record.place.offset)
    return bytes(stored), groups.Group(tuple(
        planner.PlannedChunk('c', record, (draw(st.sampled_from([
            record.extent,
            types.Extent(record.extent.end - _BLOCK, _BLOCK),
            types.Extent(record.extent.offset, _BLOCK)])),))
        for record in taken))


def _check():
    table = digests.DigestTable(
        _BLOCK, digests.hash_blocks(memoryview(_DATA), _BLOCK))
    return verification.Check(verification.DigestCheck(table, len(_DATA)))


class ReadTest(base.BaseTestCase):
    """A group comes with one request, and is verified by blocks."""

    def _read(self, stored, group, piece=1 << 20, check=None):
        store = memory.MemoryStore()
        store.ensure_container('c', create=True)
        blobs.put(store, 'c', 'pack', stored)
        asked = mock.Mock(wraps=store)
        asked.until.return_value = asked
        self.handed = []
        with mock.patch.object(store_base, 'PIECE', piece), \
                mock.patch.object(streams, 'PIECE', piece):
            chunk_reader.ChunkReader(
                operations.on(asked), check or _check()).read(
                group, self._use, pipelines.StopFlag())
        asked.read.assert_called_once()

    def _use(self, offset, data, *, repeated):
        self.handed.append((offset, bytes(data)))

    @given(_packed(), st.integers(1, 90))
    def test_each_chunk_gets_its_own_bytes(self, packed, piece):
        self._read(*packed, piece)
        _, group = packed
        found = {}
        for offset, data in self.handed:
            self.assertEqual(_DATA[offset:offset + len(data)], data)
            found.update((number, data) for number in range(
                offset, offset + len(data)))
        self.assertEqual(
            {number for extent in group.extents
             for number in range(extent.offset, extent.end)}, set(found))

    @given(_packed(), st.integers(0, 1 << 16), st.integers(1, 90))
    def test_damage_is_noticed(self, packed, at, piece):
        stored, group = packed
        at %= len(stored)
        damaged = bytearray(stored)
        damaged[at] ^= 0x10
        try:
            self._read(bytes(damaged), group, piece)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            self.assertEqual(('c', 'pack'), (err.container, err.name))
            place = next(chunk.record.place for chunk in group.chunks
                         if chunk.record.extent.offset <= err.offset
                         < chunk.record.extent.end)
            self.assertIn(at, range(place.offset, place.end))
        for offset, data in self.handed:
            self.assertEqual(_DATA[offset:offset + len(data)], data)

    @given(_packed(), st.integers(1, 90))
    def test_an_object_that_is_too_short(self, packed, missing):
        stored, group = packed
        short = stored[:max(group.place.end - missing, 0)]
        self.assertRaises(exceptions.BackupError, self._read, short, group)

    @given(_packed())
    def test_a_length_that_is_not_what_was_recorded(self, packed):
        stored, group = packed
        chunk = group.chunks[-1]
        record = types.ChunkRecord(
            'pack', chunk.record.extent, chunk.record.compression,
            chunk.record.stored_length + 1, place=chunk.record.place)
        group = groups.Group((*group.chunks[:-1], planner.PlannedChunk(
            'c', record, chunk.extents)))
        self.assertRaises(exceptions.LengthMismatch, self._read, stored,
                          group)

# SPDX-License-Identifier: Apache-2.0

"""Records in columns come out as they were put in."""

import dataclasses
import pickle
import tracemalloc
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import types

_PREFIX = 'volume_v/20260801120000/az_nova_backup_b'
_SIZES = st.integers(0, (1 << 62) - 1)
# Names that are no number in five digits, such as a longer one with zeros.
_NAMES = (st.integers(0, 10 ** 19).map('{:05d}'.format)
          | st.sampled_from(('000001', '0' * 30, '9' * 30)))
_RECORDS = st.builds(
    types.ChunkRecord, name=_NAMES.map(f'{_PREFIX}-'.__add__),
    extent=st.builds(types.Extent, _SIZES, _SIZES),
    compression=st.sampled_from(('none', 'zlib', 'zstd', '')),
    stored_length=st.none() | _SIZES,
    stored_md5=st.none() | st.binary(min_size=16, max_size=16).map(bytes.hex))


def _record(number, offset, length=10):
    return types.ChunkRecord(f'{_PREFIX}-{number:05d}',
                             types.Extent(offset, length), 'none')


class ChunkTableTest(base.BaseTestCase):
    """Records as in a list."""

    @given(st.lists(_RECORDS, max_size=8))
    def test_against_a_list(self, records):
        table = chunk_table.ChunkTable(_PREFIX, records)
        self.assertEqual(records, list(table))
        self.assertEqual(len(records), len(table))
        self.assertEqual([record.name for record in records],
                         list(table.names()))
        for index in range(-len(records), len(records)):
            self.assertEqual(records[index], table[index])
        for index in (len(records), -len(records) - 1):
            self.assertRaises(IndexError, table.__getitem__, index)
        self.assertEqual(table, chunk_table.ChunkTable(_PREFIX, records))
        self.assertEqual(table, pickle.loads(pickle.dumps(table)))
        self.assertEqual(
            len({record.name for record in records}) < len(records),
            table.names_twice())
        self.assertEqual(
            max((record.extent.end for record in records), default=0),
            table.end)

    @given(st.lists(st.integers(0, 20), max_size=8))
    def test_in_order(self, offsets):
        records = [_record(number, offset)
                   for number, offset in enumerate(offsets)]
        table = chunk_table.ChunkTable(_PREFIX, records)
        self.assertEqual(offsets == sorted(offsets), table.is_in_order())
        self.assertEqual(
            sorted(records, key=lambda record: record.extent.offset),
            list(table.in_order()))

    def test_other_records(self):
        table = chunk_table.ChunkTable(_PREFIX, [_record(1, 0)])
        for others in ([], [_record(1, 1)], [_record(1, 0), _record(2, 0)]):
            self.assertNotEqual(table,
                                chunk_table.ChunkTable(_PREFIX, others))
        self.assertNotEqual(table, 5)

    def test_many_words(self):
        records = [dataclasses.replace(_record(number, number),
                                       compression=f'word {number}')
                   for number in range(300)]
        table = chunk_table.ChunkTable(_PREFIX, records)
        self.assertEqual(records, list(table))
        self.assertEqual(300, table.words)

    def test_memory(self):
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        table = chunk_table.ChunkTable(_PREFIX, (
            dataclasses.replace(_record(number, number << 25, 1 << 25),
                                stored_length=1 << 24, stored_md5='ab' * 16)
            for number in range(10_000)))
        self.assertLess(tracemalloc.get_traced_memory()[0] / len(table), 45)

    def test_what_is_no_md5(self):
        for md5 in ('ab', 'x' * 32, 'ab' * 17):
            record = types.ChunkRecord(f'{_PREFIX}-00001',
                                       types.Extent(0, 1), 'none', 1, md5)
            self.assertRaises(ValueError, chunk_table.ChunkTable, _PREFIX,
                              [record])


class SightingsTest(base.BaseTestCase):
    """A bit for each record."""

    @given(st.lists(_RECORDS, max_size=20,
                    unique_by=lambda record: record.name), st.data())
    def test_against_a_set(self, records, data):
        table = chunk_table.ChunkTable(_PREFIX, records)
        names = [record.name for record in records]
        seen = chunk_table.Sightings(table)
        listed = data.draw(st.lists(st.sampled_from(
            [*names, f'{_PREFIX}_metadata', f'{_PREFIX}-99998', 'other'])))
        for name in listed:
            self.assertEqual(
                names.index(name) if name in names else None, seen.see(name))
        self.assertEqual(len(set(listed) & set(names)), len(seen))
        self.assertEqual(
            [index for index, name in enumerate(names) if name not in listed],
            list(seen.unseen()))
        self.assertEqual([name in listed for name in names],
                         [index in seen for index in range(len(names))])

    def test_found_is_not_noted(self):
        seen = chunk_table.Sightings(chunk_table.ChunkTable(
            _PREFIX, [_record(1, 0), _record(2, 0)]))
        self.assertEqual(1, seen.find(f'{_PREFIX}-00002'))
        self.assertIsNone(seen.find('other'))
        self.assertEqual([0, 1], list(seen.unseen()))
        for _ in range(2):
            seen.note(1)
            self.assertEqual([0], list(seen.unseen()))
            self.assertEqual(1, len(seen))

    @given(st.permutations(range(10)))
    def test_numbers_in_any_order(self, numbers):
        table = chunk_table.ChunkTable(
            _PREFIX, [_record(number, 0) for number in numbers])
        with mock.patch.object(chunk_table, '_SORTED', 3):
            seen = chunk_table.Sightings(table)
        self.assertEqual(list(range(10)), list(map(seen.see, table.names())))
        self.assertIsNone(seen.see(f'{_PREFIX}-00010'))

# SPDX-License-Identifier: Apache-2.0

"""Packs in columns come out as they were put in."""

import pickle
import tracemalloc

from hypothesis import given
from oslotest import base

from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packs
from tests.fakes import documents
from tests.unit.format import strategies

_PREFIX = documents.PREFIX


class PackTableTest(base.BaseTestCase):
    """Packs as in a list."""

    @given(strategies.pack_lists)
    def test_against_a_list(self, some):
        table = pack_table.PackTable(_PREFIX, some)
        self.assertEqual(some, list(table))
        self.assertEqual(len(some), len(table))
        names = [pack.name for pack in some]
        self.assertEqual(names, list(table.names()))
        self.assertEqual(len(set(names)) < len(names), table.names_twice())
        self.assertEqual(table, pack_table.PackTable(_PREFIX, some))
        self.assertEqual(table, pickle.loads(pickle.dumps(table)))
        self.assertNotEqual(table, pack_table.PackTable(
            _PREFIX, [*some, packs.Pack(
                1 << 61, naming.pack_name(_PREFIX, 'x', 1), 9, '0' * 32, 1,
                bytes(32))]))
        self.assertNotEqual(table, some)
        find = table.finder()
        for number, pack in enumerate(some):
            self.assertEqual((pack.length, pack.md5), table.stored(number))
            self.assertEqual(pack.length - pack.index_length,
                             table.data_length(number))
            self.assertEqual(pack.name, names[find(pack.name)])
            self.assertIn(table.maker(number), pack.name)
            self.assertEqual(number, table.place(pack.key))
            self.assertEqual(pack.name, table.name_of(pack.key))
        self.assertEqual(some[-1].key if some else -1, table.last_key)
        self.assertIsNone(table.place(1 << 61))
        for pack in some:
            self.assertRaises(ValueError, table.append, pack)
        for name in ('', 'volume_w/packs/b-000001', f'{table.root}b-1',
                     f'{table.root}other-000001', f'{table.root}b-000099'):
            self.assertIsNone(find(name) if name not in names else None)

    def test_what_is_no_pack_of_the_volume(self):
        table = pack_table.PackTable(_PREFIX)
        for name in ('volume_w/packs/b-000001', f'{table.root}b-1',
                     f'{table.root}b/c-000001', f'{_PREFIX}-000001',
                     f'{table.root}b-0000001', f'{table.root}-000001'):
            self.assertRaises(ValueError, table.append, packs.Pack(
                0, name, 9, '0' * 32, 1, bytes(32)))

    def test_memory(self):
        count = 1 << 15
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        table = pack_table.PackTable(_PREFIX, (
            packs.Pack(number, naming.pack_name(_PREFIX, 'b' * 36, number),
                       48 << 20, '0' * 32, 1 << 20, bytes(32))
            for number in range(1, count)))
        self.assertLess(tracemalloc.get_traced_memory()[0], 110 * count)
        self.assertEqual(['b' * 36], table.makers)

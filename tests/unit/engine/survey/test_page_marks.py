# SPDX-License-Identifier: Apache-2.0

"""Which chunks pages name, pack by pack."""

import contextlib
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.survey import page_marks
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import types
from tests.unit.engine import base

_PREFIX = base.ref(1).prefix


def _table(living):
    return pack_table.PackTable(_PREFIX, (
        packs.Pack(3 * place, naming.pack_name(_PREFIX, 'bak-1', place + 1),
                   9, 'ab' * 16, 5, bytes(32), count, 0)
        for place, count in enumerate(living)))


def _chunks(keys):
    found = packed_chunks.PackedChunks(str)
    for number, key in enumerate(keys):
        found.add(types.Extent(number * 16, 16), 'zlib', key,
                  types.Extent(number, 7))
    return found


class PageMarksTest(base.EngineTestCase):
    """Pages that name chunks of some packs."""

    @given(st.lists(st.lists(st.integers(0, 4), max_size=9), max_size=5),
           st.sampled_from((spool.IN_MEMORY, 1)))
    def test_all_of_a_pack(self, found, in_memory):
        every = [place for page in found for place in page]
        table = _table([every.count(place) for place in range(5)])
        expected = {place: [] for place in range(5)}
        with mock.patch.object(spool, 'IN_MEMORY', in_memory):
            marks = page_marks.PageMarks(None, table)
        with contextlib.closing(marks):
            for page in found:
                chunks = _chunks(3 * place for place in page)
                marks.add('a page', chunks)
                for place, mark in zip(page, chunks.marks(), strict=True):
                    expected[place].append(mark)
            for place, those in expected.items():
                self.assertEqual(those, list(marks.of(place)))

    def test_more_than_the_manifest_says(self):
        with contextlib.closing(page_marks.PageMarks(
                None, _table([2, 1, 1]))) as marks:
            marks.add('a page', _chunks([0, 3]))
            for keys in ([3], [0, 0], [6, 3]):
                err = self.assertRaises(exceptions.FormatError, marks.add,
                                        'a page', _chunks(keys))
                self.assertIn('than the manifest says', str(err))

    def test_no_room(self):
        with (mock.patch.object(spool, 'IN_MEMORY', 1),
              contextlib.closing(page_marks.PageMarks(
                  '/nowhere', _table([2]))) as marks):
            self.assertRaises(exceptions.SpoolError, marks.add, 'a page',
                              _chunks([0, 0]))

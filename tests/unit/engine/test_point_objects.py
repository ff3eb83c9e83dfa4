# SPDX-License-Identifier: Apache-2.0

"""The pages and indexes of backups in the form of packs, from a store.

What they tell, and what happens when they are damaged, is shown in
``engine.scenarios.test_points``; here it is how they are fetched.
"""

import itertools
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base as test_base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from tests.fakes import faulty
from tests.fakes import points
from tests.fakes import tables
from tests.unit.engine import base

_SIZES = points.Sizes(pages_in_object=4)
_PAGE = _SIZES.block * _SIZES.page


def _data(count):
    """A volume of so many pages, none of which is zeros."""
    return b''.join(bytes([number + 1]) * _PAGE for number in range(count))


class PagesTest(base.EngineTestCase):
    """Pages come in few requests, and in the order of the volume."""

    def _write(self, data):
        writer = points.Writer(self.bench.memory, _SIZES)
        written = writer.write(base.ref(1), data)
        point = self.bench.repository.load(base.ref(1)).point
        self.store.heal()
        return written, point

    def _extents(self, point, end):
        objects = point_objects.PointObjects(self.bench.repository.operation)
        return [(part.extent.offset, part.extent.length,
                 part.chunks is not None)
                for part in objects.parts(base.ref(1), point, end)]

    def _reads(self):
        return [call.name[-5:] for call in self.store.calls
                if call.method == 'read']

    def test_one_request_for_each_object(self):
        _, point = self._write(_data(10))
        found = self._extents(point, 10 * _PAGE)
        self.assertEqual([(number * _PAGE, _PAGE, True)
                          for number in range(10)], found)
        self.assertEqual(['00000', '00004', '00008'], sorted(self._reads()))

    def test_no_page_behind_the_end(self):
        _, point = self._write(_data(10))
        self._extents(point, 4 * _PAGE)
        self.assertEqual(['00000'], self._reads())

    def test_parts_without_a_page(self):
        data = bytearray(_data(10))
        data[3 * _PAGE:6 * _PAGE] = bytes(3 * _PAGE)
        _, point = self._write(bytes(data))
        self.assertEqual([number not in (3, 4, 5) for number in range(10)],
                         [has for _, _, has in self._extents(
                             point, 10 * _PAGE)])

    def test_few_bytes_are_fetched_ahead(self):
        _, point = self._write(_data(16))
        with mock.patch.object(point_objects, '_PAGES_AHEAD', 1):
            objects = point_objects.PointObjects(
                self.bench.repository.operation)
            next(objects.parts(base.ref(1), point, 16 * _PAGE))
        self.assertEqual(['00000'], self._reads())

    def test_a_damaged_page_is_named_with_its_backup(self):
        _, point = self._write(_data(10))
        page = point.pages[5]
        self.bench.damage(page.name, lambda data: (
            data[:page.place.offset] + b'\xff'
            + data[page.place.offset + 1:]))
        err = self.assertRaises(exceptions.FormatError, self._extents, point,
                                10 * _PAGE)
        self.assertEqual((page.name, page.extent.offset, 'bak-1'),
                         (err.name, err.offset, err.backup_id))

    def test_digests_whichever_index_comes_first(self):
        data = bytearray(_data(10))
        older, _ = self._write(bytes(data))
        # Both packs have them, of which the newer one is right.
        for offset in range(0, len(data), 3 * _SIZES.block):
            data[offset] = 0xee
        written = points.Writer(self.bench.memory, _SIZES).write(
            base.ref(2), bytes(data), older)
        self.assertEqual(older.packs[0].name, written.packs[0].name)
        late = {pack.name for pack in older.packs}
        self.store.script(faulty.Rule(
            'read', matching=late.__contains__,
            before=lambda stop: stop.wait(0.02)))
        found = self.bench.repository.load_digests(
            self.bench.resolve(2).tip, len(data))
        self.addCleanup(found.close)
        self.assertEqual(
            digests.hash_blocks(memoryview(data), _SIZES.block),
            tables.content(found)[-1])


class RunsTest(test_base.BaseTestCase):
    """Neighbours in an object are one request, but not too many."""

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(1, 90),
                              st.booleans())),
           st.integers(1, 200))
    def test_runs(self, lengths, most):
        given_pages, place, before = [], 0, None
        for number, (name, length, gap) in enumerate(lengths):
            place = place + gap if name == before else 0
            given_pages.append(pages.Page(
                types.Extent(number, 1), str(name),
                types.Extent(place, length), b''))
            place, before = place + length, name
        with mock.patch.object(point_objects, '_RUN', most):
            runs = list(point_objects.runs(given_pages))
        self.assertEqual(given_pages, [page for run in runs for page in run])
        for run in runs:
            self.assertEqual(1, len({page.name for page in run}))
            length = sum(page.place.length for page in run)
            self.assertEqual(
                length, run[-1].place.end - run[0].place.offset)
            self.assertTrue(length <= most or len(run) == 1)
        for one, other in itertools.pairwise(runs):
            joined = other[0].place.end - one[0].place.offset
            self.assertTrue(
                one[0].name != other[0].name
                or one[-1].place.end != other[0].place.offset
                or joined > most)

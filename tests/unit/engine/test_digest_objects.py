# SPDX-License-Identifier: Apache-2.0

"""Digests that are a large object, and others."""

import dataclasses
import hashlib
import itertools
import logging
import random
import tracemalloc
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import documents
from tests.fakes import faulty
from tests.fakes import operations
from tests.fakes import tables
from tests.unit.engine import base

_PREFIX = base.ref(1).prefix
_NAME = naming.digest_file_name(_PREFIX)
_SEGMENTS = naming.segments_container(base.CONTAINER)
_ZEROS = digests.of_zeros(16)
_DATA = random.Random(8)
_NONE = store_base.NewContainers(allowed=False)


def _of_second(name):
    """The object of backup 2 for one of backup 1."""
    return name.replace(_PREFIX, base.ref(2).prefix)


class DigestObjectsTestCase(base.EngineTestCase):
    """Segments are small, and worth it from the first byte."""

    def setUp(self):
        super().setUp()
        for owner, name, value in (
                (digest_segments, 'LEAST', 3), (digest_segments, 'NORMAL', 8),
                (digests, 'STEP', 4), (digest_objects, 'WORTH_SEGMENTS', 1)):
            self.enterContext(mock.patch.object(owner, name, value))
        self.bench = base.Bench()
        self.store = self.bench.store
        self.objects = self.bench.repository.digests
        self.announced = []

    def _table(self, packed):
        place = spool.Spool(None, _ZEROS)
        place += packed
        self.addCleanup(place.close)
        return digests.DigestTable(16, place)

    def _put(self, table, most=1000, largest=None, ref=None, **options):
        ref = ref or base.ref(1)
        self.objects.put(
            digest_objects.DigestFile(
                ref, base.header(ref),
                store_base.Capabilities(max_object_size=largest,
                                        max_segments=most), **options),
            table, self.announced.append)

    def _load(self):
        table = self.objects.load(base.ref(1), 1 << 30)
        self.addCleanup(table.close)
        return table

    def _segments(self):
        try:
            return [info.name for info
                    in self.bench.memory.list(_SEGMENTS, '')]
        except exceptions.ContainerNotFound:
            return []


class LargeTest(DigestObjectsTestCase):
    """Where it is worth it, or has to be."""

    @given(st.lists(st.tuples(st.booleans(), st.integers(1, 60)),
                    max_size=6), st.sampled_from((None, 1100)))
    def test_round_trip(self, runs, largest):
        self.bench = base.Bench()
        self.store = self.bench.store
        self.objects = self.bench.repository.digests
        packed = b''.join(_ZEROS * count if zeros else _DATA.randbytes(
            32 * count) for zeros, count in runs)
        table = self._table(packed)
        self._put(table, largest=largest)
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))
        # Whoever knows nothing of it reads the file.
        self.assertEqual(
            b''.join(digest_file.encode(base.header(base.ref(1)), table)),
            self.bench.get(_NAME))
        self.assertEqual(
            [], [name for name in self._segments()
                 if name not in self.announced])

    def test_zeros_are_stored_once_and_fetched_seldom(self):
        table = self._table(_ZEROS * 4000)
        self._put(table)
        self.assertEqual(4, len(self._segments()))
        large = self.bench.memory.segments(base.CONTAINER, _NAME)
        self.assertGreater(len(large), 400)
        self.store.heal()
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))
        # The first time it follows the opening, later itself.
        self.assertLess(len(self.store.names('read')), 6)

    def test_store_that_does_not_tell_of_what_it_consists(self):
        # As Ceph's gateway.
        table = self._table(_ZEROS * 4000)
        self._put(table)
        with mock.patch.object(type(self.bench.memory), 'segments',
                               lambda store, container, name: ()):
            self.assertEqual(tables.content(table),
                             tables.content(self._load()))
            self.bench.repository.discard(base.ref(1), [_NAME])
        self.assertEqual([], self._segments())

    def test_above_the_largest_object(self):
        table = self._table(_DATA.randbytes(32 * 100))
        self._put(table, largest=2000)
        self.assertGreater(len(self._segments()), 4)
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))

    def test_not_worth_it(self):
        for packed in (b'', _DATA.randbytes(32 * 100), _ZEROS * 8):
            self._put(self._table(packed))
            self.assertEqual([], self._segments())
            self.assertEqual(packed, bytes(self._load().packed[:]))

    def test_cluster_without_large_objects(self):
        for most in (0, None):
            self._put(self._table(_ZEROS * 1000), most=most)
            self.assertEqual([], self._segments())

    def test_container_whose_name_has_no_room(self):
        # Bytes; with what is added it may have 256.
        for length, has_segments in ((247, True), (248, False)):
            ref = dataclasses.replace(base.ref(1), container='c' * length)
            self.bench.memory.ensure_container(ref.container, create=True)
            self._put(self._table(_ZEROS * 1000), ref=ref)
            self.assertEqual(has_segments, f'{ref.container}_segments' in list(
                self.bench.memory.containers()))
            table = self.objects.load(ref, 1 << 30)
            self.addCleanup(table.close)
            self.assertEqual(1000, len(table))
        err = self.assertRaises(
            exceptions.VolumeError, self.objects.check,
            digest_objects.DigestFile(
                ref, base.header(ref), store_base.Capabilities(
                    max_object_size=2000, max_segments=1000)),
            16, 1000)
        self.assertEqual(2000, err.expected)

    def test_no_new_containers(self):
        self._put(self._table(_ZEROS * 1000), containers=_NONE)
        self.assertEqual([], self._segments())
        self.assertEqual(1000, len(self._load()))

    def _assert_one_object(self, table):
        self.assertIsNone(self.bench.memory.segments(base.CONTAINER, _NAME))
        self.assertEqual([], self._segments())
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))

    def test_storage_policy_of_the_container(self):
        table = self._table(_ZEROS * 1000)
        for policy, option, expected in (
                (None, None, None), ('silver', None, 'silver'),
                ('silver', 'gold', 'gold')):
            self.bench = base.Bench()
            self.bench.memory.policies[base.CONTAINER] = policy
            self.objects = self.bench.repository.digests
            self._put(table, containers=store_base.NewContainers(
                storage_policy=option))
            self.assertEqual(expected, self.bench.memory.policies[_SEGMENTS])

    def test_copied_as_the_container_is(self):
        sync = store_base.Sync('//r/b/a/volumebackups', 'key')
        for main, expected in (
                (sync, store_base.Sync(f'//r/b/a/{_SEGMENTS}', 'key')),
                (store_base.Sync(None, 'key'), None), (None, None)):
            self.bench = base.Bench()
            if main:
                self.bench.memory.syncs[base.CONTAINER] = main
            self.objects = self.bench.repository.digests
            self._put(self._table(_ZEROS * 1000))
            self.assertEqual(expected, self.bench.memory.syncs.get(_SEGMENTS))

    def test_container_that_cannot_be_had(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        table = self._table(_ZEROS * 1000)
        for error in (
                exceptions.AccessDenied('403'),
                exceptions.QuotaExceeded('413'),
                exceptions.ConfigurationError('the policy is deprecated'),
                exceptions.StoreError('409'),
                # Of this request alone.
                exceptions.StoreUnavailable('500')):
            self.store.heal()
            self.store.script(faulty.fail('ensure_container', error))
            self._put(table)
            self._assert_one_object(table)
            self.assertIn(error.what, log.output)

    def test_segments_that_are_refused(self):
        table = self._table(_ZEROS * 4000)
        for refused in (
                {'nth': 1}, {'nth': 3},
                # The list of them.
                {'nth': 1, 'matching': _NAME.__eq__}):
            self.store.heal()
            self.store.script(faulty.fail(
                'put', exceptions.QuotaExceeded('full'), **refused))
            self._put(table)
            self.store.heal()
            self._assert_one_object(table)

    def test_segments_that_cannot_be_deleted_either(self):
        log = self.useFixture(fixtures.FakeLogger())
        table = self._table(_ZEROS * 4000)
        self.store.script(
            faulty.fail('put', exceptions.QuotaExceeded('full'), nth=3),
            faulty.fail('delete', exceptions.AccessDenied('403')))
        self._put(table)
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))
        self.assertIn('Unused digest segments', log.output)

    def test_refusal_where_there_have_to_be_segments(self):
        table = self._table(_DATA.randbytes(32 * 100))
        for method in ('ensure_container', 'put'):
            self.store.heal()
            self.store.script(faulty.fail(
                method, exceptions.QuotaExceeded('full')))
            self.assertRaises(exceptions.QuotaExceeded, self._put, table,
                              largest=2000)

    def test_store_that_is_gone(self):
        error = exceptions.StoreUnavailable('500')
        error.gone = True
        self.store.script(faulty.fail('ensure_container', error))
        self.assertIs(error, self.assertRaises(
            exceptions.StoreUnavailable, self._put,
            self._table(_ZEROS * 1000)))
        self.assertEqual([], self.bench.names())

    def test_what_is_usual_is_no_warning(self):
        log = self.useFixture(fixtures.FakeLogger(level=logging.WARNING))
        self._put(self._table(_ZEROS * 1000), containers=_NONE)
        self.assertEqual('', log.output)

    def test_refused_before_anything(self):
        header = base.header(base.ref(1))
        for most, largest, refused in (
                (None, 2000, True), (0, 2000, True), (1000, 2000, False),
                (10, 2000, True), (1000, 310, True), (0, None, False),
                (0, 200000, False)):
            file = digest_objects.DigestFile(
                base.ref(1), header, store_base.Capabilities(
                    max_object_size=largest, max_segments=most))
            if not refused:
                self.objects.check(file, 16, 1000)
                continue
            err = self.assertRaises(
                exceptions.VolumeError, self.objects.check, file, 16, 1000)
            self.assertEqual(
                (largest, exceptions.Remedy.LARGER_OBJECTS),
                (err.expected, err.remedy))

    def test_refused_where_there_may_be_no_container(self):
        for error in (None, exceptions.AccessDenied('403')):
            self.bench = base.Bench()
            objects = self.bench.repository.digests
            if error:
                self.bench.store.script(faulty.fail('ensure_container',
                                                    error))
            file = digest_objects.DigestFile(
                base.ref(1), base.header(base.ref(1)),
                store_base.Capabilities(max_object_size=2000,
                                        max_segments=1000),
                containers=_NONE)
            err = self.assertRaises(exceptions.VolumeError, objects.check,
                                    file, 16, 1000)
            self.assertIn(str(error or 'no such container'), err.detail)
            objects.check(file, 16, 10)

    def test_segment_that_is_missing(self):
        self._put(self._table(_ZEROS * 1000))
        gone = self._segments()[-1]
        self.bench.memory.delete(_SEGMENTS, gone)
        err = self.assertRaises(exceptions.FormatError, self._load)
        self.assertEqual(_NAME, err.name)

    def _load_repeated(self, first):
        """Load; of each request the first attempt is altered, and fails.

        :param first: makes its pieces of the right ones; may raise
        """
        real = self.bench.memory.read

        def read(container, name, use, extent=None, *, compared=False):
            self.assertTrue(compared)

            def attempt(pieces):
                yield from first(pieces)
                raise exceptions.StoreUnavailable('its MD5 is another')

            try:
                real(container, name, lambda pieces: use(attempt(pieces)))
            except exceptions.StoreUnavailable:
                return real(container, name, use)
            raise AssertionError('it was not passed on')

        with mock.patch.object(self.bench.memory, 'read', read):
            # The store that scripts faults reads whole objects.
            table = digest_objects.DigestObjects(
                operations.on(self.bench.memory)).load(base.ref(1), 1 << 30)
        self.addCleanup(table.close)
        return table

    def test_request_that_is_repeated(self):
        table = self._table(_DATA.randbytes(32 * 100) + _ZEROS * 1000)
        self._put(table)
        for first in (lambda pieces: [next(pieces)[:100]],
                      lambda pieces: [], lambda pieces: pieces):
            self.assertEqual(tables.content(table),
                             tables.content(self._load_repeated(first)))

    def test_segment_that_came_damaged(self):
        table = self._table(_DATA.randbytes(32 * 100) + _ZEROS * 1000)
        self._put(table)
        damaged = True

        def flip(pieces):
            # A digest of other hex digits: it cannot be told from the right
            # one before the end of the object.
            nonlocal damaged
            for piece in pieces:
                if not damaged:
                    yield piece
                    continue
                damaged = False
                yield piece[:-40].replace(b'a', b'b') + piece[-40:]

        self.assertEqual(tables.content(table),
                         tables.content(self._load_repeated(flip)))
        self.assertFalse(damaged)

    def test_segment_that_came_damaged_is_told(self):
        self._put(self._table(_DATA.randbytes(32 * 100) + _ZEROS * 1000))
        self._load()
        log = self.useFixture(fixtures.FakeLogger())
        name = self._segments()[1]
        for times in (1, 2):
            for nth in range(1, times + 1):
                self.store.script(faulty.alter(
                    'read', lambda data: data.replace(b'a', b'b'), nth=nth,
                    matching=lambda each: each == name))
            self._load()
            self.assertIn(f'{name} in container {_SEGMENTS} arrived damaged '
                          f'{times} times, then intact.', log.output)
            self.store.heal()
        self.assertEqual(2, log.output.count('arrived damaged'))

    def test_nothing_is_told_when_all_is_well(self):
        self._put(self._table(_DATA.randbytes(32 * 100) + _ZEROS * 1000))
        log = self.useFixture(fixtures.FakeLogger())
        self._load()
        self.assertEqual('', log.output)

    def _put_two(self):
        """The digests of two backups of one size; returns those of one."""
        tables = [self._table(_DATA.randbytes(32 * 100)) for _ in range(2)]
        for where, table in zip((base.ref(1), base.ref(2)), tables,
                                strict=True):
            self._put(table, largest=2000, ref=where)
        return tables[0]

    def test_segment_that_is_answered_for_another(self):
        table = self._put_two()
        mine = [name for name in self._segments() if 'bak-1' in name]
        for name in mine:
            for other in (_of_second(name), mine[1]):
                if other == name:
                    continue
                content = self.bench.get(other, _SEGMENTS)
                self.store.script(faulty.alter(
                    'read', lambda data, content=content: content, nth=1,
                    matching=lambda each, name=name: each == name))
                self.assertEqual(tables.content(table),
                                 tables.content(self._load()))
                self.store.heal()

    def test_segment_that_is_always_answered_for_another(self):
        self._put_two()
        name = [name for name in self._segments() if 'bak-1' in name][2]
        content = self.bench.get(_of_second(name), _SEGMENTS)
        self.store.script(faulty.alter(
            'read', lambda data: content,
            matching=lambda each: each == name))
        failed = []
        real = self.store.read

        def read(*arguments, **options):
            try:
                return real(*arguments, **options)
            except Exception as err:
                failed.append(err)
                raise
        self.store.read = read
        err = self.assertRaises(exceptions.FormatError, self._load)
        self.assertEqual((_NAME, exceptions.Remedy.OTHER_BACKUP),
                         (err.name, err.remedy))
        # It was an answer, though of another: the store has not failed.
        self.assertEqual([], failed)

    def test_list_of_segments_of_another_backup(self):
        table = self._put_two()
        other = self.bench.memory.segments(
            base.CONTAINER, naming.digest_file_name(base.ref(2).prefix))
        log = self.useFixture(fixtures.FakeLogger())
        self.store.script(faulty.alter('segments', lambda found: other,
                                       nth=1))
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))
        self.assertIn(f'{_NAME} in container {base.CONTAINER} arrived '
                      'damaged 1 times, then intact.', log.output)
        self.store.heal()
        self.store.script(faulty.alter('segments', lambda found: other))
        err = self.assertRaises(exceptions.FormatError, self._load)
        self.assertEqual(
            ('the digest file belongs to a different backup', _NAME,
             'bak-1', 'bak-2'),
            (err.what, err.name, err.expected, err.actual))
        # Once more, and then it is taken to be stored so.
        self.assertEqual(2, len(self.store.names('segments')))

    def test_list_of_segments_of_an_ordinary_object(self):
        self._put_two()
        table = self._table(_DATA.randbytes(32 * 20))
        self._put(table)
        other = self.bench.memory.segments(
            base.CONTAINER, naming.digest_file_name(base.ref(2).prefix))
        self.store.script(faulty.alter('segments', lambda found: other,
                                       nth=1))
        self.assertEqual(tables.content(table),
                         tables.content(self._load()))

    def test_segment_that_is_another_each_time(self):
        self._put(self._table(_DATA.randbytes(32 * 100) + _ZEROS * 1000))
        count = itertools.count()
        err = self.assertRaises(
            exceptions.FormatError, self._load_repeated,
            lambda pieces: [next(pieces).replace(
                b'a', b'%x' % (next(count) % 10))])
        self.assertEqual(_NAME, err.name)

    def _put_as(self, *contents):
        """A file that consists of these, of which equal ones are one."""
        self.bench.memory.ensure_container(_SEGMENTS, create=True)
        segments = []
        for content in contents:
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            self.bench.put(md5, content, _SEGMENTS)
            segments.append(store_base.Segment(
                _SEGMENTS, md5, len(content), md5))
        self.bench.memory.put_large(base.CONTAINER, _NAME, segments)

    def test_segment_that_comes_again_elsewhere(self):
        # Before the list, in it, and after it, the same bytes are not the
        # same.
        head, tail = documents.digest_file([], 16).split(b'[]')
        words = b'"%b",' % (b'0a' * 32)
        for contents in (
                (head + b'[', words, words[:-1] + b']' + tail, words),
                (head + b'[', words, head + b'[', words[:-1] + b']' + tail),
                (words, head + b'[', words, words[:-1] + b']' + tail)):
            self._put_as(*contents)
            self.assertRaises(exceptions.FormatError, self._load)
        self._put_as(head + b'[', words, words, words[:-1] + b']' + tail)
        self.assertEqual(3, len(self._load()))

    def test_many_segments_before_the_digests(self):
        # What was not understood is not kept for each of them.
        head, tail = documents.digest_file([], 16).split(b'[]')
        head = head.replace(b'"bak-1"', b'"%b"' % (b'x' * 800000))
        self._put_as(*(head[start:start + 2000]
                       for start in range(0, len(head), 2000)),
                     b'[]' + tail)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.assertEqual(0, len(self._load()))
        self.assertLess(tracemalloc.get_traced_memory()[1], 20 << 20)


class LifeTest(DigestObjectsTestCase):
    """A backup with segments, from beginning to end."""

    def setUp(self):
        super().setUp()
        self.bench = base.Bench(capabilities=store_base.Capabilities(
            max_segments=1000))
        self.store = self.bench.store
        self.data = bytes(16 * 1000) + b'x' * 50

    def test_round_trip(self):
        self.bench.archive(1, self.data)
        self.bench.archive(2, self.data + b'y' * 30, parent=1)
        self.assertNotEqual([], self._segments())
        for numbers, data in (((1,), self.data),
                              ((1, 2), self.data + b'y' * 30)):
            target = self.bench.restore(self.bench.resolve(*numbers),
                                        bytes(len(data)))
            self.assertEqual(data, bytes(target.data))

    def test_delete_takes_the_segments_along(self):
        self.bench.archive(1, self.data)
        self.bench.archive(2, self.data[::-1])
        kept = [name for name in self._segments() if 'bak-2' in name]
        self.bench.delete(base.ref(1))
        self.assertEqual(kept, self._segments())
        self.bench.delete(base.ref(2))
        self.assertEqual([], self._segments() + self.bench.names())

    def test_failure_leaves_no_segments(self):
        for nth in range(1, 12):
            for fault in (faulty.fail, faulty.lose_answer):
                self.store.heal()
                # Listings lag.
                self.store.script(
                    fault('put', exceptions.StoreUnavailable('x'), nth=nth),
                    faulty.alter('list', lambda infos: ()))
                try:
                    self.bench.archive(1, self.data)
                except exceptions.StoreUnavailable:
                    self.assertEqual([], self._segments()
                                     + self.bench.names())
                else:
                    self.store.heal()
                    self.bench.delete(base.ref(1))

    def test_listing_that_lags(self):
        self.bench.archive(1, self.data)
        self.store.script(faulty.alter('list', lambda infos: ()))
        self.bench.delete(base.ref(1))
        self.assertEqual([], self._segments() + self.bench.names())

    def test_segments_of_others_are_left_alone(self):
        self.bench.archive(1, self.data)
        self.bench.archive(2, self.data)
        others = [name for name in self._segments() if 'bak-2' in name]
        self.bench.memory.put_large(
            base.CONTAINER, _NAME, self.bench.memory.segments(
                base.CONTAINER,
                naming.digest_file_name(base.ref(2).prefix)))
        self.bench.delete(base.ref(1))
        self.assertEqual(others, self._segments())

    def test_who_may_not_look_for_segments(self):
        self.bench.archive(1, b'x' * 100)
        self.store.script(faulty.fail(
            'list', exceptions.AccessDenied('403'),
            matching=lambda name: '_sha256file-' in name))
        self.bench.delete(base.ref(1))
        self.assertEqual([], self.bench.names())

    def test_chunk_that_cannot_be_deleted(self):
        self.bench.archive(1, self.data)
        self.store.script(faulty.fail(
            'delete', exceptions.StoreUnavailable('x'),
            matching=lambda name: name.endswith('-01000')))
        self.assertRaises(exceptions.StoreUnavailable, self.bench.delete,
                          base.ref(1))
        # All others are gone, but for the manifest.
        self.assertEqual(
            [naming.chunk_name(_PREFIX, 1000), naming.manifest_name(_PREFIX)],
            self.bench.names())
        self.assertEqual([], self._segments())

    def test_segment_whose_delete_is_lost(self):
        def which(name):
            return '_sha256file-' in name

        self.bench.archive(1, self.data)
        self.store.script(faulty.lose('delete', matching=which, nth=1))
        self.bench.delete(base.ref(1))
        self.assertEqual([], self._segments() + self.bench.names())
        self.bench.archive(1, self.data)
        self.store.heal()
        self.store.script(faulty.lose('delete', matching=which))
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self.bench.delete, base.ref(1))
        self.assertIn(err.name, self._segments())
        self.assertIn(naming.manifest_name(_PREFIX), self.bench.names())
        self.store.heal()
        self.bench.delete(base.ref(1))
        self.assertEqual([], self._segments() + self.bench.names())

    def test_interrupted_delete(self):
        self.bench.archive(1, self.data)
        self.store.script(faulty.fail(
            'delete', exceptions.StoreUnavailable('x'),
            matching=lambda name: '_sha256file-' in name))
        self.assertRaises(exceptions.StoreUnavailable, self.bench.delete,
                          base.ref(1))
        self.assertEqual([naming.manifest_name(_PREFIX)], self.bench.names())
        self.store.heal()
        self.bench.delete(base.ref(1))
        self.assertEqual([], self._segments() + self.bench.names())

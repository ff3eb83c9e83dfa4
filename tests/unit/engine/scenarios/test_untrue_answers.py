# SPDX-License-Identifier: Apache-2.0

"""What the store says is done, and is not; what it answers for another."""

import dataclasses
import random
from unittest import mock

import fixtures

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.fakes import tables
from tests.unit.engine import base

_DATA = random.Random(5).randbytes(64 * 3)
_PREFIX = base.ref(1).prefix
_MANIFEST = naming.manifest_name(_PREFIX)
_DIGESTS = naming.digest_file_name(_PREFIX)
_CHUNK = naming.chunk_name(_PREFIX, 4)


def _is(*names):
    return lambda name: name in names


def _reading_again():
    """Have the store read again what was damaged, as Swift's does."""
    read = faulty.FaultyStore.read

    def again(store, *what, **how):
        try:
            return read(store, *what, **how)
        except exceptions.FormatError:
            return read(store, *what, **how)

    return mock.patch.object(faulty.FaultyStore, 'read', again)


class DeleteTest(base.EngineTestCase):
    """Deletes that were not done."""

    def setUp(self):
        super().setUp()
        self.names = self.have_backup(_DATA)
        self.last = []

    def _delete(self, *, complete=True):
        repo = self.bench.repository
        repo.discard(base.ref(1),
                     repo.find_objects(base.ref(1), complete=complete).names,
                     before_last=lambda: self.last.append(
                         self.bench.names()))

    def _refuse(self, *rules):
        self.store.script(*rules)
        err = self.assertRaises(exceptions.StoreUnavailable, self._delete)
        self.assertEqual(
            ('Swift still has an object that it '
             'was asked to delete', 'bak-1', base.CONTAINER,
             exceptions.Remedy.REPEAT),
            (err.what, err.backup_id, err.container, err.remedy))
        self.store.heal()
        return err

    def test_all_of_them(self):
        err = self._refuse(faulty.lose('delete'))
        self.assertIn(err.name, set(self.names) - {_MANIFEST})
        self.assertEqual((self.names, []), (self.bench.names(), self.last))
        self._delete()
        self.assertEqual([], self.bench.names())

    def test_one_of_them(self):
        for name in (_CHUNK, _DIGESTS):
            err = self._refuse(faulty.lose('delete', matching=_is(name)))
            self.assertEqual((name, sorted([name, _MANIFEST]), []), (
                err.name, self.bench.names(), self.last))
            self._delete()
            self.assertEqual([[_MANIFEST]], self.last)
            self.assertEqual([], self.bench.names())
            self.bench.archive(1, _DATA)
            self.last.clear()

    def test_one_of_them_once(self):
        for name in (_CHUNK, _DIGESTS):
            self.store.heal()
            self.store.script(faulty.lose('delete', matching=_is(name),
                                          nth=1))
            self._delete()
            self.assertEqual([], self.bench.names())
            self.bench.archive(1, _DATA)

    def test_manifest(self):
        err = self._refuse(faulty.lose('delete', matching=_is(_MANIFEST)))
        self.assertEqual((_MANIFEST, [_MANIFEST]),
                         (err.name, self.bench.names()))
        self._delete(complete=False)
        self.assertEqual([], self.bench.names())

    def test_listing_that_shows_what_is_gone(self):
        shown = tuple(self.bench.memory.list(base.CONTAINER, _PREFIX))
        self.store.script(faulty.alter('list', lambda infos: shown))
        self._delete()
        self.assertEqual([], self.bench.names())

    def test_listing_at_the_end_that_fails(self):
        # The manifest is gone, and nobody can tell.
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('no'),
            matching=_is(_MANIFEST)))
        self.assertRaises(exceptions.StoreUnavailable, self._delete)
        self.store.heal()
        self._delete(complete=False)
        self.assertEqual([], self.bench.names())

    def test_costs_little_when_all_is_well(self):
        self._delete()
        # To find them, what is left of them, and the manifest.
        self.assertEqual([_PREFIX, _PREFIX, _MANIFEST],
                         self.store.names('list'))
        # Whether it has segments.
        self.assertEqual([_DIGESTS], self.store.names('segments'))
        self.assertEqual(len(self.names), len(self.store.names('delete')))


class CleanUpTest(base.EngineTestCase):
    """The same, after a backup that failed."""

    def _fail(self, *rules):
        self.store.script(faulty.fail(
            'put', exceptions.StoreUnavailable('the store is on fire'),
            matching=_is(_MANIFEST)), *rules)
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self.bench.archive, 1, _DATA)
        self.assertEqual('the store is on fire', str(err))

    def test_delete_that_was_not_done(self):
        for name in (_DIGESTS, _CHUNK):
            self.store.heal()
            self._fail(faulty.lose('delete', matching=_is(name), nth=1))
            self.assertEqual([], self.bench.names())

    def test_object_that_stays_is_told(self):
        log = self.useFixture(fixtures.FakeLogger())
        self._fail(faulty.lose('delete', matching=_is(_CHUNK)))
        self.assertEqual([_CHUNK], self.bench.names())
        self.assertIn('Swift still has an object that it was '
                      'asked to delete', log.output)
        self.assertIn(_CHUNK, log.output)

    def test_listing_that_fails_is_told(self):
        log = self.useFixture(fixtures.FakeLogger())
        # The first is that of the backup's own objects.
        self._fail(faulty.fail('list', exceptions.StoreUnavailable('hidden'),
                               matching=_is(_PREFIX), nth=2))
        self.assertEqual([], self.bench.names())
        self.assertIn('hidden', log.output)


class CommitTest(base.EngineTestCase):
    """A manifest that was not stored."""

    def _check(self, number, **how):
        name = naming.manifest_name(base.ref(number).prefix)
        before = self.bench.names()
        self.store.script(faulty.lose('put', matching=_is(name)))
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self.bench.archive, number, _DATA, **how)
        self.assertEqual(
            ('the manifest was not stored', f'bak-{number}', base.CONTAINER,
             name, exceptions.Remedy.REPEAT),
            (err.what, err.backup_id, err.container, err.name, err.remedy))
        self.assertEqual(before, self.bench.names())

    def test_full(self):
        self._check(1)

    def test_incremental(self):
        self.bench.archive(1, _DATA[::-1])
        self._check(2, parent=1)


class AnotherTestCase(base.EngineTestCase):
    """A document of another backup, 2 for 1."""

    def _check_refused(self, name, load, what):
        self.bench.put(name, self.other)
        err = self.assertRaises(exceptions.FormatError, load, base.ref(1))
        self.assertEqual(
            (what, 'bak-1', base.CONTAINER, name, 'bak-1', 'bak-2',
             exceptions.Remedy.OTHER_BACKUP),
            (err.what, err.backup_id, err.container, err.name, err.expected,
             err.actual, err.remedy))


class AnotherManifestTest(AnotherTestCase):
    """The manifest of another backup."""

    def setUp(self):
        super().setUp()
        # Without chunks, whose names would tell, too.
        self.bench.archive(1, b'')
        self.bench.archive(2, b'')
        self.other = self.bench.get(naming.manifest_name(base.ref(2).prefix))

    def test_for_good(self):
        self._check_refused(_MANIFEST, self.bench.repository.load,
                            'the manifest belongs to a different backup')

    def test_is_found_while_the_store_can_read_again(self):
        self.store.script(faulty.alter('read', lambda data: self.other,
                                       nth=1))
        with _reading_again():
            found = self.bench.repository.load(base.ref(1))
        self.assertEqual('bak-1', found.header.backup_id)
        self.assertEqual([_MANIFEST] * 2, self.store.names('read'))

    def test_record_under_another_id(self):
        other = dataclasses.replace(base.ref(1), backup_id='bak-9')
        self.assertEqual('bak-1', self.bench.repository.load(
            other).header.backup_id)

    def test_manifest_that_tells_no_id(self):
        self.bench.damage(_MANIFEST, lambda data: data.replace(
            b'"backup_id"', b'"nothing"'))
        self.assertEqual('', self.bench.repository.load(
            base.ref(1)).header.backup_id)


class AnotherDigestsTest(AnotherTestCase):
    """The digests of another backup, of as many blocks."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _DATA[::-1])
        self.other = self.bench.get(
            naming.digest_file_name(base.ref(2).prefix))
        self.store.heal()

    def _load(self, where=None):
        table = self.bench.repository.digests.load(
            where or base.ref(1), len(_DATA))
        self.addCleanup(table.close)
        return table

    def _answer_once(self):
        self.store.script(faulty.alter(
            'read', lambda data: self.other, matching=_is(_DIGESTS), nth=1))

    def test_for_good(self):
        self._check_refused(_DIGESTS, self._load,
                            'the digest file belongs to a different backup')
        self.assertIsNone(self.bench.find_parent(1))

    def test_is_found_while_the_store_can_read_again(self):
        right = self._load()
        self.store.heal()
        self._answer_once()
        with _reading_again():
            self.assertEqual(tables.content(right),
                             tables.content(self._load()))
        self.assertEqual([_DIGESTS] * 2, self.store.names('read'))

    def test_incremental(self):
        # With the other's digests there would be nothing to store.
        self._answer_once()
        with _reading_again():
            self.bench.archive(3, _DATA[::-1], parent=1)
        target = self.bench.restore(self.bench.resolve(1, 3),
                                    bytes(len(_DATA)))
        self.assertEqual(_DATA[::-1], bytes(target.data))

    def test_restore(self):
        self._answer_once()
        with _reading_again():
            target = self.bench.restore(self.bench.resolve(1),
                                        bytes(len(_DATA)))
        self.assertEqual(_DATA, bytes(target.data))

    def test_record_under_another_id(self):
        right = self._load()
        found = self._load(dataclasses.replace(base.ref(1),
                                               backup_id='bak-9'))
        self.assertEqual(tables.content(right), tables.content(found))

    def test_digests_that_tell_no_id(self):
        right = self._load()
        before = self.bench.get(_DIGESTS)
        for said in (b'"nothing": ""', b'"backup_id": null',
                     b'"backup_id": 17', b'"backup_id": ["bak-2"]'):
            self.bench.put(_DIGESTS, before.replace(
                b'"backup_id": "bak-1"', said))
            self.assertNotEqual(before, self.bench.get(_DIGESTS))
            self.assertEqual(tables.content(right),
                             tables.content(self._load()))

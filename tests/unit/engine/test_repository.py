# SPDX-License-Identifier: Apache-2.0

"""Loading and deleting backups."""

import dataclasses
import datetime
import random
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import manifest
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import memory
from tests.fakes import faulty
from tests.unit.engine import base

_DATA = random.Random(4).randbytes(64 * 4 + 1)
_PREFIX = base.ref(1).prefix


def _failure():
    return exceptions.StoreUnavailable('the store is on fire')


class LoadTest(base.EngineTestCase):
    """Reading the documents."""

    def test_no_digest_file(self):
        self.assertIsNone(self.bench.repository.digests.load(base.ref(1), 99))

    def test_no_manifest_tells_a_remedy(self):
        err = self.assertRaises(exceptions.ChainError,
                                self.bench.repository.load, base.ref(1))
        self.assertEqual(
            ('bak-1', base.CONTAINER, f'{_PREFIX}_metadata',
             exceptions.Remedy.NEW_BACKUP),
            (err.backup_id, err.container, err.name, err.remedy))

    def test_decoding_is_offloaded(self):
        # The digests of a large volume take seconds to decode, in which
        # green threads would all stand still.
        offloaded = []

        def call(function, *arguments, **options):
            offloaded.append(getattr(function, '__name__', None))
            return function(*arguments, **options)

        bench = base.Bench(runtime=pipelines.Runtime(call=call))
        bench.archive(1, _DATA)
        offloaded.clear()
        bench.repository.load(base.ref(1))
        bench.repository.digests.load(base.ref(1), len(_DATA))
        self.assertEqual(['feed', 'finish'] * 2, offloaded)

    def test_manifest_that_cannot_be_one(self):
        # By its size, before any of it is parsed.
        small = dataclasses.replace(base.ref(1), volume_size=8)
        self.bench.archive(1, _DATA)
        with mock.patch.object(manifest, 'largest', return_value=100):
            err = self.assertRaises(exceptions.FormatError,
                                    self.bench.repository.load, small)
            self.assertEqual((naming.manifest_name(_PREFIX), 100),
                             (err.name, err.expected))
            # It can be deleted without being read.
            self.assertEqual(7, self.bench.delete(
                small, complete=True))
        self.assertEqual([], self.bench.names())

    def test_more_digests_than_blocks(self):
        self.bench.archive(1, _DATA)
        err = self.assertRaises(
            exceptions.FormatError, self.bench.repository.digests.load,
            base.ref(1), 64)
        self.assertEqual(naming.digest_file_name(_PREFIX), err.name)

    def test_more_digests_than_the_record_allows(self):
        # Whatever the manifest says, which may be just as wrong.
        small = dataclasses.replace(base.ref(1), volume_size=8)
        self.bench.archive(1, _DATA)
        with (mock.patch.object(digest_file, '_ROUNDED', 30),
              mock.patch.object(digest_file, 'most_digests',
                                lambda size: {46: 5}[size])):
            self.assertRaises(exceptions.FormatError,
                              self.bench.repository.digests.load, small,
                              len(_DATA))

    def test_more_digests_than_the_record_explains(self):
        # As of a device that is larger, and no more than the manifest tells.
        small = dataclasses.replace(base.ref(1), volume_size=8)
        self.bench.archive(1, _DATA)
        with mock.patch.object(digest_file, 'most_digests',
                               lambda size: -(-size // 16)):
            found = self.bench.repository.digests.load(small, len(_DATA))
            self.assertEqual(17, len(found))
            found.close()
            self.assertRaises(exceptions.FormatError,
                              self.bench.repository.digests.load, small,
                              len(_DATA) - 1)

    def test_store_error_is_not_a_missing_manifest(self):
        self.bench.archive(1, _DATA)
        self.store.script(faulty.fail('read', _failure()))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.bench.repository.load, base.ref(1))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.bench.repository.digests.load, base.ref(1),
                          len(_DATA))

    def test_nobody_waits_any_more(self):
        def cancelled():
            raise exceptions.Cancelled('for good')

        self.bench.archive(1, _DATA)
        repo = self.bench.repository.during(mock.Mock(checkpoint=cancelled))
        for method, load in (
                ('read', repo.load),
                ('segments', lambda ref: repo.digests.load(ref, 99))):
            busy = faulty.Busy(method)
            self.store.heal()
            self.store.script(busy)
            with mock.patch.object(pipelines, 'POLL', 0.01):
                self.assertRaises(exceptions.Cancelled, load, base.ref(1))
            self.assertEqual([True], busy.cut_short)

    def test_chains_by_record_and_by_manifest(self):
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _DATA[::-1], parent=1)
        self.bench.archive(3, _DATA, parent=2)
        for numbers, wrong in (((1, 3), 3), ((2, 3), 2), ((2, 1, 3), 2),
                               ((1, 2, 1), 1)):
            err = self.assertRaises(exceptions.ChainError,
                                    self.bench.resolve, *numbers)
            self.assertEqual(
                (f'bak-{wrong}', exceptions.Remedy.CORRECT_RECORDS),
                (err.backup_id, err.remedy))

    def test_damaged_documents_are_named(self):
        self.bench.archive(1, _DATA)
        for name, load in (
                (naming.manifest_name(_PREFIX), self.bench.repository.load),
                (naming.digest_file_name(_PREFIX),
                 lambda ref: self.bench.repository.digests.load(ref, 80))):
            self.bench.put(name, b'{')
            err = self.assertRaises(exceptions.FormatError, load,
                                    base.ref(1))
            self.assertEqual(('bak-1', base.CONTAINER, name),
                             (err.backup_id, err.container, err.name))

    def test_resolve_keeps_the_order(self):
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _DATA, parent=1)
        chain = self.bench.resolve(1, 2)
        self.assertEqual([base.ref(1), base.ref(2)],
                         [link.ref for link in chain.links])
        self.assertEqual(base.ref(2), chain.tip.ref)


class DeleteTest(base.EngineTestCase):
    """Deleting one backup, all of it and nothing else."""

    def setUp(self):
        super().setUp()
        self.names = self.have_backup(_DATA)

    def _delete(self, complete=True):
        return self.bench.delete(base.ref(1), complete=complete)

    def test_removes_everything(self):
        self.assertEqual(len(self.names), self._delete())
        self.assertEqual([], self.bench.names())

    def test_again(self):
        self._delete()
        self.assertEqual(0, self._delete(complete=False))

    def test_nothing_of_a_complete_backup(self):
        # As with the settings of another account.
        for name in self.names:
            self.bench.memory.delete(base.CONTAINER, name)
        err = self.assertRaises(exceptions.ObjectNotFound, self._delete)
        marker = naming.manifest_name(_PREFIX)
        self.assertEqual(
            ('bak-1', base.CONTAINER, marker,
             exceptions.Remedy.OTHER_ACCOUNT),
            (err.backup_id, err.container, err.name, err.remedy))
        self.bench.put(marker, b'')
        self.assertEqual(1, self._delete())
        self.assertEqual([], self.bench.names())

    def test_digest_file_goes_first_and_manifest_last(self):
        self._delete()
        deleted = self.store.names('delete')
        self.assertEqual([f'{_PREFIX}_sha256file', f'{_PREFIX}_metadata'],
                         [deleted[0], deleted[-1]])

    def test_digest_file_that_stays_keeps_the_chunks(self):
        # An incremental may be in the making that needs them.
        self.store.script(faulty.fail(
            'delete', _failure(),
            matching=lambda name: name.endswith('_sha256file')))
        self.assertRaises(exceptions.StoreUnavailable, self._delete)
        self.assertEqual(self.names, self.bench.names())

    def test_chunk_that_a_404_has_hidden(self):
        hidden = naming.chunk_name(_PREFIX, 0)
        self.assertIn(hidden, self.names)
        real, calls = self.bench.memory.delete, []

        def delete(container, name):
            calls.append(name)
            if name != hidden or calls.count(name) > 1:
                real(container, name)

        with mock.patch.object(type(self.bench.memory), 'delete',
                               lambda store, *where: delete(*where)):
            self._delete()
        self.assertEqual([], self.bench.names())
        self.assertEqual(naming.manifest_name(_PREFIX), calls[-1])

    def test_interrupted_anywhere_and_repeated(self):
        for fault in (faulty.fail, faulty.lose_answer):
            for nth in range(1, len(self.names) + 1):
                with self.subTest(fault=fault.__name__, nth=nth):
                    self.bench.archive(1, _DATA)
                    self.store.heal()
                    self.store.script(fault('delete', _failure(), nth=nth))
                    self.assertRaises(exceptions.StoreUnavailable,
                                      self._delete)
                    self.store.heal()
                    # Only a lost answer of the very last makes it look like
                    # nothing was there.
                    self._delete(complete=bool(self.bench.names()))
                    self.assertEqual([], self.bench.names())

    def test_interrupted_with_a_listing_that_lags_and_repeated(self):
        # The manifest still names what is left, because it goes last.
        for nth in range(1, len(self.names)):
            self.bench.archive(1, _DATA)
            self.store.heal()
            self.store.script(faulty.fail('delete', _failure(), nth=nth),
                              faulty.alter('list', lambda infos: ()))
            self.assertRaises(exceptions.StoreUnavailable, self._delete)
            self._delete()
            self.assertEqual([], self.bench.names())

    def test_failing_listing_deletes_nothing(self):
        for error in (_failure(), exceptions.AccessDenied('no')):
            self.store.heal()
            self.store.script(faulty.fail('list', error))
            self.assertRaises(type(error), self._delete)
            self.assertEqual(self.names, self.bench.names())

    def test_unreadable_manifest_deletes_nothing(self):
        self.store.script(faulty.fail('read', _failure()))
        self.assertRaises(exceptions.StoreUnavailable, self._delete)
        self.assertEqual(self.names, self.bench.names())

    def test_store_that_is_down_is_not_asked_for_every_object(self):
        self.bench.archive(1, bytes(range(256)) * 16)
        self.store.heal()
        self.store.script(faulty.fail('delete', _failure()))
        self.assertRaises(exceptions.StoreUnavailable, self._delete)
        self.assertLess(len(self.store.names('delete')),
                        len(self.bench.names()) // 2)

    def test_store_that_is_gone_is_not_asked_for_every_object(self):
        self.bench.archive(1, bytes(range(256)) * 16)
        names = self.bench.repository.find_objects(
            base.ref(1), complete=True).names
        gone = _failure()
        gone.gone = True
        # Those of chunks are on their way together.
        for method, matching, most in (
                ('segments', bool, 1), ('delete', bool, 9),
                ('delete', base.is_chunk, 8)):
            self.store.heal()
            self.store.script(faulty.fail(method, gone, matching=matching))
            self.assertRaises(
                exceptions.StoreUnavailable, self.bench.repository.discard,
                base.ref(1), names, spare=False)
            self.assertLessEqual(len(list(filter(
                matching, self.store.names(method)))), most)

    def test_store_that_is_gone_for_one_object(self):
        names = self.bench.repository.find_objects(
            base.ref(1), complete=True).names
        gone = _failure()
        gone.gone = True
        for method in ('segments', 'delete'):
            self.store.script(faulty.fail(
                method, gone, matching=lambda name: name.endswith('file')))
        self.assertRaises(
            exceptions.StoreUnavailable, self.bench.repository.discard,
            base.ref(1), names, spare=False)
        self.assertEqual([], list(filter(base.is_chunk, self.bench.names())))

    def test_store_that_is_down_has_nobody_wait(self):
        # One worker waits to repeat its request while the other finds out
        # that it is no use.
        self.bench.archive(1, bytes(range(256)) * 16)
        self.store.heal()
        busy = faulty.Busy('delete', nth=2, matching=base.is_chunk)
        self.store.script(busy, faulty.fail('delete', _failure(),
                                            matching=base.is_chunk))
        self.assertRaises(exceptions.StoreUnavailable, self._delete)
        self.assertEqual([True], busy.cut_short)

    def test_clean_up_is_not_cut_short(self):
        # Somebody who no longer waits for the result still wants it undone.
        def cancelled():
            raise exceptions.Cancelled('for good')

        seen = []
        self.store.script(faulty.Rule('delete', before=seen.append))
        repo = self.bench.repository
        names = repo.find_objects(base.ref(1), complete=True).names
        repo.during(mock.Mock(checkpoint=cancelled)).discard(
            base.ref(1), names)
        for stop in seen:
            stop.check()
        self.assertEqual([], self.bench.names())

    def test_missing_container(self):
        self.bench.repository.store = memory.MemoryStore()
        err = self.assertRaises(exceptions.ContainerNotFound, self._delete)
        self.assertEqual(
            ('bak-1', base.CONTAINER, exceptions.Remedy.OTHER_ACCOUNT),
            (err.backup_id, err.container, err.remedy))

    def test_what_does_not_belong_stays(self):
        strangers = [f'{_PREFIX}2-00001', f'{_PREFIX}2_metadata',
                     f'{_PREFIX}-notes', f'{_PREFIX}-00001_metadata',
                     f'{_PREFIX}_metadata.bak', _PREFIX, 'another']
        for name in strangers:
            self.bench.put(name, b'')
        self._delete()
        self.assertEqual(sorted(strangers), self.bench.names())

    def test_other_backups_stay(self):
        self.bench.archive(2, _DATA[::-1], parent=1)
        before = [name for name in self.bench.names()
                  if name.startswith(base.ref(2).prefix)]
        self._delete()
        self.assertEqual(before, self.bench.names())

    def test_same_names_in_another_container_stay(self):
        self.bench.memory.ensure_container('other', create=True)
        self.bench.put(self.names[0], b'', 'other')
        self._delete()
        self.assertEqual(
            [self.names[0]],
            [info.name for info in self.bench.memory.list('other', '')])

    def test_listing_that_lags(self):
        for shown in (lambda infos: (), lambda infos: infos[:2],
                      lambda infos: infos[2:]):
            self.bench.archive(1, _DATA)
            self.store.heal()
            self.store.script(faulty.alter('list', shown))
            self._delete()
            self.assertEqual([], self.bench.names())

    def test_listing_that_shows_what_is_gone(self):
        self.store.script(faulty.alter(
            'list', lambda infos: (*infos, store_base.ObjectInfo(
                f'{_PREFIX}-00099', 1, '',
                datetime.datetime.now(datetime.UTC)))))
        self._delete()
        self.assertEqual([], self.bench.names())

    def test_damaged_manifest_does_not_keep_the_rest(self):
        name = naming.manifest_name(_PREFIX)
        self.bench.damage(name, lambda data: b'{')
        self._delete()
        self.assertEqual([], self.bench.names())

    def test_backup_that_was_never_completed(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(_PREFIX))
        self._delete()
        self.assertEqual([], self.bench.names())

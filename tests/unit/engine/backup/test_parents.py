# SPDX-License-Identifier: Apache-2.0

"""What an incremental can build on."""

import dataclasses
import datetime
import json
import random
from unittest import mock

import fixtures

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import presence
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from tests.fakes import documents
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import tables
from tests.unit.engine import base

_DATA = random.Random(6).randbytes(64 * 5 + 10)
_NOW = _DATA[:64] + bytes(16) + _DATA[80:]


class FindTest(base.EngineTestCase):
    """A base and two incrementals on it."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _NOW, parent=1)
        self.bench.archive(3, _DATA, parent=2)

    def _find(self, block_size=16):
        return self.bench.find_parent(1, 2, 3, block_size=block_size)

    def test_found(self):
        found = self._find()
        self.assertEqual(base.ref(3), found.ref)
        self.assertEqual(self.bench.resolve(1, 2, 3).tip.manifest,
                         found.manifest)
        self.assertEqual(
            tables.content(self.bench.repository.digests.load(base.ref(3),
                                                              len(_DATA))),
            tables.content(found.digests))

    def test_any_manifest_of_the_chain_is_missing_or_damaged(self):
        for number in (1, 2, 3):
            name = naming.manifest_name(base.ref(number).prefix)
            stored = self.bench.get(name)
            self.bench.memory.delete(base.CONTAINER, name)
            self.assertIsNone(self._find())
            self.bench.put(name, b'{')
            self.assertIsNone(self._find())
            self.bench.put(name, stored)
        self.assertIsNotNone(self._find())

    def test_any_chunk_of_the_chain_is_missing(self):
        for number in (1, 2, 3):
            name = next(self.bench.resolve(1, 2, 3).links[number - 1]
                        .manifest.chunks.names())
            stored = self.bench.get(name)
            self.bench.memory.delete(base.CONTAINER, name)
            self.assertIsNone(self._find())
            self.bench.put(name, stored)
        self.assertIsNotNone(self._find())

    def test_chunks_that_a_listing_does_not_show(self):
        self.store.script(faulty.Rule('list', after=lambda found: ()))
        self.assertIsNotNone(self._find())

    def test_containers_that_cannot_be_listed(self):
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('overloaded')))
        self.assertIsNotNone(self._find())
        chunk = next(self.bench.resolve(1).tip.manifest.chunks.names())
        self.bench.memory.delete(base.CONTAINER, chunk)
        self.assertIsNone(self._find())

    def test_base_that_leaves_out_part_of_the_volume(self):
        name = naming.manifest_name(base.ref(1).prefix)
        fields = json.loads(self.bench.get(name))
        del fields['objects'][3]
        self.bench.put(name, json.dumps(fields).encode())
        self.assertIsNone(self._find())

    def test_base_whose_codec_is_not_known(self):
        name = naming.manifest_name(base.ref(1).prefix)
        self.bench.damage(name, lambda stored: stored.replace(
            b'"none"', b'"lz4"'))
        self.assertIsNone(self._find())

    def test_base_whose_chunks_split_a_block(self):
        # The digest of the block tells neither of its halves.
        bench = base.Bench()
        bench.archive(1, _DATA, geometry=types.Geometry(64, 64))
        bench.archive(2, _DATA, parent=1, geometry=types.Geometry(64, 64))
        self.assertIsNotNone(bench.find_parent(1, block_size=64))
        where = naming.digest_file_name(base.ref(1).prefix)
        other = base.Bench()
        other.archive(1, _DATA, geometry=types.Geometry(128, 128))
        bench.put(where, other.get(where))
        self.assertIsNone(bench.find_parent(1, block_size=128))

    def test_another_block_size(self):
        self.assertIsNone(self._find(block_size=32))

    def test_digests_missing_or_too_few(self):
        name = naming.digest_file_name(base.ref(3).prefix)
        for stored in (b'{', documents.digest_file(['0' * 64] * 5, 16),
                       documents.digest_file([], 16)):
            self.bench.put(name, stored)
            self.assertIsNone(self._find())
        self.bench.memory.delete(base.CONTAINER, name)
        self.assertIsNone(self._find())

    def test_store_error_comes_out(self):
        for suffix in ('_metadata', '_sha256file'):
            self.store.heal()
            self.store.script(faulty.fail(
                'read', exceptions.StoreUnavailable('on fire'),
                matching=lambda name, end=suffix: name.endswith(end)))
            self.assertRaises(exceptions.StoreUnavailable, self._find)


class ListedTestCase(base.EngineTestCase):
    """An incremental on a full backup; some of their objects are listed."""

    def _check_gone(self, names):
        for gone in names:
            self.store.heal()
            self.store.script(faulty.fail(
                'stat', exceptions.ObjectNotFound('no'),
                matching=lambda name, gone=gone: name == gone))
            self.assertIsNone(self.bench.find_parent(1, 2), gone)


class ListedTest(ListedTestCase):
    """A listing shows what is gone, or soon will be."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _NOW, parent=1)
        self.names = [info.name for number in (1, 2)
                      for info in self.bench.memory.list(
                          base.CONTAINER, base.ref(number).prefix)]

    def test_all_are_asked_for(self):
        self.store.heal()
        self.bench.find_parent(1, 2).close()
        self.assertEqual(sorted(self.names),
                         sorted(self.store.names('stat')))

    def test_gone(self):
        self._check_gone(filter(base.is_chunk, self.names))

    def test_will_expire(self):
        when = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
        for name in self.names:
            self.bench.memory.expiries = {(base.CONTAINER, name): when}
            self.assertIsNone(self.bench.find_parent(1, 2), name)

    def test_overwritten(self):
        name = next(name for name in self.names
                    if not name.endswith(('_metadata', '_sha256file')))
        for change in (lambda data: data + b'x',
                       lambda data: bytes(255 - each for each in data)):
            before = self.bench.get(name)
            self.bench.damage(name, change)
            self.assertIsNone(self.bench.find_parent(1, 2))
            self.bench.put(name, before)
        self.bench.find_parent(1, 2).close()

    def _overwritten(self):
        """Overwrite each chunk, in two ways, until the next step."""
        for name in self.names:
            if not base.is_chunk(name):
                continue
            before = self.bench.get(name)
            for change in (lambda data: data + b'x',
                           lambda data: bytes(255 - each for each in data)):
                self.bench.damage(name, change)
                yield name
                self.bench.put(name, before)

    def test_overwritten_and_not_in_the_sample(self):
        self.enterContext(mock.patch.object(presence, 'SAMPLE', 0))
        for name in self._overwritten():
            log = self.useFixture(fixtures.FakeLogger())
            self.assertIsNone(self.bench.find_parent(1, 2), name)
            self.assertIn('A full backup is made instead', log.output)
            self.assertIn(f'object {name} in container', log.output)
        self.bench.find_parent(1, 2).close()

    def test_overwritten_where_the_manifest_does_not_tell(self):
        # As in backups of the stock driver.
        for number in (1, 2):
            manifest = naming.manifest_name(base.ref(number).prefix)
            fields = json.loads(self.bench.get(manifest))
            for entry in fields['objects']:
                for told in entry.values():
                    del told['csb_stored_length'], told['csb_stored_md5']
            self.bench.put(manifest, json.dumps(fields).encode())
        for _ in self._overwritten():
            self.bench.find_parent(1, 2).close()

    def test_listing_that_is_wrong(self):
        # What it shows is not believed, and the object itself is.
        self.enterContext(mock.patch.object(presence, 'SAMPLE', 0))
        wrong = next(filter(base.is_chunk, self.names))
        for field, value in (('size', 3), ('etag', '0' * 32)):
            self.store.heal()
            self.store.script(faulty.alter('list', lambda infos: [
                dataclasses.replace(info, **{field: value})  # noqa: B023
                if info.name == wrong else info for info in infos]))
            self.bench.find_parent(1, 2).close()
            self.assertIn(wrong, self.store.names('stat'))
            before = self.bench.get(wrong)
            self.bench.damage(wrong, lambda data: data + b'x')
            self.assertIsNone(self.bench.find_parent(1, 2))
            self.bench.put(wrong, before)

    def test_store_that_fails_says_nothing(self):
        self.store.script(faulty.fail(
            'stat', exceptions.StoreUnavailable('on fire')))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.bench.find_parent, 1, 2)

    def test_sample_of_many(self):
        self.enterContext(mock.patch.object(presence, 'SAMPLE', 3))
        self.store.heal()
        self.bench.find_parent(1, 2).close()
        found = self.store.names('stat')
        self.assertLess(len(found), len(self.names))
        # Manifests, digests and chunks of both.
        self.assertEqual(2 * 2 + 3, len(set(found)))


class ListedSegmentsTest(ListedTestCase):
    """Digests of both are large objects, and their segments are listed."""

    def setUp(self):
        super().setUp()
        for owner, name, value in ((digest_segments, 'LEAST', 3),
                                   (digest_segments, 'NORMAL', 8),
                                   (digests, 'STEP', 4),
                                   (digest_objects, 'WORTH_SEGMENTS', 1)):
            self.enterContext(mock.patch.object(owner, name, value))
        self.bench = base.Bench(
            capabilities=store_base.Capabilities(max_segments=100))
        self.store = self.bench.store
        data = bytes(64 * 40)
        self.bench.archive(1, data + _DATA)
        self.bench.archive(2, data + _NOW, parent=1)
        self.container = naming.segments_container(base.CONTAINER)
        self.names = [info.name for info
                      in self.bench.memory.list(self.container, '')]
        self.assertEqual({True, False}, {
            name.startswith(base.ref(1).prefix) for name in self.names})
        self.store.heal()

    def _asked(self):
        return [call.name for call in self.store.calls
                if (call.method, call.container) == ('stat', self.container)]

    def test_all_are_asked_for_once(self):
        self.bench.find_parent(1, 2).close()
        self.assertEqual(self.names, sorted(self._asked()))

    def test_will_expire(self):
        when = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
        for name in self.names:
            self.bench.memory.expiries = {(self.container, name): when}
            self.assertIsNone(self.bench.find_parent(1, 2), name)

    def test_gone(self):
        self._check_gone(self.names)

    def test_overwritten_and_not_in_the_sample(self):
        self.enterContext(mock.patch.object(presence, 'SAMPLE', 0))
        for name in self.names:
            before = self.bench.get(name, self.container)
            for now in (before + b' ', before[::-1]):
                self.bench.put(name, now, self.container)
                self.assertIsNone(self.bench.find_parent(1, 2), name)
            self.bench.put(name, before, self.container)
        self.bench.find_parent(1, 2).close()

    def test_container_that_is_gone(self):
        for name in self.names:
            self.bench.memory.delete(self.container, name)
        self.store.script(faulty.fail(
            'list', exceptions.ContainerNotFound('no'),
            matching=lambda prefix: prefix.endswith('digests-')))
        self.assertIsNone(self.bench.find_parent(1, 2))

    def test_digests_that_are_gone(self):
        # They are what is missing, and not their segments.
        log = self.useFixture(fixtures.FakeLogger())
        name = naming.digest_file_name(base.ref(1).prefix)
        self.bench.memory.delete(base.CONTAINER, name)
        self.assertIsNone(self.bench.find_parent(1, 2))
        self.assertIn(f'object {name} in container {base.CONTAINER}',
                      log.output)

    def test_sample_of_many(self):
        self.enterContext(mock.patch.object(presence, 'SAMPLE', 3))
        self.bench.find_parent(1, 2).close()
        self.assertLess(3, len(self.names))
        self.assertEqual(3, len(set(self._asked())))


class ConfirmTest(base.EngineTestCase):
    """The parent goes while an incremental is made on it."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA)

    def _archive_while(self, change):
        class Observer(observers.Recorder):
            def advanced(self, done, total):
                change()

        return self.assertRaises(
            exceptions.ChainError, self.bench.archive, 2, _NOW, parent=1,
            observer=Observer())

    def test_deleted(self):
        err = self._archive_while(lambda: self.bench.delete(
            base.ref(1), complete=False))
        self.assertIn('bak-1', str(err))
        self.assertEqual([], self.bench.names())

    def test_deleted_while_chunks_are_looked_for(self):
        self.store.script(faulty.Rule(
            'list', matching=lambda name: name == base.ref(2).prefix,
            before=lambda stop: self.bench.delete(base.ref(1))))
        err = self.assertRaises(exceptions.ChainError, self.bench.archive, 2,
                                _NOW, parent=1)
        self.assertIn('bak-1', str(err))
        self.assertEqual([], self.bench.names())

    def test_deletion_that_has_begun(self):
        begun = []

        def interrupted():
            if begun:
                return
            begun.append(True)
            self.store.script(faulty.fail(
                'delete', exceptions.StoreUnavailable('no'), nth=2))
            self.assertRaises(exceptions.StoreUnavailable, self.bench.delete,
                              base.ref(1), complete=False)
            self.store.heal()

        err = self._archive_while(interrupted)
        self.assertTrue(begun)
        self.assertIn('bak-1', str(err))
        self.assertEqual([], [found for found in self.bench.names()
                              if found.startswith(base.ref(2).prefix)])

    def test_replaced(self):
        # As a manifest that was put back from elsewhere.
        self.bench.archive(3, _NOW)
        other = self.bench.get(naming.manifest_name(base.ref(3).prefix))
        name = naming.manifest_name(base.ref(1).prefix)
        err = self._archive_while(lambda: self.bench.put(
            name, other.replace(base.ref(3).prefix.encode(),
                                base.ref(1).prefix.encode())))
        self.assertIn('bak-1', str(err))
        self.assertEqual([], [found for found in self.bench.names()
                              if found.startswith(base.ref(2).prefix)])

    def test_replaced_by_something_else(self):
        err = self._archive_while(lambda: self.bench.put(
            naming.manifest_name(base.ref(1).prefix), b'{'))
        self.assertIs(exceptions.Remedy.REPEAT, err.remedy)

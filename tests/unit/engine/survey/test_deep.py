# SPDX-License-Identifier: Apache-2.0

"""Fetching a backup to see whether it is what was stored."""

import json
import random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.fakes import observers
from tests.unit.engine import base

_DATA = random.Random(4).randbytes(512)
_NOW = _DATA[:100] + b'changed' + _DATA[107:]


class DeepTestCase(base.EngineTestCase):
    """One full backup and one incremental on it."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _NOW, parent=1)

    def _check(self, number=1, *, observer=None, part=1.0):
        links = self.bench.resolve(*range(1, number + 1)).links
        subjects = [deep.Subject(link, len(_DATA)) for link in links]
        return deep.Checker(self.bench.repository).check(
            subjects[-1], subjects[-2] if number > 1 else None,
            observer or observers.Recorder(), part=part)

    def _damage(self, name, old, new):
        self.bench.damage(name, lambda data: data.replace(old, new))


class WholeTest(DeepTestCase):
    """Everything is fetched, once."""

    def test_nothing_is_wrong(self):
        for number in (1, 2):
            observer = observers.Recorder()
            self.store.heal()
            self.assertEqual([], self._check(number, observer=observer))
            stored = [name for name in self.bench.names()
                      if name.startswith(base.ref(number).prefix)]
            read = [name for name in self.store.names('read')
                    if naming.belongs_to(name, base.ref(number).prefix)]
            # The manifest was read by the test itself.
            self.assertEqual(sorted(stored), sorted(read))
            done, total = observer.progress[-1]
            self.assertEqual(done, total)

    @given(st.integers(0, 511), st.integers(1, 255))
    def test_every_byte_is_looked_at(self, offset, change):
        name = naming.chunk_name(base.ref(1).prefix, offset // 64 * 4)
        kept = self.bench.get(name)

        def flip(data):
            at = offset % 64
            return data[:at] + bytes([data[at] ^ change]) + data[at + 1:]

        self.bench.damage(name, flip)
        (err,) = self._check()
        self.assertIsInstance(err, exceptions.DigestMismatch)
        self.assertEqual((name, offset // 16 * 16), (err.name, err.offset))
        # The incremental is not to blame.
        self.assertEqual([], self._check(2))
        self.bench.put(name, kept)

    def test_several(self):
        for number in (4, 12):
            self.bench.damage(naming.chunk_name(base.ref(1).prefix, number),
                              lambda data: data[:-1])
        self.bench.memory.delete(
            base.CONTAINER, naming.chunk_name(base.ref(1).prefix, 8))
        self.assertEqual(
            {naming.chunk_name(base.ref(1).prefix, number)
             for number in (4, 8, 12)},
            {err.name for err in self._check()})

    def test_damaged_digests(self):
        name = naming.digest_file_name(base.ref(1).prefix)
        self.bench.damage(name, lambda data: data[:-5])
        (err,) = self._check()
        self.assertEqual(name, err.name)
        # Those of the parent are needed for the incremental.
        (err,) = self._check(2)
        self.assertEqual(name, err.name)

    def test_old_backup_without_md5s(self):
        # Nothing of it can be compared with anything.
        self._make_old(('md5', 'csb_stored_md5'))
        (err,) = self._check()
        self.assertIn('no MD5', str(err))

    def test_old_backup(self):
        self._make_old(('csb_stored_md5',))
        self.assertEqual([], self._check())
        self.bench.damage(naming.chunk_name(base.ref(1).prefix, 8),
                          lambda data: data[::-1])
        (err,) = self._check()
        self.assertIsInstance(err, exceptions.DigestMismatch)

    def _make_old(self, without):
        def change(data):
            fields = json.loads(data)
            del fields['parent_id']
            for entry in fields['objects']:
                for record in entry.values():
                    for name in without:
                        del record[name]
            return json.dumps(fields).encode()

        self.bench.damage(naming.manifest_name(base.ref(1).prefix), change)
        self.bench.memory.delete(base.CONTAINER, naming.digest_file_name(
            base.ref(1).prefix))

    def test_no_digests(self):
        name = naming.digest_file_name(base.ref(1).prefix)
        self.bench.memory.delete(base.CONTAINER, name)
        (err,) = self._check()
        self.assertEqual(name, err.name)

    def test_digests_that_are_not_the_parent_s(self):
        table = self.bench.repository.digests.load(base.ref(2), len(_DATA))
        digest = table.digest(20).hex().encode()
        name = naming.digest_file_name(base.ref(2).prefix)
        self._damage(name, digest, b'0' * 64)
        (err,) = self._check(2)
        self.assertEqual((name, 320, 336), (err.name, err.offset, err.end))

    def test_its_own_digests_may_be_others(self):
        self.bench.archive(3, bytes(512), parent=2)
        self.assertEqual([], self._check(3))


class SampleTest(DeepTestCase):
    """Some of the chunks."""

    def test_as_many_as_were_asked_for(self):
        for part, count in ((0.0, 1), (0.25, 2), (0.5, 4), (1.0, 8)):
            self.store.heal()
            self.assertEqual([], self._check(part=part))
            read = [name for name in self.store.names('read')
                    if '-000' in name]
            self.assertEqual(count, len({*read}), part)


class FaultTest(DeepTestCase):
    """What is not the backup's fault."""

    def test_store_that_fails(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('down'),
            matching=lambda name: name.endswith('-00004')))
        self.assertRaises(exceptions.StoreUnavailable, self._check)

    def test_it_can_be_cancelled(self):
        with mock.patch.object(pipelines, 'POLL', 0):
            self.assertRaises(exceptions.Cancelled, self._check,
                              observer=observers.Recorder(cancel_at=1))

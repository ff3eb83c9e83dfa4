# SPDX-License-Identifier: Apache-2.0

"""Encrypted backups, from a volume to the store and back."""

import contextlib
import dataclasses
import functools
import hashlib
import random
from unittest import mock

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import rebuilding
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests import selection
from tests.fakes import key_ring
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base
from tests.unit.engine import strategies

_PACKS = chains.Form.PACKS
_DATA = b'known text, in blocks of sixteen' * 12 + bytes(64) + (
    random.Random(3).randbytes(200))


def _bench(*names):
    return base.Bench(ring=key_ring.KeyRing(*names))


class EncryptedTest(base.EngineTestCase):
    """What comes back, and what nobody sees."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def archive(self, bench, number, data, parent=None, key='one',
                codec='zlib'):
        found = None
        if parent is not None:
            link = bench.repository.load(base.ref(parent)).point.encryption
            found = bench.repository.operation.keys.unlock(link)
        return bench.archive(
            number, data, parent=parent, form=_PACKS, codec=codec,
            encryption=key_ring.new(key, number) if found is None
            else key_ring.wrapped(found, key))

    def restored(self, bench, number, size):
        return bytes(bench.restore(bench.resolve(number),
                                   b'\xa5' * size).data)

    @given(strategies.histories(),
           st.sampled_from(('none', 'zlib', 'zstd', 'bz2')))
    @settings(max_examples=selection.examples(60))
    def test_any_history(self, history, word):
        bench = _bench('one')
        for number, (data, parent) in enumerate(history):
            self.archive(bench, number, data, parent, codec=word)
        for number, (data, _) in enumerate(history):
            self.assertEqual(data, self.restored(bench, number, len(data)))
            link = bench.resolve(number).tip
            self.assertEqual([], deep.Checker(bench.repository).check(
                deep.Subject(link, len(data)), None, observers.Recorder()))
            # One that goes on.
            target = volumes.RamVolume(data[:100].ljust(len(data), b'?'))
            bench.restorer.restore(
                bench.resolve(number), restorer.RestoreTarget(
                    target, 0, target.size, before=target),
                observers.Recorder())
            self.assertEqual(data, bytes(target.data))

    def test_nobody_sees_anything(self):
        bench = _bench('one')
        self.archive(bench, 1, _DATA, codec='none')
        digests = {hashlib.sha256(_DATA[start:start + 16]).digest()
                   for start in range(0, len(_DATA), 16)}
        for name in bench.names():
            stored = bench.get(name)
            self.assertNotIn(b'known text', stored)
            for digest in digests:
                self.assertNotIn(digest, stored)

    def test_equal_blocks_do_not_show(self):
        bench = _bench('one')
        self.archive(bench, 1, (b'a' * 16 + b'b' * 16) * 20)
        link = bench.resolve(1).tip
        with contextlib.closing(bench.repository.load_digests(
                link, 640)) as table:
            self.assertEqual(40, len({table.digest(number)
                                      for number in range(40)}))

    def test_equal_blocks_of_two_lines_do_not_show(self):
        bench = _bench('one')
        first = self.archive(bench, 1, _DATA, codec='none')
        second = self.archive(bench, 2, _DATA, codec='none')
        bodies = [b''.join(map(bench.get, manifest.point.packs.names()))
                  for manifest in (first, second)]
        pieces = {bodies[0][start:start + 16]
                  for start in range(len(bodies[0]) - 16)}
        table = bench.repository.load_digests(bench.resolve(1).tip,
                                              len(_DATA))
        other = bench.repository.load_digests(bench.resolve(2).tip,
                                              len(_DATA))
        self.assertNotEqual(table.run(0, 1), other.run(0, 1))
        self.assertIn(bodies[0][:16], pieces)
        self.assertNotIn(bodies[1][12:28], pieces)

    def test_without_the_key(self):
        self.archive(_bench('one'), 1, _DATA)
        bench = _bench('one')
        self.archive(bench, 1, _DATA)
        for ring, kind in ((None, exceptions.KeyUnavailable),
                           (key_ring.KeyRing('two'),
                            exceptions.KeyUnavailable),
                           (self.wrong(), exceptions.WrongKey)):
            other = bench.with_ring(ring)
            target = volumes.RamVolume(b'\xa5' * len(_DATA))
            for noted in (None, doubts.Doubts()):
                err = self.assertRaises(
                    kind, other.restorer.restore, other.resolve(1),
                    restorer.RestoreTarget(target, 0, target.size),
                    observers.Recorder(), doubts=noted)
                self.assertIn('one', str(err))
            self.assertEqual({0xa5}, set(target.data))
            find = functools.partial(
                parents.find, other.repository, [base.ref(1)], 16, _PACKS,
                key_ids=['one'])
            # An incremental is a full backup then. But if the key is not what
            # it was, somebody has to know.
            if kind is exceptions.WrongKey:
                self.assertRaises(kind, find)
            else:
                self.assertIsNone(find())
            # A sweep needs no key.
            sweeping.Sweeper(other.repository).sweep(
                sweeping.Volume(base.CONTAINER, base.ref(1).prefix))
            other.delete(base.ref(1))

    @staticmethod
    def wrong():
        ring = key_ring.KeyRing('one')
        ring.keys['one'] = key_ring.key('two')
        return ring

    def test_another_key_from_now_on(self):
        bench = _bench('one', 'two')
        self.archive(bench, 1, _DATA)
        later = _DATA[:32] + b'x' * 16 + _DATA[48:]
        self.archive(bench, 2, later, parent=1, key='two')
        manifest = bench.repository.load(base.ref(2))
        self.assertEqual('two', manifest.point.encryption.key_id)
        # Whoever has only the new one restores the new one.
        other = bench.with_ring(key_ring.KeyRing('two'))
        self.assertEqual(later, self.restored(other, 2, len(later)))
        self.assertRaises(exceptions.KeyUnavailable, self.restored, other, 1,
                          len(_DATA))

    def test_encrypted_or_not(self):
        bench = _bench('one')
        self.archive(bench, 1, _DATA)
        bench.archive(2, _DATA, form=_PACKS)
        for number, key_ids in ((1, ()), (2, ('one',)), (1, ('two',))):
            self.assertIsNone(parents.find(
                bench.repository, [base.ref(number)], 16, _PACKS,
                key_ids=key_ids))
        for number, key_ids in ((1, ('one',)), (1, ('two', 'one')), (2, ())):
            with contextlib.closing(parents.find(
                    bench.repository, [base.ref(number)], 16, _PACKS,
                    key_ids=key_ids)) as found:
                self.assertEqual(base.ref(number), found.ref)

    def test_not_by_mistake(self):
        bench = _bench('one')
        self.archive(bench, 1, _DATA)
        bench.archive(2, _DATA, form=_PACKS)
        for parent, job in (
                (None, {'encryption': key_ring.new('one')}),
                (1, {'form': _PACKS}),
                (2, {'form': _PACKS, 'encryption': key_ring.new('one')})):
            self.assertRaises(ValueError, bench.archive, 3, _DATA,
                              parent=parent, **job)

    def test_any_damage(self):
        bench = _bench('one')
        manifest = self.archive(bench, 1, _DATA)
        name = manifest.point.packs.name(0)
        before = bench.get(name)
        for at in range(0, len(before), 7):
            bench.put(name, before[:at] + bytes([before[at] ^ 1])
                      + before[at + 1:])
            try:
                found = self.restored(bench, 1, len(_DATA))
            except (exceptions.FormatError, exceptions.IntegrityError) as err:
                self.assertEqual(name, err.name)
                continue
            self.assertEqual(_DATA, found)

    def test_a_manifest_that_is_rebuilt(self):
        bench = _bench('one')
        self.archive(bench, 1, _DATA)
        self.archive(bench, 2, _DATA + b'more', parent=1)
        bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(2).prefix))
        rebuilder = rebuilding.Rebuilder(bench.repository, rebuilding.Volume(
            base.CONTAINER, base.ref(1).prefix))
        (point,) = rebuilder.find()
        self.assertTrue(rebuilder.rebuild(
            point, sweeping.GRACE, observers.Recorder()).is_proven)
        self.assertEqual(_DATA + b'more',
                         self.restored(bench, 2, len(_DATA) + 4))

    def test_what_cannot_be_verified(self):
        bench = _bench('one')
        self.archive(bench, 1, _DATA)
        true = encryption.DataKey.digest
        noted = doubts.Doubts()
        target = volumes.RamVolume(b'\xa5' * len(_DATA))
        # As if a digest were wrong.
        with mock.patch.object(
                encryption.DataKey, 'digest', autospec=True,
                side_effect=lambda key, block, number: true(
                    key, block, number + (number == 3))):
            bench.restorer.restore(
                bench.resolve(1), restorer.RestoreTarget(
                    target, 0, target.size), observers.Recorder(),
                doubts=noted)
        self.assertEqual(_DATA, bytes(target.data))
        self.assertEqual([(48, 16, True)], [
            (doubt.extent.offset, doubt.extent.length, doubt.is_wrong)
            for doubt in noted.found()])

    def test_a_wrong_bit_costs_one_block(self):
        bench = _bench('one')
        manifest = self.archive(bench, 1, _DATA, codec='none')
        # Of the 21st byte of the first chunk.
        bench.damage(manifest.point.packs.name(0), lambda old: (
            old[:32] + bytes([old[32] ^ 1]) + old[33:]))
        err = self.assertRaises(exceptions.DigestMismatch, self.restored,
                                bench, 1, len(_DATA))
        self.assertEqual((16, 32), (err.offset, err.end))
        noted = doubts.Doubts()
        target = volumes.RamVolume(b'\xa5' * len(_DATA))
        bench.restorer.restore(
            bench.resolve(1), restorer.RestoreTarget(target, 0, target.size),
            observers.Recorder(), doubts=noted)
        self.assertEqual(
            _DATA[:20] + bytes([_DATA[20] ^ 1]) + _DATA[21:],
            bytes(target.data))
        (doubt,) = noted.found()
        self.assertEqual(types.Extent(16, 16), doubt.extent)

    def test_a_wrong_bit_in_a_tag_costs_nothing(self):
        for codec in ('none', 'zlib'):
            bench = _bench('one')
            manifest = self.archive(bench, 1, _DATA, codec=codec)
            index = point_objects.PointObjects(
                bench.repository.operation).index(
                    base.ref(1), manifest.point.packs[0])
            # The last byte of the tag of the first chunk.
            pack, last = index.chunks[0].name, index.chunks[0].place.end - 1
            bench.damage(pack, lambda old, at=last: (
                old[:at] + bytes([old[at] ^ 1]) + old[at + 1:]))
            err = self.assertRaises(exceptions.IntegrityError, self.restored,
                                    bench, 1, len(_DATA))
            self.assertEqual((pack, 0), (err.name, err.offset))
            noted = doubts.Doubts()
            target = volumes.RamVolume(b'\xa5' * len(_DATA))
            bench.restorer.restore(
                bench.resolve(1), restorer.RestoreTarget(
                    target, 0, target.size), observers.Recorder(),
                doubts=noted)
            self.assertEqual(_DATA, bytes(target.data))
            self.assertEqual([], list(noted.found()))

    def test_a_pack_that_was_fetched_with_another_key(self):
        bench = _bench('one')
        manifest = self.archive(bench, 1, _DATA)
        link = bench.resolve(1).tip
        checker = deep.Checker(bench.repository)
        check = functools.partial(checker.check, parent=None,
                                  observer=observers.Recorder())
        self.assertEqual([], check(deep.Subject(link, len(_DATA))))
        for other in (key_ring.new('one', 99).wrapped, None):
            changed = dataclasses.replace(manifest, point=dataclasses.replace(
                manifest.point, encryption=other))
            self.assertNotEqual([], check(deep.Subject(
                chains.ChainLink(link.ref, changed), len(_DATA))))

    def test_converted_to_chunks(self):
        bench = _bench('one')
        self.archive(bench, 1, _DATA)
        found = conversion.Converter(
            bench.repository, chains.Form.CHUNKS).convert(
                bench.resolve(1), None, observers.Recorder(),
                observers.Recorder())
        target = bench.restore(
            bench.repository.resolve([found.link.ref]), bytes(len(_DATA)))
        self.assertEqual(_DATA, bytes(target.data))

    def test_how_much_longer_it_is(self):
        bench = _bench('one')
        for number, key in ((1, key_ring.new('one')), (2, None)):
            bench.archive(number, _DATA, form=_PACKS, codec='none',
                          encryption=key)
        points = [bench.repository.load(base.ref(number)).point
                  for number in (1, 2)]
        chunks = points[1].stored['none'].chunks
        self.assertEqual(
            points[1].stored['none'].stored_bytes
            + chunks * encryption.OVERHEAD,
            points[0].stored['none'].stored_bytes)

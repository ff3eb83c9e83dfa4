# SPDX-License-Identifier: Apache-2.0

"""Backups that are stored in another form."""

import itertools
import random

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests import selection
from tests.fakes import eras
from tests.fakes import faulty
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine import strategies

_CHUNKS, _PACKS = chains.Form
_DATA = random.Random(8).randbytes(300) + bytes(100) + b'the end.' * 20


class _Deleting(observers.Recorder):
    """Has a backup deleted while it is converted."""

    def __init__(self, bench, ref):
        super().__init__()
        self._bench = bench
        self._ref = ref

    def advanced(self, done, total):
        super().advanced(done, total)
        name = naming.manifest_name(self._ref.prefix)
        self._bench.memory.delete(self._ref.container, name)


class ConversionTest(base.EngineTestCase):
    """What is converted comes back, whatever it was and becomes."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def convert(self, form, *numbers, before=None, bench=None, observer=None):
        bench = bench or self.bench
        return conversion.Converter(bench.repository, form).convert(
            bench.resolve(*numbers), before,
            observer or observers.Recorder(), observers.Recorder())

    def content(self, bench, ref):
        chain = bench.repository.resolve([ref])
        self.assertEqual(1, len(chain.links))
        size = chain.tip.manifest.volume_size
        target = bench.restore(chain, b'\xa5' * size)
        return bytes(target.data)

    @given(strategies.histories(), st.sampled_from(('zlib', 'none', 'zstd')),
           st.sampled_from(tuple(chains.Form)))
    @settings(max_examples=selection.examples(60))
    def test_any_history(self, history, word, form):
        bench = base.Bench()
        for number, (data, parent) in enumerate(history):
            bench.archive(number, data, parent=parent, codec=word, form=form)
        names = {name: bench.get(name) for name in bench.names()}
        other = _PACKS if form is _CHUNKS else _CHUNKS
        before = None
        for number, (data, _) in enumerate(history):
            refs = [number]
            while history[refs[0]][1] is not None:
                refs.insert(0, history[refs[0]][1])
            found = self.convert(other, *refs, before=before, bench=bench)
            self.assertTrue(found.is_new)
            before = found.link.ref
            self.assertIs(other, found.link.manifest.form)
            self.assertEqual(data, self.content(bench, before))
        for name, stored in names.items():
            self.assertEqual(stored, bench.get(name), name)
        for number in range(len(history)):
            # A full backup again, by way of the other form.
            ref = conversion.target(base.ref(number), other)
            again = conversion.Converter(bench.repository, form).convert(
                bench.repository.resolve([ref]), None, observers.Recorder(),
                observers.Recorder())
            self.assertEqual(history[number][0],
                             self.content(bench, again.link.ref))

    @given(st.sampled_from(eras.ERAS), st.sampled_from(('zlib', 'none')))
    @settings(max_examples=20)
    def test_backups_of_any_era(self, era, word):
        bench = base.Bench()
        eras.Writer(era, bench.put, word, 48, 16).write(
            base.ref(1), lambda extent: _DATA[extent.offset:extent.end],
            len(_DATA))
        found = self.convert(_PACKS, 1, bench=bench)
        self.assertEqual(_DATA, self.content(bench, found.link.ref))

    @given(st.sampled_from([era for era in eras.ERAS if era.incrementals]),
           st.sampled_from(('zlib', 'none', 'bz2')))
    @settings(max_examples=20)
    def test_chains_of_any_era(self, era, word):
        bench = base.Bench()
        later = _DATA[:48] + b'x' * 32 + _DATA[80:]
        writer = eras.Writer(era, bench.put, word, 48, 16)
        writer.write(base.ref(1), lambda extent: _DATA[
            extent.offset:extent.end], len(_DATA))
        writer.write(
            base.ref(2), lambda extent: later[extent.offset:extent.end],
            len(later), 'bak-1', [types.Extent(48, 32)])
        first = self.convert(_PACKS, 1, bench=bench).link.ref
        second = self.convert(_PACKS, 1, 2, before=first, bench=bench).link
        self.assertEqual(_DATA, self.content(bench, first))
        self.assertEqual(later, self.content(bench, second.ref))
        # Of the second only what differs is stored.
        self.assertEqual(1, sum(
            'bak-2' in name for name in second.manifest.point.packs.names()))

    def test_what_the_manifest_tells_is_kept(self):
        self.bench.archive(1, _DATA, codec='bz2', volume_meta='{"a": 1}',
                           key_id='the key')
        before = self.bench.repository.load(base.ref(1))
        found = self.convert(_PACKS, 1).link.manifest
        for name in ('header', 'volume_meta', 'volume_size', 'key_id',
                     'file_format', 'mark'):
            self.assertEqual(getattr(before, name), getattr(found, name))
        self.assertEqual({'bz2', 'none'} & set(found.point.stored),
                         set(found.point.stored) - {'zeros'})
        self.assertIn('bz2', found.point.stored)

    def test_what_backups_share_is_stored_once(self):
        later = _DATA[:32] + bytes(16) + b'x' * 16 + _DATA[64:]
        self.bench.archive(1, _DATA)
        self.bench.archive(2, later, parent=1)
        # A full one, which has everything once more.
        self.bench.archive(3, later)
        one = self.convert(_PACKS, 1).link
        two = self.convert(_PACKS, 1, 2, before=one.ref).link
        three = self.convert(_PACKS, 3, before=two.ref).link
        packs = [set(link.manifest.point.packs.names())
                 for link in (one, two, three)]
        self.assertEqual(packs[1], packs[2])
        self.assertEqual(1, len(packs[1] - packs[0]))

    def test_it_is_not_done_twice(self):
        self.bench.archive(1, _DATA)
        first = self.convert(_PACKS, 1)
        names = self.bench.names()
        self.store.heal()
        again = self.convert(_PACKS, 1)
        self.assertFalse(again.is_new)
        self.assertEqual(first.link.ref, again.link.ref)
        self.assertEqual(names, self.bench.names())
        self.assertEqual([], self.store.names('put'))

    def test_what_was_left_is_replaced(self):
        for form, other in ((_CHUNKS, _PACKS), (_PACKS, _CHUNKS)):
            bench = base.Bench()
            bench.archive(1, _DATA, form=form)
            found = self.convert(other, 1, bench=bench)
            prefix = found.link.ref.prefix
            bench.memory.delete(base.CONTAINER, naming.manifest_name(prefix))
            bench.put(naming.chunk_name(prefix, 77), b'from another time')
            again = self.convert(other, 1, bench=bench)
            self.assertTrue(again.is_new)
            self.assertEqual(_DATA, self.content(bench, again.link.ref))
            self.assertNotIn(naming.chunk_name(prefix, 77), bench.names())

    def test_packs_of_the_same_backup_are_not_overwritten(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        self.bench.archive(2, _DATA + b'more', parent=1, form=_PACKS)
        self.convert(_CHUNKS, 1)
        self.bench.delete(base.ref(1))
        chunks = conversion.target(base.ref(1), _CHUNKS)
        conversion.Converter(self.bench.repository, _PACKS).convert(
            self.bench.repository.resolve([chunks]), None,
            observers.Recorder(), observers.Recorder())
        self.assertEqual(_DATA + b'more', self.content(self.bench,
                                                       base.ref(2)))

    def test_the_new_form_is_not_given_up_for_a_damaged_old_one(self):
        for form, other in ((_CHUNKS, _PACKS), (_PACKS, _CHUNKS)):
            bench = base.Bench()
            bench.archive(1, _DATA, form=form, codec='none')
            link = self.convert(other, 1, bench=bench).link
            # Both halves have some damage.
            lost = next(name for name in bench.names()
                        if naming.is_pack(name) == (other is _PACKS)
                        and (other is _PACKS or (
                            name.startswith(link.ref.prefix)
                            and name[-5:].isdigit())))
            bench.memory.delete(base.CONTAINER, lost)
            name = next(name for name in bench.names()
                        if bench.get(name)[:16] == _DATA[:16]
                        and name != lost and not (
                            name.startswith(link.ref.prefix)))
            bench.damage(name, lambda old: b'x' + old[1:])
            before = bench.names()
            self.assertRaises(exceptions.DigestMismatch, self.convert, other,
                              1, bench=bench)
            self.assertEqual(before, bench.names())

    def test_damage_is_not_converted(self):
        for form, other in ((_CHUNKS, _PACKS), (_PACKS, _CHUNKS)):
            bench = base.Bench()
            bench.archive(1, _DATA, form=form, codec='none')
            name = next(name for name in bench.names()
                        if bench.get(name)[:16] == _DATA[:16])
            bench.damage(name, lambda old: b'x' + old[1:])
            before = bench.names()
            err = self.assertRaises(exceptions.DigestMismatch, self.convert,
                                    other, 1, bench=bench)
            self.assertEqual(name, err.name)
            self.assertEqual(before, bench.names())

    def test_what_is_stored_wrong_is_noticed(self):
        self.bench.archive(1, _DATA, codec='none')
        before = self.bench.names()
        self.store.script(faulty.alter('put', self.spoil))
        self.assertRaises(exceptions.BackupError, self.convert, _PACKS, 1)
        self.store.heal()
        left = [name for name in self.bench.names() if name not in before
                and not naming.is_pack(name)]
        self.assertEqual([], left)

    def spoil(self, md5):
        for name in self.bench.names():
            if naming.is_pack(name):
                self.bench.damage(name, lambda old: b'\0' + old[1:])
        return md5

    def test_nobody_converts_what_was_deleted_meanwhile(self):
        for form, other in ((_CHUNKS, _PACKS), (_PACKS, _CHUNKS)):
            bench = base.Bench()
            bench.archive(1, _DATA, form=form)
            before = set(bench.names())
            err = self.assertRaises(
                exceptions.ChainError, self.convert, other, 1, bench=bench,
                observer=_Deleting(bench, base.ref(1)))
            self.assertIn('deleted during', str(err))
            self.assertEqual(set(), set(bench.names()) - before)

    def test_every_request_that_fails(self):
        for form, other in ((_CHUNKS, _PACKS), (_PACKS, _CHUNKS)):
            for method in ('put', 'read', 'stat', 'list'):
                number = 0
                while True:
                    number += 1
                    bench = base.Bench()
                    bench.archive(1, _DATA, form=form)
                    before = set(bench.names())
                    bench.store.heal()
                    bench.store.script(faulty.fail(
                        method, exceptions.StoreUnavailable('away'),
                        nth=number))
                    try:
                        self.convert(other, 1, bench=bench)
                    except exceptions.StoreUnavailable:
                        bench.store.heal()
                        left = set(bench.names()) - before
                        whole = naming.manifest_name(conversion.target(
                            base.ref(1), other).prefix) in left
                        self.assertTrue(whole or not left, left)
                        found = self.convert(other, 1, bench=bench)
                        self.assertEqual(_DATA, self.content(
                            bench, found.link.ref))
                        continue
                    break
                self.assertGreater(number, 1, (form, method))

    def test_killed_at_any_request(self):
        for form, other in ((_CHUNKS, _PACKS), (_PACKS, _CHUNKS)):
            for number in itertools.count():
                bench = base.Bench()
                bench.archive(1, _DATA, form=form)
                before = set(bench.names())
                # Nothing is done any more, so nothing is cleaned up.
                bench.store.script(*faulty.die_at(number))
                try:
                    self.convert(other, 1, bench=bench)
                    break
                except exceptions.StoreUnavailable:
                    bench.store.heal()
                self.assertEqual(_DATA, self.content(bench, base.ref(1)))
                self.assertLessEqual(before, set(bench.names()))
                found = self.convert(other, 1, bench=bench).link
                self.assertEqual(_DATA, self.content(bench, found.ref))
                self.assert_tidy(bench, before, found)
            self.assertGreater(number, 10)

    def assert_tidy(self, bench, before, link):
        """Sweeps leave the old backup and the new one, and nothing else."""
        # Of a backup that may still be in the making, nothing is noted.
        for _ in range(3):
            sweeping.Sweeper(bench.repository).sweep(
                sweeping.Volume(base.CONTAINER, link.ref.prefix))
            bench.memory.ahead += 2 * sweeping.GRACE
        point = link.manifest.point
        names = set(bench.names()) - before
        self.assertEqual(
            set() if point is None else set(point.packs.names()),
            {name for name in names if not name.startswith(link.ref.prefix)}
            - {naming.condemned_name(link.ref.prefix)})

    def test_old_packs_go_with_a_sweep(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        found = self.convert(_CHUNKS, 1).link.ref
        self.bench.delete(base.ref(1))
        sweeper = sweeping.Sweeper(self.bench.repository)
        swept = sweeper.sweep(
            sweeping.Volume(base.CONTAINER, found.prefix),
            ask=lambda: sweeping.OnRecord(
                is_told=True, known=frozenset(('bak-1',)),
                staying=frozenset((found.prefix,))))
        self.assertNotEqual((), swept.deleted)
        self.assertEqual(_DATA, self.content(self.bench, found))

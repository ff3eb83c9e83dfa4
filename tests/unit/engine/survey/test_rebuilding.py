# SPDX-License-Identifier: Apache-2.0

"""Manifests that are rebuilt from packs."""

import datetime
import random

from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import rebuilding
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests import selection
from tests.fakes import faulty
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine import strategies

_PACKS = chains.Form.PACKS
_DATA = random.Random(8).randbytes(300) + bytes(100) + b'the end.' * 20
_LATER = _DATA[:16] + b'x' * 32 + _DATA[48:150] + bytes(50) + _DATA[200:]
_VOLUME = rebuilding.Volume(base.CONTAINER, base.ref(1).prefix)


def _lose(bench, number, *, pages=False):
    """Lose the manifest of a backup, and maybe its pages."""
    prefix = base.ref(number).prefix
    for name in bench.names():
        if name == naming.manifest_name(prefix) or (
                pages and name.startswith(prefix)):
            bench.memory.delete(base.CONTAINER, name)


class RebuildTest(base.EngineTestCase):
    """A recovery point comes back from its packs."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def rebuild(self, number, bench=None):
        bench = bench or self.bench
        rebuilder = rebuilding.Rebuilder(bench.repository, _VOLUME)
        (point,) = (point for point in rebuilder.find()
                    if point.ref.backup_id == f'bak-{number}')
        self.point = point
        return rebuilder.rebuild(point, sweeping.GRACE, observers.Recorder())

    def check(self, bench, number, data):
        chain = bench.repository.resolve([self.point.ref])
        target = bench.restore(chain, b'\xa5' * len(data))
        self.assertEqual(data, bytes(target.data))
        self.assertEqual([], deep.Checker(bench.repository).check(
            deep.Subject(chain.tip, len(data)), None, observers.Recorder()))

    @given(strategies.histories(), st.booleans(), st.data())
    @settings(max_examples=selection.examples(80))
    def test_any_history(self, history, pages, drawn):
        bench = base.Bench()
        for number, (data, parent) in enumerate(history):
            bench.archive(number, data, parent=parent, form=_PACKS)
        number = drawn.draw(st.integers(0, len(history) - 1))
        before = bench.repository.load(base.ref(number))
        own = [name for name in bench.names() if naming.maker(name) == (
            'vol-1', f'bak-{number}')]
        # Without packs of its own, it is what its parent is.
        assume(own)
        _lose(bench, number, pages=pages)
        found = self.rebuild(number, bench)
        had_pages = bool(len(before.point.objects)) and not pages
        self.assertIs(had_pages, found.is_proven)
        self.assertEqual(list(before.point.packs.names()),
                         list(found.manifest.point.packs.names()))
        self.assertEqual(before.point.stored, found.manifest.point.stored)
        self.assertEqual(before.volume_size, found.manifest.volume_size)
        if not pages:
            self.assertEqual(base.ref(number), self.point.ref)
        self.check(bench, number, history[number][0])

    def test_incrementals_on_it_go_on(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        self.bench.archive(2, _LATER, parent=1, form=_PACKS)
        _lose(self.bench, 2)
        self.assertTrue(self.rebuild(2).is_proven)
        self.bench.archive(3, _DATA, parent=2, form=_PACKS)
        for number, data in ((1, _DATA), (2, _LATER), (3, _DATA)):
            target = self.bench.restore(self.bench.resolve(number),
                                        bytes(len(data)))
            self.assertEqual(data, bytes(target.data))

    def test_a_full_backup_has_nothing_of_those_before_it(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        data = bytes(200) + _DATA[200:300] + bytes(100)
        self.bench.archive(2, data, form=_PACKS)
        _lose(self.bench, 2, pages=True)
        self.rebuild(2)
        self.check(self.bench, 2, data)

    def test_beside_another_line(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        self.bench.archive(2, _LATER, parent=1, form=_PACKS)
        data = b'!' * 100 + _DATA[100:]
        self.bench.archive(3, data, parent=1, form=_PACKS)
        _lose(self.bench, 3, pages=True)
        self.rebuild(3)
        self.check(self.bench, 3, data)

    def test_one_that_was_converted(self):
        self.bench.archive(1, _DATA)
        ref = conversion.Converter(self.bench.repository, _PACKS).convert(
            self.bench.resolve(1), None, observers.Recorder(),
            observers.Recorder()).link.ref
        self.bench.delete(base.ref(1))
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(ref.prefix))
        self.assertTrue(self.rebuild(1).is_proven)
        self.assertEqual(ref, self.point.ref)
        self.check(self.bench, 1, _DATA)

    def test_those_that_have_a_manifest_are_not_lost(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        self.bench.archive(2, _LATER, parent=1, form=_PACKS)
        rebuilder = rebuilding.Rebuilder(self.bench.repository, _VOLUME)
        self.assertEqual([], rebuilder.find())
        self.bench.delete(base.ref(1))
        (lost,) = rebuilder.find()
        self.assertEqual('bak-1', lost.maker)
        self.assertEqual((len([
            name for name in self.bench.names()
            if naming.maker(name) == ('vol-1', 'bak-1')])), lost.packs)

    def test_a_pack_that_is_missing(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        self.bench.archive(2, _LATER, parent=1, form=_PACKS)
        names = list(self.bench.repository.load(
            base.ref(2)).point.packs.names())
        _lose(self.bench, 2)
        before = set(self.bench.names())
        for name in names:
            if len([other for other in names if naming.maker(
                    other) == naming.maker(name)]) == 1:
                continue
            kept = self.bench.get(name)
            self.bench.memory.delete(base.CONTAINER, name)
            err = self.assertRaises(exceptions.IntegrityError, self.rebuild,
                                    2)
            self.assertIn('some are missing', str(err))
            self.bench.put(name, kept)
            self.assertEqual(before, set(self.bench.names()))

    def test_own_packs_that_are_missing_without_pages(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        name = self.bench.repository.load(base.ref(1)).point.packs.name(0)
        _lose(self.bench, 1, pages=True)
        self.bench.memory.delete(base.CONTAINER, name)
        err = self.assertRaises(exceptions.IntegrityError, self.rebuild, 1)
        self.assertIn('packs of the backup are missing', str(err))

    def test_some_pages_prove_nothing(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        name = self.bench.repository.load(base.ref(1)).point.objects.name(0)
        _lose(self.bench, 1)
        self.bench.memory.delete(base.CONTAINER, name)
        self.assertFalse(self.rebuild(1).is_proven)
        self.check(self.bench, 1, _DATA)

    def test_a_pack_without_an_index(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        names = list(self.bench.repository.load(
            base.ref(1)).point.packs.names())
        _lose(self.bench, 1)
        for name in names:
            for change in (lambda old: old[:-1], lambda old: b'',
                           lambda old: old[:-60] + b'?' + old[-59:]):
                kept = self.bench.get(name)
                self.bench.damage(name, change)
                err = self.assertRaises(exceptions.FormatError, self.rebuild,
                                        1)
                self.assertEqual(name, err.name)
                self.bench.put(name, kept)
        self.rebuild(1)
        self.check(self.bench, 1, _DATA)

    def test_packs_that_a_sweep_is_about_to_delete(self):
        self.bench.archive(1, _DATA, form=_PACKS)
        self.bench.archive(2, b'?' * 100, form=_PACKS)
        _lose(self.bench, 1)
        sweeper = sweeping.Sweeper(self.bench.repository)
        for hours in (30, 20):
            self.bench.memory.ahead += datetime.timedelta(hours=hours)
            sweeper.sweep(_VOLUME)
        err = self.assertRaises(exceptions.ChainError, self.rebuild, 1)
        self.assertIn('a sweep may be about to delete', str(err))
        # It is not noted any more.
        self.rebuild(1)
        for _ in range(2):
            self.bench.memory.ahead += datetime.timedelta(hours=30)
            sweeper.sweep(_VOLUME)
        self.check(self.bench, 1, _DATA)

    def test_each_request_that_fails(self):
        for method in ('list', 'read', 'put', 'stat'):
            number = 0
            while True:
                number += 1
                bench = base.Bench()
                bench.archive(1, _DATA, form=_PACKS)
                bench.archive(2, _LATER, parent=1, form=_PACKS)
                _lose(bench, 2)
                bench.store.script(faulty.fail(
                    method, exceptions.StoreUnavailable('away'), nth=number))
                try:
                    self.rebuild(2, bench)
                except exceptions.StoreUnavailable:
                    bench.store.heal()
                    if naming.manifest_name(
                            base.ref(2).prefix) not in bench.names():
                        self.rebuild(2, bench)
                    self.check(bench, 2, _LATER)
                    continue
                break
            self.assertGreater(number, 1, method)

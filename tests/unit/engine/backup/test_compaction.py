# SPDX-License-Identifier: Apache-2.0

"""Packs that are mostly dead are rewritten, within a budget."""

import datetime
import random

import fixtures
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import compaction
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packs
from tests import selection
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base
from tests.unit.engine import strategies

_PACKS = chains.Form.PACKS
_DATA = random.Random(3).randbytes(2000)


class ChooseTest(base.EngineTestCase):
    """The deadest first, as far as the budget goes."""

    def _choose(self, *living):
        """The keys of packs of 100 bytes, of which so many live."""
        return compaction.choose(chains.Point(16, 128, [
            packs.Pack(key, f'p-{key}', 150, '', 50, b'', 1, number)
            for key, number in enumerate(living)], (), None, {}))

    def test_mostly_dead(self):
        self.assertEqual(set(), self._choose())
        whole = [100] * 9
        self.assertEqual(set(), self._choose(*whole, 40))
        self.assertEqual({9}, self._choose(*whole, 39))
        self.assertEqual({2}, self._choose(100, 60, 0, 100))

    def test_budget(self):
        many = [100] * 38
        # 5 % of all that lives, the deadest first.
        self.assertEqual({38, 39, 40, 41, 42},
                         self._choose(*many, *[39] * 6))
        self.assertEqual({38, 39, 40, 41, 43},
                         self._choose(*many, *[39] * 5, 10))


class RewriteTest(base.EngineTestCase):
    """Nothing but where blocks are stored changes."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def _without_budget(self, needed=0.9):
        for name, value in (('BUDGET', 1), ('NEEDED', needed)):
            self.useFixture(fixtures.MockPatchObject(compaction, name, value))

    @given(strategies.histories(), st.booleans())
    @settings(max_examples=selection.examples(100))
    def test_histories(self, history, sparse):
        self._without_budget()
        bench = base.Bench()
        for number, (data, parent) in enumerate(history):
            bench.archive(number, volumes.RamVolume(data, sparse=sparse),
                          parent=parent, form=_PACKS)
        for number, (data, _) in enumerate(history):
            chain = bench.resolve(number)
            target = bench.restore(chain, b'\xa5' * len(data))
            self.assertEqual(data, bytes(target.data))
            self.assertEqual([], deep.Checker(bench.repository).check(
                deep.Subject(chain.tip, len(data)), None,
                observers.Recorder()))

    def _named(self, number):
        return list(self.bench.repository.load(base.ref(number)).point.packs)

    def test_a_pack_is_no_longer_named(self):
        self._without_budget(0.5)
        # A pack for each chunk, in whatever order workers end.
        self.useFixture(fixtures.MockPatchObject(packer, 'FULL', 1))
        self.bench.archive(1, _DATA, form=_PACKS)
        before = {pack.name: pack.living_bytes for pack in self._named(1)}
        now = b'?' * 48 + _DATA[48:]
        self.bench.archive(2, now, parent=1, form=_PACKS)
        (dead,) = [pack for pack in self._named(2)
                   if pack.living_bytes < before.get(pack.name, 0)]
        others = [pack for pack in self._named(2) if pack != dead]
        self.assertEqual(16, dead.living_bytes)
        # Only changes are told, and nothing has changed.
        self.bench.archive(3, now, parent=2, form=_PACKS, told=())
        *kept, new = self._named(3)
        self.assertEqual(others, kept)
        self.assertNotEqual(dead.name, new.name)
        self.assertEqual(dead.living_bytes, new.living_bytes)
        target = self.bench.restore(self.bench.resolve(3), bytes(len(now)))
        self.assertEqual(now, bytes(target.data))

    def test_one_block_of_a_chunk_keeps_no_pack(self):
        self._without_budget(0.5)
        self.bench.archive(1, _DATA, form=_PACKS)
        # Every chunk of the full backup is still named.
        now = bytearray(b'?' * len(_DATA))
        for start in range(0, len(now), 64):
            now[start:start + 16] = _DATA[start:start + 16]
        self.bench.archive(2, bytes(now), parent=1, form=_PACKS)
        first = self._named(1)
        self.assertEqual([pack.living for pack in first],
                         [pack.living for pack in self._named(2)][:len(first)])
        self.bench.archive(3, bytes(now), parent=2, form=_PACKS)
        self.assertTrue({pack.name for pack in first}.isdisjoint(
            pack.name for pack in self._named(3)))
        target = self.bench.restore(self.bench.resolve(3), bytes(len(now)))
        self.assertEqual(bytes(now), bytes(target.data))

    def test_zeros_keep_no_pack(self):
        self._without_budget(0.5)
        self.bench.archive(1, _DATA, form=_PACKS)
        # Its data goes, and some zeros stay of it.
        second = _DATA[:64] + bytes(64) + b'!' * 16 + _DATA[144:]
        third = _DATA[:64] + bytes(64) + b'?' * 16 + _DATA[144:]
        for number, data in ((2, second), (3, third)):
            self.bench.archive(number, data, parent=number - 1, form=_PACKS)
        (pack,) = (pack for pack in self._named(3)
                   if '/bak-2-' in pack.name)
        self.assertEqual(0, pack.living_bytes)
        for sparse in (False, True):
            self.bench.archive(
                4 + sparse, volumes.RamVolume(third, sparse=sparse), parent=3,
                form=_PACKS)
            self.assertNotIn(pack.name, [
                each.name for each in self._named(4 + sparse)])
            target = self.bench.restore(self.bench.resolve(4 + sparse),
                                        bytes(len(third)))
            self.assertEqual(third, bytes(target.data))

    def test_dead_bytes_are_bounded(self):
        source = random.Random(8)
        data = bytearray(source.randbytes(6000))
        self.bench.archive(0, bytes(data), form=_PACKS)
        sweeper = sweeping.Sweeper(self.bench.repository)
        volume = sweeping.Volume(base.CONTAINER, base.ref(0).prefix)
        for night in range(1, 90):
            for _ in range(4):
                start = source.randrange(len(data) // 16) * 16
                data[start:start + 16] = source.randbytes(16)
            self.bench.archive(night, bytes(data), parent=night - 1,
                               form=_PACKS)
            if night >= 5:
                self.bench.delete(base.ref(night - 5))
            self.bench.memory.ahead += datetime.timedelta(hours=25)
            sweeper.sweep(volume)
        stored = sum(
            pack.length - pack.index_length for pack in self._named(89))
        self.assertLess(stored, 2.5 * len(data))
        target = self.bench.restore(self.bench.resolve(89), bytes(len(data)))
        self.assertEqual(bytes(data), bytes(target.data))
        self.assertLess(len(list(filter(naming.is_pack, self.bench.names()))),
                        400)

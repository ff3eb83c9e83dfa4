# SPDX-License-Identifier: Apache-2.0

"""What an account has, of backups in the form of packs."""

import random

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import layers
from cinder_swift_backup.engine.survey import quick
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import observers
from tests.fakes import points
from tests.unit.engine import base as engine_base
from tests.unit.engine.survey import base

_DATA = random.Random(4).randbytes(400) + bytes(200) + b'the end.' * 5
_NOW = _DATA[:128] + bytes(16) + _DATA[144:192] + b'!' * 32 + _DATA[224:]
_REF = engine_base.ref


class PointsTest(base.SurveyTestCase):
    """Two backups that share packs, beside a chain of the other form."""

    def setUp(self):
        super().setUp()
        writer = points.Writer(self.bench.memory)
        self.first = writer.write(_REF(3), _DATA)
        self.second = writer.write(_REF(4), _NOW, self.first)
        self.store.heal()

    def _backups(self, *, closely=False):
        patience = backups.Patience(self._lineage().now, base.DAY)
        return quick.Checker(self.bench.repository, patience).check(
            self._listed(engine_base.CONTAINER), observers.Recorder(),
            closely=closely)[2:]

    def test_all_is_well(self):
        self.assertEqual(['complete'] * 4, self._states())
        for backup in self._backups(closely=True):
            self.assertEqual(((), ()), (backup.findings, backup.strays))
        lineage = self._lineage()
        for backup in lineage.backups[2:]:
            self.assertEqual([backup], lineage.chain(backup))
            self.assertEqual([], lineage.dependents(backup))
            self.assertIsNone(deletion.obstacle(lineage, backup))

    def test_summary(self):
        first, second = (backup.summary for backup in self._backups())
        self.assertTrue(first.is_point and second.is_point)
        self.assertEqual((len(_DATA), None), (second.end, second.parent_id))
        self.assertEqual(448, first.by_codec['none'].stored_bytes)
        self.assertEqual(chains.Stored(1, 16, 0), second.by_codec['zeros'])

    def test_what_is_its_own(self):
        for backup, number in zip(self._backups(), (3, 4), strict=True):
            own = [name for name in self.bench.names()
                   if name.startswith((
                       _REF(number).prefix,
                       f'volume_vol-1/packs/bak-{number}-'))]
            self.assertEqual(
                (len(own), sum(len(self.bench.get(name)) for name in own)),
                (backup.listed.objects, backup.listed.stored_bytes))

    def _states_without(self, name, change=None):
        before = self.bench.get(name)
        self.bench.memory.delete(engine_base.CONTAINER, name)
        if change is not None:
            self.bench.put(name, change(before))
        found = self._backups()
        self.bench.put(name, before)
        return found

    def test_packs_and_pages_that_are_missing_or_others(self):
        for name in self.bench.names():
            needed = [(naming.is_pack(name) and name in {
                pack.name for pack in one.packs})
                or name.startswith(one.ref.prefix)
                for one in (self.first, self.second)]
            if name.endswith('_metadata') or not any(needed):
                continue
            for change in (None, lambda data: data[1:],
                           lambda data: b'#' + data[1:]):
                for backup, is_needed in zip(
                        self._states_without(name, change), needed,
                        strict=True):
                    self.assertEqual(
                        backups.State.DAMAGED if is_needed
                        else backups.State.COMPLETE, backup.state, name)
                    for finding in backup.findings:
                        self.assertEqual(name, finding.name)

    def test_a_listing_that_leaves_packs_out(self):
        real = self.store.list

        def without(container, prefix):
            return (info for info in real(container, prefix)
                    if not naming.is_pack(info.name))

        self.store.list = without
        self.assertEqual(['complete'] * 2,
                         [backup.state.value for backup in self._backups()])

    def test_what_a_listing_shows_and_is_gone(self):
        name = self.second.packs[0].name
        real = self.store.stat

        def stat(container, asked):
            if asked == name:
                self.bench.memory.delete(container, name)
            return real(container, asked)

        self.store.stat = stat
        found = self._backups(closely=True)
        self.assertIn(name, {finding.name for backup in found
                             for finding in backup.findings})

    def test_layers(self):
        found = layers.find(self.bench.repository, [_REF(4)], 40)
        self.assertEqual(('bak-3', 'bak-4'), found.backup_ids)
        # Zeros are the backup's own.
        self.assertEqual((len(_DATA) - 192 - 48, 192 + 48),
                         found.provided)
        self.assertEqual(len(_DATA), found.size)
        self.bench.delete(_REF(3))
        self.assertEqual(found, layers.find(
            self.bench.repository, [_REF(4)], 40))

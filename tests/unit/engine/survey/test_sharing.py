# SPDX-License-Identifier: Apache-2.0

"""Which packs recovery points share."""

import random

from cinder_swift_backup.engine.survey import sharing
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_PACKS = chains.Form.PACKS
_FIRST = random.Random(3).randbytes(400)
_SECOND = _FIRST[:320] + b'x' * 80


class SharingTest(survey_base.SurveyTestCase):
    """Beside a chain: a recovery point, one on top of it, and a full one."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        self.bench.archive(3, _FIRST, form=_PACKS)
        self.bench.archive(4, _SECOND, parent=3, form=_PACKS)
        self.bench.archive(5, _SECOND, form=_PACKS)

    def _find(self, number):
        lineage = self._lineage()
        (backup,) = (backup for backup in lineage.backups
                     if backup.ref == base.ref(number))
        return sharing.find(self.bench.repository, backup, lineage.backups,
                            observers.Recorder())

    def _packs(self, number):
        packs = self.bench.repository.load(base.ref(number)).point.packs
        return {pack.name: pack.length for pack in packs}

    def test_each(self):
        first, second, third = map(self._packs, (3, 4, 5))
        both = first.keys() & second.keys()
        found = self._find(4)
        self.assertEqual(
            sharing.Amount(len(second), sum(second.values())), found.needed)
        own = {name for name in second if naming.maker(name)[1] == 'bak-4'}
        self.assertEqual(
            sharing.Amount(len(own), sum(map(second.__getitem__, own))),
            found.own)
        self.assertEqual(found.own, found.alone)
        self.assertEqual(
            ((base.ref(3), sharing.Amount(
                len(both), sum(map(first.__getitem__, both)))),),
            found.shared)
        self.assertEqual((), found.unknown)
        found = self._find(3)
        self.assertEqual(found.needed, found.own)
        rest = first.keys() - second.keys()
        self.assertEqual(
            sharing.Amount(len(rest), sum(map(first.__getitem__, rest))),
            found.alone)
        found = self._find(5)
        self.assertEqual((), found.shared)
        self.assertEqual(
            sharing.Amount(len(third), sum(third.values())), found.alone)

    def test_one_that_cannot_be_read(self):
        name = naming.manifest_name(base.ref(3).prefix)
        self.bench.damage(name, lambda old: old[:-9])
        found = self._find(4)
        self.assertEqual((base.ref(3),), found.unknown)
        self.assertEqual(found.needed, found.alone)

    def test_chunks(self):
        self.assertEqual(sharing.Amount(), self._find(1).needed)

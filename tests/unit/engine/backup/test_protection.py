# SPDX-License-Identifier: Apache-2.0

"""A backup has no sweep delete what it needs, or fails."""

import datetime
import random

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import condemned_packs
from cinder_swift_backup.engine.backup import protection
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.unit.engine import base

_DAY = datetime.timedelta(days=1)
_DATA = random.Random(1).randbytes(500)


class ProtectTest(base.EngineTestCase):
    """The second backup, whose packs and whose parent's were noted."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        for number, data in ((1, _DATA), (2, b'!' * 200 + _DATA[200:])):
            self.bench.archive(number, data, form=chains.Form.PACKS,
                               parent=number - 1 or None)
        self.volume = condemned_packs.Volume(base.CONTAINER,
                                             base.ref(2).prefix)
        self.packs = self.bench.repository.load(base.ref(2)).point.packs
        self.operation = self.bench.repository.operation
        self.store.heal()

    def _note(self, ages, others=()):
        now = self.bench.memory.now()
        condemned_packs.write(self.operation, self.volume, {
            **{name.removeprefix(self.packs.root): now - ages[maker]
               for name in self.packs.names()
               if (maker := naming.maker(name)[1]) in ages},
            **dict.fromkeys(others, now - 9 * _DAY)})

    def _protect(self, parent=1):
        protection.protect(self.operation, base.ref(2), self.packs,
                           parent and base.ref(parent), _DAY)

    def _noted(self):
        return condemned_packs.read(self.operation, self.volume)

    def test_nothing_is_noted(self):
        for parent in (1, None):
            self._protect(parent)
        self._note({}, others=('other-000001',))
        self._protect()
        self.assertEqual(['other-000001'], list(self._noted()))

    def test_has_the_note_forget_them(self):
        for makers in (('bak-1',), ('bak-2',), ('bak-1', 'bak-2')):
            for parent in (1, None):
                self._note(dict.fromkeys(makers, 0.7 * _DAY),
                           others=('other-000001',))
                self._protect(parent)
                self.assertEqual(['other-000001'], list(self._noted()))
                self._note(dict.fromkeys(makers, 0.7 * _DAY))
                self._protect(parent)
                self.assertEqual({}, self._noted())

    def test_a_sweep_may_be_about_to_delete_some(self):
        for maker in ('bak-1', 'bak-2'):
            for parent in (1, None):
                self._note({maker: 0.8 * _DAY})
                err = self.assertRaises(exceptions.ChainError, self._protect,
                                        parent)
                self.assertIn(f'/packs/{maker}-', err.name)
                self.assertIs(exceptions.Remedy.REPEAT, err.remedy)
                # The next attempt does not fail for the same reason.
                self._protect(parent)

    def test_the_parent_is_gone(self):
        self.bench.delete(base.ref(1))
        for ages in ({}, {'bak-1': 0 * _DAY}):
            self._note(ages)
            err = self.assertRaises(exceptions.ChainError, self._protect)
            self.assertEqual(naming.manifest_name(base.ref(1).prefix),
                             err.name)
            self.assertIs(exceptions.Remedy.REPEAT, err.remedy)
            self.assertEqual({}, self._noted())

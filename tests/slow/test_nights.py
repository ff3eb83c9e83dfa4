# SPDX-License-Identifier: Apache-2.0

"""Thirty nights of backups in packs, through the real Swift.

Each night 1 % of a volume changes and is backed up, a backup is deleted at
random, and packs that no backup needs are swept.
"""

import datetime
import hashlib
import pathlib
import random
import time
from typing import ClassVar
from unittest import mock

import testscenarios

from cinder_swift_backup import engine as engines
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.driver import records
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.format import naming
from tests.fakes import loads
from tests.functional import cinder_side
from tests.functional.cinder_side import MIB
from tests.functional.cinder_side import OURS

_SIZE = 192 * MIB
_NIGHTS = 30
_KEPT = 7
_GRACE = datetime.timedelta(seconds=1)


class NightsTestCase(testscenarios.WithScenarios,
                     cinder_side.CinderSideTestCase):
    """All backups that are kept restore, and nothing else stays."""

    scenarios: ClassVar[list] = [(load, {'load': load})
                                 for load in loads.LOADS]

    def setUp(self):
        super().setUp()
        # As many packs as a volume of a hundred times the size has.
        self.enterContext(mock.patch.object(packer, 'FULL', MIB))
        self.configure(backup_swift_form='packs')
        engine = engines.Engine(self.store, concurrency.runtime(), 4)
        self.sweeper = sweeping.Sweeper(engine.repository, _GRACE)
        self.choice = random.Random(self.load)

    def test_nights(self):
        volume, path = self.make_volume(random.Random(1).randbytes(_SIZE))
        kept, parent = [], None
        for night in range(_NIGHTS):
            self._write(path, night)
            parent = self.back_up(OURS, volume, path, parent)
            kept.append((parent, self._sha256(path)))
            if len(kept) > _KEPT:
                # Any but the newest, on which the next one builds.
                self._delete(*kept.pop(self.choice.randrange(_KEPT)))
            self._sweep(parent)
            if not night % 5:
                self._check(*self.choice.choice(kept))
        for backup, expected in kept:
            self._check(backup, expected)
        needed = self._packs()
        for _ in range(2):
            time.sleep(_GRACE.total_seconds() + 1)
            self._sweep(parent)
        self.assertLessEqual(self._packs(), needed)
        self.choice.shuffle(kept)
        while kept:
            self._delete(*kept.pop())
            for backup, expected in kept[:2]:
                self._check(backup, expected)
        self.assertEqual([], self.object_names(self.container))

    def _write(self, path, night):
        with open(path, 'r+b') as handle:
            for extent in loads.extents(self.load, _SIZE, night):
                handle.seek(extent.offset)
                handle.write(loads.data(extent, night))

    @staticmethod
    def _sha256(path):
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()

    def _delete(self, backup, _):
        OURS(self.context).delete_backup(backup)
        backup.destroy()

    def _sweep(self, backup):
        ref = records.backup_ref(backup)
        self.assertEqual('', self.sweeper.sweep(sweeping.Volume(
            ref.container, ref.prefix)).why)

    def _packs(self):
        return set(filter(naming.is_pack, self.object_names(self.container)))

    def _check(self, backup, expected):
        path = self.restore_new(OURS, backup)
        self.assertEqual(expected, self._sha256(path))
        path.unlink()

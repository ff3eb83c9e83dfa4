# SPDX-License-Identifier: Apache-2.0

"""One full backup and one incremental on it, as somebody looks at them."""

import datetime

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import quick
from tests.fakes import observers
from tests.unit.engine import base

DATA = bytes(range(256)) * 2
NOW = DATA[:100] + b'changed' + DATA[107:]
DAY = datetime.timedelta(days=1)


class SurveyTestCase(base.EngineTestCase):
    """One full backup and one incremental on it."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, DATA)
        self.bench.archive(2, NOW, parent=1)
        self.prefix = base.ref(1).prefix

    def _lineage(self, *, days=0, copies=(), shared=(),
                 containers=(base.CONTAINER,)):
        patience = backups.Patience(
            datetime.datetime.now(datetime.UTC)
            + datetime.timedelta(days=days), DAY, frozenset(copies),
            frozenset(shared))
        return lineages.Lineage(
            quick.Checker(self.bench.repository, patience).check(
                self._listed(*containers), observers.Recorder()), patience)

    def _listed(self, *containers):
        return inventory.Inventory(self.bench.repository.operation).scan(
            containers)

    def _states(self, **options):
        lineage = self._lineage(**options)
        return [lineage.state(backup).value for backup in lineage.backups]

    def _finding(self, number=0):
        (finding,) = self._lineage().backups[number].findings
        return finding

    def _remove(self, name, container=base.CONTAINER):
        self.assertIn(name, [info.name for info
                             in self.bench.memory.list(container, '')])
        self.bench.memory.delete(container, name)

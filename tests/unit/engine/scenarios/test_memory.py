# SPDX-License-Identifier: Apache-2.0

"""What is said of the memory of backups and restores is true."""

import random
from unittest import mock

from oslotest import base
import testscenarios

from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine.backup import needs
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.fakes import process_memory
from tests.unit.engine import base as engine_base

_SCRIPT = '''
import ctypes
import random
import sys
import threading

from cinder_swift_backup import engine as engines
from cinder_swift_backup.engine import budget as budgets
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import needs as backup_needs
from cinder_swift_backup.engine.restore import needs as restore_needs
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.bench import counting
from tests.fakes import observers
from tests.fakes import process_memory

MIB = 1 << 20
SIZE = 200 * MIB
GEOMETRY = types.Geometry(50 * MIB, 32768)
FORM = chains.Form(sys.argv[1])
NOISE = memoryview(random.Random(1).randbytes(8 * MIB))


class Volume:
    size = capacity = SIZE
    tells_holes = False
    is_device = True

    def read(self, extent, buffer):
        start = extent.offset % (4 * MIB)
        return NOISE[start:start + extent.length]

    def data_extents(self, within):
        yield within

    def is_hole(self, extent):
        return False

    def changed_since(self, mark, within):
        return None

    def write(self, offset, data):
        pass

    zero = sync = finish = lambda self, *_: None


def reference(number):
    return types.BackupRef(f'b{number}', f'v{number}', 'c',
                           f'volume_v{number}/20260801120000/'
                           f'az_nova_backup_b{number}', SIZE)


def back_up(number, engine):
    ref = reference(number)
    observer = observers.Recorder()
    need = backup_needs.of_backup(FORM, GEOMETRY, SIZE, incremental=False)
    with engine.repository.during(observer).operation.admitted(need, int):
        engine.archiver.archive(jobs.ArchiveJob(
            ref, types.BackupHeader(ref.backup_id, ref.volume_id, None, None,
                                    '2026-08-01 12:00:00'),
            GEOMETRY, 'none', form=FORM), Volume(), observer)


def restore(number, engine):
    observer = observers.Recorder()
    need = restore_needs.of_restore(SIZE)
    with engine.repository.during(observer).operation.admitted(need, int):
        engine.restorer.restore(
            engine.repository.resolve([reference(number)]),
            restorer.RestoreTarget(Volume(), SIZE, SIZE), observer)


def measured(function, limit):
    """Do it four times at once; how much it took, in MiB."""
    budget = budgets.Budget(limit * MIB)
    failures = []

    def work(number):
        try:
            function(number, engines.Engine(
                store, pipelines.Runtime(), 4, budget=budget))
        except BaseException as err:
            failures.append(err)
            raise
    threads = [threading.Thread(target=work, args=(number,))
               for number in range(4)]
    # What was freed before is no more resident.
    ctypes.CDLL(None).malloc_trim(0)
    process_memory.reset_peak()
    before = process_memory.resident()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert not budget.held
    return (process_memory.peak() - before) // MIB


store = counting.CountingStore()
print(measured(back_up, int(sys.argv[2])))
print(measured(restore, int(sys.argv[3])))
print(measured(back_up, 0))
'''


class LargeBlocksTest(base.BaseTestCase):
    """A worker holds some of them, which counts."""

    def test_needs(self):
        def need(form, block_size):
            return needs.of_backup(form, types.Geometry(
                max(block_size, 50 << 20), block_size), 1 << 40,
                incremental=False)
        for form in chains.Form:
            usual, large = need(form, 1 << 20), need(form, 50 << 20)
            self.assertGreaterEqual(large.task - usual.task, 49 << 20)
            self.assertLessEqual(usual.task, 71 << 20)


class TasksTest(engine_base.EngineTestCase):
    """Tasks ask for what they hold, and for no more than was said."""

    def _asked(self, form, block_size):
        """What the tasks of a full backup and of an incremental ask for."""
        asked = []
        ask = budget.Budget.ask

        def note(self, size):
            asked.append(size)
            return ask(self, size)
        data = random.Random(5).randbytes(20 << 20)
        geometry = types.Geometry(8 << 20, block_size)
        need = needs.of_backup(form, geometry, len(data), incremental=True)
        bench = engine_base.Bench()
        with mock.patch.object(budget.Budget, 'ask', note):
            bench.archive(1, data, form=form, geometry=geometry)
            bench.archive(2, data[::-1], parent=1, form=form,
                          geometry=geometry)
        return asked, need

    def test_each_task(self):
        for form in chains.Form:
            for block_size in (32768, 4 << 20):
                asked, need = self._asked(form, block_size)
                # As many as there are windows, twice.
                self.assertGreaterEqual(len(asked), 6, form)
                self.assertGreaterEqual(min(asked), 4 << 20, form)
                self.assertLessEqual(max(asked), need.task, form)


class MemoryTest(testscenarios.WithScenarios, base.BaseTestCase):
    """Four at once, in a process of their own."""

    scenarios = (('chunks', {'form': 'chunks'}), ('packs', {'form': 'packs'}))

    def test_the_budget_is_kept(self):
        backups, restores, unlimited = map(int, process_memory.printed(
            _SCRIPT, self.form, 320, 96))
        self.assertLess(backups, 320)
        self.assertLess(restores, 96)
        # It is the budget that does it.
        self.assertGreater(unlimited, 320)

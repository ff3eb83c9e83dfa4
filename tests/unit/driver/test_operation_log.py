# SPDX-License-Identifier: Apache-2.0

"""The lines that an operator reads about each operation."""

import contextlib
import gc
import io
import json
import logging
import types
import weakref

from cinder import exception as cinder_exception
import fixtures
from oslo_config import cfg
from oslo_log import formatters

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import errors
from cinder_swift_backup.driver import operation_log
from cinder_swift_backup.engine import engine
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import chains
from cinder_swift_backup.stores import memory
from tests.fakes import clock
from tests.unit.driver import base

_GIB = 1 << 30


class OperationLogTestCase(base.DriverTestCase):
    """Time passes when a test says so, and the log is kept as JSON."""

    def setUp(self):
        super().setUp()
        self.clock = self.useFixture(clock.Clock())
        self.output = self._handle(formatters.JSONFormatter())
        self.engine = engine.Engine(memory.MemoryStore(), pipelines.Runtime(),
                                    2)
        self.backup = types.SimpleNamespace(id='b1', volume_id='v1',
                                            parent_id=None)
        self.log = operation_log.BackupLog(self.backup)

    def _handle(self, formatter):
        """What a formatter makes of the log."""
        output = io.StringIO()
        handler = logging.StreamHandler(output)
        handler.setFormatter(formatter)
        logger = logging.getLogger('cinder_swift_backup')
        self.useFixture(fixtures.FakeLogger(logger.name, level=logging.INFO))
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        return output

    def lines(self):
        """Each line as level, text and fields."""
        lines = []
        for text in self.output.getvalue().splitlines():
            line = json.loads(text)
            # What the formatter adds.
            for name in ('project', 'version'):
                line['extra'].pop(name, None)
            lines.append((line['levelname'], line['message'], line['extra']))
        return lines

    def line(self):
        """The only one."""
        line, = self.lines()
        return line

    def _move(self):
        for _ in range(3):
            self.engine.store.traffic.put(_GIB // 4)
        self.engine.store.traffic.receive(_GIB // 2)
        self.engine.store.traffic.retry()
        self.engine.volume_traffic.add_read(_GIB)
        self.engine.volume_traffic.add_written(_GIB)
        self.clock.now += 16


class EndsTest(OperationLogTestCase):
    """One line at the beginning, one at the end."""

    def test_backup(self):
        self.log.start(10 * _GIB)
        self._move()
        self.log.end(10 * _GIB, self.engine, chains.Form.PACKS, 'c')
        begin, end = self.lines()
        self.assertEqual(
            ('INFO', 'Backup b1 of volume v1 starts: 10.0 GiB, full.'),
            begin[:2])
        self.assertEqual(('INFO', (
            'Backup b1 of volume v1 completed in 16.0 s: full, read 1.00 GiB '
            'of 10.0 GiB at 64.0 MiB/s, skipped 9.00 GiB, stored 768 MiB in '
            'packs, as 3 objects in container c, 1 retry.')),
            end[:2])
        ids = {'operation': 'backup', 'backup_id': 'b1', 'volume_id': 'v1',
               'parent_id': None}
        self.assertEqual({'event': 'start', 'size': 10 * _GIB, **ids},
                         begin[2])
        self.assertEqual({
            'event': 'end', 'seconds': 16.0, 'size': 10 * _GIB,
            'read': _GIB, 'skipped': 9 * _GIB, 'rate': 64 << 20,
            'stored': 3 * _GIB // 4, 'objects': 3, 'retries': 1,
            'form': 'packs', 'container': 'c', **ids}, end[2])

    def test_incremental(self):
        self.backup.parent_id = 'b0'
        operation_log.BackupLog(self.backup).start(_GIB)
        self.assertIn('1.00 GiB, incremental that builds on backup b0.',
                      self.line()[1])

    def test_incremental_that_becomes_a_full_one(self):
        self.backup.parent_id = 'b0'
        log = operation_log.BackupLog(self.backup)
        for parent_id, kind in (('b0', 'incremental'), (None, 'full')):
            log.build_on(parent_id)
            log.end(_GIB, self.engine, chains.Form.CHUNKS, 'c')
            _, text, fields = self.lines()[-1]
            self.assertIn(f': {kind}, read 0 B', text)
            self.assertIn('as 0 objects', text)
            self.assertEqual(parent_id, fields['parent_id'])

    def test_restore(self):
        log = operation_log.RestoreLog(self.backup, 'v2')
        log.start(10 * _GIB, 'c')
        self._move()
        log.end(self.engine)
        begin, end = self.lines()
        self.assertEqual('Restore of backup b1 to volume v2 starts: 10.0 GiB, '
                         'from container c.', begin[1])
        self.assertEqual(
            'Restore of backup b1 to volume v2 completed in 16.0 s: '
            'received 512 MiB, wrote 1.00 GiB of 10.0 GiB at 64.0 MiB/s, '
            'skipped 9.00 GiB of zeros, 1 retry.', end[1])
        self.assertEqual({
            'operation': 'restore', 'event': 'end', 'seconds': 16.0,
            'backup_id': 'b1', 'volume_id': 'v2', 'size': 10 * _GIB,
            'received': _GIB // 2, 'written': _GIB, 'skipped': 9 * _GIB,
            'rate': 64 << 20, 'retries': 1}, end[2])

    def test_restore_of_what_came_twice(self):
        log = operation_log.RestoreLog(self.backup, 'v2')
        log.start(_GIB // 2, 'c')
        self._move()
        log.end(self.engine)
        self.assertIn('wrote 512 MiB of 512 MiB at 32.0 MiB/s, skipped 0 B',
                      self.lines()[-1][1])

    def test_delete(self):
        log = operation_log.DeleteLog(self.backup)
        log.start('c')
        log.end(7, self.engine.store.traffic)
        begin, end = self.lines()
        self.assertEqual('Delete of backup b1 of volume v1 starts: from '
                         'container c.', begin[1])
        self.assertEqual('Delete of backup b1 of volume v1 completed in 0.0 '
                         's: deleted 7 objects, 0 retries.', end[1])
        self.assertEqual(7, end[2]['objects'])

    def test_delete_of_nothing(self):
        log = operation_log.DeleteLog(self.backup)
        log.start(None)
        log.end_with_nothing()
        log.keep(types.SimpleNamespace(id='b2'))
        self.assertEqual(
            ['starts: it has no container.',
             'completed in 0.0 s: the backup never stored anything.',
             'completed in 0.0 s: kept the objects, because the record of '
             'backup b2 names the same ones.'],
            [text.removeprefix('Delete of backup b1 of volume v1 ')
             for _, text, _ in self.lines()])


class ProgressTest(OperationLogTestCase):
    """Lines in between."""

    def _run(self, seconds, size=100 * _GIB, tick=1):
        """All of a volume at the same speed; returns when lines came."""
        times = []
        for second in range(0, seconds, tick):
            self.log.advance(size * second // seconds, size)
            if len(self.lines()) > len(times):
                times.append(second)
            self.clock.now += tick
        return times

    def test_every_tenth(self):
        self.assertEqual(list(range(10, 100, 10)), self._run(100))
        level, text, fields = self.lines()[3]
        self.assertEqual('INFO', level)
        self.assertEqual('Backup b1 of volume v1 is at 40 % after 40 s: 40.0 '
                         'GiB of 100 GiB, now at 1.00 GiB/s.', text)
        self.assertEqual({
            'event': 'progress', 'percent': 40, 'done': 40 * _GIB,
            'total': 100 * _GIB, 'rate': _GIB, 'seconds': 40.0,
            'operation': 'backup', 'backup_id': 'b1', 'volume_id': 'v1',
            'parent_id': None}, fields)

    def test_every_half_minute(self):
        self.assertEqual(list(range(30, 3000, 30)), self._run(3000))

    def test_no_more_than_one_in_five_seconds(self):
        self.assertEqual([5], self._run(10))

    def test_none_of_what_is_soon_done(self):
        self.assertEqual([], self._run(5))

    def test_nothing_goes_on(self):
        self.log.advance(_GIB, 10 * _GIB)
        for _ in range(90):
            self.clock.now += 1
            self.log.tick()
        self.assertEqual(['now at 205 MiB/s', 'now at 0 B/s', 'now at 0 B/s'],
                         [text[text.index('now'):-1]
                          for _, text, _ in self.lines()])

    def test_nothing_is_done_yet(self):
        self.log.start(10 * _GIB)
        for _ in range(90):
            self.clock.now += 1
            self.log.tick()
        self.assertEqual([f'is at 0 % after {after} s: 0 B of 10.0 GiB, now '
                          'at 0 B/s.' for after in (30, 60, 90)],
                         [text.removeprefix('Backup b1 of volume v1 ')
                          for _, text, _ in self.lines()[1:]])

    def test_nothing_to_be_done(self):
        for _ in range(90):
            self.clock.now += 1
            self.log.tick()
        self.assertEqual([], self.lines())

    def test_waiting_is_not_slow(self):
        self.log.wait_for_memory()
        self.clock.now += 100
        self.log.admit()
        self._move()
        self.log.end(10 * _GIB, self.engine, chains.Form.PACKS, 'c')
        (level, text, _), (_, _, end) = self.lines()
        self.assertEqual('WARNING', level)
        self.assertIn('waits until other backups and restores free memory',
                      text)
        self.assertEqual((116, 64 << 20), (end['seconds'], end['rate']))


class FailureTest(OperationLogTestCase):
    """One line of level ERROR, which says what to do."""

    def _follow(self, err, cause=None):
        def fail():
            raise err from cause
        self.clock.now += 12
        self.assertIs(err, self.assertRaises(type(err), self.log.follow, fail))

    def test_ours(self):
        cause = exceptions.ContainerNotFound(
            'there is no such container', container='c', detail='x' * 300)
        self._follow(errors.translation(cause, 'b1'), cause)
        level, text, fields = self.line()
        self.assertEqual('ERROR', level)
        self.assertIn('Backup b1 of volume v1 failed after 12.0 s: there is '
                      'no such container', text)
        self.assertIn('Create it, or let backup_create_containers do it.',
                      text)
        # Users see less of it.
        self.assertIn('x' * 300, text)
        self.assertEqual(('failure', 'ContainerNotFound', 'b1', 12.0), (
            fields['event'], fields['error'], fields['backup_id'],
            fields['seconds']))

    def test_that_of_others(self):
        self._follow(OSError('out of luck'))
        level, text, _ = self.line()
        self.assertEqual('ERROR', level)
        self.assertTrue(text.endswith(': out of luck (OSError).'), text)

    def test_no_more_than_a_line(self):
        self._follow(OSError('out of luck\n[SQL: a page of it]'))
        self.assertTrue(self.line()[1].endswith(': out of luck (OSError).'))

    def test_nothing_is_kept(self):
        class Thing:
            pass
        kept = []

        def fail():
            thing = Thing()
            kept.append(weakref.ref(thing))
            raise OSError('out of luck')
        gc.disable()
        self.addCleanup(gc.enable)
        with contextlib.suppress(OSError):
            self.log.follow(fail)
        self.assertIsNone(kept[0]())

    def test_nothing_is_appended(self):
        # As formatters do while an error is handled.
        output = self._handle(formatters.ContextFormatter(config=cfg.CONF))
        self._follow(OSError('out of luck'))
        self.assertEqual(1, output.getvalue().count('out of luck'))

    def test_cancelled(self):
        for err, cause in (
                (exceptions.Cancelled('by somebody'), None),
                (errors.translation(exceptions.BackupError('x')),
                 exceptions.Cancelled('by somebody')),
                (cinder_exception.BackupRestoreCancel(
                    back_id='b1', vol_id='v1'), None)):
            self._follow(err, cause)
            level, text, fields = self.lines()[-1]
            self.assertEqual('INFO', level)
            self.assertIn('Backup b1 of volume v1 was cancelled after', text)
            self.assertEqual('cancellation', fields['event'])

    def test_all_is_well(self):
        self.log.follow(int)
        self.assertEqual([], self.lines())

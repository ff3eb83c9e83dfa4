# SPDX-License-Identifier: Apache-2.0

"""What the observers tell, and when they cancel."""

from unittest import mock

from cinder import exception as cinder_exception
from cinder import objects
from cinder.volume import volume_utils
from hypothesis import given
from hypothesis import strategies as st
from oslo_db import exception as db_exception
from oslotest import base as test_base
from sqlalchemy import exc as sqlalchemy_exc

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import observers
from cinder_swift_backup.driver import operation_log
from cinder_swift_backup.driver import settings
from tests.fakes import clock
from tests.unit.driver import base


class ObserversTestCase(base.DriverTestCase):
    """Notifications are noted, and the clock is the test's."""

    def setUp(self):
        super().setUp()
        self.notify = self.enterContext(mock.patch.object(
            volume_utils, 'notify_about_backup_usage'))
        self.clock = self.useFixture(clock.Clock())
        self.backup = self.record()
        self.log = mock.create_autospec(operation_log.OperationLog,
                                        instance=True)
        self._observe()
        self.manifest = mock.Mock(own_objects=3, point=None)

    def _observe(self):
        self.observer = observers.BackupObserver(
            self.context(), self.backup,
            settings.read_for_backup().notifications, 60, self.log)

    def config(self, **options):
        """Set options, and follow by them from the start."""
        super().config(**options)
        self._observe()

    def _percents(self):
        return [call.kwargs['extra_usage_info']['backup_percent']
                for call in self.notify.call_args_list]

    def _status(self, status):
        def refresh(backup):
            backup.status = status
        self.refreshed = refresh


class ProgressTest(ObserversTestCase):
    """``createprogress``."""

    def test_every_so_many_chunks(self):
        for done in range(1, 31):
            self.observer.advanced(done, 40)
        self.assertEqual([25, 50, 75], self._percents())
        self.assertEqual([mock.call(done, 40) for done in range(1, 31)],
                         self.log.advance.call_args_list)
        for call in self.notify.call_args_list:
            self.assertEqual(self.backup, call.args[1])
            self.assertEqual('createprogress', call.args[2])

    def test_number_is_configurable(self):
        self.config(backup_object_number_per_notification=1)
        for done in (1, 2, 3):
            self.observer.advanced(done, 3)
        self.assertEqual([33, 66, 100], self._percents())

    def test_no_number(self):
        for number in (0, -1):
            self.config(backup_object_number_per_notification=number)
            self.observer.advanced(1, 3)
        self.assertEqual([], self._percents())

    def test_last_one_is_all_of_it(self):
        self.observer.advanced(1, 7)
        self.observer.stored(self.manifest)
        self.assertEqual([100], self._percents())

    def test_result_is_noted_last(self):
        self.notify.side_effect = OSError('no message bus')
        self.assertRaises(OSError, self.observer.stored, self.manifest)
        self.assertEqual(0, self.backup.object_count)
        self.notify.side_effect = None
        self.observer.stored(self.manifest)
        self.assertEqual(3, self.backup.object_count)

    def test_percentages_rise_within_bounds(self):
        self.config(backup_object_number_per_notification=3)
        total = 10 ** 13
        for step in range(1, 100):
            self.observer.advanced(total // 100 * step, total)
        self.observer.stored(self.manifest)
        percents = self._percents()
        self.assertEqual(sorted(percents), percents)
        self.assertGreaterEqual(percents[0], 0)
        self.assertEqual(100, percents[-1])

    def test_says_no_more_than_a_percentage(self):
        self.observer.stored(self.manifest)
        self.assertEqual({'backup_percent': 100},
                         self.notify.call_args.kwargs['extra_usage_info'])


class PercentageTest(test_base.BaseTestCase):
    """Whole per cent, 0 to 100."""

    @given(st.integers(0, 1 << 50), st.integers(0, 1 << 50))
    def test_range(self, one, other):
        done, total = sorted((one, other))
        percent = observers.percentage(done, total)
        self.assertIn(percent, range(101))
        self.assertEqual(done == total, percent == 100)

    def test_values(self):
        for done, total, expected in ((0, 3, 0), (1, 3, 33), (2, 3, 66),
                                      (3, 3, 100), (0, 0, 100)):
            self.assertEqual(expected, observers.percentage(done, total))


class TimerTest(ObserversTestCase):
    """``backup_timer_interval``."""

    def test_timer(self):
        self.observer.advanced(1, 4)
        for step in range(1, 7):
            self.clock.now = 1000.0 + 60 * step
            self.observer.checkpoint()
        self.assertEqual([25, 25, 25], self._percents())

    def test_timer_starts_again_after_any_notification(self):
        self.config(backup_object_number_per_notification=1)
        self.clock.now += 100
        self.observer.advanced(1, 4)
        self.clock.now += 100
        self.observer.checkpoint()
        self.assertEqual([25], self._percents())
        self.clock.now += 20
        self.observer.checkpoint()
        self.assertEqual([25, 25], self._percents())

    def test_timer_off(self):
        self.config(backup_swift_enable_progress_timer=False)
        self.clock.now += 100000
        self.observer.checkpoint()
        self.assertEqual([], self._percents())

    def test_interval_is_configurable(self):
        self.config(backup_timer_interval=5)
        self.clock.now += 4.9
        self.observer.checkpoint()
        self.assertEqual([], self._percents())
        self.clock.now += 0.1
        self.observer.checkpoint()
        self.assertEqual([0], self._percents())


class DatabaseTest(ObserversTestCase):
    """The database may be away as long as patience lasts."""

    def setUp(self):
        super().setUp()
        self.error = db_exception.DBConnectionError('no answer')
        self.failing = True
        self.refreshed = self._refreshed
        self.observers = (self.observer,
                          observers.RestoreObserver(self.backup, 60, self.log))

    def _refreshed(self, backup):
        if self.failing:
            raise self.error

    def test_a_minute(self):
        for observer in self.observers:
            for _ in range(59):
                observer.checkpoint()
                self.clock.now += 1
            self.clock.now += 1
            err = self.assertRaises(exceptions.DatabaseUnavailable,
                                    observer.checkpoint)
            self.assertEqual("Cinder's database has not answered for 60 s",
                             err.what)
            self.assertIs(self.error, err.__cause__)

    def test_sql_is_for_the_log(self):
        self.error = db_exception.DBError(ValueError(
            '(OperationalError) locked\n[SQL: UPDATE backups SET ...]'))
        err = self.assertRaises(exceptions.DatabaseUnavailable,
                                self.observer.confirm)
        self.assertEqual('DBError: (OperationalError) locked', err.detail)

    def test_each_answer_starts_a_new_minute(self):
        self.backup.status = 'creating'
        for _ in range(4):
            self.failing = True
            self.observer.checkpoint()
            self.clock.now += 50
            self.observer.checkpoint()
            self.failing = False
            self.observer.checkpoint()

    def test_pool_that_is_exhausted(self):
        self.error = sqlalchemy_exc.TimeoutError('no connection left')
        self.observer.checkpoint()

    def test_other_errors_are_not_borne_with(self):
        self.error = RuntimeError('not the database')
        for observer in self.observers:
            self.assertRaises(RuntimeError, observer.checkpoint)

    def test_cancellation_after_an_outage(self):
        self.observer.checkpoint()
        self._status('deleting')
        self.assertRaises(exceptions.Cancelled, self.observer.checkpoint)

    def _back_after(self, seconds, then=lambda backup: None):
        """The database answers again, and then does something else."""
        until = self.clock.now + seconds

        def answer(backup):
            if self.clock.now < until:
                raise self.error
            then(backup)
        return answer

    def test_the_commit_waits_for_the_answer(self):
        def set_to(status):
            def change(backup):
                backup.status = status
            return change

        self.refreshed = self._back_after(50, set_to('creating'))
        self.observer.confirm()
        self.refreshed = self._back_after(50, set_to('deleting'))
        self.assertRaises(exceptions.Cancelled, self.observer.confirm)

    def test_the_commit_needs_the_answer(self):
        begin = self.clock.now
        self.assertRaises(exceptions.DatabaseUnavailable,
                          self.observer.confirm)
        self.assertAlmostEqual(60, self.clock.now - begin, delta=10)

    def test_result_is_saved_again(self):
        save = self._back_after(50)
        objects.Backup.save.side_effect = lambda: save(self.backup)
        self.observer.stored(self.manifest)
        self.assertEqual(3, self.backup.object_count)
        self.assertEqual([100], self._percents())

    def test_failure_is_let_out_when_it_can_be_noted(self):
        for seconds, patience, waited in ((200, 300, 200), (900, 300, 300),
                                          (30, 0, 30)):
            self.refreshed = self._back_after(seconds)
            begin = self.clock.now
            with self.assertRaisesRegex(
                    db_exception.DBError, 'no answer'), observers.noted(
                        self.backup, patience):
                raise self.error
            self.assertAlmostEqual(waited, self.clock.now - begin, delta=10)

    def test_other_failures_wait_for_the_database_too(self):
        # Or nobody could be told of them.
        self.refreshed = self._back_after(20)
        begin = self.clock.now
        with self.assertRaisesRegex(
                RuntimeError, 'another'), observers.noted(self.backup, 300):
            raise RuntimeError('another')
        self.assertAlmostEqual(20, self.clock.now - begin, delta=10)

    def test_cancellation_is_let_out_at_once(self):
        with self.assertRaisesRegex(
                exceptions.Cancelled, 'enough'), observers.noted(
                    self.backup, 300):
            raise exceptions.Cancelled('enough')
        self.assertEqual([], self.clock.sleeps)

    def test_progress_is_told_meanwhile(self):
        self.config(backup_timer_interval=5)
        self.clock.now += 5
        self.observer.checkpoint()
        self.assertEqual([0], self._percents())


class CancellationTest(ObserversTestCase):
    """A backup's status ends it."""

    def test_going_on(self):
        self._status('creating')
        self.observer.checkpoint()
        self.assertFalse(self.observer.deleted)

    def test_deleted(self):
        for status in ('deleting', 'deleted'):
            self._status(status)
            err = self.assertRaises(exceptions.Cancelled,
                                    self.observer.checkpoint)
            self.assertIn(self.backup.id, str(err))
            self.assertTrue(self.observer.deleted)
        self.assertEqual([], self._percents())

    def test_any_other_status(self):
        # As of a delete that failed and may have taken some chunks along.
        for status in ('error', 'available', 'error_deleting'):
            self._status(status)
            err = self.assertRaises(exceptions.Cancelled,
                                    self.observer.checkpoint)
            self.assertIn(status, str(err))
            self.assertFalse(self.observer.deleted)

    def test_deleted_records_are_read(self):
        # Without it a record that is already deleted would not be found.
        modes = []
        self.refreshed = lambda backup: modes.append(
            backup._context.read_deleted)
        self.observer.checkpoint()
        observers.RestoreObserver(
            self.record(status='restoring'), 60, self.log).checkpoint()
        self.assertEqual(['yes', 'yes'], modes)
        self.assertEqual('no', self.backup._context.read_deleted)


class RestoreObserverTest(ObserversTestCase):
    """A restore goes on while its backup is 'restoring'."""

    def setUp(self):
        super().setUp()
        self.observer = observers.RestoreObserver(self.backup, 60, self.log)

    def test_going_on(self):
        self._status('restoring')
        self.observer.checkpoint()
        self.log.tick.assert_called_once_with()
        self.observer.advanced(1, 2)
        self.log.advance.assert_called_once_with(1, 2)
        self.assertEqual([], self._percents())

    def test_any_other_status(self):
        for status in ('available', 'error', 'deleting', 'deleted'):
            self._status(status)
            err = self.assertRaises(exceptions.Cancelled,
                                    self.observer.checkpoint)
            self.assertIn(self.backup.id, str(err))

    def test_record_is_gone(self):
        def gone(backup):
            raise cinder_exception.BackupNotFound(backup_id=backup.id)

        self.refreshed = gone
        self.assertRaises(exceptions.Cancelled, self.observer.checkpoint)

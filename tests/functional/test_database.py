# SPDX-License-Identifier: Apache-2.0

"""A database that is away in the middle of an operation.

Another connection holds sqlite's lock, so that every query fails when its
time is over.
"""

import contextlib
import sqlite3
import threading
from unittest import mock

from cinder import exception as cinder_exception
from cinder import objects
from cinder.objects import fields
from eventlet import patcher
import fixtures
from oslo_config import cfg
from sqlalchemy import event
from sqlalchemy import pool

from cinder_swift_backup.driver import observers
from cinder_swift_backup.driver import records
from tests import selection
from tests.functional import cinder_side
from tests.functional.cinder_side import OURS

CONF = cfg.CONF
# Native ones, which go on while sqlite has a patched process wait.
_threading = patcher.original('threading')
# Seconds that it is away for, unless it stays away.
_AWAY = 8
_FOR_GOOD = 600
# How long a query waits, in milliseconds: here, and as Python has it.
_SHORT = 500
_USUAL = 5000
_DATA = b'data' * 500_000


class DatabaseTestCase(cinder_side.CinderSideTestCase):
    """A test whose driver loses the database."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_patience=60)
        for name, time in (('checkout', _SHORT), ('checkin', _USUAL)):
            def wait(connection, *rest, time=time):
                connection.execute(f'PRAGMA busy_timeout = {time}')
            event.listen(pool.Pool, name, wait)
            self.addCleanup(event.remove, pool.Pool, name, wait)
        self.volume, self.path = self.make_volume(_DATA)
        self.back = _threading.Event()
        self.log = self.useFixture(fixtures.FakeLogger('cinder_swift_backup'))

    def _hold(self, locked, seconds):
        place = CONF.database.connection.removeprefix('sqlite:///')
        with contextlib.closing(sqlite3.connect(
                place, isolation_level=None)) as holder:
            holder.execute('BEGIN EXCLUSIVE')
            locked.set()
            self.back.wait(seconds)

    def _be_away(self, seconds):
        locked = _threading.Event()
        self.holder = _threading.Thread(target=self._hold,
                                        args=(locked, seconds))
        self.holder.start()
        self.addCleanup(self.holder.join)
        self.addCleanup(self.back.set)
        locked.wait(60)

    @contextlib.contextmanager
    def away_from(self, owner, name, seconds=_AWAY):
        """Lose the database when something is called for the first time."""
        real = getattr(owner, name)
        gone = threading.Event()

        def away_first(*arguments):
            if not gone.is_set():
                gone.set()
                self._be_away(seconds)
            return real(*arguments)

        with mock.patch.object(owner, name, away_first):
            yield
        # Or the test would show nothing.
        self.assertIn('The database does not answer', self.log.output)


class ShortTestCase(DatabaseTestCase):
    """It comes back within the driver's patience."""

    modes = selection.Modes.BOTH

    def check_backup(self, owner, name):
        """A backup is as if nothing had been wrong."""
        with self.away_from(owner, name):
            backup = self.back_up(OURS, self.volume, self.path)
        self.assertEqual(2, backup.object_count)
        self.assert_content(self.restore_new(OURS, backup), _DATA)

    def test_before_a_backup_stores_anything(self):
        self.check_backup(OURS, 'get_metadata')

    def test_before_the_manifest(self):
        self.check_backup(observers.BackupObserver, 'confirm')

    def test_when_the_record_is_written(self):
        self.check_backup(observers.BackupObserver, 'stored')

    def test_when_the_parent_is_looked_for(self):
        full = self.back_up(OURS, self.volume, self.path)
        with self.away_from(records, 'get_parent'):
            backup = self.back_up(OURS, self.volume, self.path, full)
        self.assertEqual(full.id, backup.parent_id)

    def test_restore(self):
        full = self.back_up(OURS, self.volume, self.path)
        backup = self.back_up(OURS, self.volume, self.path, full)
        with self.away_from(records, 'chain_refs'):
            path = self.restore_new(OURS, backup)
        self.assert_content(path, _DATA)

    def test_delete(self):
        backup = self.back_up(OURS, self.volume, self.path)
        with self.away_from(records, 'check_no_dependents'):
            OURS(self.context).delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))


class LongTestCase(DatabaseTestCase):
    """It stays away for longer than that."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_patience=2)
        self.enterContext(mock.patch.object(observers, '_LEAST_PATIENCE', 2))

    def assert_given_up(self, owner, name, function, *arguments):
        """It fails, and says why; then the database is back."""
        with self.away_from(owner, name, _FOR_GOOD):
            error = self.assertRaises(cinder_exception.BackupDriverException,
                                      function, *arguments)
        self.assertFalse(self.back.is_set())
        self.back.set()
        self.holder.join()
        self.assertRegex(
            str(error)[:255], r": Cinder's database has not answered for \d+ "
            r"s\. Repeat the operation when it answers again\. \[")
        for text in (str(error), self.log.output):
            self.assertNotIn('SELECT', text)

    def test_backup(self):
        backup = self.make_backup(self.volume)
        with open(self.path, 'rb') as handle:
            self.assert_given_up(
                observers.BackupObserver, 'confirm',
                OURS(self.context).backup, backup, handle, False)
        self.assertEqual([], self.object_names(self.container))
        found = objects.Backup.get_by_id(self.context, backup.id)
        self.assertEqual(fields.BackupStatus.CREATING, found.status)
        OURS(self.context).delete_backup(found)

    def test_restore(self):
        backup = self.back_up(OURS, self.volume, self.path)
        backup.status = fields.BackupStatus.RESTORING
        backup.save()
        volume, path = self.make_volume(b'')
        with open(path, 'wb') as handle:
            self.assert_given_up(
                records, 'chain_refs', OURS(self.context).restore, backup,
                volume.id, handle, True)
        self.assert_content(self.restore_new(OURS, backup), _DATA)

    def test_delete(self):
        backup = self.back_up(OURS, self.volume, self.path)
        names = self.object_names(self.container)
        self.assert_given_up(records, 'check_no_dependents',
                             OURS(self.context).delete_backup, backup)
        self.assertEqual(names, self.object_names(self.container))
        OURS(self.context).delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

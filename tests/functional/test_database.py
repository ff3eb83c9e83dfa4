# SPDX-License-Identifier: Apache-2.0

"""A database that is away when a backup is about to be noted.

Another connection holds sqlite's lock, so that every query fails when its
time is over, which is seconds.
"""

import contextlib
import sqlite3
import threading
from unittest import mock

from eventlet import patcher
import fixtures
from oslo_config import cfg

from cinder_swift_backup.driver import observers
from tests.functional import cinder_side

CONF = cfg.CONF
# Native ones, which go on while sqlite has a patched process wait.
_threading = patcher.original('threading')
_time = patcher.original('time')
# Seconds: sqlite waits for five before a query fails.
_AWAY = 12


class DatabaseTestCase(cinder_side.CinderSideTestCase):
    """It comes back within the driver's patience."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_patience=60)
        self.volume, self.path = self.make_volume(b'data' * 500_000)

    def _hold(self, locked):
        place = CONF.database.connection.removeprefix('sqlite:///')
        with contextlib.closing(sqlite3.connect(
                place, isolation_level=None)) as holder:
            holder.execute('BEGIN EXCLUSIVE')
            locked.set()
            _time.sleep(_AWAY)

    def _be_away(self):
        locked = _threading.Event()
        holder = _threading.Thread(target=self._hold, args=(locked,))
        holder.start()
        self.addCleanup(holder.join)
        locked.wait(60)

    def _back_up_without(self, method):
        """A backup, during which the database goes when a method is called."""
        real = getattr(observers.BackupObserver, method)
        gone = threading.Event()

        def away_first(observer, *arguments):
            if not gone.is_set():
                gone.set()
                self._be_away()
            return real(observer, *arguments)

        log = self.useFixture(fixtures.FakeLogger('cinder_swift_backup'))
        with mock.patch.object(observers.BackupObserver, method, away_first):
            backup = self.back_up(cinder_side.OURS, self.volume, self.path)
        # Or the test would show nothing.
        self.assertIn('The database does not answer', log.output)
        self.assertEqual(2, backup.object_count)
        self.assert_content(self.restore_new(cinder_side.OURS, backup),
                            b'data' * 500_000)

    def test_before_the_manifest(self):
        self._back_up_without('confirm')

    def test_when_the_record_is_written(self):
        self._back_up_without('stored')

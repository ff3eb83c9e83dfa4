# SPDX-License-Identifier: Apache-2.0

"""The rows of the comparison about failures and deletes, done by both."""

import contextlib
import functools
from unittest import mock

from cinder import exception as cinder_exception
from cinder import objects
from cinder.objects import fields
from cinder.volume import volume_utils
import requests
from swiftclient import client as swift_client
from swiftclient import exceptions as swift_exceptions

from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Refuse
from tests.cloud.fault_proxy.rules import rule
from tests.faults import base
from tests.functional import cinder_process
from tests.functional import cinder_side
from tests.functional import comparison
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

# Seconds that Swift is away: more than all repeats of the stock driver take,
# as these tests set it.
_AWAY = 6
# Seconds that its repeats take by default, at most.
_STOCK_PATIENCE = 60
_PATIENCE = 60


class FailuresTestCase(comparison.ComparisonTestCase):
    """Each test does the same with both drivers."""

    def test_backup_that_fails(self):
        for driver in (STOCK, OURS):
            self.proxy.apply(rule(Answer(507), 'PUT', Kind.CHUNK, first=3,
                                  count=None))
            self.assertRaises(self.failure(driver), self.full, driver)
            self.heal()
            self.assertEqual(driver is STOCK,
                             bool(self.object_names(self.container)))
            self.delete_all()

    def test_backup_that_fails_where_nothing_can_be_deleted(self):
        backup = self.make_backup(self.volume)
        self.proxy.apply(
            rule(Answer(507), 'PUT', Kind.CHUNK, first=3, count=None),
            rule(Answer(503), 'DELETE', count=None))
        with self.opened(self.path, 'rb') as handle:
            self.assertRaises(self.failure(OURS), OURS(self.context).backup,
                              backup, cinder_process.passed_on(handle), True)
        self.heal()
        self.assertNotEqual([], self.object_names(self.container))
        backup.status = fields.BackupStatus.DELETING
        backup.save()
        OURS(self.context).delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

    def test_backup_that_is_deleted_meanwhile(self):
        self.configure(backup_swift_object_size=CHUNK // 4,
                       backup_swift_workers=1)
        for driver in (STOCK, OURS):
            self.heal()
            with self._meanwhile(functools.partial(self._force_delete,
                                                   driver)):
                self.full(driver)
            self.assertLess(self.requests('PUT', Kind.CHUNK), 16)
            self.assertEqual([], self.object_names(self.container))

    def test_backup_that_gets_another_status(self):
        for driver in (STOCK, OURS):
            with self._meanwhile(_fail):
                if driver is STOCK:
                    # It goes on to its end.
                    self.full(driver)
                else:
                    self.assertRaises(cinder_exception.BackupDriverException,
                                      self.full, driver)
            self.assertEqual(6 if driver is STOCK else 0,
                             len(self.object_names(self.container)))
            self.delete_all()

    @contextlib.contextmanager
    def _meanwhile(self, call):
        """Call something with the record while a backup is made."""
        self.configure(backup_object_number_per_notification=1)
        told = _FirstNotification(call)
        with mock.patch.object(volume_utils, 'notify_about_backup_usage',
                               told):
            yield
        self.assertTrue(told.done)

    def _force_delete(self, driver, record):
        """What Cinder does at ``backup-delete --force``."""
        record.status = fields.BackupStatus.DELETING
        record.save()
        driver(self.context).delete_backup(record)
        record.destroy()

    def test_swift_that_is_away(self):
        self.be_patient(_PATIENCE)
        for driver in (STOCK, OURS):
            self.proxy.apply(rule(Refuse(_AWAY), 'PUT', Kind.CHUNK, first=3))
            if driver is STOCK:
                self.assertRaises(cinder_exception.SwiftConnectionFailed,
                                  self.full, driver)
                self.heal()
                continue
            self.assertEqual(self.data,
                             self.content(driver, self.full(driver)))
            self.assertEqual([1], self.proxy.hits())

    def test_how_long_the_stock_driver_repeats(self):
        self.configure(backup_swift_retry_attempts=3,
                       backup_swift_retry_backoff=2)
        waits = []
        self.proxy.apply(rule(Refuse(3600), 'PUT', Kind.CHUNK, first=3))
        with mock.patch.object(swift_client, 'sleep', waits.append):
            self.assertRaises(cinder_exception.SwiftConnectionFailed,
                              self.full, STOCK)
        self.assertEqual(3, len(waits))
        self.assertLess(sum(waits), _STOCK_PATIENCE)

    def test_swift_that_is_away_during_a_restore(self):
        self.be_patient(_PATIENCE)
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            self.proxy.apply(rule(Refuse(_AWAY), 'GET', Kind.CHUNK, first=3))
            if driver is STOCK:
                self.assertRaises(cinder_exception.SwiftConnectionFailed,
                                  self.content, driver, backup)
                self.heal()
                continue
            self.assertEqual(self.data, self.content(driver, backup))
            self.assertEqual([1], self.proxy.hits())

    def test_keystone_that_is_away(self):
        self.be_patient(_PATIENCE)
        keystone = base.proxy_before(self.cloud.auth_url)
        self.addCleanup(keystone.accept)
        self.addCleanup(keystone.apply)
        self.log_in_alone(backup_swift_auth_url=keystone.url)
        for driver in (STOCK, OURS):
            keystone.accept()
            keystone.apply(rule(Refuse(_AWAY), 'POST'))
            if driver is STOCK:
                self.assertRaises(cinder_exception.SwiftConnectionFailed,
                                  self.full, driver)
                continue
            self.assertEqual(self.data,
                             self.content(driver, self.full(driver)))
            self.assertEqual([1], keystone.hits())

    def test_delete_when_swift_cannot_be_asked(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            before = self.object_names(self.container)
            self.proxy.refuse()
            self._delete(driver, backup)
            self.heal()
            self.assertEqual(before, self.object_names(self.container))

    def test_delete_where_there_is_nothing(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            for name in self.object_names(self.container):
                self.store.delete(self.container, name)
            self._delete(driver, backup)

    def _delete(self, driver, backup):
        """Delete what cannot be deleted; who says nothing loses the record."""
        if driver is STOCK:
            driver(self.context).delete_backup(backup)
        else:
            self.assertRaises(cinder_exception.CinderException,
                              driver(self.context).delete_backup, backup)

    def test_delete_of_what_another_project_needs(self):
        for driver in (STOCK, OURS):
            full = self.full(driver)
            tip = self.back_up(driver, self.volume, self.path, full)
            tip.project_id = 'another'
            tip.save()
            if driver is STOCK:
                driver(self.context).delete_backup(full)
                self.assertEqual([], self.chunks(full))
                continue
            error = self.assertRaises(
                cinder_exception.CinderException,
                driver(self.context).delete_backup, full)
            self.assertIn(tip.id, str(error))
            self.assertEqual(4, len(self.chunks(full)))

    def test_delete_of_one_of_two_records(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            twin = self.make_backup(self.volume)
            for name in ('container', 'service', 'service_metadata'):
                setattr(twin, name, getattr(backup, name))
            twin.status = fields.BackupStatus.AVAILABLE
            twin.save()
            driver(self.context).delete_backup(twin)
            self.assertEqual(driver is OURS, bool(self.chunks(backup)))
            twin.destroy()
            driver(self.context).delete_backup(backup)
            self.assertEqual([], self.object_names(self.container))

    def test_wrong_login(self):
        self.log_in_alone(backup_swift_key='wrong')
        STOCK(self.context).check_for_setup_error()
        self.assertRaises(cinder_exception.BackupDriverException,
                          OURS(self.context).check_for_setup_error)
        # The stock driver asks who is there, if it has a URL.
        self.proxy.refuse()
        self.assertRaises(requests.ConnectionError,
                          STOCK(self.context).check_for_setup_error)

    def log_in_alone(self, **changed):
        """Have drivers log in as a user of their own."""
        self.configure(
            backup_swift_auth='single_user',
            **{**cinder_side.version_3_options(self.cloud, self.cloud.demo),
               **changed})

    @staticmethod
    def failure(driver):
        """What a backup fails with if Swift refuses an object."""
        return (swift_exceptions.ClientException if driver is STOCK
                else cinder_exception.CinderException)

    def delete_all(self):
        """Delete what was left."""
        for name in self.object_names(self.container):
            self.store.delete(self.container, name)


def _fail(record):
    """What Cinder does at ``backup-reset-state --state error``."""
    record.status = fields.BackupStatus.ERROR
    record.save()


class _FirstNotification:
    """Calls something with the record when the first chunk is stored."""

    def __init__(self, call):
        self._call = call
        self.done = False

    def __call__(self, context, backup, usage, **_):
        if self.done or usage != 'createprogress':
            return
        self.done = True
        self._call(objects.Backup.get_by_id(context, backup.id))

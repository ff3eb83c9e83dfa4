# SPDX-License-Identifier: Apache-2.0

"""Cinder's side of a backup driver, in the test's own process.

Drivers get what cinder-backup gives them: real records in a real (sqlite)
database, a request context with a real token and catalog, a volume's file
wrapped for the kind of threads in use, real notifications.
"""

import atexit
import contextlib
import functools
import pathlib
import shutil
import tempfile
from typing import ClassVar
import uuid

from cinder import version
from cinder.backup.drivers import swift as stock_driver
from cinder.db import api as db_api
from cinder.objects import fields
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_messaging.notify import _impl_test as fake_notifier
import testscenarios

from cinder_swift_backup import driver as our_driver
from cinder_swift_backup import exceptions
from cinder_swift_backup.format import naming
from tests.cloud import volumes
from tests.functional import base
from tests.functional import cinder_process

CONF = cfg.CONF
# Cinder's: 24 is 2024.1, 29 is 2026.2.
RELEASE = int(version.version_string().split('.')[0])
# Whether the stock driver loses zeros of incrementals if it is told that the
# volume is new.
LOSES_ZEROS = RELEASE in range(23, 29)
MIB = 1 << 20
# Small, so that a test volume of a few MiB has many chunks and blocks.
CHUNK = 1 * MIB
BLOCK = 32 * 1024
# Each test has a temporary directory of its own; this one outlives them.
_TEMPORARY = tempfile.gettempdir()


@functools.cache
def _configuration():
    """The configuration of this process's database, made once."""
    directory = pathlib.Path(
        tempfile.mkdtemp(prefix='csb-database-', dir=_TEMPORARY))
    atexit.register(shutil.rmtree, directory)
    return cinder_process.set_up(directory)


def database():
    """The path of this process's database."""
    return _configuration().parent / 'cinder.sqlite'


class CinderSideTestCase(base.FunctionalTestCase):
    """A test that calls drivers as cinder-backup does."""

    def setUp(self):
        super().setUp()
        # The fixture forgets the file at the end of each test.
        cinder_process.read(_configuration())
        self.config = self.useFixture(config_fixture.Config(CONF))
        self.container = f'test-{uuid.uuid4().hex[:8]}'
        self.configure(
            backup_swift_container=self.container,
            backup_swift_object_size=CHUNK,
            backup_swift_block_size=BLOCK,
            backup_swift_retry_attempts=1,
            backup_swift_retry_backoff=1,
            backup_swift_patience=10,
            backup_swift_enable_progress_timer=False)
        self.context = cinder_process.make_context(self.cloud.demo,
                                                   self.cloud.auth_url)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='csb-'))
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(self._empty_container)
        fake_notifier.reset()

    def configure(self, **options):
        """Set options of the DEFAULT section until the test ends."""
        self.config.config(**options)

    def make_volume(self, data, size_gb=1):
        """A volume's record and the file with its content."""
        volume = cinder_process.create_volume(self.context, size_gb)
        path = self.directory / volume.id
        path.write_bytes(data)
        return volume, path

    def opened(self, path, mode):
        """What Cinder hands to a driver for a volume."""
        return open(path, mode)

    def make_backup(self, volume, parent=None):
        """The record of a backup that is about to be made."""
        return cinder_process.create_backup(self.context, volume, parent)

    def back_up(self, driver_class, volume, path, parent=None):
        """Make a backup as cinder-backup does and return its record."""
        backup = self.make_backup(volume, parent)
        with self.opened(path, 'rb') as handle:
            updates = driver_class(self.context).backup(
                backup, cinder_process.passed_on(handle), True)
        if updates:
            backup.update(updates)
        backup.status = fields.BackupStatus.AVAILABLE
        backup.service = (
            f'{driver_class.__module__}.{driver_class.__name__}')
        backup.save()
        return backup

    def restore_new(self, driver_class, backup):
        """Restore as to a volume made for it; returns its content."""
        volume, path = self.make_volume(b'')
        new = not (driver_class is STOCK and backup.parent_id
                   and LOSES_ZEROS)
        with open(path, 'wb') as handle:
            self.restore_to(driver_class, backup, volume, handle, new)
        return path

    def restore_existing(self, driver_class, backup, size):
        """Restore over a volume that is full of something else."""
        volume, path = self.make_volume(b'\xa5' * size)
        with open(path, 'r+b') as handle:
            self.restore_to(driver_class, backup, volume, handle, False)
        return path

    def restore_to(self, driver_class, backup, volume, handle, new):
        """Restore to a volume that is attached as ``handle``."""
        backup.status = fields.BackupStatus.RESTORING
        backup.save()
        with contextlib.ExitStack() as stack:
            stack.callback(self._available, backup)
            driver_class(self.context).restore(
                backup, volume.id, cinder_process.passed_on(handle), new)

    @staticmethod
    def _available(backup):
        backup.status = fields.BackupStatus.AVAILABLE
        backup.save()

    def assert_content(self, path, data):
        """The file starts with ``data`` and has only zeros behind it."""
        with open(path, 'rb') as handle:
            self.assertEqual(len(data), len(found := handle.read(len(data))))
            for offset in range(0, len(data), BLOCK):
                if found[offset:offset + BLOCK] != data[offset:offset
                                                        + BLOCK]:
                    self.fail(f'{path} differs in the block at {offset}')
            for offset, piece in volumes.stored_pieces(handle, len(data)):
                self.assertEqual(len(piece), piece.count(0),
                                 f'data follows the volume at {offset}')

    def _empty_container(self):
        store = base.swift_store(
            base.swift_credentials(self.cloud.demo, self.cloud))
        self.addCleanup(store.close)
        for container in (self.container,
                          naming.segments_container(self.container)):
            with contextlib.suppress(exceptions.ContainerNotFound):
                for name in self.object_names(container):
                    store.delete(container, name)


class EachFormTestCase(testscenarios.WithScenarios, CinderSideTestCase):
    """A test of backups in chunks, and in packs."""

    scenarios: ClassVar[list] = [
        (form, {'form': form}) for form in ('chunks', 'packs')]

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_form=self.form)


def version_3_options(info, user):
    """The options that make a user the one of 'single_user' mode."""
    return {
        'backup_swift_auth_version': '3',
        'backup_swift_auth_url': info.auth_url,
        'backup_swift_user': user.username,
        'backup_swift_key': user.password,
        'backup_swift_project': user.project_name,
        'backup_swift_user_domain': user.user_domain_name,
        'backup_swift_project_domain': user.project_domain_name,
    }


def progress_notifications():
    """The percentages that were notified, in order."""
    return [note[1]['payload']['backup_percent']
            for note in fake_notifier.NOTIFICATIONS
            if note[1]['event_type'] == 'backup.createprogress']


STOCK = stock_driver.SwiftBackupDriver
OURS = our_driver.SwiftBackupDriver
db = db_api

# SPDX-License-Identifier: Apache-2.0

"""Cinder's side of a backup driver, in the test's own process.

Drivers get what cinder-backup gives them: real records in a real (sqlite)
database, a request context with a real token and catalog, a volume's file
wrapped for the kind of threads in use, real notifications.
"""

import atexit
import contextlib
import errno
import functools
import os
import pathlib
import shutil
import tempfile
import uuid

from cinder import context as cinder_context
from cinder import objects
from cinder import rpc
from cinder import utils as cinder_utils
from cinder.backup.drivers import swift as stock_driver
from cinder.common import config  # noqa: F401 registers what others expect
from cinder.db import api as db_api
from cinder.db import migration
from cinder.objects import fields
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslo_messaging.notify import _impl_test as fake_notifier

from cinder_swift_backup import driver as our_driver
from cinder_swift_backup import exceptions
from tests.functional import base

CONF = cfg.CONF
MIB = 1 << 20
# Small, so that a test volume of a few MiB has many chunks and blocks.
CHUNK = 1 * MIB
BLOCK = 32 * 1024
# Each test has a temporary directory of its own; this one outlives them.
_TEMPORARY = tempfile.gettempdir()
_CONF = """[DEFAULT]
transport_url = fake://
state_path = {directory}
[database]
connection = sqlite:///{directory}/cinder.sqlite
[oslo_messaging_notifications]
driver = test
[oslo_concurrency]
lock_path = {directory}
"""
_SERVICE_USER = """[service_user]
send_service_user_token = true
auth_type = password
auth_url = {info.auth_url}
username = {user.username}
password = {user.password}
project_name = {user.project_name}
user_domain_name = {user.user_domain_name}
project_domain_name = {user.project_domain_name}
"""


@functools.cache
def _database():
    """Cinder's database for this process, made once.

    :returns: the path of the configuration that names it
    """
    directory = pathlib.Path(
        tempfile.mkdtemp(prefix='csb-database-', dir=_TEMPORARY))
    atexit.register(shutil.rmtree, directory)
    conf = directory / 'cinder.conf'
    info = base.cloud_info()
    text = _CONF.format(directory=directory)
    if info.cinder is not None:
        text += _SERVICE_USER.format(info=info, user=info.cinder)
    conf.write_text(text)
    _read(conf)
    objects.register_all()
    migration.db_sync()
    rpc.init(CONF)
    return conf


def _read(conf):
    CONF(['--config-file', str(conf)], project='cinder')


class CinderSideTestCase(base.FunctionalTestCase):
    """A test that calls drivers as cinder-backup does."""

    def setUp(self):
        super().setUp()
        # The fixture forgets the file at the end of each test.
        _read(_database())
        self.config = self.useFixture(config_fixture.Config(CONF))
        self.container = f'test-{uuid.uuid4().hex[:8]}'
        self.configure(
            backup_swift_container=self.container,
            backup_swift_object_size=CHUNK,
            backup_swift_block_size=BLOCK,
            backup_swift_retry_attempts=1,
            backup_swift_retry_backoff=1,
            backup_swift_enable_progress_timer=False)
        self.context = make_context(self.cloud.demo)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='csb-'))
        self.addCleanup(shutil.rmtree, self.directory)
        self.addCleanup(self._empty_container)
        fake_notifier.reset()

    def configure(self, **options):
        """Set options of the DEFAULT section until the test ends."""
        self.config.config(**options)

    def make_volume(self, data, size_gb=1):
        """A volume's record and the file with its content."""
        volume = objects.Volume(
            self.context, size=size_gb, status='available',
            user_id=self.context.user_id, project_id=self.context.project_id,
            display_name='test volume', host='test', volume_type_id=None)
        # The database wants a type; any id will do for a driver.
        volume.volume_type_id = str(uuid.uuid4())
        volume.create()
        path = self.directory / volume.id
        path.write_bytes(data)
        return volume, path

    def make_backup(self, volume, parent=None):
        """The record of a backup that is about to be made."""
        backup = objects.Backup(
            self.context, user_id=self.context.user_id,
            project_id=self.context.project_id, volume_id=volume.id,
            display_name='test', status=fields.BackupStatus.CREATING,
            size=volume.size, host='test', availability_zone='nova',
            parent_id=parent.id if parent else None)
        backup.create()
        return backup

    def back_up(self, driver_class, volume, path, parent=None):
        """Make a backup as cinder-backup does and return its record."""
        backup = self.make_backup(volume, parent)
        with open(path, 'rb') as handle:
            updates = driver_class(self.context).backup(
                backup, cinder_utils.tpool_wrap(handle), True)
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
        with open(path, 'wb') as handle:
            self._restore(driver_class, backup, volume, handle, True)
        return path

    def restore_existing(self, driver_class, backup, size):
        """Restore over a volume that is full of something else."""
        volume, path = self.make_volume(b'\xa5' * size)
        with open(path, 'r+b') as handle:
            self._restore(driver_class, backup, volume, handle, False)
        return path

    def _restore(self, driver_class, backup, volume, handle, new):
        backup.status = fields.BackupStatus.RESTORING
        backup.save()
        with contextlib.ExitStack() as stack:
            stack.callback(self._available, backup)
            driver_class(self.context).restore(
                backup, volume.id, cinder_utils.tpool_wrap(handle), new)

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
            for offset, piece in stored_pieces(handle, len(data)):
                self.assertEqual(len(piece), piece.count(0),
                                 f'data follows the volume at {offset}')

    def _empty_container(self):
        store = base.swift_store()
        self.addCleanup(store.close)
        with contextlib.suppress(exceptions.ContainerNotFound):
            for name in self.object_names(self.container):
                store.delete(self.container, name)


def stored_pieces(handle, offset):
    """What a file holds from ``offset`` on, without reading its holes."""
    while True:
        try:
            offset = os.lseek(handle.fileno(), offset, os.SEEK_DATA)
        except OSError as err:
            if err.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(handle.fileno(), offset, os.SEEK_HOLE)
        handle.seek(offset)
        yield offset, handle.read(min(end - offset, MIB))
        offset = min(end, offset + MIB)


def make_context(credentials, auth_url=None):
    """The context of a request that a user made."""
    session = base.keystone_session(credentials, auth_url)
    access = session.auth.get_access(session)
    return cinder_context.RequestContext(
        user_id=access.user_id, project_id=access.project_id,
        is_admin=False, auth_token=access.auth_token,
        service_catalog=_catalog_v2(access.service_catalog.catalog))


def _catalog_v2(catalog):
    """A catalog in the shape in which the API's middleware passes it on."""
    services = []
    for service in catalog:
        endpoints = {}
        for endpoint in service['endpoints']:
            entry = endpoints.setdefault(
                endpoint['region'], {'region': endpoint['region']})
            entry[f'{endpoint["interface"]}URL'] = endpoint['url']
        services.append({'type': service['type'],
                         'name': service.get('name', ''),
                         'endpoints': list(endpoints.values())})
    return services


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

# SPDX-License-Identifier: Apache-2.0

"""What the driver's tests have in common: Cinder without its database."""

import datetime
import io
import random
import tempfile
from unittest import mock
import uuid

from cinder import context
from cinder import db
from cinder import exception as cinder_exception
from cinder import objects
from cinder.common import config  # noqa: F401
from cinder.db import api as db_api
from cinder.volume import volume_utils
from oslo_config import cfg
from oslo_config import fixture as config_fixture
from oslotest import base
import requests_mock

from cinder_swift_backup.driver import auth
from cinder_swift_backup.driver import driver
from cinder_swift_backup.driver import settings
from cinder_swift_backup.stores import memory
from tests.fakes import faulty

objects.register_all()

OWNER = 'c0ffee00000000000000000000000001'
OTHER = 'c0ffee00000000000000000000000002'
VOLUME = '11111111-1111-1111-1111-111111111111'
SWIFT = 'http://swift.test/v1/AUTH_'
BLOCK = 512
DATA = random.Random(5).randbytes(10 * BLOCK)
CONTAINER = 'volumebackups'


def catalog(project, *regions):
    """A service catalog in the shape of version 2 of the identity API."""
    return [
        {'type': 'object-store', 'name': 'swift', 'endpoints': [
            {'region': region,
             'publicURL': f'http://{region}.swift.test/v1/AUTH_{project}',
             'internalURL': f'http://{region}.internal/v1/AUTH_{project}'}
            for region in regions]},
        {'type': 'identity', 'name': 'keystone', 'endpoints': [
            {'region': region,
             'publicURL': f'http://{region}.keystone.test'}
            for region in regions]},
    ]


def make_store(context):
    """The store for a backup of the owner, by the settings of now."""
    return auth.make_store(context, OWNER, settings.read())


class DriverTestCase(base.BaseTestCase):
    """Cinder's configuration with its defaults, and records in a dict."""

    def setUp(self):
        super().setUp()
        self.useFixture(config_fixture.Config(cfg.CONF))
        cfg.CONF([], project='cinder', default_config_files=[],
                 default_config_dirs=[])
        # The default is Cinder's, which need not be here.
        cfg.CONF.set_override('backup_swift_spool_directory',
                              tempfile.gettempdir())
        self.records = {}

        def refresh(backup):
            self.refreshed(backup)

        patch = mock.patch.object
        self.enterContext(patch(objects.Backup, 'save'))
        self.enterContext(patch(objects.Backup, 'refresh', refresh))
        # Every driver lets go of the connections of the process it was
        # forked from, which needs an engine.
        for module in (db, db_api):
            # Which of them drivers use depends on the release.
            if hasattr(module, 'dispose_engine'):
                self.enterContext(patch(module, 'dispose_engine'))
        self.enterContext(patch(objects.Backup, 'get_by_id',
                                lambda ctxt, number: self._get(number)))
        self.enterContext(patch(objects.BackupList, 'get_all',
                                self._list))

    def refreshed(self, backup):
        """What reading a record again does to it; tests replace it."""

    def _get(self, number):
        if number not in self.records:
            raise cinder_exception.BackupNotFound(backup_id=number)
        return self.records[number]

    def _list(self, context, filters):
        # The database shows other projects to administrators only.
        (field, value), = filters.items()
        return [backup for backup in self.records.values()
                if getattr(backup, field) == value
                and (context.is_admin
                     or backup.project_id == context.project_id)]

    def config(self, **options):
        """Set options for this test."""
        for name, value in options.items():
            cfg.CONF.set_override(name, value)

    def context(self, project=OWNER, token='users-token', services=()):
        """A request's context."""
        return context.RequestContext(
            'user', project, is_admin=False, auth_token=token,
            service_catalog=list(services))

    def record(self, **fields):
        """A backup's record, known to the database."""
        backup = objects.Backup(self.context(), **{
            'id': str(uuid.uuid4()), 'volume_id': VOLUME,
            'size': 1, 'user_id': 'user', 'project_id': OWNER,
            'parent_id': None, 'encryption_key_id': None,
            'container': None, 'service_metadata': None,
            'status': 'creating', 'display_name': 'nightly',
            'display_description': None, 'object_count': 0,
            'created_at': datetime.datetime(
                2026, 8, 1, tzinfo=datetime.UTC), **fields})
        self.records[backup.id] = backup
        return backup


class HttpTestCase(DriverTestCase):
    """With a web of scripted answers."""

    def setUp(self):
        super().setUp()
        self.http = self.enterContext(requests_mock.Mocker())

    def serve_swift(self, url):
        """An object ``c/o`` in the account at a URL."""
        return self.http.get(f'{url}/c/o', content=b'data',
                             headers={'content-length': '4'})


class MethodTestCase(DriverTestCase):
    """A driver on a store in memory."""

    def setUp(self):
        super().setUp()
        self.config(backup_swift_object_size=4 * BLOCK,
                    backup_swift_block_size=BLOCK,
                    backup_swift_workers=2)
        self.notify = self.enterContext(mock.patch.object(
            volume_utils, 'notify_about_backup_usage'))
        self.memory = memory.MemoryStore()
        self.store = faulty.FaultyStore(self.memory)
        self.enterContext(mock.patch.object(
            auth, 'make_store', return_value=self.store))
        self.driver = driver.SwiftBackupDriver(self.context())
        self.driver.db = mock.Mock()
        self.driver.db.volume_get.return_value = {
            'id': VOLUME, 'size': 1, 'encryption_key_id': None}
        self.driver.db.volume_admin_metadata_get.return_value = {}

    def _backup(self, data=DATA, **fields):
        backup = self.record(**fields)
        self.driver.backup(backup, io.BytesIO(data), False)
        backup.status = 'restoring'
        return backup

    def _restore(self, backup, before=None, new=False):
        handle = io.BytesIO(b'\xa5' * len(DATA) if before is None
                            else before)
        self.driver.restore(backup, VOLUME, handle, new)
        return handle.getvalue()

    def _names(self, container=CONTAINER):
        return [info.name for info in self.memory.list(container, '')]

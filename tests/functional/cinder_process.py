# SPDX-License-Identifier: Apache-2.0

"""What cinder-backup is to a driver, in a process of ours.

A real (sqlite) database with real records, and a request's context with a
real token and catalog. For tests, and for the benchmark's processes.
"""

import pathlib
import uuid

from cinder import context as cinder_context
from cinder import objects
from cinder import rpc
from cinder import utils as cinder_utils
from cinder.common import config  # noqa: F401 registers what others expect
from cinder.db import migration
from cinder.objects import fields
from eventlet import tpool
from oslo_config import cfg

from cinder_swift_backup.driver import concurrency
from tests.functional import base

CONF = cfg.CONF
_CONF = '''[DEFAULT]
transport_url = fake://
state_path = {directory}
[database]
connection = sqlite:///{directory}/cinder.sqlite
[oslo_messaging_notifications]
driver = test
[oslo_concurrency]
lock_path = {directory}
'''
_SERVICE_USER = '''[service_user]
send_service_user_token = true
auth_type = password
auth_url = {info.auth_url}
username = {user.username}
password = {user.password}
project_name = {user.project_name}
user_domain_name = {user.user_domain_name}
project_domain_name = {user.project_domain_name}
'''


def set_up(directory: pathlib.Path) -> pathlib.Path:
    """Be a Cinder whose state and database are in ``directory``.

    A database that is there already is used as it is.

    :returns: the path of the configuration that names it
    """
    conf = directory / 'cinder.conf'
    info = base.cloud_info()
    text = _CONF.format(directory=directory)
    if info.cinder is not None:
        text += _SERVICE_USER.format(info=info, user=info.cinder)
    conf.write_text(text)
    read(conf)
    objects.register_all()
    migration.db_sync()
    rpc.init(CONF)
    return conf


def read(conf: pathlib.Path) -> None:
    """Have the process use a configuration file."""
    CONF(['--config-file', str(conf)], project='cinder')


def make_native_threads() -> None:
    """Have as many for green threads to call into as cinder-backup has."""
    if concurrency.green():
        # Cinder's manager can only be imported once its objects are there.
        CONF.import_opt('backup_native_threads_pool_size',
                        'cinder.backup.manager')
        tpool.set_num_threads(CONF.backup_native_threads_pool_size)


def passed_on(handle):
    """A volume's handle as Cinder passes it to a driver."""
    if hasattr(cinder_utils, 'tpool_wrap'):
        return cinder_utils.tpool_wrap(handle)
    # Releases before 2026.2 have eventlet only.
    return tpool.Proxy(handle)


def create_volume(context, size_gb):
    """The record of a volume."""
    volume = objects.Volume(
        context, size=size_gb, status='available',
        user_id=context.user_id, project_id=context.project_id,
        display_name='test volume', host='test', volume_type_id=None)
    # The database wants a type; any id will do for a driver.
    volume.volume_type_id = str(uuid.uuid4())
    volume.create()
    return volume


def create_backup(context, volume, parent=None):
    """The record of a backup that is about to be made."""
    backup = objects.Backup(
        context, user_id=context.user_id,
        project_id=context.project_id, volume_id=volume.id,
        display_name='test', status=fields.BackupStatus.CREATING,
        size=volume.size, host='test', availability_zone='nova',
        parent_id=parent.id if parent else None)
    backup.create()
    return backup


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

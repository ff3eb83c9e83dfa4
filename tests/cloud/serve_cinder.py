# SPDX-License-Identifier: Apache-2.0

"""The Cinder process: ``tests.cloud.serve_cinder CONF EMPTY_DB SERVICE...``.

1. Choose the concurrency mode as Cinder's own commands do.
2. Make privileged functions run in this process: no sudo, no rootwrap.
3. Create the schema unless the database has one, and keep a copy of it.
4. Start those of the backup service, the scheduler and the volume service
   that are asked for, the scheduler when the backup service works. With all
   in one process, oslo.messaging's in-process transport connects them.
5. Serve the API, if it is asked for, last.
6. Make a file named ``ready`` in the directory of its state.
7. Run until SIGTERM.
"""

# Importing a command of Cinder patches the standard library, or makes sure
# that nobody does, as OS_CINDER_DISABLE_EVENTLET_PATCHING says. Nothing that
# knows of threads may be imported before.
# isort: off
import cinder.cmd.backup as backup_command
# isort: on

import functools
import os
import pathlib
import signal
import sqlite3
import sys
import threading
import time
from typing import Any

from cinder import context
from cinder import objects
from cinder import privsep
from cinder import rpc
from cinder import service
from cinder import utils
from cinder import version
from cinder.backup import drivers as backup_drivers
from cinder.cmd import volume as volume_command
from cinder.common import config as cinder_config
from cinder.db import api as database
from cinder.db import migration
import os_brick
from os_brick.initiator import connector
import os_brick.privileged
from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_db.sqlalchemy import exc_filters
from oslo_log import log as logging
from oslo_service import wsgi as oslo_wsgi
import sqlalchemy

from tests.cloud import wsgi

CONF = cfg.CONF
LOG = logging.getLogger(__name__)
# Seconds.
_START_TIMEOUT = 60

# Drivers beside those that Cinder brings along; loaded if they are configured.
backup_drivers.__path__.append(
    str(pathlib.Path(__file__).with_name('cinder_drivers'))
)


@exc_filters.filters(
    'sqlite', sqlalchemy.exc.OperationalError, r'.*database is locked.*'
)
def _locked(error: Exception, *_: object) -> None:
    """Have Cinder repeat what sqlite ended, as it does for other databases.

    Of two transactions that both read before they write, sqlite ends one at
    once, however long it may wait: other databases call that a deadlock.
    """
    raise db_exception.DBDeadlock(error)


class _Service(service.Service):  # type: ignore[misc]
    """A service whose heartbeat is its own.

    Cinder remembers the last service that a process started, and takes the
    heartbeats of all of them for that one's.
    """

    def report_state(self) -> None:
        """Send it; whoever is not well sends none."""
        if not self.manager.is_working():
            return
        try:
            found = objects.Service.get_by_id(
                context.get_admin_context(), self.origin_service_id
            )
            found.report_count += 1
            found.save()
        except db_exception.DBError:
            LOG.exception('No heartbeat of %s', self.binary)


def main() -> None:
    """Run all the steps."""
    conf, empty_database, *services = sys.argv[1:]
    objects.register_all()
    CONF(
        ['--config-file', conf],
        project='cinder',
        version=version.version_string(),
    )
    cinder_config.set_middleware_defaults()
    logging.set_defaults(
        default_log_levels=logging.get_default_log_levels()
        + backup_command._EXTRA_DEFAULT_LOG_LEVELS
    )
    logging.setup(CONF, 'cinder')
    os_brick.setup(CONF)
    _do_without_privileges()
    _create_schema(pathlib.Path(empty_database))
    for each in _create_services(services):
        each.start()
        if each.binary == 'cinder-backup':
            _wait_until_working(each.manager)
    if 'api' in services:
        _serve_api()
    pathlib.Path(CONF.state_path, 'ready').touch()
    _run_until_terminated()


def _do_without_privileges() -> None:
    """Run privileged functions here, and leave the machine alone.

    Before each attachment every known connector is asked for its
    properties. Some start programs for that, or write to /etc if they may.
    """
    # Who has volumes in LVM is root already.
    utils.get_root_helper = lambda: 'env'
    os_brick.privileged.default.set_client_mode(False)
    privsep.sys_admin_pctxt.set_client_mode(False)
    connector.unix_connector_list[:] = [
        'os_brick.initiator.connectors.local.LocalConnector'
    ]


def _create_schema(keep: pathlib.Path) -> None:
    """Create the tables; leave a copy of the database at the given path."""
    # Which module has it depends on the release.
    engine = getattr(database, 'IMPL', database).get_engine()
    if sqlalchemy.inspect(engine).has_table('backups'):
        return
    migration.db_sync()
    path = engine.url.database
    partial = keep.with_suffix('.partial')
    with sqlite3.connect(path) as source, sqlite3.connect(partial) as target:
        # Readers need not wait for writers. The mode stays with the file.
        source.execute('PRAGMA journal_mode=WAL')
        source.backup(target)
    partial.rename(keep)


def _create_services(names: list[str]) -> list[service.Service]:
    """Create the services in the order in which they have to be started.

    Cinder remembers the database id of the last service that a process
    started. Only the volume service uses it, so it comes last.
    """
    rpc.init(CONF)
    makers = {
        'backup': [_create_backup],
        'scheduler': [_create_scheduler],
        'volume': [
            functools.partial(_create_volume, backend)
            for backend in CONF.enabled_backends
        ],
    }
    return [
        make()
        for name, several in makers.items()
        if name in names
        for make in several
    ]


def _wait_until_working(manager: Any) -> None:
    """Wait until the backup service has checked its driver.

    It does not wait for that itself. A scheduler that starts earlier takes it
    for broken, and asks again only after a minute.
    """
    deadline = time.monotonic() + _START_TIMEOUT
    while not manager.is_working() and time.monotonic() < deadline:
        time.sleep(0.05)


def _create_backup() -> service.Service:
    return _Service.create(
        binary='cinder-backup',
        service_name='backup',
        coordination=True,
        process_number=1,
        semaphore=utils.semaphore_factory(
            CONF.backup_max_operations, CONF.backup_workers
        ),
    )


def _create_scheduler() -> service.Service:
    return _Service.create(binary='cinder-scheduler')


def _create_volume(backend: str) -> service.Service:
    CONF.register_opt(volume_command.host_opt, group=backend)
    return _Service.create(
        binary='cinder-volume',
        host=f'{CONF.host}@{backend}',
        service_name=backend,
        coordination=True,
    )


def _serve_api() -> None:
    """Start to serve the API: natively, or by eventlet's own server."""
    # Releases before 2026.2 have eventlet only.
    if getattr(utils, 'concurrency_mode_threading', bool)():
        app = oslo_wsgi.Loader(CONF).load_app('osapi_volume')
        server = wsgi.make_server(app, CONF.osapi_volume_listen_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    else:
        service.WSGIService('osapi_volume').start()


def _run_until_terminated() -> None:
    """Sleep until SIGTERM, then leave at once.

    Whoever stops a test's Cinder has no use for the minute that a graceful
    end may take, and the database survives.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        time.sleep(1)


if __name__ == '__main__':
    main()

# SPDX-License-Identifier: Apache-2.0

"""Configure, start and stop Cinder: all its services in one process.

Or in several, which a message broker connects, of which each is one
:class:`Cinder`.

A cloud has one Cinder. A test may start more beside it, each with a database
of its own or, one after the other, on the same database with another backup
driver. The schema is created once per cloud: the first Cinder leaves a copy
of its empty database in the cloud's directory, and the others begin with it.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import os
import pathlib
import shutil
import sys
from types import TracebackType

from tests.cloud import config_files
from tests.cloud import processes
from tests.cloud.ceph import Ceph
from tests.cloud.ceph import POOL
from tests.cloud.config_files import Section
from tests.cloud.info import CloudInfo
from tests.cloud.lvm import VolumeGroup

DRIVER = 'cinder_swift_backup.driver.SwiftBackupDriver'
CONCURRENCY_MODES = ('eventlet', 'threading')
START_TIMEOUT = 120.0
BACKEND = 'volumes'
SERVICES = ('backup', 'scheduler', 'volume', 'api')


class Cinder:
    """The API, the scheduler, the volume and the backup service.

    A context manager: entering starts it, leaving stops it. After
    :meth:`stop` it can be started again, on the same database.
    """

    def __init__(
        self,
        info: CloudInfo,
        directory: pathlib.Path,
        *,
        backup_driver: str = DRIVER,
        concurrency: str = 'eventlet',
        extra_options: Mapping[str, object] | None = None,
        extra_sections: Mapping[str, Section] | None = None,
        database: pathlib.Path | None = None,
        ceph: Ceph | None = None,
        pools: Mapping[str, str] | None = None,
        group: VolumeGroup | None = None,
        volumes_directory: pathlib.Path | None = None,
        port: int | None = None,
        services: Sequence[str] = SERVICES,
        host: str = 'cloud',
        transport: str = 'fake://',
    ) -> None:
        """Prepare; nothing is written or started yet.

        :param info: the cloud whose Keystone and Swift are used
        :param directory: what this Cinder writes goes there; it is created
            if need be
        :param backup_driver: class of the backup driver
        :param concurrency: ``eventlet`` or ``threading``
        :param extra_options: options of the section DEFAULT; they win over
            ours, and may be changed while Cinder is stopped
        :param extra_sections: options of sections that we do not write
        :param database: database file, created unless it exists; the
            default is one in the directory
        :param ceph: the cluster that volumes are in; the default is files
        :param pools: the cluster's pools that volumes are in, by the name of
            the backend
        :param group: the volume group that volumes are in
        :param volumes_directory: where volumes are kept; the default is one
            in the directory
        :param port: port of the API; the default is a free one
        :param services: which of its services this process has
        :param host: the name of the host that they are on
        :param transport: where the services meet; the default is in the
            process
        """
        self.directory = directory
        self.backup_driver = backup_driver
        self.concurrency = concurrency
        self.extra_options = dict(extra_options or {})
        self.extra_sections = dict(extra_sections or {})
        self.database = database or directory / 'cinder.db'
        # Seconds that a query waits for others, and may be changed as well.
        self.database_timeout = 60
        self.volumes_directory = volumes_directory or directory / 'volumes'
        self.port = port or processes.free_ports(1)[0]
        self.services = services
        self.host = host
        self.transport = transport
        self.conf = directory / 'cinder.conf'
        self.log = directory / 'cinder.log'
        self._info = info
        self._ceph = ceph
        self._pools = dict(pools or {BACKEND: POOL})
        self._group = group
        self._child: processes.Child | None = None

    @property
    def url(self) -> str:
        """Endpoint of the API, to be given to clients as an override."""
        return f'http://{processes.HOST}:{self.port}/v3'

    @property
    def pid(self) -> int | None:
        """The process id; None while stopped."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Write the configuration and start; does not wait.

        Call it from a thread that will live as long as Cinder shall.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        template = self._template()
        if template.exists() and not self.database.exists():
            shutil.copyfile(template, self.database)
        self._write_config()
        self._ready.unlink(missing_ok=True)
        native = self.concurrency == 'threading'
        self._child = processes.Child(
            'Cinder',
            processes.python_module(
                'serve_cinder', str(self.conf), str(template), *self.services
            ),
            self.log,
            {
                'OS_CINDER_DISABLE_EVENTLET_PATCHING': str(int(native)),
                **self._module_path(),
            },
        )

    def wait(self) -> None:
        """Wait until all the services have started and the API answers."""
        assert self._child is not None
        self._child.wait_until(self._has_started, START_TIMEOUT)

    def _has_started(self) -> bool:
        if not self._ready.exists():
            return False
        return 'api' not in self.services or processes.answers(self.port)

    @property
    def _ready(self) -> pathlib.Path:
        """The file that the process makes when its services have started."""
        return self.directory / 'ready'

    def stop(self) -> None:
        """Stop the process; what it was doing is cut off."""
        processes.stop_all(self.children())
        self._child = None

    def kill(self) -> None:
        """End the process as a crash would."""
        for child in self.children():
            child.kill()
        self._child = None

    def lose_database(self) -> None:
        """Delete the database of a Cinder that is stopped."""
        # With what sqlite keeps beside it.
        for path in self.database.parent.glob(f'{self.database.name}*'):
            path.unlink()

    def children(self) -> list[processes.Child]:
        """Return the process, if it was started."""
        return [self._child] if self._child else []

    def __enter__(self) -> 'Cinder':
        """Start, and wait until requests are answered."""
        try:
            self.start()
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _module_path(self) -> dict[str, str]:
        """Return where Python finds the bindings of Ceph, if need be."""
        if self._ceph is None:
            return {}
        path = f'{processes.ROOT}{os.pathsep}{self._ceph.bindings}'
        return {'PYTHONPATH': path}

    def _backend(self, pool: str) -> Section:
        """Return the options of the volume driver.

        :param pool: of Ceph, if volumes are there
        """
        if self._group is not None:
            return self._group.options()
        if self._ceph is None:
            return {
                'volume_driver': 'tests.cloud.volume_driver'
                '.FileVolumeDriver',
                'volumes_directory': self.volumes_directory,
            }
        return {
            'volume_driver': 'cinder.volume.drivers.rbd.RBDDriver',
            'rbd_pool': pool,
            'rbd_ceph_conf': self._ceph.conf,
            'rbd_exclusive_cinder_pool': True,
        }

    def _template(self) -> pathlib.Path:
        """Return where the cloud keeps an empty database."""
        return (self._info.directory or self.directory) / 'cinder-empty.db'

    def _write_config(self) -> None:
        config_files.write(
            self.conf,
            {
                'DEFAULT': {
                    **self._service_options(),
                    **self._backup_options(),
                    **self.extra_options,
                },
                'database': {
                    'connection': f'sqlite:///{self.database}'
                    f'?timeout={self.database_timeout}',
                    'sqlite_synchronous': False,
                },
                **{
                    name: {**self._backend(pool), 'volume_backend_name': name}
                    for name, pool in self._pools.items()
                },
                'oslo_concurrency': {'lock_path': self.directory / 'locks'},
                # Who shares a database shares its locks.
                'coordination': {
                    'backend_url': f'file://{self.database.parent}'
                },
                'keystone_authtoken': {
                    **self._login(),
                    'www_authenticate_uri': self._info.auth_url,
                    'service_token_roles': 'service',
                    'service_token_roles_required': True,
                },
                'service_user': {
                    **self._login(),
                    'send_service_user_token': True,
                },
                **self.extra_sections,
            },
        )

    def _service_options(self) -> Section:
        """Return the options that make Cinder run here at all."""
        etc = pathlib.Path(sys.prefix) / 'etc' / 'cinder'
        quotas = (
            'volumes',
            'snapshots',
            'gigabytes',
            'backups',
            'backup_gigabytes',
        )
        return {
            'host': self.host,
            'my_ip': processes.HOST,
            'transport_url': self.transport,
            'auth_strategy': 'keystone',
            'state_path': self.directory,
            'api_paste_config': etc / 'api-paste.ini',
            'resource_query_filters_file': etc / 'resource_filters.json',
            'osapi_volume_listen': processes.HOST,
            'osapi_volume_listen_port': self.port,
            'osapi_volume_workers': 1,
            'enabled_backends': ','.join(self._pools),
            'scheduler_driver_init_wait_time': 1,
            # A machine that is busy may be late with heartbeats.
            'service_down_time': 10**8,
            **{f'quota_{resource}': -1 for resource in quotas},
        }

    def _backup_options(self) -> Section:
        """Return the defaults of backups, which tests may override."""
        return {
            'backup_driver': self.backup_driver,
            'backup_swift_retry_attempts': 2,
            'backup_swift_retry_backoff': 1,
        }

    def _login(self) -> Section:
        """Return how Cinder logs in to Keystone as itself."""
        user = self._info.cinder
        assert user is not None, "Cinder needs the cloud's service user"
        return {
            'auth_type': 'password',
            'auth_url': self._info.auth_url,
            'region_name': self._info.region,
            'username': user.username,
            'password': user.password,
            'project_name': user.project_name,
            'user_domain_name': user.user_domain_name,
            'project_domain_name': user.project_domain_name,
        }

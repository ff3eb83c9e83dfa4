# SPDX-License-Identifier: Apache-2.0

"""The whole cloud: choose addresses, start everything, stop everything.

1. Make a temporary directory, and choose ports and passwords.
2. Start Keystone, Cinder and Swift. None of them talks to another before
   the first request, so they start side by side.
3. Wait until all of them answer, and write where they are to a file.
4. To stop, end all processes together and remove the directory.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import functools
import pathlib
import secrets
import shutil
import tempfile
from types import TracebackType
import urllib.parse

from tests.cloud import processes
from tests.cloud.ceph import Ceph
from tests.cloud.cinder import Cinder
from tests.cloud.cinder import DRIVER
from tests.cloud.cinder import SERVICES
from tests.cloud.info import CloudInfo
from tests.cloud.info import Credentials
from tests.cloud.info import V1Credentials
from tests.cloud.keystone import Keystone
from tests.cloud.lvm import VolumeGroup
from tests.cloud.rabbit import Rabbit
from tests.cloud.rgw import RadosGateway
from tests.cloud.swift import Swift
from tests.cloud.swift import SyncSite

Part = Keystone | Cinder | Swift | RadosGateway


class Cloud:
    """Keystone, Swift and Cinder. A context manager that gives itself."""

    info: CloudInfo
    keystone: Keystone
    swift: Swift
    cinder: Cinder
    backup_services: list[Cinder]

    def __init__(
        self,
        *,
        backup_driver: str = DRIVER,
        concurrency: str = 'eventlet',
        extra_options: Mapping[str, object] | None = None,
        token_lifetime: int = 3600,
        with_cinder: bool = True,
        with_cache: bool = False,
        swift_of: CloudInfo | None = None,
        site: SyncSite | None = None,
        volumes: str = 'files',
        objects: str = 'swift',
        object_servers: int = 1,
        backup_hosts: int = 0,
        shuns: bool = False,
    ) -> None:
        """Prepare; nothing is written or started yet.

        :param backup_driver: class of Cinder's backup driver
        :param concurrency: of Cinder, ``eventlet`` or ``threading``
        :param extra_options: more options of Cinder's section DEFAULT
        :param token_lifetime: seconds for which tokens are valid
        :param with_cinder: whether Cinder is started too
        :param with_cache: whether Swift has a memcached, as real ones do
        :param swift_of: another cloud, whose Swift is in this one's catalog
            instead of an own one
        :param volumes: where volumes are: ``files``, ``ceph``, ``lvm`` or
            ``lvm-thick``
        :param objects: what stores objects, ``swift`` or ``rgw``
        :param object_servers: how many of them Swift has
        :param backup_hosts: how many backup services run in processes of
            their own, which RabbitMQ connects; with none it runs in Cinder's
        :param shuns: whether Swift leaves servers alone for a while that fail
        :param site: what its Swift is among others that copy containers
        """
        self._backup_driver = backup_driver
        self._concurrency = concurrency
        self._extra_options = extra_options
        self._token_lifetime = token_lifetime
        self._with_cinder = with_cinder
        self._with_cache = with_cache
        self._swift_of = swift_of
        self._site = site
        self._volumes = volumes
        self._objects = objects
        self._object_servers = object_servers
        self._backup_hosts = backup_hosts
        self._shuns = shuns
        self._stack = contextlib.ExitStack()

    @property
    def info_file(self) -> pathlib.Path:
        """The file to be named by the environment variable CSB_CLOUD."""
        assert self.info.directory is not None
        return self.info.directory / 'cloud.json'

    def start(self) -> None:
        """Start everything and wait until it answers.

        Call it from a thread that will live as long as the cloud shall.

        :raises CloudError: when a part does not start; then nothing is left
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything and remove the directory."""
        self._stack.close()

    def __enter__(self) -> 'Cloud':
        """Start."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _make_group(self, directory: pathlib.Path) -> VolumeGroup | None:
        """Make the volume group, if volumes are to be in one."""
        if not self._volumes.startswith('lvm'):
            return None
        kind = 'thick' if self._volumes == 'lvm-thick' else 'thin'
        group = VolumeGroup(directory / 'lvm', kind)
        self._stack.callback(group.stop)
        group.start()
        self.info = dataclasses.replace(self.info, volume_group=group.name)
        return group

    def _start_first(self, ceph: Ceph) -> None:
        """Start what Cinder looks for when it starts."""
        self._stack.callback(lambda: processes.stop_all(ceph.children()))
        ceph.start()
        ceph.wait()

    def _start_broker(self, directory: pathlib.Path) -> str:
        """Start what connects services; return its URL."""
        rabbit = Rabbit(directory)
        self._stack.callback(lambda: processes.stop_all(rabbit.children()))
        rabbit.start()
        rabbit.wait()
        return rabbit.url

    def _prepare_cinder(
        self,
        directory: pathlib.Path,
        ceph: Ceph,
        group: VolumeGroup | None,
    ) -> None:
        """Prepare all of Cinder, in one process or in several."""
        hosts = [f'host-{n}' for n in range(1, self._backup_hosts + 1)]
        make = functools.partial(
            Cinder,
            self.info,
            ceph=ceph if self._volumes == 'ceph' else None,
            group=group,
            backup_driver=self._backup_driver,
            concurrency=self._concurrency,
            extra_options=self._extra_options,
            database=directory / 'cinder' / 'cinder.db',
            volumes_directory=self.info.volumes_directory,
        )
        if hosts:
            transport = self._start_broker(directory / 'rabbit')
            make = functools.partial(make, transport=transport)
        self.cinder = make(
            directory / 'cinder',
            port=urllib.parse.urlsplit(self.info.cinder_url).port,
            services=[
                name for name in SERVICES if name != 'backup' or not hosts
            ],
        )
        self.backup_services = [
            make(directory / host, host=host, services=['backup'])
            for host in hosts
        ]

    def _start_in_order(self, parts: Sequence[Part]) -> None:
        """Start all side by side, but for the services that come last."""
        self._stack.callback(
            lambda: processes.stop_all(
                child
                for part in (*self.backup_services, *parts)
                for child in part.children()
            )
        )
        for part in parts:
            part.start()
        for part in parts:
            part.wait()
        # They need the database that the others have made, and sqlite does
        # not like it if several write to it at once.
        for service in self.backup_services:
            service.start()
            service.wait()

    def _start(self) -> None:
        directory = pathlib.Path(tempfile.mkdtemp(prefix='csb-cloud-'))
        self._stack.callback(shutil.rmtree, directory)
        self.info = _plan(directory, self._concurrency, self._swift_of)
        if self._objects == 'rgw':
            self.info = _with_gateway(self.info)
        self.keystone = Keystone(
            self.info, directory / 'keystone', self._token_lifetime
        )
        self.swift = Swift(
            self.info,
            directory / 'swift',
            cached=self._with_cache,
            site=self._site,
            object_servers=self._object_servers,
            shuns=self._shuns,
        )
        ceph = Ceph(directory / 'ceph')
        if self._volumes == 'ceph':
            self.info = dataclasses.replace(
                self.info, ceph_directory=ceph.directory
            )
        group = self._make_group(directory)
        self._prepare_cinder(directory, ceph, group)
        parts: list[Part] = [self.keystone]
        if 'ceph' in self._volumes or self._objects == 'rgw':
            self._start_first(ceph)
        if self._objects == 'rgw':
            parts.append(RadosGateway(self.info, ceph))
        elif self._swift_of is None:
            parts.append(self.swift)
        if self._with_cinder:
            parts.append(self.cinder)
        self._start_in_order(parts)
        self.info.save(self.info_file)


def _plan(
    directory: pathlib.Path, concurrency: str, swift_of: CloudInfo | None
) -> CloudInfo:
    """Decide on the addresses and the credentials of a new cloud."""
    keystone, swift, cinder = (
        f'http://{processes.HOST}:{port}' for port in processes.free_ports(3)
    )
    own = _plan_own(directory, concurrency, keystone, swift, cinder)
    if swift_of is None:
        return own
    return dataclasses.replace(
        own,
        swift_url=swift_of.swift_url,
        v1=swift_of.v1,
        v1_unicode=swift_of.v1_unicode,
    )


def _with_gateway(info: CloudInfo) -> CloudInfo:
    """Return the same cloud with the addresses that a gateway has."""
    assert info.v1 is not None
    return dataclasses.replace(
        info,
        objects='rgw',
        swift_url=f'{info.swift_url}/swift',
        v1=dataclasses.replace(
            info.v1, auth_url=f'{info.swift_url}/auth/v1.0'
        ),
        v1_unicode=None,
    )


def _plan_own(
    directory: pathlib.Path,
    concurrency: str,
    keystone: str,
    swift: str,
    cinder: str,
) -> CloudInfo:
    """Decide on the credentials of a new cloud at some addresses."""
    return CloudInfo(
        auth_url=f'{keystone}/v3',
        region='RegionOne',
        demo=_user('demo', 'demo'),
        admin=_user('admin', 'admin'),
        other=_user('other', 'other'),
        cinder=_user('cinder', 'service'),
        v1=V1Credentials(
            f'{swift}/auth/v1.0', 'backup:tester', secrets.token_hex(8)
        ),
        # The last byte of some of these is a space in Latin-1.
        v1_unicode=V1Credentials(
            f'{swift}/auth/v1.0',
            'b\u00e0ckup:\u65e5\u672c',
            f'\u00c5\u043f\u00e0{secrets.token_hex(8)}\u00e0',
        ),
        swift_url=swift,
        cinder_url=f'{cinder}/v3',
        concurrency=concurrency,
        directory=directory,
        volumes_directory=directory / 'volumes',
    )


def _user(username: str, project: str) -> Credentials:
    """Return a user with a fresh password."""
    return Credentials(username, secrets.token_hex(8), project)

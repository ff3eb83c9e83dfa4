# SPDX-License-Identifier: Apache-2.0

"""Configure and start Swift: four servers, one replica, two policies.

The proxy knows two kinds of users: those of Keystone, and one of Swift's own
tempauth for version 1 authentication. Their accounts differ in the prefix:

* ``AUTH_`` for Keystone projects;
* ``SERVICE_`` for Keystone projects too, but only with a service token
  beside the user's token;
* ``TEMP_`` for tempauth, whose tokens are encrypted values, so that no
  memcached is needed.

Nothing is cached, so what one request changes, the next one sees; unless the
cloud is to be like real ones in this, too. Then Swift has a memcached.
"""

import base64
from collections.abc import Mapping
import dataclasses
import functools
import os
import pathlib
import pwd
import secrets
import shutil
import urllib.parse

from tests.cloud import config_files
from tests.cloud import errors
from tests.cloud import processes
from tests.cloud.config_files import Section
from tests.cloud.info import CloudInfo
from tests.cloud.info import V1Credentials

START_TIMEOUT = 180.0
POLICIES = ('standard', 'silver')
MEMCACHED = 'memcached'

# With one replica on a busy machine, giving up early would be an error that
# no real cluster has, and so would an update left to a daemon that we do
# not run.
_PATIENCE: Section = {
    'conn_timeout': 20,
    'node_timeout': 60,
    'container_update_timeout': 60,
}


@dataclasses.dataclass(frozen=True)
class SyncSite:
    """A cluster among those of a realm, between which containers are copied.

    ``others`` are the URLs of those it copies to, without an account, by name.
    """

    realm: str
    name: str
    key: str
    others: Mapping[str, str]


class Swift:
    """One Swift cluster of the smallest size."""

    def __init__(
        self,
        info: CloudInfo,
        directory: pathlib.Path,
        *,
        cached: bool = False,
        site: SyncSite | None = None,
        object_servers: int = 1,
        shuns: bool = False,
    ) -> None:
        """Prepare; nothing is written yet.

        :param info: the cloud to be
        :param directory: a directory for this Swift alone
        :param cached: whether it has a memcached, which must be installed
        :param site: what it is among others, if it is
        :param object_servers: how many there are; of three and more, three
            have each object
        :param shuns: whether the proxy leaves a server alone for a minute
            after ten errors, as real ones do
        """
        self._shuns = shuns
        self._site = site
        self._info = info
        self._cache_port = processes.free_ports(1)[0] if cached else None
        self._directory = directory
        url = urllib.parse.urlsplit(info.swift_url or '')
        storage = [
            'account',
            'container',
            *(f'object.{n}' for n in range(1, object_servers + 1)),
        ]
        self._storage = dict(
            zip(storage, processes.free_ports(len(storage)), strict=True)
        )
        self._ports = {**self._storage, 'proxy': url.port or 0}
        self._children: list[processes.Child] = []
        self._servers: dict[str, processes.Child] = {}

    def start(self) -> None:
        """Write the configuration, build the rings, start the servers.

        :raises NoExtendedAttributes: if objects could not be stored
        """
        for server in self._storage:
            device = self._devices(server) / 'd1'
            device.mkdir(parents=True)
            _check_extended_attributes(device)
        if self._cache_port:
            self._start_cache(self._cache_port)
        self._write_cluster_config()
        if self._site:
            self._write_sync_config(self._site)
        self._build_rings()
        for server in self._ports:
            self._start_server(server)

    def trust(self, info: CloudInfo) -> None:
        """Take the users of another cloud's Keystone from now on.

        Those of the version 1 authentication stay.
        """
        self._info = dataclasses.replace(
            info, v1=self._info.v1, v1_unicode=self._info.v1_unicode
        )
        self.stop_server('proxy')
        self._start_server('proxy')
        self.wait()

    def stop_server(self, server: str) -> None:
        """Stop one of the servers, such as ``object.1``."""
        processes.stop_all([self._forget(server)])

    def kill_server(self, server: str) -> None:
        """End one of the servers as a crash would."""
        self._forget(server).kill()

    def server(self, server: str) -> processes.Child:
        """The process of one of the servers."""
        return self._servers[server]

    def start_server(self, server: str) -> None:
        """Start a server again that was stopped, and wait until it answers.

        Call it from a thread that will live as long as the cloud shall.
        """
        self._start_server(server)
        self.wait()

    def _forget(self, server: str) -> processes.Child:
        child = self._servers.pop(server)
        self._children.remove(child)
        return child

    def wait(self) -> None:
        """Wait until all the servers answer."""
        for server, child in self._servers.items():
            ready = functools.partial(
                processes.answers, self._ports[server], '/healthcheck'
            )
            child.wait_until(ready, START_TIMEOUT)

    def children(self) -> list[processes.Child]:
        """Return the processes started so far."""
        return list(self._children)

    def _start_cache(self, port: int) -> None:
        self._children.append(
            processes.Child(
                'memcached',
                [
                    processes.find_command(MEMCACHED, MEMCACHED),
                    f'--user={_user_name()}',
                    f'--listen={processes.HOST}',
                    f'--port={port}',
                ],
                self._directory / 'memcached.log',
            )
        )

    def _start_server(self, server: str) -> None:
        conf = self._directory / f'{server}-server.conf'
        kind = server.partition('.')[0]
        sections = (
            self._proxy_sections()
            if server == 'proxy'
            else self._storage_sections(kind)
        )
        config_files.write(conf, {**self._default(server), **sections})
        package = 'obj' if kind == 'object' else server
        child = processes.Child(
            f"Swift's {server} server",
            processes.python_module('serve_swift', package, str(conf)),
            self._directory / f'{server}-server.log',
        )
        self._children.append(child)
        self._servers[server] = child

    def _devices(self, server: str) -> pathlib.Path:
        """Where a server has its device."""
        return self._directory / f'devices-{server}'

    def _build_rings(self) -> None:
        self._run('build_rings', self._directory, *self._storage.values())

    def _write_cluster_config(self) -> None:
        suffix = secrets.token_hex(8)
        sections: dict[str, Section] = {
            'swift-hash': {'swift_hash_path_suffix': suffix}
        }
        for index, name in enumerate(POLICIES):
            sections[f'storage-policy:{index}'] = {
                'name': name,
                'default': index == 0,
            }
        config_files.write(self._directory / 'swift.conf', sections)

    def sync_containers(self) -> None:
        """Copy what is new to the other sites, once."""
        self._run('sync_containers', self._directory / 'container-sync.conf')

    def _write_sync_config(self, site: SyncSite) -> None:
        config_files.write(
            self._directory / 'container-sync-realms.conf',
            {
                site.realm: {
                    'key': site.key,
                    f'cluster_{site.name}': f'{self._info.swift_url}/v1/',
                    **{
                        f'cluster_{name}': url
                        for name, url in site.others.items()
                    },
                }
            },
        )
        client = self._directory / 'internal-client.conf'
        config_files.write(
            client,
            {
                **self._default('proxy'),
                'pipeline:main': {
                    'pipeline': 'catch_errors proxy-logging cache symlink '
                    'proxy-server'
                },
                'app:proxy-server': {'use': 'egg:swift#proxy', **_PATIENCE},
                **{
                    f'filter:{name}': {'use': f'egg:swift#{filter_name}'}
                    for name, filter_name in (
                        ('catch_errors', 'catch_errors'),
                        ('proxy-logging', 'proxy_logging'),
                        ('cache', 'memcache'),
                        ('symlink', 'symlink'),
                    )
                },
            },
        )
        config_files.write(
            self._directory / 'container-sync.conf',
            {
                # It looks for the containers of the server at this port.
                **self._default('container'),
                'container-sync': {
                    'internal_client_conf_path': client,
                    'user': _user_name(),
                    # Seconds, for the answer of the other site, too.
                    'conn_timeout': 60,
                },
            },
        )

    def _run(self, module: str, *arguments: object) -> None:
        """Run a module to its end."""
        processes.Child(
            module,
            processes.python_module(module, *map(str, arguments)),
            self._directory / f'{module}.log',
        ).wait_for_end(START_TIMEOUT)

    def _default(self, server: str) -> dict[str, Section]:
        """Return the section that all the servers have."""
        return {
            'DEFAULT': {
                'bind_ip': processes.HOST,
                'bind_port': self._ports[server],
                'workers': 0,
                'swift_dir': self._directory,
                'devices': self._devices(server),
                'mount_check': False,
                'disable_fallocate': True,
                'log_level': 'WARNING',
                # Swift always logs to syslog too. There it is sent where
                # nobody listens: the discard port.
                'log_udp_host': processes.HOST,
                'log_udp_port': 9,
            }
        }

    def _storage_sections(self, server: str) -> dict[str, Section]:
        """Return the configuration of one of the storage servers."""
        return {
            'pipeline:main': {'pipeline': f'healthcheck {server}-server'},
            f'app:{server}-server': {
                'use': f'egg:swift#{server}',
                **_PATIENCE,
            },
            'filter:healthcheck': {'use': 'egg:swift#healthcheck'},
        }

    def _proxy_sections(self) -> dict[str, Section]:
        """Return the configuration of the proxy server."""
        filters = (
            'catch_errors gatekeeper healthcheck listing_formats bulk '
            'authtoken keystoneauth tempauth copy container_quotas '
            'account_quotas slo dlo versioned_writes symlink'
        )
        if self._site:
            filters = filters.replace(
                'healthcheck', 'healthcheck container_sync'
            )
        if self._cache_port:
            filters = filters.replace('healthcheck', 'healthcheck cache')
        own: dict[str, Section] = {
            'container_sync': {
                'use': 'egg:swift#container_sync',
                **(
                    {'current': f'//{self._site.realm}/{self._site.name}'}
                    if self._site
                    else {}
                ),
            },
            'cache': {
                'use': 'egg:swift#memcache',
                'memcache_servers': f'{processes.HOST}:{self._cache_port}',
            },
            'authtoken': self._authtoken(),
            'keystoneauth': {
                'use': 'egg:swift#keystoneauth',
                'reseller_prefix': 'AUTH, SERVICE',
                'operator_roles': 'admin, swiftoperator',
                'SERVICE_service_roles': 'service',
            },
            'tempauth': self._tempauth(),
            'versioned_writes': {
                'use': 'egg:swift#versioned_writes',
                'allow_object_versioning': True,
            },
        }
        sections: dict[str, Section] = {
            'pipeline:main': {'pipeline': f'{filters} proxy-server'},
            'app:proxy-server': {
                'use': 'egg:swift#proxy',
                'account_autocreate': True,
                # The only replica must not be avoided after errors.
                'error_suppression_limit': 10 if self._shuns else 1000000,
                **_PATIENCE,
            },
        }
        for name in filters.split():
            sections[f'filter:{name}'] = own.get(
                name, {'use': f'egg:swift#{name}'}
            )
        return sections

    def _authtoken(self) -> Section:
        """Return how the proxy validates Keystone's tokens."""
        user = self._info.cinder
        assert user is not None
        return {
            'paste.filter_factory': 'keystonemiddleware.auth_token'
            ':filter_factory',
            'auth_type': 'password',
            'auth_url': self._info.auth_url,
            'www_authenticate_uri': self._info.auth_url,
            'username': user.username,
            'password': user.password,
            'project_name': user.project_name,
            'user_domain_name': user.user_domain_name,
            'project_domain_name': user.project_domain_name,
            'delay_auth_decision': True,
            'include_service_catalog': False,
            'service_token_roles': 'service',
            'service_token_roles_required': True,
        }

    def _tempauth(self) -> Section:
        """Return the users of version 1 authentication."""
        key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        return {
            'use': 'egg:swift#tempauth',
            'reseller_prefix': 'TEMP',
            **dict(
                _tempauth_user(user)
                for user in (self._info.v1, self._info.v1_unicode)
                if user is not None
            ),
            'fernet_key_only': key,
            'active_fernet_key_id': 'only',
        }


def _tempauth_user(user: V1Credentials) -> tuple[str, str]:
    """Return the option of a user; its name has both parts in base64."""
    parts = (
        base64.b64encode(part.encode()).decode().rstrip('=')
        for part in user.username.split(':')
    )
    return f'user64_{"_".join(parts)}', f'{user.password} .admin'


def _user_name() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def has_memcached() -> bool:
    """Whether a Swift that is cached can be started here."""
    return shutil.which(MEMCACHED) is not None


def _check_extended_attributes(directory: pathlib.Path) -> None:
    """Try to store a user extended attribute."""
    probe = directory / 'probe'
    probe.touch()
    try:
        os.setxattr(probe, 'user.swift.probe', b'1')
    except OSError as reason:
        raise errors.NoExtendedAttributes(directory, reason) from reason
    finally:
        probe.unlink()

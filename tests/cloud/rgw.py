# SPDX-License-Identifier: Apache-2.0

"""Configure and start Ceph's object gateway, in the place of Swift.

It takes the users of Keystone, and one with a key of its own for version 1
authentication. Containers of different projects are different things, as in
Swift, because tenants are implicit: else their names would be global.
"""

import functools
import urllib.parse

from tests.cloud import config_files
from tests.cloud import processes
from tests.cloud.ceph import Ceph
from tests.cloud.ceph import find
from tests.cloud.info import CloudInfo

START_TIMEOUT = 120.0
_NAME = 'client.rgw'


class RadosGateway:
    """A gateway of a cluster that is up."""

    def __init__(self, info: CloudInfo, ceph: Ceph) -> None:
        """Prepare; nothing is written yet.

        :param info: the cloud to be
        """
        self._info = info
        self._ceph = ceph
        self._conf = ceph.directory / 'rgw.conf'
        self._port = urllib.parse.urlsplit(info.swift_url or '').port or 0
        self._children: list[processes.Child] = []

    def start(self) -> None:
        """Write the configuration and start the process.

        :raises CephMissing: if it is not installed
        """
        self._write_config()
        self._children.append(
            processes.Child(
                "Ceph's object gateway",
                [
                    find('radosgw'),
                    '--conf',
                    str(self._conf),
                    '-f',
                    '-n',
                    _NAME,
                ],
                self._ceph.directory / 'log' / 'rgw.log',
            )
        )

    def wait(self) -> None:
        """Wait until it answers, and make the user of version 1."""
        ready = functools.partial(processes.answers, self._port)
        self._children[-1].wait_until(ready, START_TIMEOUT)
        user = self._info.v1
        assert user is not None
        self._admin(
            'user',
            'create',
            f'--uid={user.username.partition(":")[0]}',
            '--display-name=backup',
            f'--subuser={user.username}',
            '--access=full',
            '--key-type=swift',
            f'--secret={user.password}',
        )

    def children(self) -> list[processes.Child]:
        """Return the process, if it was started."""
        return list(self._children)

    def _admin(self, *arguments: str) -> None:
        processes.run(
            find('radosgw-admin'), '--conf', str(self._conf), *arguments
        )

    def _write_config(self) -> None:
        user = self._info.cinder
        assert user is not None
        sections = self._ceph.sections()
        sections[_NAME] = {
            'rgw_frontends': f'beast endpoint={processes.HOST}:{self._port}',
            # Its own default needs keys.
            'ms_mon_client_mode': 'crc',
            'rgw_data': self._ceph.directory / 'rgw',
            'rgw_enable_apis': 'swift, swift_auth',
            'rgw_swift_account_in_url': 'true',
            'rgw_keystone_url': self._info.auth_url.removesuffix('/v3'),
            'rgw_keystone_api_version': 3,
            'rgw_keystone_admin_user': user.username,
            'rgw_keystone_admin_password': user.password,
            'rgw_keystone_admin_domain': user.user_domain_name,
            'rgw_keystone_admin_project': user.project_name,
            'rgw_keystone_accepted_roles': 'admin, swiftoperator',
            'rgw_keystone_implicit_tenants': 'swift',
            # What one request changes, the next one sees.
            'rgw_keystone_token_cache_size': 0,
        }
        config_files.write(self._conf, sections)

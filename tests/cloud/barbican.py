# SPDX-License-Identifier: Apache-2.0

"""Configure and start Barbican."""

import base64
import pathlib
import secrets

from tests.cloud import config_files
from tests.cloud import processes
from tests.cloud.info import CloudInfo
from tests.cloud.info import Credentials

START_TIMEOUT = 120.0


class Barbican:
    """Barbican on a fresh SQLite database, served by one process.

    Who asks it for a key needs a token of the cloud's Keystone.
    """

    def __init__(self, info: CloudInfo, directory: pathlib.Path) -> None:
        """Prepare; nothing is written yet.

        :param info: the cloud whose users it serves
        :param directory: a directory for this Barbican alone
        """
        self._info = info
        self._directory = directory
        (self._port,) = processes.free_ports(1)
        self._child: processes.Child | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f'http://{processes.HOST}:{self._port}'

    def start(self) -> None:
        """Start the process, and wait until it answers."""
        if not self._directory.exists():
            # Where it looks for its configuration.
            conf = self._directory / '.barbican' / 'barbican.conf'
            conf.parent.mkdir(parents=True)
            self._write_config(conf)
        self._child = processes.Child(
            'Barbican',
            processes.python_module('serve_barbican', str(self._port)),
            self._directory / 'barbican.log',
            {'HOME': str(self._directory)},
        )
        self._child.wait_until(
            lambda: processes.answers(self._port, '/'), START_TIMEOUT
        )

    def stop(self) -> None:
        """End the process; what it knew is kept."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def sections(self, login: Credentials) -> dict[str, config_files.Section]:
        """Return what Cinder needs in its configuration.

        :param login: what the backup driver logs in with
        """
        return {
            'key_manager': {
                'backend': 'barbican',
                'auth_type': 'keystone_password',
                'auth_url': self._info.auth_url,
                'username': login.username,
                'password': login.password,
                'user_domain_name': 'Default',
                'project_name': login.project_name,
                'project_domain_name': 'Default',
            },
            'barbican': {
                'barbican_endpoint': self.url,
                'auth_endpoint': self._info.auth_url,
            },
        }

    def _write_config(self, path: pathlib.Path) -> None:
        cinder = self._info.cinder
        assert cinder is not None
        config_files.write(
            path,
            {
                'DEFAULT': {
                    'use_stderr': True,
                    'host_href': self.url,
                    'db_auto_create': True,
                },
                'database': {
                    'connection': f'sqlite:///{self._directory}/barbican.db',
                    'sqlite_synchronous': False,
                },
                'secretstore': {'enabled_secretstore_plugins': 'store_crypto'},
                'crypto': {'enabled_crypto_plugins': 'simple_crypto'},
                'simple_crypto_plugin': {
                    'kek': base64.b64encode(secrets.token_bytes(32)).decode()
                },
                'keystone_authtoken': {
                    'auth_type': 'password',
                    'auth_url': self._info.auth_url,
                    'username': cinder.username,
                    'password': cinder.password,
                    'user_domain_name': 'Default',
                    'project_name': cinder.project_name,
                    'project_domain_name': 'Default',
                    'www_authenticate_uri': self._info.auth_url,
                },
            },
        )

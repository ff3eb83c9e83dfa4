# SPDX-License-Identifier: Apache-2.0

"""Configure and start Keystone."""

import pathlib
import urllib.parse

from tests.cloud import config_files
from tests.cloud import processes
from tests.cloud.info import CloudInfo

START_TIMEOUT = 120.0


class Keystone:
    """Keystone on a fresh SQLite database, served by one process."""

    def __init__(
        self, info: CloudInfo, directory: pathlib.Path, token_lifetime: int
    ) -> None:
        """Prepare; nothing is written yet.

        :param info: the cloud to be; its users and endpoints are what
            Keystone will know
        :param directory: a directory for this Keystone alone
        :param token_lifetime: seconds for which tokens are valid
        """
        self._info = info
        self._directory = directory
        self._token_lifetime = token_lifetime
        self._port = urllib.parse.urlsplit(info.auth_url).port or 0
        self._child: processes.Child | None = None

    def start(self) -> None:
        """Write the configuration and start the process."""
        self._directory.mkdir()
        self._write_config(self._directory / 'keystone.conf')
        self._info.save(self._directory / 'cloud.json')
        self._serve()

    def kill(self) -> None:
        """End the process as a crash would."""
        assert self._child is not None
        self._child.kill()

    @property
    def process(self) -> processes.Child:
        """The process that serves."""
        assert self._child is not None
        return self._child

    def start_again(self) -> None:
        """Start the process with what it knew, and wait until it answers.

        Call it from a thread that will live as long as the cloud shall.
        """
        self._serve()
        self.wait()

    def _serve(self) -> None:
        self._child = processes.Child(
            'Keystone',
            processes.python_module(
                'serve_keystone',
                str(self._directory / 'keystone.conf'),
                str(self._directory / 'cloud.json'),
            ),
            self._directory / 'keystone.log',
        )

    def wait(self) -> None:
        """Wait until Keystone answers."""
        assert self._child is not None
        self._child.wait_until(
            lambda: processes.answers(self._port, '/v3'), START_TIMEOUT
        )

    def children(self) -> list[processes.Child]:
        """Return the process, if it was started."""
        return [self._child] if self._child else []

    def _write_config(self, path: pathlib.Path) -> None:
        keys = self._directory / 'keys'
        config_files.write(
            path,
            {
                'DEFAULT': {'use_stderr': True},
                'database': {
                    'connection': f'sqlite:///{self._directory}/keystone.db',
                    # Nobody needs this database after a power failure, and
                    # the migrations would wait for the disk a long time.
                    'sqlite_synchronous': False,
                },
                'token': {'expiration': self._token_lifetime},
                'fernet_tokens': {'key_repository': keys / 'tokens'},
                'fernet_receipts': {'key_repository': keys / 'receipts'},
                'credential': {'key_repository': keys / 'credentials'},
                # The cheapest that Keystone allows.
                'identity': {'password_hash_rounds': 4},
                'cache': {'backend': 'dogpile.cache.memory'},
            },
        )

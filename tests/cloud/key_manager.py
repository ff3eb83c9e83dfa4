# SPDX-License-Identifier: Apache-2.0

"""A key manager for Cinder that keeps keys as files.

It runs inside the Cinder process. A key is a file in one directory, named by
its id, with the key in hex. As with Barbican, a key that is stored again gets
another id, and one that is deleted is gone.
"""

import pathlib
import secrets
from typing import Any
import uuid

from castellan.common import exception
from castellan.common.objects import symmetric_key
from castellan.key_manager import key_manager
from oslo_config import cfg

OPTIONS = [
    cfg.StrOpt('keys_directory', help='Directory that keys are kept in.'),
]


class FileKeyManager(key_manager.KeyManager):  # type: ignore[misc]
    """Symmetric keys in files of one directory."""

    def __init__(self, configuration: cfg.ConfigOpts) -> None:
        """Register the option, and make the directory."""
        super().__init__(configuration)
        configuration.register_opts(OPTIONS, group='key_manager')
        self._directory = pathlib.Path(
            configuration.key_manager.keys_directory
        )
        self._directory.mkdir(parents=True, exist_ok=True)

    def create_key(
        self, context: Any, algorithm: str, length: int, **_: Any
    ) -> str:
        """Make a key of so many bits; returns its id."""
        return self._keep(secrets.token_bytes(length // 8))

    def store(self, context: Any, managed_object: Any, **_: Any) -> str:
        """Keep a key; returns the id that it has here."""
        return self._keep(managed_object.get_encoded())

    def get(
        self, context: Any, managed_object_id: str, **_: Any
    ) -> symmetric_key.SymmetricKey:
        """Return a key.

        :raises ManagedObjectNotFoundError: when it is not there
        """
        try:
            key = bytes.fromhex(self._path(managed_object_id).read_text())
        except FileNotFoundError as error:
            raise self._gone(managed_object_id) from error
        return symmetric_key.SymmetricKey('AES', len(key) * 8, key)

    def delete(self, context: Any, managed_object_id: str, **_: Any) -> None:
        """Delete a key.

        :raises ManagedObjectNotFoundError: when it is not there
        """
        try:
            self._path(managed_object_id).unlink()
        except FileNotFoundError as error:
            raise self._gone(managed_object_id) from error

    def create_key_pair(self, *_: Any, **__: Any) -> Any:
        """Refuse: volumes have no use for pairs."""
        raise NotImplementedError

    def add_consumer(self, *_: Any, **__: Any) -> Any:
        """Refuse: Cinder does not tell who uses a key."""
        raise NotImplementedError

    def remove_consumer(self, *_: Any, **__: Any) -> Any:
        """Refuse, for the same reason."""
        raise NotImplementedError

    def _keep(self, key: bytes) -> str:
        found = str(uuid.uuid4())
        self._path(found).write_text(key.hex())
        return found

    def _path(self, key_id: str) -> pathlib.Path:
        return self._directory / key_id

    @staticmethod
    def _gone(key_id: str) -> exception.ManagedObjectNotFoundError:
        return exception.ManagedObjectNotFoundError(uuid=key_id)

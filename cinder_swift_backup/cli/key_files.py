# SPDX-License-Identifier: Apache-2.0

"""The keys of encrypted backups, from files.

Each line has the id of a key and the key itself, 64 hexadecimal digits. A line
that begins with # is a comment.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import os
import pathlib
import stat

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import encryption


class KeyFiles:
    """Keys by their ids."""

    def __init__(self, paths: Iterable[pathlib.Path]) -> None:
        """Read some files.

        :raises ConfigurationError: when we cannot read one, when others can,
            when a line is not a key, or when one id has two keys
        """
        self._keys: dict[str, bytes] = {}
        for path in paths:
            for key_id, key in _read(path):
                if self._keys.setdefault(key_id, key) != key:
                    raise exceptions.ConfigurationError(
                        f'{path} has a second, different key {key_id}')

    def get(self, key_id: str) -> bytes:
        """See the engine's KeyRing."""
        try:
            return self._keys[key_id]
        except KeyError as err:
            raise exceptions.KeyUnavailable(
                f'the backup is encrypted, and no file has its key {key_id}',
            ) from err


def _read(path: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open(path, encoding='ascii') as file:
            if os.fstat(file.fileno()).st_mode & (stat.S_IRGRP | stat.S_IROTH):
                raise exceptions.ConfigurationError(
                    f'others can read {path}: run "chmod 600 {path}"')
            lines = file.read().splitlines()
    except OSError as err:
        raise exceptions.ConfigurationError(
            f'{path} cannot be read ({err.strerror})') from err
    except ValueError as err:
        raise exceptions.ConfigurationError(
            f'{path} is not a key file') from err
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.startswith('#'):
            yield _parse(path, number, line)


def _parse(path: pathlib.Path, number: int, line: str) -> tuple[str, bytes]:
    key_id, _, digits = line.strip().partition(' ')
    try:
        key = bytes.fromhex(digits)
    except ValueError:
        key = b''
    if len(key) != encryption.KEY:
        # The line itself may be a key.
        raise exceptions.ConfigurationError(
            f'line {number} of {path} is not the id of a key, a space, and '
            f'{2 * encryption.KEY} hexadecimal digits')
    return key_id, key

# SPDX-License-Identifier: Apache-2.0

"""The keys of an operator, and data keys that are always the same."""

import random

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.format import encryption


def key(name: str) -> bytes:
    """The key with an id."""
    return random.Random(name).randbytes(encryption.KEY)


class KeyRing:
    """Keys by their ids."""

    def __init__(self, *names: str) -> None:
        self.keys = {name: key(name) for name in names}

    def get(self, key_id: str) -> bytes:
        """See the engine's KeyRing."""
        if key_id not in self.keys:
            raise exceptions.KeyUnavailable(f'there is no key {key_id}')
        return self.keys[key_id]


def wrapped(data_key: encryption.DataKey, name: str) -> jobs.Encryption:
    """How a backup is encrypted whose data key a key has wrapped."""
    return jobs.Encryption(data_key, data_key.wrap(
        key(name), name, random.randbytes(encryption.NONCE)))


def new(name: str, seed: int = 0) -> jobs.Encryption:
    """The same with a data key of its own."""
    return wrapped(encryption.DataKey(
        random.Random(seed).randbytes(encryption.KEY)), name)

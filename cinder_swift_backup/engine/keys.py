# SPDX-License-Identifier: Apache-2.0

"""Unlocks encrypted backups with the keys of whoever uses the engine."""

import threading
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import encryption


class KeyRing(Protocol):
    """Has the operator's keys."""

    def get(self, key_id: str) -> bytes:
        """A key, of :data:`encryption.KEY` bytes.

        :raises KeyUnavailable: when it cannot be had
        :raises KeyManagerError: when it may be had later
        """


class NoKeys:
    """For whoever has none."""

    def get(self, key_id: str) -> bytes:
        """See :class:`KeyRing`."""
        raise exceptions.KeyUnavailable(
            f'the backup is encrypted, and its key {key_id} was not given')


class Unlocker:
    """Knows the data keys that were unlocked; for any threads."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring
        self._known: dict[encryption.Wrapped, encryption.DataKey] = {}
        self._lock = threading.Lock()

    def unlock(self, wrapped: encryption.Wrapped | None,
               ) -> encryption.DataKey | None:
        """The data key of a backup; None of one that is not encrypted.

        :raises KeyUnavailable: when it cannot be had
        :raises KeyManagerError: when it may be had later
        """
        if wrapped is None:
            return None
        known = self._known.get(wrapped)
        if known is None:
            known = self._unwrap(wrapped)
            with self._lock:
                self._known[wrapped] = known
        return known

    def _unwrap(self, wrapped: encryption.Wrapped) -> encryption.DataKey:
        try:
            return encryption.unwrap(wrapped, self._ring.get(wrapped.key_id))
        except exceptions.KeyUnavailable as err:
            err.about(remedy=exceptions.Remedy.KEY)
            raise

# SPDX-License-Identifier: Apache-2.0

"""The note of packs that nobody names, in the store.

See :mod:`cinder_swift_backup.format.condemned`. A volume that has packs has a
note, once it was swept, also if it tells of none: whoever reads it need not
make sure that it really is not there. Before that, it takes a listing to be
sure.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import hashlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.format import condemned
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume whose packs are in one container.

    ``prefix`` is that of any of its backups.
    """

    container: str
    prefix: str

    @property
    def root(self) -> str:
        """What the names of all objects of the volume begin with."""
        return self.packs.removesuffix('packs/')

    @property
    def packs(self) -> str:
        """What the names of all its packs begin with."""
        return naming.packs(self.prefix)


# When packs were noted, by the ends of their names.
Noted = Mapping[str, datetime.datetime]


def read(operation: operations.Operation,
         volume: Volume) -> dict[str, datetime.datetime]:
    """When packs of a volume were noted that nobody named.

    A note that cannot be read, or is too large, tells of none.

    :raises StoreError: when the store fails
    """
    stored = _read(operation, volume, rare=True)
    if stored is None and _may_be_listed(operation, volume):
        stored = _read(operation, volume, rare=False)
    return operation.call(condemned.decode, stored or b'')


def _read(operation: operations.Operation, volume: Volume, *,
          rare: bool) -> bytes | None:
    """The note as stored; None if it is not there, or too large."""
    name = naming.condemned_name(volume.prefix)
    try:
        return operation.store.read(
            volume.container, name, lambda pieces: b''.join(
                base.bounded(pieces, name, condemned.LARGEST)), rare=rare)
    except (exceptions.ObjectNotFound, exceptions.FormatError):
        return None


def _may_be_listed(operation: operations.Operation, volume: Volume) -> bool:
    name = naming.condemned_name(volume.prefix)
    try:
        return any(info.name == name for info
                   in operation.store.list(volume.container, name))
    except exceptions.StoreUnavailable:
        # Listings may be away for longer than objects.
        return True


def write(operation: operations.Operation, volume: Volume,
          noted: Noted) -> None:
    """Replace the note.

    :raises StoreError: when the store fails
    """
    def encode() -> tuple[bytes, str]:
        stored = condemned.encode(noted)
        return stored, hashlib.md5(
            stored, usedforsecurity=False).hexdigest()

    stored, md5 = operation.call(encode)
    operation.store.put(
        volume.container, naming.condemned_name(volume.prefix),
        base.Body(len(stored), lambda: (stored,), md5))


def remove(operation: operations.Operation, volume: Volume) -> None:
    """Delete the note, where the volume has no packs any more.

    :raises StoreError: when the store fails
    """
    operation.store.delete(volume.container,
                           naming.condemned_name(volume.prefix))


def now(store: base.ObjectStore) -> datetime.datetime:
    """The time by the store's clock; by ours if it does not tell."""
    return store.now() or datetime.datetime.now(datetime.UTC)

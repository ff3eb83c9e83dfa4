# SPDX-License-Identifier: Apache-2.0

"""Says whether the objects are there that a manifest names.

1. List what is below the prefix of the backup.
2. Ask for each chunk that the listing does not show, since listings lag.
"""

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base


def missing(store: base.ObjectStore, ref: types.BackupRef,
            chunks: chunk_table.ChunkTable) -> str | None:
    """The name of a chunk that is not there; None if all are.

    A listing has 10,000 objects an answer, so this takes little time. What
    they hold is not looked at.

    :raises ContainerNotFound: when even the container is missing
    :raises StoreError: when it cannot be asked
    """
    if not chunks:
        return None
    listed = (info.name for info in store.list(ref.container, ref.prefix))
    for name in chunks.absent(listed):
        if not is_there(store, ref.container, name):
            return name
    return None


def is_there(store: base.ObjectStore, container: str, name: str) -> bool:
    """Whether there is such an object, whatever listings show.

    :raises StoreError: when the store cannot be asked
    """
    try:
        store.segments(container, name)
    except exceptions.ObjectNotFound:
        return False
    return True

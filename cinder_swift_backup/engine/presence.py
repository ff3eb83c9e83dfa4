# SPDX-License-Identifier: Apache-2.0

"""Says whether the objects are there that a manifest names.

1. List what is below the prefix of the backup.
2. Ask for each chunk that the listing does not show, since listings lag,
   several at a time. Where there is no listing, these are all.
"""

from collections.abc import Iterator

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
# How many objects a worker asks for at once. It only waits for the store.
_AT_ONCE = 4


def missing(store: base.ObjectStore, pipeline: pipelines.Pipeline,
            ref: types.BackupRef, chunks: chunk_table.ChunkTable,
            checkpoint: pipelines.Checkpoint) -> str | None:
    """The name of a chunk that is not there; None if all are.

    A listing has 10,000 objects an answer, so this takes little time. What
    they hold is not looked at.

    :param store: whose requests end when the caller is called off
    :param checkpoint: called now and then while chunks are asked for
    :raises ContainerNotFound: when even the container is missing
    :raises StoreError: when it cannot be asked
    :raises Exception: what ``checkpoint`` raised
    """
    if not chunks:
        return None
    lost: list[str] = []

    def collect(name: str | None) -> None:
        if name is not None:
            lost.append(name)

    def task(name: str) -> pipelines.Task[str | None]:
        return pipelines.Task(
            lambda stop: None if is_there(store.until(stop), ref.container,
                                          name) else name, 1)

    def tasks() -> Iterator[pipelines.Task[str | None]]:
        for name in chunks.absent(_listed(store, ref)):
            if lost:
                return
            yield task(name)

    pipeline.run(tasks(), collect, checkpoint, full=_AT_ONCE)
    return lost[0] if lost else None


def _listed(store: base.ObjectStore, ref: types.BackupRef) -> Iterator[str]:
    try:
        for info in store.list(ref.container, ref.prefix):
            yield info.name
    except exceptions.StoreUnavailable as err:
        # Objects can be had while the containers are overloaded.
        LOG.warning('The objects of backup %s cannot be listed, so each is '
                    'asked for: %s', ref.backup_id, err)


def is_there(store: base.ObjectStore, container: str, name: str) -> bool:
    """Whether there is such an object, whatever listings show.

    :raises StoreError: when the store cannot be asked
    """
    try:
        store.segments(container, name)
    except exceptions.ObjectNotFound:
        return False
    return True

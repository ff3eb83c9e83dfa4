# SPDX-License-Identifier: Apache-2.0

"""Translates Cinder's records of backups to values of the engine.

A delete that finds nothing has to know whether there was anything. Cinder has
no field for that, so the ``object_count`` of a record tells:

* a number of chunks: the backup was completed, and its manifest is there;
* a negative number: it was only begun, or a delete got as far as to the
  manifest. There may be anything or nothing, but only in the account for which
  the number stands, see :func:`place`;
* 0: nothing is known. An incremental that had nothing to store is noted like
  this, and so are unfinished backups of other drivers and older releases.
"""

import zlib

from cinder import exception as cinder_exception
from cinder import objects
from cinder.objects import fields
from oslo_utils import units

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import types


def backup_ref(backup):
    """Where a backup's objects are.

    :raises ChainError: when the record does not tell, or they are elsewhere
    """
    if not backup.container or not backup.service_metadata:
        raise exceptions.ChainError(
            'the record of the backup does not say where its objects are: it '
            'was never completed', backup_id=backup.id,
            remedy=exceptions.Remedy.NEW_BACKUP)
    if fault := container_names.fault(backup.container):
        container, _, rest = backup.container.partition('/')
        where = (f'; in container {container}, objects {rest}/'
                 f'{backup.service_metadata}...' if container and rest else '')
        raise exceptions.ChainError(
            'the record names a container that cannot exist: its name '
            f'{fault}',
            backup_id=backup.id,
            detail=f'container {backup.container!r}{where}',
            remedy=exceptions.Remedy.MOVE_OBJECTS)
    return types.BackupRef(
        backup_id=backup.id, volume_id=backup.volume_id,
        container=backup.container, prefix=backup.service_metadata,
        volume_size=backup.size * units.Gi)


def place(store, container):
    """A negative number that stands for an account and a container in it.

    It does not change with the host or the protocol by which these are found.

    :raises StoreError: when there is no access to the account
    """
    where = f'{store.account()}/{container}'
    # Cinder's column has 32 bits.
    return -1 - zlib.crc32(where.encode()) // 2


def header(backup):
    """The fields that open the JSON objects of a backup."""
    return types.BackupHeader(
        backup_id=backup.id, volume_id=backup.volume_id,
        backup_name=backup.display_name,
        backup_description=backup.display_description,
        created_at=str(backup.created_at))


def get_parent(context, backup):
    """The record of the backup that an incremental builds on.

    :raises ChainError: when it is gone
    """
    try:
        return objects.Backup.get_by_id(context, backup.parent_id)
    except cinder_exception.BackupNotFound as err:
        raise exceptions.ChainError(
            'Cinder finds no record of the parent backup',
            backup_id=backup.parent_id, detail=f'parent of {backup.id}',
            remedy=exceptions.Remedy.IMPORT) from err


def parent_ref(context, backup):
    """Where the backup is that an incremental builds on; None for a full one.

    :raises ChainError: when it is gone, or its record does not tell
    """
    if not backup.parent_id:
        return None
    return backup_ref(get_parent(context, backup))


def check_no_dependents(context, backup):
    """Make sure that no backup builds on this one.

    Cinder's API only checks the project of the request, so an administrator
    could delete a backup that incrementals of another project need.

    :raises ChainError: naming those that do
    """
    dependents = objects.BackupList.get_all(
        context.elevated(), filters={'parent_id': backup.id})
    if not dependents:
        return
    names = ', '.join(f'{dependent.id} of project {dependent.project_id}'
                      for dependent in dependents)
    raise exceptions.ChainError(
        'nothing was deleted, because newer backups need this one',
        backup_id=backup.id, detail=f'needed by {names}',
        remedy=exceptions.Remedy.NEWER_FIRST)


def twins(context, backup):
    """Other records of the same objects, of whichever project.

    Cinder makes one when a record is imported under another id. A twin whose
    delete has begun does not count: else each would leave the objects to the
    other.
    """
    alike = objects.BackupList.get_all(
        context.elevated(),
        filters={'service_metadata': backup.service_metadata})
    return [twin for twin in alike if twin.id != backup.id
            and twin.container == backup.container
            and twin.status != fields.BackupStatus.DELETING]


def chain_refs(context, backup):
    """Where all backups of a chain are, from the base to ``backup``.

    :raises ChainError: when one is gone, or the chain runs in a circle
    """
    refs = [backup_ref(backup)]
    seen = {backup.id}
    while backup.parent_id:
        backup = get_parent(context, backup)
        if backup.id in seen:
            raise exceptions.ChainError(
                'according to the records, the backup is its own ancestor',
                backup_id=backup.id,
                remedy=exceptions.Remedy.CORRECT_RECORDS)
        seen.add(backup.id)
        refs.append(backup_ref(backup))
    refs.reverse()
    return refs

# SPDX-License-Identifier: Apache-2.0

"""Sweeps the packs of a volume after each backup and each delete.

By Cinder's records, of all projects:

1. Do nothing while another backup of the volume is being made.
2. Where the volume has no other backup in the container, all packs may go at
   once.

See :mod:`cinder_swift_backup.engine.sweeping`. A sweep that fails is repeated
by the next, and fails nothing else.
"""

from cinder import objects
from cinder.objects import fields
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import observers
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.format import naming

LOG = logging.getLogger(__name__)


def after_backup(context, database, repo, ref, grace):
    """Sweep after a backup in the form of packs was made.

    :param ref: the backup
    :param grace: for how long packs that nobody names stay
    """
    _sweep(context, database, repo, ref, grace, made=(ref,))


def after_delete(context, database, repo, ref, grace):
    """Sweep after a backup was deleted that may have had packs."""
    _sweep(context, database, repo, ref, grace, gone=(ref.prefix,))


def _sweep(context, database, repo, ref, grace, **just_now):
    try:
        others = [other for other in database.insist(
            lambda: _records(context, ref)) if other.id != ref.backup_id]
        if any(other.status == fields.BackupStatus.CREATING
               for other in others):
            LOG.info('Not looking for packs of volume %s that are no longer '
                     'needed: another backup of it is being made.',
                     ref.volume_id)
            return
        # One that is being deleted sweeps in its turn.
        alone = not any(other.container == ref.container
                        and other.status != fields.BackupStatus.DELETING
                        for other in others)
        swept = sweeping.Sweeper(repo, grace).sweep(
            sweeping.Volume(ref.container, ref.prefix), alone=alone,
            **just_now)
    except (exceptions.BackupError, *observers.DATABASE_ERRORS) as err:
        LOG.warning('Packs of volume %s that are no longer needed stay until '
                    'the next backup or delete: %s', ref.volume_id, err)
        return
    _tell(ref, swept)


def _records(context, ref):
    """The records of all backups of the volume."""
    # By what their objects are called: the record of a backup may have got
    # another id, also of its volume.
    volume_id = naming.packs(ref.prefix).partition('/')[0].removeprefix(
        naming.ALL)
    found = {}
    for each in {volume_id, ref.volume_id}:
        for record in objects.BackupList.get_all(
                context.elevated(), filters={'volume_id': each}):
            found[record.id] = record
    return list(found.values())


def _tell(ref, swept):
    if swept.why:
        LOG.info('Not deleting packs of volume %s: %s.', ref.volume_id,
                 swept.why)
    elif swept.deleted:
        LOG.info('Deleted %d packs of volume %s that no backup needs, %d '
                 'bytes.', len(swept.deleted), ref.volume_id,
                 swept.stored_bytes)
    if swept.waiting:
        LOG.debug('%d packs of volume %s that no backup needs wait.',
                  swept.waiting, ref.volume_id)

# SPDX-License-Identifier: Apache-2.0

"""Sweeps the packs of a volume after each backup and each delete.

By Cinder's records, of all projects, and also of backups that were deleted:

1. Do nothing while another backup of the volume is being made.
2. Where the volume has no other backup in the container, all packs of backups
   that are on record may go at once.

See :mod:`cinder_swift_backup.engine.sweeping`. A sweep that fails is repeated
by the next, and fails nothing else.
"""

from cinder import objects
from cinder.objects import fields
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.format import naming

LOG = logging.getLogger(__name__)
_GOING = (fields.BackupStatus.DELETING, fields.BackupStatus.DELETED)


def after_backup(context, database, repo, ref, grace):
    """Sweep after a backup in the form of packs was made.

    :param ref: the backup
    :param grace: for how long packs that nobody names stay
    """
    _sweep(context, database, repo, ref, grace, made=(ref,))


def after_delete(context, database, repo, ref, grace):
    """Sweep after a backup was deleted that may have had packs."""
    _sweep(context, database, repo, ref, grace)


def _sweep(context, database, repo, ref, grace, made=()):
    def ask():
        return _on_record(ref, database.insist(
            lambda: _records(context, ref)), is_made=bool(made))

    try:
        swept = sweeping.Sweeper(repo, grace).sweep(
            sweeping.Volume(ref.container, ref.prefix), ask=ask, made=made)
    except Exception as err:
        # The backup was made, or deleted, and that is what counts.
        LOG.warning('Packs of volume %s that are no longer needed stay until '
                    'the next backup or delete: %s', ref.volume_id, err,
                    exc_info=not isinstance(err, exceptions.BackupError))
        return
    _tell(ref, swept)


def _records(context, ref):
    """The records of all backups of the volume, deleted or not."""
    # By what their objects are called: the record of a backup may have got
    # another id, also of its volume.
    volume_id = naming.packs(ref.prefix).partition('/')[0].removeprefix(
        naming.ALL)
    found = {}
    for each in {volume_id, ref.volume_id}:
        for record in objects.BackupList.get_all(
                context.elevated(read_deleted='yes'),
                filters={'volume_id': each}):
            found[record.id] = record
    return list(found.values())


def _on_record(ref, records, *, is_made):
    """What records say of the volume of a backup.

    :param is_made: whether that was just made, rather than deleted
    """
    others = [record for record in records if record.id != ref.backup_id]
    being_made = [other for other in others
                  if other.status == fields.BackupStatus.CREATING]
    going = [other for other in others if other.status in _GOING]
    staying = [other for other in others if other.container == ref.container
               and other.status not in _GOING]
    gone = {other.service_metadata for other in going
            if other.container == ref.container and other.service_metadata}
    if not is_made:
        gone.add(ref.prefix)
    return sweeping.OnRecord(
        is_idle=not being_made, is_alone=not staying and not is_made,
        known=frozenset((ref.backup_id, *(other.id for other in others))),
        gone=frozenset(gone))


def _tell(ref, swept):
    if swept.why:
        LOG.log(logging.WARNING if swept.is_unreadable else logging.INFO,
                'Not looking for packs of volume %s that are no longer '
                'needed: %s.', ref.volume_id, swept.why)
    elif swept.deleted:
        LOG.info('Deleted %d packs of volume %s that no backup needs, %d '
                 'bytes.', len(swept.deleted), ref.volume_id,
                 swept.stored_bytes)
    if swept.waiting:
        LOG.debug('%d packs of volume %s that no backup needs wait.',
                  swept.waiting, ref.volume_id)

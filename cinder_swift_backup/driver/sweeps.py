# SPDX-License-Identifier: Apache-2.0

"""Sweeps the packs of a volume after each backup and each delete.

By Cinder's records, of all projects, and also of backups that were deleted:

1. Do nothing while another backup of the volume is being made.
2. Where no recovery point stays, the packs of all backups on record may go at
   once, and those that the deleted backup named.

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
_WHOLE = (fields.BackupStatus.AVAILABLE, fields.BackupStatus.RESTORING)
_GOING = (fields.BackupStatus.DELETING, fields.BackupStatus.DELETED)


def after_backup(context, database, repo, ref, grace):
    """Sweep after a backup in the form of packs was made.

    :param ref: the backup
    :param grace: for how long packs that nobody names stay
    """
    _sweep(context, database, repo, ref, grace, made=(ref,))


def after_delete(context, database, repo, ref, grace, makers):
    """Sweep after a backup was deleted, in whichever form.

    :param makers: who has put the packs that it named
    """
    _sweep(context, database, repo, ref, grace, makers=makers)


def _sweep(context, database, repo, ref, grace, made=(), makers=()):
    def ask():
        return _on_record(ref, database.insist(
            lambda: _records(context, ref)), is_made=bool(made),
            makers=makers)

    try:
        swept = sweeping.Sweeper(repo, grace).sweep(
            sweeping.Volume(ref.container, ref.prefix), ask=ask, made=made)
    except Exception as err:
        # The backup was made, or deleted, and that is what counts.
        LOG.warning('Could not find out which packs volume %s no longer '
                    'needs. The next delete, or backup in packs, tries again: '
                    '%s', ref.volume_id, err,
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


def _on_record(ref, records, *, is_made, makers):
    """What records say of the volume of a backup.

    :param is_made: whether that was just made, rather than deleted
    :param makers: of packs that it named
    """
    others = [record for record in records if record.id != ref.backup_id]
    projects = {record.project_id for record in records
                if record.id == ref.backup_id}
    here = [other for other in others if other.container == ref.container
            # Those of other volumes name none of the packs.
            and naming.packs(other.service_metadata or '') == naming.packs(
                ref.prefix)]
    staying = {other.service_metadata for other in here
               if other.status not in (*_GOING, fields.BackupStatus.ERROR)}
    failed = {other.service_metadata for other in here
              if other.status == fields.BackupStatus.ERROR}
    # Several records may be of the same objects, and some of these deleted.
    gone = {other.service_metadata for other in here
            if other.status in _GOING} - staying - failed
    if not is_made:
        staying.discard(ref.prefix)
        failed.discard(ref.prefix)
        gone.add(ref.prefix)
    return sweeping.OnRecord(
        is_told=True,
        is_idle=not any(other.status == fields.BackupStatus.CREATING
                        for other in others),
        known=frozenset((ref.backup_id, *makers,
                         *(other.id for other in others))),
        staying=frozenset(staying), failed=frozenset(failed),
        gone=frozenset(gone),
        expected=frozenset(
            other.service_metadata for other in here
            # Another project may have another account.
            if other.project_id in projects and other.status in _WHOLE))


def _tell(ref, swept):
    if swept.why:
        LOG.log(logging.WARNING if swept.is_unreadable else logging.INFO,
                'Deleted no packs of volume %s: %s.', ref.volume_id,
                swept.why)
    elif swept.deleted:
        LOG.info('Deleted %d packs of volume %s that no backup needs, %d '
                 'bytes.', len(swept.deleted), ref.volume_id,
                 swept.stored_bytes)
    if swept.waiting:
        LOG.debug('%d packs of volume %s that no backup needs wait.',
                  swept.waiting, ref.volume_id)

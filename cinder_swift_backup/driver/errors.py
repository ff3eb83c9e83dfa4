# SPDX-License-Identifier: Apache-2.0

"""Translates our errors to Cinder's exceptions.

One table has the exception for each error, another tells an operator of
Cinder what to do.
"""

import contextlib

from cinder import exception as cinder_exception

from cinder_swift_backup import exceptions

# The first match counts, so subclasses come before their bases.
_TABLE = (
    (exceptions.VolumeError, cinder_exception.InvalidVolume),
    (exceptions.ChainError, cinder_exception.InvalidBackup),
    (exceptions.FormatError, cinder_exception.InvalidBackup),
    (exceptions.IntegrityError, cinder_exception.InvalidBackup),
    (exceptions.ObjectNotFound, cinder_exception.InvalidBackup),
    (exceptions.StoreUnavailable, cinder_exception.SwiftConnectionFailed),
    (exceptions.AccessDenied, cinder_exception.SwiftConnectionFailed),
    (exceptions.BackupError, cinder_exception.BackupDriverException),
)

_REMEDIES = {
    exceptions.Remedy.OTHER_BACKUP: 'Restore another backup.',
    exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED:
        'Restore another backup, or this one without verification: '
        'backup_swift_verify_restore = False.',
    exceptions.Remedy.NEW_BACKUP:
        'Use another backup or take a new full one.',
    exceptions.Remedy.REPEAT: 'Repeat the operation.',
    exceptions.Remedy.NEWER_RELEASE:
        'Use the release that wrote the backup, or newer.',
    exceptions.Remedy.LARGER_VOLUME: 'Restore to a larger volume.',
    exceptions.Remedy.STORAGE:
        'Look for the cause on the host and in the storage, then repeat the '
        'operation.',
    exceptions.Remedy.SPOOL:
        'Make room in backup_swift_spool_directory, or choose another, then '
        'repeat the operation.',
    exceptions.Remedy.SIZES:
        'Correct backup_swift_object_size and backup_swift_block_size.',
    exceptions.Remedy.LARGER_BLOCKS:
        'Choose a larger backup_swift_block_size, or have the cluster take '
        'larger objects.',
    exceptions.Remedy.CREATE_CONTAINER:
        'Create it, or let backup_create_containers do it.',
    exceptions.Remedy.STORAGE_POLICY:
        'Check backup_swift_create_storage_policy.',
    exceptions.Remedy.SYNC:
        'Check backup_swift_container_sync_to against the realms that the '
        'cluster knows.',
    exceptions.Remedy.ROOM:
        'A quota is full, or backup_swift_object_size is above the largest '
        'object that the cluster takes.',
    exceptions.Remedy.ROLE:
        'The user needs a role that may write to the account.',
    exceptions.Remedy.LOGIN:
        'Check backup_swift_user, backup_swift_key and the role of that user '
        'in its project.',
    exceptions.Remedy.TOKEN:
        'The token of the request may have expired: set '
        'backup_swift_service_auth with a [service_user], and repeat the '
        'request.',
    exceptions.Remedy.ENDPOINT:
        'Set backup_swift_url, or correct swift_catalog_info and '
        'backup_swift_region_name.',
    exceptions.Remedy.LOGIN_ENDPOINT:
        'Set backup_swift_auth_url, or correct keystone_catalog_info and '
        'backup_swift_region_name.',
    exceptions.Remedy.OTHER_USER:
        'Repeat the request as a user of the project that owns the backup.',
    exceptions.Remedy.IMPORT:
        'Import it with backup-import, or use another backup.',
    exceptions.Remedy.CORRECT_RECORDS:
        'Correct the parent_id of the records.',
    exceptions.Remedy.NEWER_FIRST:
        'Delete those first, then reset its state and delete it again.',
    exceptions.Remedy.OTHER_ACCOUNT:
        'If it was made in another account, as backup_swift_auth tells, have '
        'it deleted with the settings of then. If its objects are known to be '
        'gone, put an empty object {name} into container {container} and '
        'repeat the delete.',
}


def sentence(err):
    """The text of an error for operators: what is wrong, and what to do."""
    if err.remedy is None:
        return f'{err}.'
    remedy = _REMEDIES[err.remedy].format(name=err.name,
                                          container=err.container)
    return f'{err}. {remedy}'


@contextlib.contextmanager
def translated(backup_id=None):
    """Raise Cinder's fitting exception for any of ours.

    The text names the backup, and says what to do. A cancellation is passed
    on as it is.
    """
    try:
        yield
    except exceptions.Cancelled:
        raise
    except exceptions.BackupError as err:
        text = sentence(err)
        if backup_id and backup_id not in text:
            text = f'{text} (backup {backup_id})'
        kind = next(theirs for ours, theirs in _TABLE
                    if isinstance(err, ours))
        raise kind(reason=text) from err

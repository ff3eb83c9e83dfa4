# SPDX-License-Identifier: Apache-2.0

"""Translates our errors to Cinder's exceptions.

One table has the exception for each error, another tells an operator of
Cinder what to do.

Cinder puts words of its own before ours, and keeps 255 characters of all that
as the ``fail_reason`` of a backup. So there is room for a sentence of what is
wrong and one of what to do, and whatever follows may be cut off. All of it is
in the log of cinder-backup, with our error as the cause of Cinder's.
"""

import contextlib

from cinder import exception as cinder_exception

from cinder_swift_backup import exceptions

# The width of Cinder's column for the reason of a failure.
SHOWN = 255

# The first match counts, so subclasses come before their bases.
_TABLE = (
    (exceptions.VolumeError, cinder_exception.InvalidVolume),
    (exceptions.ChainError, cinder_exception.InvalidBackup),
    (exceptions.FormatError, cinder_exception.InvalidBackup),
    (exceptions.IntegrityError, cinder_exception.InvalidBackup),
    (exceptions.ObjectNotFound, cinder_exception.InvalidBackup),
    (exceptions.StoreUnavailable, cinder_exception.SwiftConnectionFailed),
    (exceptions.BackupError, cinder_exception.BackupDriverException),
)

_REMEDIES = {
    exceptions.Remedy.OTHER_BACKUP: 'Restore another backup.',
    exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED:
        'Restore another backup, or this one with '
        'backup_swift_verify_restore = False.',
    exceptions.Remedy.NEW_BACKUP:
        'Use another backup, or make a new full one.',
    exceptions.Remedy.REPEAT: 'Repeat the operation.',
    exceptions.Remedy.NEWER_RELEASE:
        'Use the release that wrote the backup, or newer.',
    exceptions.Remedy.LARGER_VOLUME: 'Restore to a larger volume.',
    exceptions.Remedy.SNAPSHOT: 'Back up a snapshot of the volume instead.',
    exceptions.Remedy.WHOLE_SOURCE:
        'Copy it to a new volume, which is a whole file or a device, and back '
        'up that.',
    exceptions.Remedy.CONVERT:
        'Restore it to a file with "cinder-swift-backup restore", and convert '
        'that with "qemu-img convert".',
    exceptions.Remedy.WHOLE_TARGET:
        'Restore to a new volume, or to one without snapshots.',
    exceptions.Remedy.SAME_FORMAT:
        'Restore to a volume in the same format as the backup. On NFS, a '
        'volume with snapshots is in format qcow2.',
    exceptions.Remedy.SAME_TYPE:
        'Restore to a volume of the type of the backup. If that type was '
        'deleted, see "Encrypted volumes" in the documentation.',
    exceptions.Remedy.STORAGE:
        'Look for the cause on the host and in the storage, then try again.',
    exceptions.Remedy.SPOOL:
        'Free space in backup_swift_spool_directory, or set it to another '
        'directory.',
    exceptions.Remedy.SPOOL_DIRECTORY:
        'Create it and let the user of cinder-backup write to it, or set '
        'backup_swift_spool_directory (default: state_path).',
    exceptions.Remedy.SET: 'Set it.',
    exceptions.Remedy.SIZES:
        'Correct backup_swift_object_size and backup_swift_block_size.',
    exceptions.Remedy.LARGER_BLOCKS:
        'Choose a larger backup_swift_block_size.',
    exceptions.Remedy.LARGER_OBJECTS:
        'Choose a larger backup_swift_block_size, or let Swift accept larger '
        'objects.',
    exceptions.Remedy.CREATE_CONTAINER:
        'Create it, or let backup_create_containers do it.',
    exceptions.Remedy.CONTAINER_NAME: 'Name another container.',
    exceptions.Remedy.MOVE_OBJECTS:
        'Nothing was changed. The documentation says how to move or delete '
        'its objects by hand.',
    exceptions.Remedy.STORAGE_POLICY:
        'Check backup_swift_create_storage_policy.',
    exceptions.Remedy.SYNC:
        'Check backup_swift_container_sync_to against the realms that the '
        'cluster knows.',
    exceptions.Remedy.SYNC_HEADERS:
        'Set its X-Container-Sync-To and X-Container-Sync-Key.',
    exceptions.Remedy.KEY:
        'Restore it with a copy of the key: "cinder-swift-backup restore '
        '--key-file".',
    exceptions.Remedy.KEY_ID:
        'Correct backup_swift_encryption_key_id.',
    exceptions.Remedy.KEY_CHANGED:
        'Put the old key back, or set backup_swift_encryption_key_id to a '
        'new one.',
    exceptions.Remedy.KEY_MANAGER:
        'Check [key_manager], and that the user there may read the key.',
    exceptions.Remedy.ROOM:
        'Raise the quota, or lower backup_swift_object_size.',
    exceptions.Remedy.ROLE:
        'Give the user a role that may write to the account.',
    exceptions.Remedy.ROLE_OR_NAME:
        'Give the user a role that may write to the account. In Ceph without '
        'implicit tenants, another project may have a container of this name.',
    exceptions.Remedy.LOGIN:
        'Check backup_swift_user, backup_swift_key and the role of the user.',
    exceptions.Remedy.LOGIN_URL:
        'Check backup_swift_auth_url.',
    exceptions.Remedy.SWIFT_URL:
        'Check backup_swift_url, or the endpoint in the catalog if '
        'backup_swift_auth is single_user.',
    exceptions.Remedy.PROJECT:
        'Set backup_swift_project, or backup_swift_tenant.',
    exceptions.Remedy.SERVICE_LOGIN:
        'Check the login in [service_user].',
    exceptions.Remedy.CERTIFICATE:
        'Set backup_swift_ca_cert_file to its CA certificate.',
    exceptions.Remedy.SERVICE_CERTIFICATE:
        'Set cafile in [service_user] to its CA certificate.',
    exceptions.Remedy.TOKEN:
        'The token may have expired: set backup_swift_service_auth.',
    exceptions.Remedy.ENDPOINT:
        'Set backup_swift_url, or correct swift_catalog_info and '
        'backup_swift_region_name.',
    exceptions.Remedy.LOGIN_ENDPOINT:
        'Set backup_swift_auth_url, or correct keystone_catalog_info and '
        'backup_swift_region_name.',
    exceptions.Remedy.OTHER_USER:
        'Have a user of the project that owns the backup do it.',
    exceptions.Remedy.OWNER_DELETES:
        'Have a user of the project that owns the backup delete it.',
    exceptions.Remedy.IMPORT:
        'Import it with "cinder backup-import", or use another backup.',
    exceptions.Remedy.CORRECT_RECORDS:
        'Correct the parent_id of the records.',
    exceptions.Remedy.NEWER_FIRST:
        'Delete those first, then reset the state of this one and delete it.',
    exceptions.Remedy.OTHER_ACCOUNT:
        'The backup may be in another account: check backup_swift_auth. If '
        'it is lost, upload an empty object of the name in brackets and '
        'delete it again.',
}

# What to do about those for which nobody knows anything better.
_DEFAULTS = (
    (exceptions.ConfigurationError, 'Correct it.'),
    (exceptions.StoreUnavailable, 'Repeat the operation later.'),
    (exceptions.AccessDenied, 'Check the login and the role of the user.'),
    (exceptions.QuotaExceeded, _REMEDIES[exceptions.Remedy.ROOM]),
    (exceptions.ContainerNotFound,
     _REMEDIES[exceptions.Remedy.CREATE_CONTAINER]),
    (exceptions.StoreError, "Look for the cause in Swift's logs."),
    (exceptions.FormatError, _REMEDIES[exceptions.Remedy.OTHER_BACKUP]),
    (exceptions.IntegrityError, _REMEDIES[exceptions.Remedy.OTHER_BACKUP]),
    (exceptions.ChainError, _REMEDIES[exceptions.Remedy.NEW_BACKUP]),
    (exceptions.VolumeError, _REMEDIES[exceptions.Remedy.STORAGE]),
    (exceptions.SpoolError, _REMEDIES[exceptions.Remedy.SPOOL]),
    (exceptions.DatabaseUnavailable,
     'Repeat the operation when it answers again.'),
    (exceptions.BackupError, "Look for the cause in cinder-backup's log."),
)


def sentence(err, room=None):
    """The text of an error for operators: what is wrong, and what to do.

    :param room: how many characters of it they will see, if not all
    """
    return err.sentence(_remedy(err), room)


def _remedy(err):
    if err.remedy is not None:
        return _REMEDIES[err.remedy]
    return next(words for kind, words in _DEFAULTS if isinstance(err, kind))


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
        raise translation(err, backup_id) from err


def translation(err, backup_id=None):
    """Cinder's exception for an error, with the backup and what to do."""
    kind = next(theirs for ours, theirs in _TABLE if isinstance(err, ours))
    room = SHOWN - len(str(kind(reason='')))
    text = sentence(err, room)
    if backup_id and backup_id not in text:
        text = f'{text} [for backup {backup_id}]'
    return kind(reason=text)

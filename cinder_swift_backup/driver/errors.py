# SPDX-License-Identifier: Apache-2.0

"""Our errors as Cinder's: one table, used at every entry of the driver."""

import contextlib

from cinder import exception as cinder_exception

from cinder_swift_backup import exceptions

# The first match counts, so special cases stand before their bases.
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


@contextlib.contextmanager
def translated(backup_id=None):
    """Raise Cinder's fitting exception for any of ours.

    The text keeps what ours says and adds the backup's id where it is not
    named yet. A cancellation passes: it is an answer, not an error.
    """
    try:
        yield
    except exceptions.Cancelled:
        raise
    except exceptions.BackupError as err:
        text = str(err)
        if backup_id and backup_id not in text:
            text = f'{text} (backup {backup_id})'
        kind = next(theirs for ours, theirs in _TABLE
                    if isinstance(err, ours))
        raise kind(reason=text) from err

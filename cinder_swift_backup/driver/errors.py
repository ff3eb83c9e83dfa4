# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

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

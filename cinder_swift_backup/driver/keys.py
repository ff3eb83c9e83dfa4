# SPDX-License-Identifier: Apache-2.0

"""What the keys of encrypted volumes ask of a driver.

Cinder takes care of the keys itself. It gives each backup a copy of the
volume's key, and deletes that copy with the record of the backup. It gives a
restored volume a copy of the backup's. Source: Cinder's ``BackupManager``. The
driver helps in two places:

* Cinder compares the types of the volumes behind the last byte, when what was
  on the target is lost. The driver does so before the first.
* Cinder deletes a key with the first of two records that name it. The driver
  has it wait for the last.
"""

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import volume_meta as volume_meta_format


def check_type(volume_meta, volume):
    """Refuse a volume that Cinder would refuse after the restore.

    :param volume_meta: as it is in the manifest
    :param volume: the record of the volume to restore to
    :raises VolumeError: when the backup is of an encrypted volume of another
        type
    """
    noted = volume_meta_format.read(volume_meta)
    # Version 1 knows of no keys.
    if noted.key_id is None or noted.version == 1:
        return
    type_id = volume['volume_type_id']
    if type_id in (None, noted.type_id):
        return
    raise exceptions.VolumeError(
        'the backup is of an encrypted volume whose type differs from the '
        "target's",
        expected=noted.type_id, actual=type_id,
        remedy=exceptions.Remedy.SAME_TYPE)


def leave_shared(backup, twins):
    """Have Cinder keep the key of a deleted record that others have, too.

    It deletes the one that it finds in ``backup``.

    :param twins: the other records of the same backup
    """
    if backup.encryption_key_id in [twin.encryption_key_id for twin in twins]:
        backup.encryption_key_id = None

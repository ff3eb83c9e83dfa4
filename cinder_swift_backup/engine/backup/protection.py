# SPDX-License-Identifier: Apache-2.0

"""Has no sweep delete what a backup in the form of packs needs.

The other half of :mod:`cinder_swift_backup.engine.sweeping`, for whoever makes
backups that no record tells the sweep of:

1. Have the note forget the packs that the backup needs.
2. Make sure that the manifest of the parent is still there. So whichever sweep
   may delete one of its packs, because the parent goes later, has to note it
   anew, and sees the manifest of this backup before that.
3. Fail if a pack was noted so long ago that a sweep may soon delete it, or is
   about to. Of the backup's own packs that is possible where it has put
   nothing for days, of the parent's where listings do not show its manifest.

A backup does so before its manifest is put, not to put it in vain, and after
that. Then no sweep that began before, and has not seen the manifest, can
delete a pack: it would have to be noted for a grace, and nothing is that is
noted for less than three quarters of one now, unless listings show manifests
later than the last quarter.
"""

import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import condemned_packs
from cinder_swift_backup.engine import operations
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import types


def protect(operation: operations.Operation, ref: types.BackupRef,
            packs: pack_table.PackTable, parent: types.BackupRef | None,
            grace: datetime.timedelta) -> None:
    """Have no sweep delete the packs that a backup needs.

    :param ref: the backup, whose manifest is about to be put, or was just put
    :param packs: those that it needs
    :param parent: None for a full backup
    :param grace: that of sweeps
    :raises ChainError: when the parent is gone, or a sweep may be about to
        delete a pack
    :raises StoreError: when the store fails
    """
    named = _forget(operation, condemned_packs.Volume(
        ref.container, ref.prefix), packs)
    store = operation.store
    if parent is not None:
        name = naming.manifest_name(parent.prefix)
        if not store.exists(parent.container, name):
            raise exceptions.ChainError(
                'the parent was deleted during the backup',
                backup_id=parent.backup_id, container=parent.container,
                name=name, remedy=exceptions.Remedy.REPEAT)
    if not named:
        return
    latest = condemned_packs.now(store) - grace * 3 / 4
    for rest, moment in named.items():
        if moment <= latest:
            raise exceptions.ChainError(
                'a sweep may be about to delete a pack that the backup needs',
                backup_id=ref.backup_id, container=ref.container,
                name=f'{packs.root}{rest}', remedy=exceptions.Remedy.REPEAT)


def _forget(operation: operations.Operation, volume: condemned_packs.Volume,
            packs: pack_table.PackTable) -> condemned_packs.Noted:
    """Have the note forget some packs, and tell when they were noted."""
    noted = condemned_packs.read(operation, volume)
    if not noted:
        return {}

    def find() -> dict[str, datetime.datetime]:
        rests = (name.removeprefix(packs.root) for name in packs.names())
        return {rest: noted[rest] for rest in rests if rest in noted}

    named = operation.call(find)
    if named:
        condemned_packs.write(operation, volume, {
            rest: moment for rest, moment in noted.items()
            if rest not in named})
    return named

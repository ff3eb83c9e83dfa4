# SPDX-License-Identifier: Apache-2.0

"""What of an account may be deleted, and why the rest has to stay.

A backup may be deleted unless

1. its container is a copy, to which what needs the backup may be on its way;
2. it may be in the making;
3. newer backups build on it, or may do so, since their manifests cannot be
   read;
4. a record names it, or its volume is being backed up.

An orphan is a backup without a manifest, or an object beside a backup that no
manifest names. It may be deleted unless

1. its container is copied elsewhere, and it may come from there;
2. its backup may be in the making: the records do not tell of all backups in
   its container, so perhaps not of this one either;
3. a record names its backup.

Whoever names a container answers for the first two. Nothing in a copy is an
orphan.

Records are what Cinder has, or whatever else has such. They have to be read
after the store is looked at: whoever writes objects has a record already.
"""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import enum

from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What there is on record of a backup.

    ``container`` is None for backups that have none. ``is_in_the_making`` and
    ``is_available`` say what ``status`` means, and ``is_idle`` that nobody is
    doing anything with the backup. ``has_dependents`` is whether any backups
    are counted that build on it. ``tags`` are what its owner noted with it, if
    that is known.
    """

    backup_id: str
    volume_id: str
    status: str
    container: str | None = None
    is_in_the_making: bool = False
    is_available: bool = False
    is_idle: bool = False
    is_incremental: bool = False
    has_dependents: bool = False
    tags: Mapping[str, str] | None = None


# By the ids of the backups.
Records = Mapping[str, Record]


class Reason(enum.Enum):
    """Why something has to stay."""

    # Its container is a copy.
    COPY = enum.auto()
    IN_THE_MAKING = enum.auto()
    NEEDED = enum.auto()
    # Newer backups do not tell what they build on.
    PERHAPS_NEEDED = enum.auto()
    RECORDED = enum.auto()
    VOLUME_IN_USE = enum.auto()
    # Its container is copied elsewhere.
    SHARED = enum.auto()
    # It is there in another form, too.
    TWO_FORMS = enum.auto()
    # The records do not tell of all backups in its container.
    UNSEEN = enum.auto()


@dataclasses.dataclass(frozen=True, slots=True)
class Obstacle:
    """A reason, and the backups or records that it is about."""

    reason: Reason
    others: tuple[backups.Backup, ...] = ()
    records: tuple[Record, ...] = ()


def record_of(records: Records, backup: backups.Backup) -> Record | None:
    """The record of a backup, unless that is of a copy elsewhere."""
    record = records.get(backup.ref.backup_id)
    if record is None or record.container in (None, backup.ref.container):
        return record
    return None


def obstacle(lineage: lineages.Lineage, backup: backups.Backup,
             gone: Collection[backups.Backup] = ()) -> Obstacle | None:
    """Why a backup has to stay, by what the store has; None if it need not.

    :param gone: those that are deleted before
    """
    if backup.ref.container in lineage.copies:
        return Obstacle(Reason.COPY)
    if backup.state is backups.State.ARRIVING:
        return Obstacle(Reason.IN_THE_MAKING)
    twins = [twin for twin in lineage.twins(backup)
             if twin.summary is not None]
    if twins:
        return Obstacle(Reason.TWO_FORMS, tuple(twins))
    dependents = [other for other in lineage.dependents(backup)
                  if other not in gone]
    if dependents:
        return Obstacle(Reason.NEEDED, tuple(dependents))
    if unknown := lineage.unknown(backup):
        return Obstacle(Reason.PERHAPS_NEEDED, tuple(unknown))
    return None


def obstacle_on_record(records: Records,
                       backup: backups.Backup) -> Obstacle | None:
    """Why a backup has to stay, by the records; None if it need not."""
    record = record_of(records, backup)
    if record is not None:
        return Obstacle(Reason.RECORDED, records=(record,))
    in_the_making = [other for other in records.values()
                     if other.volume_id == backup.ref.volume_id
                     and other.is_in_the_making]
    if in_the_making:
        return Obstacle(Reason.VOLUME_IN_USE, records=tuple(in_the_making))
    return None


def unrecorded(lineage: lineages.Lineage,
               records: Records) -> list[backups.Backup]:
    """The backups with a manifest of which there is no record."""
    return [backup for backup in lineage.backups
            if backup.summary is not None
            and record_of(records, backup) is None]


def lost(lineage: lineages.Lineage, records: Records) -> list[Record]:
    """The records of backups of which the store has nothing.

    Only those in containers that have other backups.
    """
    ids = {backup.ref.backup_id for backup in lineage.backups}
    containers = {backup.ref.container for backup in lineage.backups}
    return [record for record in records.values()
            if record.container in containers and record.is_available
            and record.backup_id not in ids]


def is_whole(orphan: backups.Backup) -> bool:
    """Whether a whole backup is an orphan, not just objects beside it."""
    return orphan.state is backups.State.ORPHANED


def orphans(lineage: lineages.Lineage) -> list[backups.Backup]:
    """The backups that are orphans, or have any beside them."""
    return [backup for backup in lineage.backups
            if backup.ref.container not in lineage.copies
            and (is_whole(backup) or backup.strays)]


def orphan_obstacle(lineage: lineages.Lineage, orphan: backups.Backup,
                    records: Records, unseen: Collection[backups.Backup],
                    named: Collection[str]) -> Obstacle | None:
    """Why an orphan has to stay; None if it need not.

    :param unseen: the backups that are :func:`unrecorded`
    :param named: the containers that the user has named
    """
    container = orphan.ref.container
    if container not in named:
        if container in lineage.shared:
            return Obstacle(Reason.SHARED)
        # Nobody is told that there are records that nobody tells.
        if is_whole(orphan) and any(other.ref.container == container
                                    for other in unseen):
            return Obstacle(Reason.UNSEEN)
    record = record_of(records, orphan)
    # What is beside a backup is nobody's, whoever knows the backup.
    # It may be of the same backup in another form.
    if record is not None and is_whole(orphan) and not any(
            lineage.state(twin) is backups.State.COMPLETE
            for twin in lineage.twins(orphan)):
        return Obstacle(Reason.RECORDED, records=(record,))
    return None


def objects(repo: repository.Repository,
            backup: backups.Backup) -> Collection[str]:
    """The names of all objects of a backup.

    :raises StoreError: when they cannot be found
    """
    return repo.find_objects(backup.ref, complete=False).names


def delete(repo: repository.Repository, backup: backups.Backup) -> int:
    """Delete a backup; returns how many objects it had.

    :raises StoreError: when not all of it could be deleted
    """
    names = objects(repo, backup)
    repo.discard(backup.ref, names)
    return len(names)


def delete_orphan(repo: repository.Repository, orphan: backups.Backup,
                  now: backups.Backup | None) -> bool:
    """Delete an orphan; returns False if it no longer is one.

    :param now: what another look at it has found; None if it is gone
    :raises StoreError: when not all of it could be deleted
    """
    if now is None or is_whole(now) != is_whole(orphan):
        return False
    if is_whole(now):
        delete(repo, now)
        return True
    for name in now.strays:
        repo.store.delete(now.ref.container, name)
    return True

# SPDX-License-Identifier: Apache-2.0

"""The backups of an account, as somebody without Cinder looks at them.

1. Find backups by listings, in the containers that were named or in all.
2. Look at those in question, and at all others of their volumes, for what a
   backup builds on is a backup of the same volume.
3. Give them as a lineage, which knows what builds on what.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import quick
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

GRACE = datetime.timedelta(days=1)
# By the store's clock, if it tells it, and by ours.
Clocks = Callable[[datetime.datetime | None, datetime.datetime], None]


class Survey:
    """The backups in one repository."""

    def __init__(self, repo: repository.Repository,
                 containers: Sequence[str] = (),
                 grace: datetime.timedelta = GRACE, *,
                 closely: bool = False,
                 compare_clocks: Clocks = lambda told, ours: None) -> None:
        """Prepare.

        :param containers: where to look; everywhere if there are none
        :param grace: for how long what is missing may still arrive
        :param closely: whether to ask for the objects that listings show
        :param compare_clocks: called once, with the times of both in UTC
        """
        self.repository = repo
        self.containers = tuple(containers)
        self._inventory = inventory.Inventory(repo.operation)
        self._grace = grace
        self._closely = closely
        self._compare_clocks: Clocks | None = compare_clocks

    def find(self) -> list[inventory.Listed]:
        """All backups, as listings show them."""
        if self.containers:
            return self._inventory.scan(self.containers)
        return self._inventory.scan_all()

    def everything(self, observer: operations.Observer) -> lineages.Lineage:
        """All backups, each looked at."""
        return self._look(self.find(), observer)

    def everywhere(self, observer: operations.Observer) -> lineages.Lineage:
        """All backups, each looked at, also in containers not named.

        :raises ContainerNotFound: when there is no such container
        """
        for container in self.containers:
            next(self.repository.store.list(container, ''), None)
        return self._look(self._inventory.scan_all(), observer)

    def of_volumes(self, beginning: str,
                   observer: operations.Observer) -> lineages.Lineage:
        """All backups of the volumes whose id begins so."""
        return self._look(self._find_of_volumes(beginning), observer)

    def _find_of_volumes(self, beginning: str) -> list[inventory.Listed]:
        return [listed for listed in self.find()
                if inventory.begins(listed.ref.volume_id, beginning)]

    def one(self, beginning: str, observer: operations.Observer,
            ) -> tuple[lineages.Lineage, backups.Backup]:
        """One backup, and those of its volume.

        :param beginning: of its id
        :raises SelectionError: when no backup has such an id, or several
        """
        lineage, (backup,) = self.several([beginning], observer)
        return lineage, backup

    def several(self, beginnings: Iterable[str], observer: operations.Observer,
                *, other_than: chains.Form | None = None,
                ) -> tuple[lineages.Lineage, list[backups.Backup]]:
        """Several backups, and those of their volumes.

        Of one that is in several forms, that is one that is complete.

        :param beginnings: of their ids
        :param other_than: of one that is in several forms, take none that
            it was converted to
        :raises SelectionError: when no backup has such an id, or several
        """
        listed = self.find()
        lineage, found = self._of_volumes(listed, [
            inventory.select(listed, beginning, other_than=other_than).ref
            for beginning in beginnings], observer)
        if other_than is not None:
            return lineage, found
        return lineage, [lineage.in_best_form(backup) for backup in found]

    def chosen(self, beginnings: Sequence[str], volume: str | None,
               observer: operations.Observer, *,
               other_than: chains.Form | None = None,
               ) -> tuple[lineages.Lineage, list[backups.Backup]]:
        """Those backups that the user has named, all if none.

        :param beginnings: of their ids
        :param volume: the beginning of the id of a volume, instead
        :param other_than: as of :meth:`several`
        :raises SelectionError: when no backup has such an id, or several
        """
        if beginnings:
            return self.several(beginnings, observer, other_than=other_than)
        lineage = (self.everything(observer) if volume is None
                   else self.of_volumes(volume, observer))
        return lineage, lineage.backups

    def packed_volumes(self, beginning: str) -> list[packed.PackedVolume]:
        """The volumes that have packs, or a note of some.

        :param beginning: of their ids
        """
        containers = self.containers or inventory.Inventory(
            self.repository.operation).containers()
        return [volume for volume
                in packed.find(self.repository.store, containers)
                if inventory.begins(volume.volume_id, beginning)]

    def one_of_everything(self, beginning: str, observer: operations.Observer,
                          ) -> tuple[lineages.Lineage, backups.Backup]:
        """One backup, and those of its volume in whatever container.

        :param beginning: of its id, in the containers that were named
        :raises SelectionError: when no backup has such an id, or several
        """
        listed = self.find()
        ref = inventory.select(listed, beginning).ref
        if self.containers:
            listed = self._inventory.scan_all()
        lineage, (backup,) = self._of_volumes(listed, [ref], observer)
        return lineage, backup

    def _of_volumes(self, listed: Iterable[inventory.Listed],
                    refs: Iterable[types.BackupRef],
                    observer: operations.Observer,
                    ) -> tuple[lineages.Lineage, list[backups.Backup]]:
        refs = dict.fromkeys(refs)
        volumes = {ref.volume_id for ref in refs}
        lineage = self._look([backup for backup in listed
                              if backup.ref.volume_id in volumes], observer)
        by_ref = {backup.ref: backup for backup in lineage.backups}
        return lineage, [by_ref[ref] for ref in refs]

    def latest(self, beginning: str, observer: operations.Observer,
               back: int = 0) -> tuple[lineages.Lineage, backups.Backup]:
        """The newest backup of a volume that is complete, or one before.

        :param beginning: of the volume's id
        :param back: how many complete ones before the newest it is
        :raises SelectionError: when there is none, or several volumes
        """
        if not beginning:
            raise exceptions.SelectionError('the id of a volume is empty')
        listed = self._find_of_volumes(beginning)
        volumes = sorted({backup.ref.volume_id for backup in listed})
        if len(volumes) != 1:
            raise exceptions.SelectionError(
                f'{len(volumes) or "no"} volumes with backups have an id '
                f'that begins with {beginning!r}')
        lineage = self._look(listed, observer)
        usable = lineage.once([
            backup for backup in lineage.backups
            if lineage.state(backup) is backups.State.COMPLETE])
        if not usable:
            raise exceptions.SelectionError(
                f'no backup of volume {volumes[0]} is complete')
        if back >= len(usable):
            raise exceptions.SelectionError(
                f'volume {volumes[0]} has {len(usable)} complete backups, so '
                f'there is no latest~{back}')
        return lineage, usable[-1 - back]

    def delete_orphan(self, orphan: backups.Backup) -> bool:
        """Delete an orphan; returns False if it no longer is one.

        :raises StoreError: when not all of it could be deleted
        """
        return deletion.delete_orphan(self.repository, orphan,
                                      self.look_again(orphan))

    def look_again(self, backup: backups.Backup) -> backups.Backup | None:
        """What a backup is now; None if nothing of it is there any more."""
        listed = self._inventory.refresh(backup.listed)
        if listed is None:
            return None
        (now,) = self._look([listed], operations.Silent()).backups
        return now

    def _look(self, listed: Sequence[inventory.Listed],
              observer: operations.Observer) -> lineages.Lineage:
        syncs = self._inventory.syncs(
            {backup.ref.container for backup in listed})
        patience = backups.Patience(
            self._now(), self._grace,
            copies=frozenset(name for name, sync in syncs.items()
                             if sync and sync.to is None),
            shared=frozenset(name for name, sync in syncs.items()
                             if sync and sync.to is not None))
        checked = quick.Checker(self.repository, patience).check(
            listed, observer, closely=self._closely)
        return lineages.Lineage(checked, patience)

    def _now(self) -> datetime.datetime:
        """The time by the store's clock; by ours if it does not tell."""
        told, ours = self.repository.store.now(), datetime.datetime.now(
            datetime.UTC)
        if self._compare_clocks is not None:
            self._compare_clocks(told, ours)
            self._compare_clocks = None
        return told or ours

    def check_owner(self) -> None:
        """Make sure that it is seen which containers are copies.

        :raises AccessDenied: when the login is not one of an owner of the
            account, to whom Swift does not tell that
        """
        next(self.repository.store.containers(), None)

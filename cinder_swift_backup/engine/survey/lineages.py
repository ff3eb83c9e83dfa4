# SPDX-License-Identifier: Apache-2.0

"""The backups of a store together: which builds on which, and what of them
can be restored.

A backup is no better than what it builds on. What that is, its manifest says
by an id, and the container is the same, or that of the time it was made.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types


class Lineage:
    """The backups of a store, and which builds on which.

    ``backups`` has what a backup builds on before it, whatever the clocks of
    the hosts were that made them.
    """

    def __init__(self, checked: Sequence[backups.Backup],
                 patience: backups.Patience) -> None:
        self._patience = patience
        self._by_id: dict[str, list[backups.Backup]] = {}
        for backup in checked:
            self._by_id.setdefault(backup.ref.backup_id, []).append(backup)
        self.backups = self._parents_first(checked)

    def _parents_first(self, checked: Iterable[backups.Backup],
                       ) -> list[backups.Backup]:
        done: dict[types.BackupRef, backups.Backup] = {}
        for backup in checked:
            chain: dict[types.BackupRef, backups.Backup] = {}
            below: backups.Backup | None = backup
            while below is not None and not (
                    below.ref in chain or below.ref in done):
                chain[below.ref] = below
                below = self._parent_or_none(below)
            done.update(reversed(chain.items()))
        return list(done.values())

    def _parent_or_none(self, backup: backups.Backup) -> backups.Backup | None:
        try:
            return self._parent(backup)
        except exceptions.ChainError:
            return None

    def chain(self, backup: backups.Backup) -> list[backups.Backup]:
        """The backups that one consists of, oldest first.

        :raises ChainError: when one is not there, or cannot be read, or
            builds on itself
        """
        links = [backup]
        while (below := self._parent(links[-1])) is not None:
            if below in links:
                raise exceptions.ChainError(
                    'according to its manifest, the backup is its own '
                    'ancestor',
                    backup_id=below.ref.backup_id)
            links.append(below)
        links.reverse()
        return links

    def _parent(self, backup: backups.Backup) -> backups.Backup | None:
        ref = backup.ref
        if backup.summary is None:
            raise exceptions.ChainError(
                'the backup has no readable manifest',
                backup_id=ref.backup_id, container=ref.container,
                name=naming.manifest_name(ref.prefix))
        parent_id = backup.summary.parent_id
        if parent_id is None:
            return None
        # A recovery point of the same id is the parent in another form, on
        # which nothing builds.
        same = [other for other in self._by_id.get(parent_id, [])
                if not other.is_point]
        # Beside this one, or where it was when this one was made.
        for place in (ref, backup.summary.parent):
            for parent in same:
                if place and parent.ref.container == place.container:
                    return parent
        if len(same) == 1:
            return same[0]
        raise exceptions.ChainError(
            'the parent of the backup '
            + ('is in several containers' if same else 'was not found'),
            backup_id=ref.backup_id, detail=f'parent {parent_id}')

    def unknown(self, backup: backups.Backup) -> list[backups.Backup]:
        """Newer backups of the volume that may build on one, or may not.

        Their manifests cannot be read, or are still to come: also that of an
        incremental which has found nothing to store for a long time. Names
        have the time of the host that made the backup, and objects that of the
        store: newer is what is so by either.
        """
        return [other for other in self.backups
                if other.summary is None and other is not backup
                and other.ref.volume_id == backup.ref.volume_id
                and (other.listed.created >= backup.listed.created
                     or other.listed.modified >= backup.listed.modified)]

    def dependents(self, backup: backups.Backup) -> list[backups.Backup]:
        """The backups that build on one directly."""
        if backup.is_point:
            return []
        return [other for other in self.backups
                if other.summary is not None
                and other.summary.parent_id == backup.ref.backup_id]

    def twins(self, backup: backups.Backup) -> list[backups.Backup]:
        """The same backup in other forms: what it was converted from or to."""
        return [other for other in self._by_id[backup.ref.backup_id]
                if other is not backup
                and other.ref.volume_id == backup.ref.volume_id
                and other.ref.container == backup.ref.container]

    def once(self, chosen: Collection[backups.Backup],
             ) -> list[backups.Backup]:
        """Some backups, each in one form only.

        Of one that is in several, that is what others build on, or else the
        form that it was converted to last.
        """
        known = {backup.ref for backup in chosen}
        kept: list[backups.Backup] = []
        decided: set[types.BackupRef] = set()
        # What builds on a backup is after all of its forms.
        for backup in reversed(self.backups):
            if backup.ref not in known or backup.ref in decided:
                continue
            forms = [backup, *(twin for twin in self.twins(backup)
                               if twin.ref in known)]
            needed = [form for form in forms
                      if any(other in kept for other in self.dependents(form))]
            kept.append(max(needed or forms, key=lambda form: (
                naming.is_converted(form.ref.prefix), form.listed.modified)))
            decided.update(form.ref for form in forms)
        kept.reverse()
        return kept

    def in_best_form(self, backup: backups.Backup) -> backups.Backup:
        """A backup, or the same in another form if only that is complete."""
        return next((form for form in (backup, *self.twins(backup))
                     if self.state(form) is backups.State.COMPLETE), backup)

    def state(self, backup: backups.Backup) -> backups.State:
        """The state of a backup with all that it builds on."""
        return self.problem(backup)[0]

    def problem(self, backup: backups.Backup) -> tuple[backups.State, str]:
        """The state, and a text that says why; empty if it is complete."""
        if backup.state is not backups.State.COMPLETE:
            return backup.state, _described(backup, backup)
        try:
            chain = self.chain(backup)
        except exceptions.ChainError as err:
            # Perhaps the parent is still to come.
            return self._patience.incomplete(backup.listed), str(err)
        for link in chain:
            if link.state is not backups.State.COMPLETE:
                arriving = link.state is backups.State.ARRIVING
                return (backups.State.ARRIVING if arriving
                        else backups.State.DAMAGED), _described(link, backup)
        return backups.State.COMPLETE, ''

    def check_usable(self, backup: backups.Backup) -> None:
        """Refuse a backup that cannot be restored.

        :raises ChainError: that says why; StillArriving if it may come
        """
        state, why = self.problem(backup)
        if state is backups.State.COMPLETE:
            return
        kind = (exceptions.StillArriving if state is backups.State.ARRIVING
                else exceptions.ChainError)
        raise kind(f'the backup is {state.value}: {why}',
                   backup_id=backup.ref.backup_id)

    def lags(self, container: str) -> list[datetime.timedelta | None]:
        """For each volume in a container, how far its backups are behind.

        None if they are not. Else it is from the newest backup that can be
        restored to the newest that has begun to arrive; from the oldest, if
        none can be restored.
        """
        by_volume: dict[str, list[backups.Backup]] = {}
        for backup in self.backups:
            if backup.ref.container == container:
                by_volume.setdefault(backup.ref.volume_id, []).append(backup)
        return [self._lag(of_volume) for of_volume in by_volume.values()]

    def _lag(self,
             of_volume: list[backups.Backup]) -> datetime.timedelta | None:
        if self.state(of_volume[-1]) is backups.State.COMPLETE:
            return None
        times = [backup.listed.created for backup in of_volume]
        usable = [backup.listed.created for backup in of_volume
                  if self.state(backup) is backups.State.COMPLETE]
        return max(times) - max(usable, default=min(times))

    @property
    def now(self) -> datetime.datetime:
        """When the backups were looked at, in UTC, by the store's clock."""
        return self._patience.now

    @property
    def copies(self) -> frozenset[str]:
        """The containers that another site is copied to."""
        return self._patience.copies

    @property
    def shared(self) -> frozenset[str]:
        """The containers that are copied to another site."""
        return self._patience.shared

    def size(self, backup: backups.Backup) -> int | None:
        """The size of the volume in bytes, as far as manifests tell.

        The stock driver does not note it; then it is where the chunks of the
        chain end.
        """
        if backup.summary is None:
            return None
        if backup.summary.volume_size is not None:
            return backup.summary.volume_size
        try:
            chain = self.chain(backup)
        except exceptions.ChainError:
            return None
        return max(link.summary.end for link in chain if link.summary)


def _described(link: backups.Backup, tip: backups.Backup) -> str:
    """What is wrong with a link of the chain of a backup.

    It is named only if it is another.
    """
    finding = next(finding for finding in link.findings
                   if finding.state is link.state)
    where = [] if link is tip else [f'backup {link.ref.backup_id}']
    if finding.name:
        where.append(f'object {finding.name}')
    return ': '.join(filter(None, (', '.join(where), finding.what)))

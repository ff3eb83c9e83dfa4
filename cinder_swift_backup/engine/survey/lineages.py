# SPDX-License-Identifier: Apache-2.0

"""The backups of a store together: which builds on which, and what of them
can be restored.

A backup is no better than what it builds on. What that is, its manifest says
by an id, and the container is the same, or that of the time it was made.
"""

from collections.abc import Iterable
import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.survey import audit
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types


class Library:
    """The backups of a store, and which builds on which.

    ``audits`` has what a backup builds on before it, whatever the clocks of
    the hosts were that made them.
    """

    def __init__(self, audits: Iterable[audit.Audit],
                 patience: audit.Patience) -> None:
        found = list(audits)
        self._patience = patience
        self._by_id: dict[str, list[audit.Audit]] = {}
        for each in found:
            self._by_id.setdefault(each.found.ref.backup_id,
                                   []).append(each)
        self.audits = self._parents_first(found)

    def _parents_first(self, audits: Iterable[audit.Audit],
                       ) -> list[audit.Audit]:
        done: dict[types.BackupRef, audit.Audit] = {}
        for each in audits:
            chain: dict[types.BackupRef, audit.Audit] = {}
            below: audit.Audit | None = each
            while below is not None and not (
                    below.found.ref in chain or below.found.ref in done):
                chain[below.found.ref] = below
                below = self._parent_or_none(below)
            done.update(reversed(chain.items()))
        return list(done.values())

    def _parent_or_none(self, each: audit.Audit) -> audit.Audit | None:
        try:
            return self._parent(each)
        except exceptions.ChainError:
            return None

    def chain(self, each: audit.Audit) -> list[audit.Audit]:
        """The backups that one consists of, oldest first.

        :raises ChainError: when one is not there, or cannot be read, or
            builds on itself
        """
        found = [each]
        while (below := self._parent(found[-1])) is not None:
            if below in found:
                raise exceptions.ChainError(
                    'by its manifest the backup is its own ancestor',
                    backup_id=below.found.ref.backup_id)
            found.append(below)
        found.reverse()
        return found

    def _parent(self, each: audit.Audit) -> audit.Audit | None:
        ref = each.found.ref
        if each.summary is None:
            raise exceptions.ChainError(
                'the backup has no manifest that can be read',
                backup_id=ref.backup_id, container=ref.container,
                name=naming.manifest_name(ref.prefix))
        parent_id = each.summary.parent_id
        if parent_id is None:
            return None
        same = self._by_id.get(parent_id, [])
        # Beside this one, or where it was when this one was made.
        for wanted in (ref, each.summary.parent):
            for other in same:
                if wanted and other.found.ref.container == wanted.container:
                    return other
        if len(same) == 1:
            return same[0]
        raise exceptions.ChainError(
            'the backup builds on one '
            + ('that is in several containers' if same
               else 'of which there is nothing'),
            backup_id=ref.backup_id, detail=f'on backup {parent_id}')

    def unknown(self, each: audit.Audit) -> list[audit.Audit]:
        """Newer backups of the volume that may build on one, or may not.

        Their manifests cannot be read, or are still to come: also that of an
        incremental which has found nothing to store for a long time. Names
        have the time of the host that made the backup, and objects that of the
        store: newer is what is so by either.
        """
        return [other for other in self.audits
                if other.summary is None and other is not each
                and other.found.ref.volume_id == each.found.ref.volume_id
                and (other.found.created >= each.found.created
                     or other.found.modified >= each.found.modified)]

    def dependents(self, each: audit.Audit) -> list[audit.Audit]:
        """The backups that build on one directly."""
        backup_id = each.found.ref.backup_id
        return [other for other in self.audits
                if other.summary is not None
                and other.summary.parent_id == backup_id]

    def state(self, each: audit.Audit) -> audit.State:
        """The state of a backup with all that it builds on."""
        return self.problem(each)[0]

    def problem(self, each: audit.Audit) -> tuple[audit.State, str]:
        """The state, and a text that says why; empty if it is complete."""
        if each.state is not audit.State.COMPLETE:
            return each.state, _described(each, each)
        try:
            chain = self.chain(each)
        except exceptions.ChainError as err:
            # Perhaps the parent is still to come.
            return self._patience.incomplete(each.found), str(err)
        for link in chain:
            if link.state is not audit.State.COMPLETE:
                arriving = link.state is audit.State.ARRIVING
                return (audit.State.ARRIVING if arriving
                        else audit.State.DAMAGED), _described(link, each)
        return audit.State.COMPLETE, ''

    def lags(self, container: str) -> list[datetime.timedelta | None]:
        """For each volume in a container, how far its backups are behind.

        None if they are not. Else it is from the newest backup that can be
        restored to the newest that has begun to arrive; from the oldest, if
        none can be restored.
        """
        by_volume: dict[str, list[audit.Audit]] = {}
        for each in self.audits:
            if each.found.ref.container == container:
                by_volume.setdefault(each.found.ref.volume_id,
                                     []).append(each)
        return [self._lag(audits) for audits in by_volume.values()]

    def _lag(self, audits: list[audit.Audit]) -> datetime.timedelta | None:
        if self.state(audits[-1]) is audit.State.COMPLETE:
            return None
        times = [each.found.created for each in audits]
        usable = [each.found.created for each in audits
                  if self.state(each) is audit.State.COMPLETE]
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

    def size(self, each: audit.Audit) -> int | None:
        """The size of the volume in bytes, as far as manifests tell.

        The stock driver does not note it; then it is where the chunks of the
        chain end.
        """
        if each.summary is None:
            return None
        if each.summary.volume_size is not None:
            return each.summary.volume_size
        try:
            chain = self.chain(each)
        except exceptions.ChainError:
            return None
        return max(link.summary.end for link in chain if link.summary)


def _described(link: audit.Audit, each: audit.Audit) -> str:
    """What is wrong with a link of the chain of a backup.

    It is named only if it is another.
    """
    finding = next(found for found in link.findings
                   if found.state is link.state)
    where = [] if link is each else [f'backup {link.found.ref.backup_id}']
    if finding.name:
        where.append(f'object {finding.name}')
    return ': '.join(filter(None, (', '.join(where), finding.what)))

# SPDX-License-Identifier: Apache-2.0

"""The backups in an account, as a command looks at them."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import datetime

from cinder_swift_backup import engine as engines
from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.survey import audit
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

GRACE = datetime.timedelta(days=1)
# Seconds: clocks that differ by no more are the same.
_SAME = 60
WORKERS = 4


class Shelf:
    """The backups of one store."""

    def __init__(self, store: base.ObjectStore,
                 containers: Sequence[str] = (),
                 grace: datetime.timedelta = GRACE,
                 workers: int = WORKERS, *, region: str | None = None,
                 closely: bool = False,
                 say: Callable[[str], None] = lambda line: None) -> None:
        """Prepare.

        :param containers: where to look; everywhere if there are none
        :param grace: for how long what is missing may still arrive
        :param workers: how many chunks are processed at the same time
        :param region: what the account is in, for words only
        :param closely: whether to ask for the objects that listings show
        :param say: told what the user should know besides
        """
        self.engine = engines.Engine(store, pipelines.Runtime(), workers)
        self._containers = list(containers)
        self._grace = grace
        self._region = region
        self._closely = closely
        self._say = say
        self._has_said = False

    @property
    def place(self) -> str:
        """Where it looks, in words.

        :raises StoreError: when there is no access to the account
        """
        words = f'account {self.engine.store.account()}'
        if self._region:
            words += f' of region {self._region}'
        if self._containers:
            words += f', container {", ".join(self._containers)}'
        return words

    def find(self) -> list[inventory.Found]:
        """All backups, as listings show them."""
        if self._containers:
            return self.engine.inventory.scan(self._containers)
        return self.engine.inventory.scan_all()

    def library(self, observer: operations.Observer) -> lineages.Library:
        """All backups, each looked at."""
        return self._look(self.find(), observer)

    def of_volumes(self, beginning: str,
                   observer: operations.Observer) -> lineages.Library:
        """All backups of the volumes whose id begins so."""
        return self._look(self._find_of_volumes(beginning), observer)

    def _find_of_volumes(self, beginning: str) -> list[inventory.Found]:
        return [each for each in self.find()
                if inventory.begins(each.ref.volume_id, beginning)]

    def with_ancestors(self, beginning: str, observer: operations.Observer,
                       ) -> tuple[lineages.Library, audit.Audit]:
        """One backup, and those of its volume.

        :param beginning: of its id
        :raises SelectionError: when no backup has such an id, or several
        """
        library, (wanted,) = self.several([beginning], observer)
        return library, wanted

    def several(self, beginnings: Iterable[str], observer: operations.Observer,
                ) -> tuple[lineages.Library, list[audit.Audit]]:
        """Several backups, and those of their volumes.

        :param beginnings: of their ids
        :raises SelectionError: when no backup has such an id, or several
        """
        found = self.find()
        return self._of_volumes(
            found, [_select(found, each) for each in beginnings], observer)

    def with_all_of_its_volume(
            self, beginning: str, observer: operations.Observer,
            ) -> tuple[lineages.Library, audit.Audit]:
        """The same, with those in containers where it is not looked for.

        :raises SelectionError: when no backup has such an id, or several
        """
        found = self.find()
        wanted = _select(found, beginning)
        if self._containers:
            found = self.engine.inventory.scan_all()
        library, (each,) = self._of_volumes(found, [wanted], observer)
        return library, each

    def _of_volumes(self, found: Iterable[inventory.Found],
                    wanted: Iterable[types.BackupRef],
                    observer: operations.Observer,
                    ) -> tuple[lineages.Library, list[audit.Audit]]:
        wanted = dict.fromkeys(wanted)
        volumes = {ref.volume_id for ref in wanted}
        library = self._look(
            (each for each in found if each.ref.volume_id in volumes),
            observer)
        by_ref = {each.found.ref: each for each in library.audits}
        return library, [by_ref[ref] for ref in wanted]

    def latest(self, beginning: str, observer: operations.Observer,
               ) -> tuple[lineages.Library, audit.Audit]:
        """The newest backup of a volume that is complete.

        :param beginning: of the volume's id
        :raises SelectionError: when there is none, or several volumes
        """
        if not beginning:
            raise exceptions.SelectionError('the id of a volume is empty')
        found = self._find_of_volumes(beginning)
        volumes = sorted({each.ref.volume_id for each in found})
        if len(volumes) != 1:
            raise exceptions.SelectionError(
                f'{len(volumes) or "no"} volumes with backups have an id '
                f'that begins with {beginning!r}')
        library = self._look(found, observer)
        usable = [each for each in library.audits
                  if library.state(each) is audit.State.COMPLETE]
        if not usable:
            raise exceptions.SelectionError(
                f'no backup of volume {volumes[0]} is complete')
        return library, usable[-1]

    def look_again(self, each: audit.Audit) -> audit.Audit | None:
        """What a backup is now; None if nothing of it is there any more."""
        found = self.engine.inventory.refresh(each.found)
        if found is None:
            return None
        (now,) = self._look([found], operations.Silent()).audits
        return now

    def delete_strays(self, each: audit.Audit) -> None:
        """Delete what looks like a backup's, and nothing of the backup."""
        for name in each.strays:
            self.engine.store.delete(each.found.ref.container, name)

    def subject(self, library: lineages.Library,
                each: audit.Audit) -> deep.Subject:
        """A backup to be fetched, with its manifest."""
        ref = each.found.ref
        return deep.Subject(
            chains.ChainLink(ref, self.engine.repository.load(ref)),
            library.size(each) or 0)

    def _look(self, found: Iterable[inventory.Found],
              observer: operations.Observer) -> lineages.Library:
        found = list(found)
        syncs = self.engine.inventory.syncs(
            {each.ref.container for each in found})
        patience = audit.Patience(
            self._now(), self._grace,
            copies=frozenset(name for name, sync in syncs.items()
                             if sync and sync.to is None),
            shared=frozenset(name for name, sync in syncs.items()
                             if sync and sync.to is not None))
        return lineages.Library(self.engine.auditor(patience).audit(
            found, observer, closely=self._closely), patience)

    def _now(self) -> datetime.datetime:
        """The time by the store's clock; by ours if it does not tell."""
        told, ours = self.engine.store.now(), datetime.datetime.now(
            datetime.UTC)
        line = _difference(told, ours)
        if line and not self._has_said:
            self._say(line)
            self._has_said = True
        return told or ours

    def check_owner(self) -> None:
        """Make sure that it is seen which containers are copies.

        :raises AccessDenied: when the login is not one of an owner of the
            account, to whom Swift does not tell that
        """
        next(self.engine.store.containers(), None)

    def is_named(self, container: str) -> bool:
        """Whether the user named a container."""
        return container in self._containers


def _select(found: Sequence[inventory.Found],
            beginning: str) -> types.BackupRef:
    """The backup whose id begins so.

    :raises SelectionError: when there is none, or more than one; it knows the
        ids of volumes, too
    """
    is_backup = any(inventory.begins(each.ref.backup_id, beginning)
                    for each in found)
    if not is_backup and any(inventory.begins(each.ref.volume_id, beginning)
                             for each in found):
        raise exceptions.SelectionError(
            f'{beginning!r} is a volume, and not a backup: "list --volume" '
            f'shows its backups, and "restore --latest-complete" takes the '
            f'newest that is complete')
    if beginning and not is_backup:
        raise exceptions.SelectionError(
            f'there is no backup whose id begins with {beginning!r}: "list '
            f'--long" shows ids and names')
    return inventory.select(found, beginning).ref


def _difference(told: datetime.datetime | None,
                ours: datetime.datetime) -> str | None:
    """What there is to say of two clocks; None if they are the same."""
    if told is None:
        return ("Swift does not tell the time; the command goes by this "
                "host's clock.")
    apart = round((ours - told).total_seconds())
    if abs(apart) <= _SAME:
        return None
    how_far = formatting.duration(datetime.timedelta(seconds=abs(apart)))
    return (f"This host's clock is {how_far} "
            f"{'ahead of' if apart > 0 else 'behind'} Swift's; the command "
            f"goes by Swift's.")


def usable(library: lineages.Library, wanted: audit.Audit) -> None:
    """Refuse a backup that cannot be restored.

    :raises ChainError: that says why; StillArriving if it may come
    """
    state, why = library.problem(wanted)
    if state is audit.State.COMPLETE:
        return
    kind = (exceptions.StillArriving if state is audit.State.ARRIVING
            else exceptions.ChainError)
    raise kind(f'the backup is {state.value}: {why}',
               backup_id=wanted.found.ref.backup_id)

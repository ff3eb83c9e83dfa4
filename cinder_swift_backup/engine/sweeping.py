# SPDX-License-Identifier: Apache-2.0

"""Deletes packs that no recovery point of their volume names any more.

A wrong sweep would lose every backup of a volume. So:

1. Sweep nothing in a copy: manifests may be on their way there.
2. List what is below the volume, and then read all manifests anew. If one
   cannot be read, or is listed and not there, sweep nothing: nobody knows what
   it names.
3. Note the packs that none of them names, with the time by the store's clock,
   and forget those that are named again.
4. Delete those that were noted a grace ago or before, and are not named now.

The caller knows that no backup of the volume is being made, by Cinder's
records. Where there are none, the grace has to do: a backup that has taken
longer looks for its packs before its manifest is put, and after that, and
fails if one is gone. A manifest that a listing does not show yet is shown
within the grace, so its packs are forgotten again.

Where no manifest is left, and the caller knows that no backup of the volume
is, all packs go at once.

A sweep that ends in the middle is repeated by the next, and two at a time do
the same.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime
import hashlib

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.format import condemned
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
GRACE = datetime.timedelta(days=1)
# How many manifests a worker reads at once. It mostly waits for the store.
_AT_ONCE = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """What to sweep: the packs of a volume in one container.

    ``prefix`` is that of any of its backups.
    """

    container: str
    prefix: str

    @property
    def root(self) -> str:
        """What the names of all objects of the volume begin with."""
        return naming.packs(self.prefix).removesuffix('packs/')


@dataclasses.dataclass(frozen=True, slots=True)
class Swept:
    """The names of packs that were deleted, their bytes, and what waits.

    ``noted`` is how many packs nobody names that have to wait for the grace.
    ``why`` says why nothing was swept; empty if that was possible.
    """

    deleted: tuple[str, ...] = ()
    stored_bytes: int = 0
    noted: int = 0
    why: str = ''


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """What a listing shows: packs by the ends of their names."""

    packs: dict[str, base.ObjectInfo]
    manifests: list[naming.Place]
    has_note: bool


class Sweeper:
    """Sweeps the volumes of one store."""

    def __init__(self, repo: repository.Repository,
                 grace: datetime.timedelta = GRACE) -> None:
        """Prepare.

        :param grace: for how long a pack that nobody names stays
        """
        self._repository = repo
        self._operation = repo.operation
        self._store = repo.operation.store
        self._grace = grace

    def sweep(self, volume: Volume, *, alone: bool = False,
              gone: Collection[str] = (), dry_run: bool = False) -> Swept:
        """Sweep the packs of a volume.

        Nobody may be backing it up, as far as anybody knows.

        :param alone: whether the volume has no backups any more on record
        :param gone: prefixes of backups that were just deleted, which listings
            may still show
        :param dry_run: whether to change nothing, and only tell
        :raises StoreError: when the store fails; what was not deleted is by
            the next sweep
        """
        found = self._list(volume, gone)
        if not found.packs and not found.has_note:
            return Swept()
        sync = self._store.sync(volume.container)
        if sync is not None and sync.to is None:
            return Swept(why='the container is a copy')
        try:
            named = self._named(volume, found.manifests)
        except (exceptions.ChainError, exceptions.FormatError) as err:
            return Swept(why=f'a manifest cannot be read: {err}')
        unnamed = {rest: info for rest, info in found.packs.items()
                   if info.name not in named}
        now = self._now()
        if alone and not found.manifests:
            noted: dict[str, datetime.datetime] = {}
            due = list(unnamed)
        else:
            before = self._read_note(volume) if found.has_note else {}
            noted = {rest: min(before.get(rest, now), now)
                     for rest in unnamed}
            due = [rest for rest, moment in noted.items()
                   if now - moment >= self._grace
                   and now - unnamed[rest].modified >= self._grace]
        swept = Swept(tuple(unnamed[rest].name for rest in due),
                      sum(unnamed[rest].size for rest in due),
                      len(unnamed) - len(due))
        if not dry_run:
            self._note(volume, noted, found.has_note)
            self._repository.delete_objects(volume.container, swept.deleted)
        return swept

    def _list(self, volume: Volume, gone: Collection[str]) -> _Found:
        packs, places, has_note = {}, [], False
        root = naming.packs(volume.prefix)
        for info in self._store.list(volume.container, volume.root):
            place = naming.place(info.name)
            if naming.is_pack(info.name):
                packs[info.name.removeprefix(root)] = info
            elif info.name == naming.condemned_name(volume.prefix):
                has_note = True
            elif (place is not None and place.prefix not in gone
                  and info.name == naming.manifest_name(place.prefix)):
                places.append(place)
        return _Found(packs, places, has_note)

    def _named(self, volume: Volume,
               places: Iterable[naming.Place]) -> set[str]:
        """The names of all packs that manifests name."""
        named: set[str] = set()

        def task(place: naming.Place) -> pipelines.Task[Iterable[str]]:
            ref = types.BackupRef(place.backup_id, place.volume_id,
                                  volume.container, place.prefix)
            return pipelines.Task(
                lambda stop: self._named_by(ref, stop), 1)

        self._operation.run(map(task, places), named.update, full=_AT_ONCE)
        return named

    def _named_by(self, ref: types.BackupRef,
                  stop: pipelines.StopFlag) -> Iterable[str]:
        """The names of the packs that a manifest names."""
        stop.check()
        repo = self._repository.until(stop)
        try:
            # Those in the other form may be large, and name none.
            head = repo.store.read(
                ref.container, naming.manifest_name(ref.prefix), _beginning)
        except exceptions.ObjectNotFound as err:
            raise exceptions.ChainError(
                'a listing shows a manifest that is not there',
                backup_id=ref.backup_id, container=ref.container,
                name=err.name) from err
        if not manifests.is_point(head):
            return ()
        point = repo.load(ref).point
        return () if point is None else point.packs.names()

    def _read_note(self, volume: Volume) -> dict[str, datetime.datetime]:
        name = naming.condemned_name(volume.prefix)
        try:
            return self._store.read(
                volume.container, name, lambda pieces: condemned.decode(
                    b''.join(base.bounded(pieces, name, condemned.LARGEST))))
        except exceptions.ObjectNotFound:
            return {}

    def _note(self, volume: Volume, noted: dict[str, datetime.datetime],
              has_note: bool) -> None:
        name = naming.condemned_name(volume.prefix)
        if noted:
            stored = condemned.encode(noted)
            self._store.put(volume.container, name, base.Body(
                len(stored), lambda: (stored,), hashlib.md5(
                    stored, usedforsecurity=False).hexdigest()))
        elif has_note:
            self._store.delete(volume.container, name)

    def _now(self) -> datetime.datetime:
        """The time by the store's clock; by ours if it does not tell."""
        return self._store.now() or datetime.datetime.now(datetime.UTC)


def _beginning(pieces: Iterator[bytes]) -> bytes:
    head = b''
    for piece in pieces:
        head += piece
        if len(head) >= manifests.ENOUGH:
            break
    return head

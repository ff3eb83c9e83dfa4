# SPDX-License-Identifier: Apache-2.0

"""Deletes packs that no recovery point of their volume names any more.

A wrong sweep would lose every backup of a volume. So:

1. Sweep nothing in a copy: manifests may be on their way there.
2. List what is below the volume, and then read all manifests anew. If one
   cannot be read, or is listed and not there, sweep nothing: nobody knows what
   it names.
3. Note the packs that none of them names, with the time by the store's clock,
   and forget those that are named again. Of a backup that has put a pack
   within the grace, note none: it may be in the making.
4. Delete those that were noted a grace ago or before, and are not named now.

No backup of the volume is being made, by the records of Cinder, which are read
when the packs were listed. Where there are none, the grace has to do, and a
backup protects what it needs (:func:`protect`):

* It has the note forget its packs, and then makes sure that the parent's
  manifest is still there. So whichever sweep may delete one of them, because
  the parent goes later, has to note it anew.
* If the parent is gone, or there is none, it fails if one of its packs is
  gone, or was noted so long ago that a sweep may soon delete it, or is about
  to.
* It does so before its manifest is put, not to put it in vain, and after that.
  Then no sweep that began before, and has not seen the manifest, can delete a
  pack: it would have to be noted for a grace, and nothing is that is noted for
  less than three quarters of one now, unless listings show manifests later
  than the last quarter.

Where no manifest is left, and by the records the volume has no backup, all
packs of backups that are on record go at once: noted as if for a grace, so
that a backup that nobody knows of fails, unless its manifest is listed by now.

A sweep that ends in the middle is repeated by the next, and two at a time do
the same.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
import functools
import hashlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.format import condemned
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

GRACE = datetime.timedelta(days=1)
# How many manifests a worker reads at once. It mostly waits for the store.
_AT_ONCE = 4
# Bytes of a manifest that is read alone.
_LARGE = 4 << 20


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

    ``waiting`` is how many packs nobody names that have to wait for the grace.
    ``why`` says why nothing was swept; empty if that was possible.
    ``is_unreadable`` is whether that is a manifest that cannot be read.
    """

    deleted: tuple[str, ...] = ()
    stored_bytes: int = 0
    waiting: int = 0
    why: str = ''
    is_unreadable: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class OnRecord:
    """What there is on record of the backups of a volume.

    ``is_idle`` is whether none is being made, ``is_alone`` whether the volume
    has none any more in the container. ``known`` are the ids of all, also of
    those that were deleted, ``gone`` the prefixes of those that were or are
    being deleted.
    """

    is_idle: bool = True
    is_alone: bool = False
    known: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class _Found:
    """What a listing shows: packs by the ends of their names."""

    packs: dict[str, base.ObjectInfo]
    # Each with the bytes of its manifest.
    refs: dict[types.BackupRef, int]
    has_note: bool


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """What to note, and which packs to delete; both by ends of names."""

    noted: dict[str, datetime.datetime]
    due: list[str]


class Sweeper:
    """Sweeps the volumes of one store."""

    def __init__(self, repo: repository.Repository,
                 grace: datetime.timedelta = GRACE) -> None:
        """Prepare.

        :param grace: for how long a pack that nobody names stays; all who
            sweep, and all who make backups, have to have the same
        """
        self._repository = repo
        self._operation = repo.operation
        self._store = repo.operation.store
        self._grace = grace

    def sweep(self, volume: Volume, *,
              ask: Callable[[], OnRecord] = OnRecord,
              made: Collection[types.BackupRef] = (),
              only_note: bool = False, dry_run: bool = False) -> Swept:
        """Sweep the packs of a volume.

        :param ask: tells what is on record, if there are records; called when
            packs were listed, for whoever puts some has a record already
        :param made: backups that were just made, which listings may not show
            yet
        :param only_note: whether to leave the deleting to the next sweep
        :param dry_run: whether to change nothing, and only tell
        :raises StoreError: when the store fails; what was not deleted is by
            the next sweep
        """
        # Before anything is looked at.
        now = self._now()
        found = self._list(volume)
        if not found.packs and not found.has_note:
            return Swept()
        sync = self._store.sync(volume.container)
        if sync is not None and sync.to is None:
            return Swept(why='the container is a copy')
        records = ask()
        if not records.is_idle:
            return Swept(why='the volume is being backed up')
        refs = {ref: size for ref, size in found.refs.items()
                if ref.prefix not in records.gone}
        refs.update(dict.fromkeys(made, 0))
        try:
            unnamed = self._unnamed(found.packs, refs)
        except (exceptions.ChainError, exceptions.FormatError) as err:
            return Swept(why=f'a manifest cannot be read: {err}',
                         is_unreadable=True)
        before = (read_note(self._operation, volume) if found.has_note
                  else {})
        plan = self._plan(found.packs, unnamed, before, now)
        everything = not refs and records.is_alone
        if everything:
            plan = self._all_at_once(plan, unnamed, records, now)
        due = [] if only_note else plan.due
        swept = Swept(tuple(unnamed[rest].name for rest in due),
                      sum(unnamed[rest].size for rest in due),
                      len(unnamed) - len(due))
        if dry_run:
            return swept
        if plan.noted or found.has_note:
            _write_note(self._operation, volume, plan.noted)
        if everything and not self._is_still_empty(volume, ask()):
            # Whoever has put a manifest has not seen this note.
            return Swept(why='a backup was made meanwhile')
        self._repository.delete_objects(volume.container, swept.deleted)
        if everything and due:
            _write_note(self._operation, volume, {
                rest: moment for rest, moment in plan.noted.items()
                if rest not in due})
        return swept

    def _list(self, volume: Volume) -> _Found:
        packs, refs, has_note = {}, {}, False
        root = naming.packs(volume.prefix)
        for info in self._store.list(volume.container, volume.root):
            place = naming.place(info.name)
            if naming.is_pack(info.name):
                packs[info.name.removeprefix(root)] = info
            elif info.name == naming.condemned_name(volume.prefix):
                has_note = True
            elif (place is not None
                  and info.name == naming.manifest_name(place.prefix)):
                refs[types.BackupRef(
                    place.backup_id, place.volume_id, volume.container,
                    place.prefix)] = info.size
        return _Found(packs, refs, has_note)

    def _is_still_empty(self, volume: Volume, records: OnRecord) -> bool:
        """Whether the volume has no backups, seen anew."""
        return (records.is_idle and records.is_alone and all(
            ref.prefix in records.gone for ref in self._list(volume).refs))

    def _unnamed(self, packs: Mapping[str, base.ObjectInfo],
                 refs: Mapping[types.BackupRef, int],
                 ) -> dict[str, base.ObjectInfo]:
        """The packs that no manifest names.

        :raises ChainError: when a manifest is listed and not there
        :raises FormatError: when one cannot be read
        """
        unnamed = dict(packs)

        def remove(named: Iterable[str]) -> None:
            for rest in named:
                unnamed.pop(rest, None)

        # Large ones take much memory, so one after the other.
        for large in (False, True):
            chosen = [ref for ref, size in refs.items()
                      if (size >= _LARGE) is large]
            for some in [[ref] for ref in chosen] if large else [chosen]:
                self._operation.run(
                    (pipelines.Task(functools.partial(
                        self._named_by, packs, ref), 1) for ref in some),
                    remove, full=_AT_ONCE)
        return unnamed

    def _named_by(self, packs: Mapping[str, base.ObjectInfo],
                  ref: types.BackupRef,
                  stop: pipelines.StopFlag) -> list[str]:
        """Those of some packs that a manifest names.

        It is read whole: what cannot be read might name any.
        """
        stop.check()
        point = self._repository.until(stop).load(ref).point
        if point is None:
            return []
        table = point.packs

        def find() -> list[str]:
            return [rest for rest in (name.removeprefix(table.root)
                                      for name in table.names())
                    if rest in packs]
        return self._operation.call(find)

    def _plan(self, packs: Mapping[str, base.ObjectInfo],
              unnamed: Mapping[str, base.ObjectInfo],
              before: Mapping[str, datetime.datetime],
              now: datetime.datetime) -> _Plan:
        newest = _newest(packs)
        noted = {rest: min(before.get(rest, now), now) for rest in unnamed
                 if now - newest[_maker(rest)] >= self._grace}
        return _Plan(noted, [rest for rest, moment in noted.items()
                             if now - moment >= self._grace])

    def _all_at_once(self, plan: _Plan,
                     unnamed: Mapping[str, base.ObjectInfo],
                     records: OnRecord, now: datetime.datetime) -> _Plan:
        """The same, with all packs of backups that are on record."""
        due = [rest for rest in unnamed if _maker(rest) in records.known]
        noted = {**plan.noted, **dict.fromkeys(due, now - self._grace)}
        return _Plan(noted, sorted({*plan.due, *due}))

    def _now(self) -> datetime.datetime:
        return _now(self._store)


def _maker(rest: str) -> str:
    """Who has put a pack, by the end of its name."""
    maker = naming.pack_maker(rest)
    return '' if maker is None else maker[0]


def _newest(packs: Mapping[str, base.ObjectInfo],
            ) -> dict[str, datetime.datetime]:
    """When each backup has put its newest pack."""
    newest: dict[str, datetime.datetime] = {}
    for rest, info in packs.items():
        maker = _maker(rest)
        newest[maker] = max(newest.get(maker, info.modified), info.modified)
    return newest


def _now(store: base.ObjectStore) -> datetime.datetime:
    """The time by the store's clock; by ours if it does not tell."""
    return store.now() or datetime.datetime.now(datetime.UTC)


def read_note(operation: operations.Operation,
              volume: Volume) -> dict[str, datetime.datetime]:
    """When packs were noted that nobody named, by the ends of their names.

    :raises StoreError: when the store fails
    """
    name = naming.condemned_name(volume.prefix)
    try:
        stored = operation.store.read(
            volume.container, name, lambda pieces: b''.join(
                base.bounded(pieces, name, condemned.LARGEST)))
    except exceptions.ObjectNotFound:
        return {}
    return operation.call(condemned.decode, stored)


def protect(operation: operations.Operation, ref: types.BackupRef,
            packs: pack_table.PackTable, parent: types.BackupRef | None,
            grace: datetime.timedelta) -> None:
    """Have no sweep delete the packs that a backup needs.

    :param ref: the backup, whose manifest is about to be put
    :param packs: those that it needs
    :param parent: None for a full backup
    :param grace: that of sweeps
    :raises ChainError: when a sweep may be about to delete one
    :raises StoreError: when the store fails
    """
    volume = Volume(ref.container, ref.prefix)
    noted = read_note(operation, volume)
    if not noted:
        return

    def find() -> dict[str, datetime.datetime]:
        rests = (name.removeprefix(packs.root) for name in packs.names())
        return {rest: noted[rest] for rest in rests if rest in noted}

    named = operation.call(find)
    if not named:
        return
    store = operation.store
    _write_note(operation, volume, {
        rest: moment for rest, moment in noted.items() if rest not in named})
    if parent is not None and store.exists(
            parent.container, naming.manifest_name(parent.prefix)):
        return
    latest = _now(store) - grace * 3 / 4
    for rest, moment in named.items():
        if moment <= latest:
            raise exceptions.ChainError(
                'a sweep may be about to delete a pack that the backup needs: '
                'its parent was deleted, or it has put nothing for days',
                backup_id=ref.backup_id, container=ref.container,
                name=f'{packs.root}{rest}', remedy=exceptions.Remedy.REPEAT)


def _write_note(operation: operations.Operation, volume: Volume,
                noted: Mapping[str, datetime.datetime]) -> None:
    """Replace the note, or delete it where nothing is noted."""
    name = naming.condemned_name(volume.prefix)
    if not noted:
        operation.store.delete(volume.container, name)
        return

    def encode() -> tuple[bytes, str]:
        stored = condemned.encode(noted)
        return stored, hashlib.md5(
            stored, usedforsecurity=False).hexdigest()

    stored, md5 = operation.call(encode)
    operation.store.put(volume.container, name, base.Body(
        len(stored), lambda: (stored,), md5))

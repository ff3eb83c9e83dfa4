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

The caller knows that no backup of the volume is being made, by Cinder's
records. Where there are none, the grace has to do, and a backup protects what
it needs (:func:`protect`):

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

Where no manifest is left, and the caller knows that no backup of the volume
is, all packs go at once: noted as if for a grace, so that a backup that nobody
knows of fails, unless its manifest is listed by now.

A sweep that ends in the middle is repeated by the next, and two at a time do
the same.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import functools
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
class _Found:
    """What a listing shows: packs by the ends of their names."""

    packs: dict[str, base.ObjectInfo]
    manifests: list[types.BackupRef]
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
              gone: Collection[str] = (),
              made: Collection[types.BackupRef] = (),
              dry_run: bool = False) -> Swept:
        """Sweep the packs of a volume.

        Nobody may be backing it up, as far as anybody knows.

        :param alone: whether the volume has no backups any more on record
        :param gone: prefixes of backups that were just deleted, which listings
            may still show
        :param made: backups that were just made, which listings may not show
            yet
        :param dry_run: whether to change nothing, and only tell
        :raises StoreError: when the store fails; what was not deleted is by
            the next sweep
        """
        # Before anything is looked at.
        now = self._now()
        found = self._list(volume, gone)
        if not found.packs and not found.has_note:
            return Swept()
        sync = self._store.sync(volume.container)
        if sync is not None and sync.to is None:
            return Swept(why='the container is a copy')
        try:
            named = self._named({*found.manifests, *made})
        except (exceptions.ChainError, exceptions.FormatError) as err:
            return Swept(why=f'a manifest cannot be read: {err}',
                         is_unreadable=True)
        unnamed = {rest: info for rest, info in found.packs.items()
                   if info.name not in named}
        everything = alone and not found.manifests and not made
        if everything:
            noted = dict.fromkeys(unnamed, now - self._grace)
            due = list(unnamed)
        else:
            before = (read_note(self._store, volume) if found.has_note
                      else {})
            newest = _newest(found.packs)
            noted = {rest: min(before.get(rest, now), now)
                     for rest in unnamed
                     if now - newest[_maker(rest)] >= self._grace}
            due = [rest for rest, moment in noted.items()
                   if now - moment >= self._grace]
        swept = Swept(tuple(unnamed[rest].name for rest in due),
                      sum(unnamed[rest].size for rest in due),
                      len(unnamed) - len(due))
        if dry_run:
            return swept
        if noted or found.has_note:
            _write_note(self._store, volume, noted)
        if everything and self._list(volume, gone).manifests:
            # Whoever has put one has not seen this note.
            return Swept(why='a backup was made meanwhile')
        self._repository.delete_objects(volume.container, swept.deleted)
        if everything:
            _write_note(self._store, volume, {})
        return swept

    def _list(self, volume: Volume, gone: Collection[str]) -> _Found:
        packs, refs, has_note = {}, [], False
        root = naming.packs(volume.prefix)
        for info in self._store.list(volume.container, volume.root):
            place = naming.place(info.name)
            if naming.is_pack(info.name):
                packs[info.name.removeprefix(root)] = info
            elif info.name == naming.condemned_name(volume.prefix):
                has_note = True
            elif (place is not None and place.prefix not in gone
                  and info.name == naming.manifest_name(place.prefix)):
                refs.append(types.BackupRef(
                    place.backup_id, place.volume_id, volume.container,
                    place.prefix))
        return _Found(packs, refs, has_note)

    def _named(self, refs: Iterable[types.BackupRef]) -> set[str]:
        """The names of all packs that manifests name."""
        named: set[str] = set()
        self._operation.run(
            (pipelines.Task(functools.partial(self._named_by, ref), 1)
             for ref in refs), named.update, full=_AT_ONCE)
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


def read_note(store: base.ObjectStore,
              volume: Volume) -> dict[str, datetime.datetime]:
    """When packs were noted that nobody named, by the ends of their names.

    :raises StoreError: when the store fails
    """
    name = naming.condemned_name(volume.prefix)
    try:
        return store.read(
            volume.container, name, lambda pieces: condemned.decode(
                b''.join(base.bounded(pieces, name, condemned.LARGEST))))
    except exceptions.ObjectNotFound:
        return {}


def protect(store: base.ObjectStore, ref: types.BackupRef,
            names: Iterable[str], parent: types.BackupRef | None,
            grace: datetime.timedelta) -> None:
    """Have no sweep delete the packs that a backup needs.

    :param ref: the backup, whose manifest is about to be put
    :param names: of all packs that it needs
    :param parent: None for a full backup
    :param grace: that of sweeps
    :raises ChainError: when a sweep may be about to delete one
    :raises StoreError: when the store fails
    """
    volume = Volume(ref.container, ref.prefix)
    noted = read_note(store, volume)
    root = naming.packs(ref.prefix)
    named = {rest: noted[rest] for name in names
             if (rest := name.removeprefix(root)) in noted}
    if not named:
        return
    _write_note(store, volume, {rest: moment for rest, moment in noted.items()
                                if rest not in named})
    if parent is not None and store.exists(
            parent.container, naming.manifest_name(parent.prefix)):
        return
    latest = _now(store) - grace * 3 / 4
    for rest, moment in named.items():
        if moment <= latest:
            raise exceptions.ChainError(
                'a sweep may be about to delete a pack that the backup needs: '
                'its parent was deleted, or it has put nothing for days',
                backup_id=ref.backup_id,
                container=ref.container, name=f'{root}{rest}',
                remedy=exceptions.Remedy.REPEAT)


def _write_note(store: base.ObjectStore, volume: Volume,
                noted: dict[str, datetime.datetime]) -> None:
    """Replace the note, or delete it where nothing is noted."""
    name = naming.condemned_name(volume.prefix)
    if not noted:
        store.delete(volume.container, name)
        return
    stored = condemned.encode(noted)
    store.put(volume.container, name, base.Body(
        len(stored), lambda: (stored,), hashlib.md5(
            stored, usedforsecurity=False).hexdigest()))


def _beginning(pieces: Iterator[bytes]) -> bytes:
    head = b''
    for piece in pieces:
        head += piece
        if len(head) >= manifests.ENOUGH:
            break
    return head

# SPDX-License-Identifier: Apache-2.0

"""Deletes packs that no recovery point of their volume names any more.

A wrong sweep would lose every backup of a volume. So:

1. Sweep nothing in a copy: manifests may be on their way there.
2. List the packs of the volume, then its manifests, and read all of these
   anew. If one cannot be read, or is listed and not there, sweep nothing:
   nobody knows what it names. Only one of a backup that was deleted by the
   records may be listed and not there. And one of a backup that stays by the
   records has to be there: it may be rebuilt from packs.
3. Note the packs that none of them names, with the time by the store's clock,
   and forget those that are named again. Of a backup that has put a pack
   within the grace, note none: it may be in the making.
4. Delete those that an earlier sweep noted a grace ago or before, and that are
   not named now.

No backup of the volume is being made, by the records of Cinder, which are read
when the packs were listed. Where there are none, the grace has to do, and a
backup protects what it needs
(:mod:`cinder_swift_backup.engine.backup.protection`).

Where there are records, and the volume has no recovery point any more, all
packs go at once that are of backups on record, or that a recovery point named
that was just deleted:

1. Each backup that stays by the records has a manifest, which was read.
2. Note the packs as if for a grace, so that a backup that nobody knows of
   fails, unless its manifest is listed by now.
3. Look anew: no backup is being made, and there is no manifest that was not
   read.

A sweep that ends in the middle is repeated by the next, and two at a time do
the same.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import dataclasses
import datetime
import functools

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import condemned_packs
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

Volume = condemned_packs.Volume

GRACE = datetime.timedelta(days=1)
# How many manifests a worker reads at once. It mostly waits for the store.
_AT_ONCE = 4
# Bytes of a manifest that is read alone.
_LARGE = 4 << 20


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

    ``is_told`` is whether there are records, ``is_idle`` whether by these no
    backup is being made. ``known`` are the makers of their packs, also of
    those that were deleted, and others whose packs may go with the last. The
    rest are prefixes, of those in the container: ``staying`` of backups that
    have a manifest, ``failed`` of those that need not have one, ``gone`` of
    those that were or are being deleted. ``expected`` are those of ``staying``
    that are certainly in the account, and ``expected_ids`` the ids of such
    where nobody tells their prefixes.
    """

    is_told: bool = False
    is_idle: bool = True
    known: frozenset[str] = frozenset()
    staying: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    expected: frozenset[str] = frozenset()
    expected_ids: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class _Manifest:
    """A manifest to read; ``size`` is its bytes, 0 where no listing tells."""

    ref: types.BackupRef
    size: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Named:
    """Which packs a manifest names, by the ends of their names."""

    is_point: bool
    packs: Collection[str] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """What to note, and which packs to delete; both by ends of names.

    ``is_everything`` is whether all that can go does, as none is needed.
    """

    noted: dict[str, datetime.datetime]
    due: list[str]
    is_everything: bool = False


# Manifests by the prefixes of their backups.
_Manifests = Mapping[str, _Manifest]
# Packs by the ends of their names.
_Packs = Mapping[str, base.ObjectInfo]


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
        now = condemned_packs.now(self._store)
        packs, has_note = self._packs(volume)
        if not packs and not has_note:
            return Swept()
        sync = self._store.sync(volume.container)
        if sync is not None and sync.to is None:
            return Swept(why='the container is a copy')
        records = ask()
        if not records.is_idle:
            return Swept(why='the volume is being backed up')
        manifests = self._manifests(volume, records)
        lost = self._lost(volume, records, manifests)
        if lost is not None:
            return Swept(why=f'a backup on record has no manifest: {lost}',
                         is_unreadable=True)
        manifests.update({ref.prefix: _Manifest(ref) for ref in made})
        try:
            unnamed, has_points = self._unnamed(packs, manifests.values())
        except (exceptions.ChainError, exceptions.FormatError) as err:
            return Swept(why=f'a manifest cannot be read: {err}',
                         is_unreadable=True)
        before = (condemned_packs.read(self._operation, volume) if has_note
                  else None)
        plan = self._plan(packs, unnamed, before or {}, now)
        if not has_points and _are_all_read(records, manifests):
            plan = self._all_at_once(plan, unnamed, records, now)
        due = [] if only_note else plan.due
        swept = Swept(tuple(unnamed[rest].name for rest in due),
                      sum(unnamed[rest].size for rest in due),
                      len(unnamed) - len(due))
        if dry_run:
            return swept
        if plan.noted or before or before is None:
            condemned_packs.write(self._operation, volume, plan.noted)
        if plan.is_everything and not self._is_as_before(volume, ask(),
                                                         manifests):
            # Whoever has put a manifest has not seen this note.
            return Swept(why='a backup was made meanwhile')
        self._repository.delete_objects(volume.container, swept.deleted)
        self._mend_note(volume, plan, due, is_empty=len(due) == len(packs))
        return swept

    def _mend_note(self, volume: Volume, plan: _Plan, due: Collection[str],
                   *, is_empty: bool) -> None:
        """Have the note forget what was deleted, unless the next sweep does.

        :param is_empty: whether the volume has no packs any more
        """
        if is_empty:
            condemned_packs.remove(self._operation, volume)
        elif plan.is_everything and due:
            condemned_packs.write(self._operation, volume, {
                rest: moment for rest, moment in plan.noted.items()
                if rest not in due})

    def _packs(self, volume: Volume,
               ) -> tuple[dict[str, base.ObjectInfo], bool]:
        """The packs that a listing shows, and whether it shows a note."""
        packs, has_note = {}, False
        note = naming.condemned_name(volume.prefix)
        with contextlib.suppress(exceptions.ContainerNotFound):
            for info in self._store.list(volume.container, volume.packs):
                if naming.is_pack(info.name):
                    packs[info.name.removeprefix(volume.packs)] = info
                elif info.name == note:
                    has_note = True
        return packs, has_note

    def _manifests(self, volume: Volume,
                   records: OnRecord) -> dict[str, _Manifest]:
        """The manifests that are listed or on record.

        Not those of deleted backups that are not there.
        """
        listed = dict(self._listed(volume))
        found = {prefix: each for prefix, each in listed.items()
                 if prefix not in records.gone or self._is_there(each.ref)}
        for prefix in (records.staying | records.failed).difference(listed):
            ref = _ref(volume, prefix)
            if ref is not None and self._is_there(ref):
                found[prefix] = _Manifest(ref)
        return found

    @staticmethod
    def _lost(volume: Volume, records: OnRecord,
              manifests: _Manifests) -> str | None:
        """What should have a manifest and has none, if anything."""
        found = {each.ref.backup_id for each in manifests.values()}
        lost = [prefix for prefix in sorted(records.expected)
                if prefix not in manifests
                and _ref(volume, prefix) is not None]
        return next(iter((*lost, *sorted(records.expected_ids - found))),
                    None)

    def _listed(self, volume: Volume) -> Iterator[tuple[str, _Manifest]]:
        """The manifests that a listing shows, by their prefixes."""
        for info in self._store.list(volume.container, volume.root):
            place = naming.place(info.name)
            if (place is not None
                    and info.name == naming.manifest_name(place.prefix)):
                ref = _ref(volume, place.prefix)
                if ref is not None:
                    yield place.prefix, _Manifest(ref, info.size)

    def _is_there(self, ref: types.BackupRef) -> bool:
        return self._store.exists(ref.container,
                                  naming.manifest_name(ref.prefix))

    def _is_as_before(self, volume: Volume, records: OnRecord,
                      manifests: _Manifests) -> bool:
        """Whether there is no backup that was not read, seen anew."""
        return (records.is_idle and _are_all_read(records, manifests)
                and self._manifests(volume, records).keys()
                <= manifests.keys())

    def _unnamed(self, packs: _Packs, manifests: Iterable[_Manifest],
                 ) -> tuple[dict[str, base.ObjectInfo], bool]:
        """The packs that no manifest names, and whether any can name some.

        :raises ChainError: when a manifest is not there
        :raises FormatError: when one cannot be read
        """
        unnamed = dict(packs)
        has_points = False

        def remove(named: _Named) -> None:
            nonlocal has_points
            has_points = has_points or named.is_point
            for rest in named.packs:
                unnamed.pop(rest, None)

        # Large ones take much memory, so one after the other.
        large = [each for each in manifests if each.size >= _LARGE]
        for some in ([each for each in manifests if each.size < _LARGE],
                     *([each] for each in large)):
            self._operation.run(
                (pipelines.Task(functools.partial(
                    self._named_by, packs, each.ref), 1) for each in some),
                remove, full=_AT_ONCE)
        return unnamed, has_points

    def _named_by(self, packs: _Packs, ref: types.BackupRef,
                  stop: pipelines.StopFlag) -> _Named:
        """Those of some packs that a manifest names.

        It is read whole: what cannot be read might name any.
        """
        stop.check()
        point = self._repository.until(stop).load(ref).point
        if point is None:
            return _Named(is_point=False)
        table = point.packs

        def find() -> list[str]:
            return [rest for rest in (name.removeprefix(table.root)
                                      for name in table.names())
                    if rest in packs]
        return _Named(is_point=True, packs=self._operation.call(find))

    def _plan(self, packs: _Packs, unnamed: _Packs,
              before: condemned_packs.Noted, now: datetime.datetime) -> _Plan:
        newest = _newest(packs)
        noted = {rest: min(before.get(rest, now), now) for rest in unnamed
                 if now - newest[_maker(rest)] >= self._grace}
        return _Plan(noted, [rest for rest, moment in noted.items()
                             if rest in before
                             and now - moment >= self._grace])

    def _all_at_once(self, plan: _Plan, unnamed: _Packs, records: OnRecord,
                     now: datetime.datetime) -> _Plan:
        """The same, with all packs of backups that are on record."""
        # What is converted to packs is on record later, if ever, so that
        # nobody knows whether its manifest is not listed yet.
        due = [rest for rest in unnamed
               if _raw_maker(rest) in records.known]
        noted = {**plan.noted, **dict.fromkeys(due, now - self._grace)}
        return _Plan(noted, sorted({*plan.due, *due}), is_everything=True)


def _are_all_read(records: OnRecord, manifests: _Manifests) -> bool:
    """Whether the manifests of all backups that stay are among those read."""
    return records.is_told and records.staying <= manifests.keys()


def _ref(volume: Volume, prefix: str) -> types.BackupRef | None:
    """The backup with a prefix; None if it cannot be one of the volume."""
    place = naming.place(naming.manifest_name(prefix))
    if place is None or naming.packs(prefix) != volume.packs:
        return None
    return types.BackupRef(place.backup_id, place.volume_id,
                           volume.container, prefix)


def _raw_maker(rest: str) -> str:
    """Who has put a pack, by the end of its name; see :mod:`.naming`."""
    maker = naming.pack_maker(rest)
    return '' if maker is None else maker[0]


def _maker(rest: str) -> str:
    """The id of the backup that has put a pack."""
    return naming.backup_of(_raw_maker(rest))


def _newest(packs: _Packs) -> dict[str, datetime.datetime]:
    """When each backup has put its newest pack."""
    newest: dict[str, datetime.datetime] = {}
    for rest, info in packs.items():
        maker = _maker(rest)
        newest[maker] = max(newest.get(maker, info.modified), info.modified)
    return newest

# SPDX-License-Identifier: Apache-2.0

"""Which backups there are, found in the store alone.

1. List the account, if no containers are named. It tells which of them have a
   container of segments. To ask for one that is not there takes up to four
   requests.
2. List the containers, several at a time, for there may be one for each volume
   or project. The name of each object tells its backup, its volume and the
   time.
3. List the containers of segments, and count what is there to the backups.

Nothing is read but listings, so that this is quick. What a backup builds on is
in its manifest; see :mod:`cinder_swift_backup.engine.survey.quick`.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import datetime
import itertools
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_T = TypeVar('_T')
# How many containers a worker looks at at once. It only waits for the store.
_AT_ONCE = 4
_SUFFIX = naming.segments_container('')


class NoSuchBackup(exceptions.SelectionError):
    """No backup has such an id."""


class NotABackup(exceptions.SelectionError):
    """It is the id of a volume."""


@dataclasses.dataclass(slots=True)
class Listed:
    """A backup as listings show it.

    ``created`` is when it was begun, and ``modified`` when the last of its
    objects was stored, both in UTC. What is noted with a manifest changes the
    time of that, so that it counts only if there is nothing else. ``objects``
    and ``stored_bytes`` are of all of its objects, with the packs that it has
    put.
    """

    ref: types.BackupRef
    created: datetime.datetime
    modified: datetime.datetime
    objects: int = 0
    stored_bytes: int = 0
    has_manifest: bool = False

    @property
    def dated(self) -> datetime.datetime:
        """When it was begun, in UTC, by a clock that was not ahead.

        Its name has the time of the host that made it. If its objects were
        stored before that, the clock of the store is right.
        """
        return min(self.created, self.modified)


@dataclasses.dataclass(slots=True)
class _Packs:
    """The packs that one backup has put; as those of :class:`Listed`."""

    modified: datetime.datetime
    objects: int = 0
    stored_bytes: int = 0


class Inventory:
    """Finds backups in a store."""

    def __init__(self, operation: operations.Operation) -> None:
        self._operation = operation
        self._store = operation.store

    def scan(self, containers: Iterable[str]) -> list[Listed]:
        """All backups in some containers, the oldest first.

        :raises ContainerNotFound: when there is no such container
        :raises StoreError: when a listing fails
        """
        return self._scan_each(containers, _scan)

    def scan_all(self) -> list[Listed]:
        """All backups in all containers, the oldest first.

        :raises StoreError: when a listing fails
        """
        known = self._known()

        def scan(store: base.ObjectStore, container: str) -> Iterable[Listed]:
            try:
                return _scan(store, container, segmented=(
                    naming.segments_container(container) in known))
            except exceptions.ContainerNotFound:
                # What the account lists may be deleted already.
                return ()
        return self._scan_each(self.containers(known), scan)

    def _known(self) -> frozenset[str]:
        # A client that does not resolve paths can make containers that others
        # cannot ask for.
        return frozenset(name for name in self._store.containers()
                         if not container_names.fault(name))

    def containers(self, known: frozenset[str] | None = None) -> list[str]:
        """All containers that may have backups, in order.

        :param known: all that there are; by default asked for

        :raises StoreError: when the account cannot be listed
        """
        known = self._known() if known is None else known
        return [name for name in sorted(known)
                if not _holds_segments(name, known)]

    def syncs(self, containers: Iterable[str],
              ) -> dict[str, base.Sync | None]:
        """Where each container is copied to; None if it takes no part.

        :raises ContainerNotFound: when there is no such container
        """
        names = list(containers)
        return dict(zip(names, self._ask_each(
            names, lambda store, name: store.sync(name)), strict=True))

    def _scan_each(self, containers: Iterable[str],
                   scan: Callable[[base.ObjectStore, str], Iterable[Listed]],
                   ) -> list[Listed]:
        return _in_order(itertools.chain.from_iterable(
            self._ask_each(containers, scan)))

    def _ask_each(self, containers: Iterable[str],
                  ask: Callable[[base.ObjectStore, str], _T]) -> list[_T]:
        """What is to be known of containers, in their order."""
        results: dict[int, _T] = {}

        def task(number: int,
                 container: str) -> pipelines.Task[tuple[int, _T]]:
            return pipelines.Task(
                lambda stop: (number, ask(self._store.until(stop),
                                          container)), size=1)

        self._operation.run(
            itertools.starmap(task, enumerate(containers)),
            lambda result: results.update([result]), full=_AT_ONCE)
        return [results[number] for number in range(len(results))]

    def refresh(self, known: Listed) -> Listed | None:
        """What listings show of a backup now; None if it is nothing.

        :raises StoreError: when a listing fails
        """
        return next((listed for listed in _scan(
            self._store, known.ref.container, known.ref.prefix)
            if listed.ref == known.ref), None)


def _holds_segments(name: str, known: frozenset[str]) -> bool:
    return name.endswith(_SUFFIX) and name.removesuffix(_SUFFIX) in known


def _scan(store: base.ObjectStore, container: str, prefix: str = naming.ALL,
          *, segmented: bool = True) -> Iterable[Listed]:
    """The backups in a container.

    :param segmented: whether there may be a container of segments
    """
    by_prefix: dict[str, Listed] = {}
    # The sizes of the digest files.
    files: dict[str, int] = {}
    # The packs, by their volume, by the backup that has put them, and by
    # whether it was converted.
    packs: dict[tuple[str, str, bool], _Packs] = {}
    for info in store.list(container, prefix):
        maker = naming.maker(info.name)
        if maker is not None:
            key = *maker, naming.is_of_converted(info.name)
            _add(packs.setdefault(key, _Packs(info.modified)), info)
        place = naming.place(info.name)
        if place is None:
            continue
        _count(by_prefix, container, place, info)
        if info.name == naming.digest_file_name(place.prefix):
            files[place.prefix] = info.size
    for listed in by_prefix.values():
        put = packs.get((listed.ref.volume_id, listed.ref.backup_id,
                         naming.is_converted(listed.ref.prefix)))
        if put is not None:
            listed.objects += put.objects
            listed.stored_bytes += put.stored_bytes
            listed.modified = max(listed.modified, put.modified)
    if not segmented:
        return by_prefix.values()
    for info in digest_objects.listed_segments(
            store, naming.segments_container(container), prefix):
        place = naming.place_of_segment(info.name)
        if place is None:
            continue
        listed = _count(by_prefix, container, place, info)
        # A large object is shown with the size of all its segments, however
        # often it has each of them.
        listed.stored_bytes -= files.pop(place.prefix, 0)
    return by_prefix.values()


def _in_order(backups: Iterable[Listed]) -> list[Listed]:
    # Names tell the second only, in which a chain may have begun and gone on.
    # It goes on when the backup below is stored.
    return sorted(backups, key=lambda listed: (
        listed.created, listed.modified, listed.ref.prefix))


def _count(by_prefix: dict[str, Listed], container: str, place: naming.Place,
           info: base.ObjectInfo) -> Listed:
    listed = by_prefix.get(place.prefix)
    if listed is None:
        listed = by_prefix[place.prefix] = Listed(
            types.BackupRef(place.backup_id, place.volume_id, container,
                            place.prefix), place.created, info.modified)
    if info.name == naming.manifest_name(place.prefix):
        listed.has_manifest = True
        # As if it were as old as the others.
        info = dataclasses.replace(info, modified=listed.modified)
    elif listed.has_manifest and listed.objects == 1:
        listed.modified = info.modified
    _add(listed, info)
    return listed


def _add(listed: Listed | _Packs, info: base.ObjectInfo) -> None:
    listed.objects += 1
    listed.stored_bytes += info.size
    listed.modified = max(listed.modified, info.modified)


def begins(identifier: str, beginning: str) -> bool:
    """Whether an id begins so, in small letters or capitals."""
    return identifier.lower().startswith(beginning.lower())


def _in_one_form(matches: list[Listed],
                 other_than: chains.Form | None) -> list[Listed]:
    """Of a backup that is in two forms, the one it was converted to.

    :param other_than: a form that it may have been converted to, and which
        is not meant
    """
    places = {(listed.ref.backup_id, listed.ref.volume_id,
               listed.ref.container) for listed in matches}
    if len(places) != 1 or len(matches) == 1:
        return matches
    if other_than is not None:
        matches = [listed for listed in matches if not naming.is_converted(
            listed.ref.prefix, other_than.value)] or matches
    return [max(matches, key=lambda listed: (
        listed.has_manifest, naming.is_converted(listed.ref.prefix),
        listed.modified))]


def select(backups: Sequence[Listed], beginning: str, *,
           other_than: chains.Form | None = None) -> Listed:
    """The backup whose id begins so, in small letters or capitals.

    :param other_than: of one that is in several forms, take none that it was
        converted to
    :raises NoSuchBackup: when there is none
    :raises NotABackup: when there is none, but volumes whose id begins so
    :raises SelectionError: when there are several
    """
    if not beginning:
        raise exceptions.SelectionError('the id of a backup is empty')
    matches = [listed for listed in backups
               if begins(listed.ref.backup_id, beginning)]
    # The whole id of one may be the beginning of another's.
    exact = [listed for listed in matches if listed.ref.backup_id == beginning]
    whole = [listed for listed in matches
             if len(listed.ref.backup_id) == len(beginning)]
    matches = _in_one_form(exact or whole or matches, other_than)
    if len(matches) > 1:
        places = ', '.join(f'{listed.ref.backup_id} in {listed.ref.container}'
                           for listed in matches[:5])
        raise exceptions.SelectionError(
            f'{len(matches)} backups have an id that begins with '
            f'{beginning!r}, such as {places}')
    if matches:
        return matches[0]
    if any(begins(listed.ref.volume_id, beginning) for listed in backups):
        raise NotABackup(f'{beginning!r} is the id of a volume, not of a '
                         'backup')
    raise NoSuchBackup(
        f'there is no backup whose id begins with {beginning!r}')

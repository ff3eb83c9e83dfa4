# SPDX-License-Identifier: Apache-2.0

"""Which backups there are, found in the store alone.

1. List the containers. The name of each object tells its backup, its volume
   and the time.
2. List the containers of segments, and count what is there to the backups.

Nothing is read but listings, so that this is quick. What a backup builds on is
in its manifest; see :mod:`cinder_swift_backup.engine.audit`.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_SUFFIX = naming.segments_container('')


@dataclasses.dataclass(slots=True)
class Found:
    """A backup as listings show it.

    ``created`` is when it was begun, and ``modified`` when the last of its
    objects was stored, both in UTC. ``objects`` and ``stored_bytes`` are of
    all of its objects.
    """

    ref: types.BackupRef
    created: datetime.datetime
    modified: datetime.datetime
    objects: int = 0
    stored_bytes: int = 0
    has_manifest: bool = False


class Inventory:
    """Finds backups in a store."""

    def __init__(self, store: base.ObjectStore) -> None:
        self._store = store

    def containers(self) -> list[str]:
        """All containers but those of segments."""
        names = list(self._store.containers())
        known = frozenset(names)
        return [name for name in names
                if not (name.endswith(_SUFFIX)
                        and name.removesuffix(_SUFFIX) in known)]

    def scan(self, containers: Iterable[str]) -> list[Found]:
        """All backups in some containers, the oldest first.

        :raises ContainerNotFound: when there is no such container
        :raises StoreError: when a listing fails
        """
        return _in_order(each for container in containers
                         for each in self._scan(container))

    def scan_all(self) -> list[Found]:
        """All backups in all containers, the oldest first.

        :raises StoreError: when a listing fails
        """
        return _in_order(each for container in self.containers()
                         for each in self._scan_if_there(container))

    def _scan_if_there(self, container: str) -> Iterable[Found]:
        """A listing of the account may show what is deleted already."""
        try:
            return self._scan(container)
        except exceptions.ContainerNotFound:
            return ()

    def refresh(self, known: Found) -> Found | None:
        """What listings show of a backup now; None if it is nothing.

        :raises StoreError: when a listing fails
        """
        return next((each for each in self._scan(known.ref.container,
                                                 known.ref.prefix)
                     if each.ref == known.ref), None)

    def _scan(self, container: str,
              prefix: str = naming.ALL) -> Iterable[Found]:
        found: dict[str, Found] = {}
        # The sizes of the files of digests.
        files: dict[str, int] = {}
        for info in self._store.list(container, prefix):
            place = naming.place(info.name)
            if place is None:
                continue
            _count(found, container, place, info)
            if info.name == naming.digest_file_name(place.prefix):
                files[place.prefix] = info.size
        for info in self._segments(container, prefix):
            place = naming.place_of_segment(info.name)
            if place is None:
                continue
            each = _count(found, container, place, info)
            # A large object is shown with the size of all its segments,
            # however often it has each of them.
            each.stored_bytes -= files.pop(place.prefix, 0)
        return found.values()

    def _segments(self, container: str,
                  prefix: str) -> Iterator[base.ObjectInfo]:
        try:
            yield from self._store.list(
                naming.segments_container(container), prefix)
        except exceptions.ContainerNotFound:
            return
        except exceptions.AccessDenied:
            # Who may not look there cannot have put anything.
            return


def _in_order(found: Iterable[Found]) -> list[Found]:
    # Names tell the second only, in which a chain may have begun and gone on.
    # It goes on when the backup below is stored.
    return sorted(found, key=lambda each: (each.created, each.modified,
                                           each.ref.prefix))


def _count(found: dict[str, Found], container: str, place: naming.Place,
           info: base.ObjectInfo) -> Found:
    each = found.get(place.prefix)
    if each is None:
        each = found[place.prefix] = Found(
            types.BackupRef(place.backup_id, place.volume_id, container,
                            place.prefix), place.created, info.modified)
    each.objects += 1
    each.stored_bytes += info.size
    each.modified = max(each.modified, info.modified)
    if info.name == naming.manifest_name(place.prefix):
        each.has_manifest = True
    return each


def select(found: Iterable[Found], beginning: str) -> Found:
    """The backup whose id begins so.

    :raises SelectionError: when there is none, or more than one
    """
    if not beginning:
        raise exceptions.SelectionError('the id of a backup is empty')
    matches = [each for each in found
               if each.ref.backup_id.startswith(beginning)]
    # The whole id of one may be the beginning of another's.
    exact = [each for each in matches if each.ref.backup_id == beginning]
    matches = exact or matches
    if not matches:
        raise exceptions.SelectionError(
            f'there is no backup whose id begins with {beginning!r}')
    if len(matches) > 1:
        places = ', '.join(f'{each.ref.backup_id} in {each.ref.container}'
                           for each in matches[:5])
        raise exceptions.SelectionError(
            f'{len(matches)} backups have an id that begins with '
            f'{beginning!r}: {places}')
    return matches[0]

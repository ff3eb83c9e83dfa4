# SPDX-License-Identifier: Apache-2.0

"""Which volumes have packs, whatever backups they have, and who needs them."""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base


@dataclasses.dataclass(slots=True)
class PackedVolume:
    """A volume with packs in a container; ``stored_bytes`` are of all.

    It may only have the note of them, if a sweep ended before that went.
    """

    volume_id: str
    container: str
    packs: int = 0
    stored_bytes: int = 0

    @property
    def swept(self) -> sweeping.Volume:
        """What to sweep."""
        return sweeping.Volume(self.container,
                               f'{naming.ALL}{self.volume_id}/')


def find(store: base.ObjectStore,
         containers: Iterable[str]) -> list[PackedVolume]:
    """The volumes that have packs in some containers, by their ids.

    :raises ContainerNotFound: when there is no such container
    :raises StoreError: when a listing fails
    """
    found: dict[tuple[str, str], PackedVolume] = {}
    for container in containers:
        for info in store.list(container, naming.ALL):
            maker = naming.maker(info.name)
            volume_id = (naming.volume_of_note(info.name) if maker is None
                         else maker[0])
            if volume_id is None:
                continue
            volume = found.setdefault((container, volume_id), PackedVolume(
                volume_id, container))
            if maker is not None:
                volume.packs += 1
                volume.stored_bytes += info.size
    return [found[key] for key in sorted(found)]


def rests(repo: repository.Repository,
          ref: types.BackupRef) -> frozenset[str]:
    """The ends of the names of the packs that a backup needs.

    :raises StoreError: when the store fails
    """
    try:
        point = repo.load(ref).point
    except (exceptions.ChainError, exceptions.FormatError):
        # A look at it tells what is wrong.
        return frozenset()
    if point is None:
        return frozenset()
    return frozenset(name.removeprefix(point.packs.root)
                     for name in point.packs.names())


def note_unneeded(repo: repository.Repository,
                  deleted: Sequence[backups.Backup]) -> int:
    """Note which packs nobody needs any more; they go later.

    :param deleted: of one volume and container, in packs, just now
    :returns: how many these are
    :raises StoreError: when the store fails
    """
    return sweeping.Sweeper(repo).sweep(
        sweeping.Volume(deleted[0].ref.container, deleted[0].ref.prefix),
        ask=lambda: sweeping.OnRecord(gone=frozenset(
            backup.ref.prefix for backup in deleted)), only_note=True).waiting

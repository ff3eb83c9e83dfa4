# SPDX-License-Identifier: Apache-2.0

"""Which packs a recovery point shares with others of its volume.

Manifests of the volume are read one after the other, and compared with that
of the recovery point by the names of packs.

Memory: some bytes for each pack of the recovery point, and one manifest.
"""

from collections.abc import Iterable
import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class Amount:
    """Some packs, and their stored bytes."""

    packs: int = 0
    stored_bytes: int = 0

    def plus(self, stored_bytes: int) -> 'Amount':
        """With one pack more."""
        return Amount(self.packs + 1, self.stored_bytes + stored_bytes)


@dataclasses.dataclass(frozen=True, slots=True)
class Sharing:
    """What a recovery point needs, and who else needs it.

    ``needed`` are all packs that it names, ``own`` those of them that it has
    put itself, ``alone`` those that no other names. ``shared`` has for each
    other recovery point the packs that both name. ``unknown`` are the backups
    that may name some, and cannot be read.
    """

    needed: Amount
    own: Amount
    alone: Amount
    shared: tuple[tuple[types.BackupRef, Amount], ...] = ()
    unknown: tuple[types.BackupRef, ...] = ()


def find(repo: repository.Repository, backup: backups.Backup,
         others: Iterable[backups.Backup],
         observer: operations.Observer) -> Sharing:
    """What a recovery point shares with other backups.

    :param others: of whatever volume, in whatever form
    :raises ChainError: when its manifest is gone
    :raises FormatError: when that is damaged
    :raises StoreError: when the store fails
    """
    repo = repo.during(observer)
    ref = backup.ref
    point = repo.load(ref).point
    if point is None:
        return Sharing(Amount(), Amount(), Amount())
    sizes = {name: point.packs.stored(number)[0]
             for number, name in enumerate(point.packs.names())}
    alone = set(sizes)
    shared, unknown = [], []
    for other in others:
        if not _may_share(other, backup):
            continue
        try:
            names = _named(repo, other)
        except (exceptions.ChainError, exceptions.FormatError):
            unknown.append(other.ref)
            continue
        both = names & sizes.keys()
        alone -= both
        if both:
            shared.append((other.ref, _amount(map(sizes.__getitem__, both))))
    return Sharing(
        _amount(sizes.values()),
        _amount(size for name, size in sizes.items()
                if naming.maker(name) == (ref.volume_id, ref.backup_id)),
        _amount(map(sizes.__getitem__, alone)), tuple(shared), tuple(unknown))


def _may_share(other: backups.Backup, backup: backups.Backup) -> bool:
    return (other.ref != backup.ref
            and other.ref.container == backup.ref.container
            and other.ref.volume_id == backup.ref.volume_id
            and (other.summary is None or other.summary.is_point)
            and other.listed.has_manifest)


def _named(repo: repository.Repository, backup: backups.Backup) -> set[str]:
    point: chains.Point | None = repo.load(backup.ref).point
    return set() if point is None else repo.operation.call(
        set, point.packs.names())


def _amount(sizes: Iterable[int]) -> Amount:
    found = Amount()
    for size in sizes:
        found = found.plus(size)
    return found

# SPDX-License-Identifier: Apache-2.0

"""Which backup provides which part of a volume."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import itertools

from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import planning
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class Layers:
    """What backups provide of a volume, oldest first.

    ``backup_ids`` are those of the chain; in the form of packs those of the
    backups that have put packs, which may be gone, and of the backup itself.
    ``provided`` are bytes of the volume, of ``size`` altogether. ``cells`` are
    equal parts of the volume, from its beginning to its end: for each, the
    number of the backup that most of it comes from.
    """

    backup_ids: tuple[str, ...]
    provided: tuple[int, ...]
    size: int
    cells: tuple[int, ...]


def find(repo: repository.Repository, refs: Sequence[types.BackupRef],
         count: int) -> Layers:
    """The layers of a backup.

    :param refs: its chain, oldest first
    :param count: of cells; fewer where the volume has fewer bytes
    :raises ChainError: when it does not add up to a volume
    :raises FormatError: when a manifest is damaged
    :raises StoreError: when the store fails
    """
    chain = repo.resolve(refs)
    plan = planning.plan(repo, chain)
    backup_ids, number_of = _numbering(chain)
    numbers = range(len(backup_ids))
    provided = [0] * len(backup_ids)
    cells = [[0] * len(backup_ids) for _ in range(count)]
    for chunk in itertools.chain.from_iterable(plan.parts()):
        number = number_of(chunk.record.name)
        for extent in chunk.extents:
            provided[number] += extent.length
            _fill(cells, number, extent, plan.end)
    return Layers(tuple(backup_ids), tuple(provided), plan.end, tuple(
        max(numbers, key=cell.__getitem__) for cell in cells if any(cell)))


def _numbering(chain: chains.Chain,
               ) -> tuple[list[str], Callable[[str], int]]:
    """The backups that have stored a volume, and who has stored an object."""
    ref, point = chain.tip.ref, chain.tip.manifest.point
    if point is None:
        refs = [link.ref for link in chain.links]
        return [ref.backup_id for ref in refs], lambda name: next(
            number for number, ref in enumerate(refs)
            if naming.belongs_to(name, ref.prefix))
    others = dict.fromkeys(map(naming.backup_of, point.packs.makers))
    others.pop(ref.backup_id, None)
    backup_ids = [*others, ref.backup_id]
    numbers = {backup_id: number
               for number, backup_id in enumerate(backup_ids)}

    def find_maker(name: str) -> int:
        # What no pack has is zeros by the word of the backup itself.
        maker = naming.pack_maker(name.removeprefix(point.packs.root))
        return (len(others) if maker is None
                else numbers[naming.backup_of(maker[0])])

    return backup_ids, find_maker


def _fill(cells: list[list[int]], number: int, extent: types.Extent,
          size: int) -> None:
    """Count the bytes of an extent to the cells that it is in."""
    count = len(cells)
    first = extent.offset * count // size
    last = (extent.end - 1) * count // size
    for at in range(first, last + 1):
        # The cell in bytes, rounded up as the division above is down.
        start, stop = -(-at * size // count), -(-(at + 1) * size // count)
        cells[at][number] += (min(extent.end, stop)
                              - max(extent.offset, start))

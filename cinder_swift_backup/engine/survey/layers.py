# SPDX-License-Identifier: Apache-2.0

"""Which backup of a chain provides which part of a volume."""

from collections.abc import Sequence
import dataclasses

from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class Layers:
    """What each backup of a chain provides, oldest first.

    ``provided`` are bytes of the volume, of ``size`` altogether. ``cells`` are
    equal parts of the volume, from its beginning to its end: for each, the
    number of the backup that most of it comes from.
    """

    provided: tuple[int, ...]
    size: int
    cells: tuple[int, ...]


def find(repo: repository.Repository, refs: Sequence[types.BackupRef],
         count: int) -> Layers:
    """The layers of a chain.

    :param refs: the chain, oldest first
    :param count: of cells; fewer where the volume has fewer bytes
    :raises ChainError: when it does not add up to a volume
    :raises FormatError: when a manifest is damaged
    :raises StoreError: when the store fails
    """
    plan = planner.plan_restore(repo.resolve(refs))
    numbers = range(len(refs))
    provided = [0] * len(refs)
    cells = [[0] * len(refs) for _ in range(count)]
    for chunk in plan.chunks:
        number = next(number for number in numbers if naming.belongs_to(
            chunk.record.name, refs[number].prefix))
        for extent in chunk.extents:
            provided[number] += extent.length
            _fill(cells, number, extent, plan.end)
    return Layers(tuple(provided), plan.end, tuple(
        max(numbers, key=cell.__getitem__) for cell in cells if any(cell)))


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

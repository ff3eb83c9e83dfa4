# SPDX-License-Identifier: Apache-2.0

"""Plans what to restore and what to store; does no input or output.

A restore plan overlays a chain, newest wins:

1. Go through the backups from the newest to the base, and through the
   chunks of each from the last to the first, since a later entry of a
   manifest overwrites an earlier one.
2. Give each chunk those parts of its extent that nobody newer has taken
   and that are within the size the volume had at the tip.
3. Check that together they leave no gap: a full backup covers its volume.
4. Order the chunks by where they write first.

Each byte is therefore written once, in any order and by any worker. On a
volume that reads as zeros, zeros need not be written: no older layer of the
backup is written below them.
"""

from collections.abc import Iterable
import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.format import types

# Bytes. Two changed runs with a smaller gap between them become one object:
# sending the gap takes about as long as the request that it saves, and fewer
# objects make listings and restores faster.
MERGE_GAP = 256 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class PlannedChunk:
    """One object to fetch and the extents of the volume it fills."""

    container: str
    record: types.ChunkRecord
    extents: tuple[types.Extent, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class RestorePlan:
    """All writes of a restore; ``end`` is the restored size in bytes."""

    chunks: tuple[PlannedChunk, ...]
    end: int


def plan_restore(chain: types.Chain) -> RestorePlan:
    """The plan that brings back the tip of ``chain``.

    :raises ChainError: when part of the volume is in none of its backups
    """
    end = _restored_size(chain)
    volume = types.Extent(0, end)
    taken = intervals.IntervalSet()
    chunks = []
    for link in reversed(chain.links):
        for record in reversed(link.manifest.chunks):
            within = record.extent.overlap(volume)
            extents = taken.claim(within) if within else []
            if extents:
                chunks.append(PlannedChunk(
                    link.ref.container, record, tuple(extents)))
    gaps = taken.gaps(end)
    if gaps:
        raise exceptions.ChainError(
            f'no backup of the chain {_names(chain)} has them: a manifest '
            f'is incomplete', offset=gaps[0].offset, end=gaps[0].end,
            remedy=exceptions.Remedy.OTHER_BACKUP)
    chunks.sort(key=lambda chunk: chunk.extents[0].offset)
    return RestorePlan(tuple(chunks), end)


def _restored_size(chain: types.Chain) -> int:
    # The stock driver does not record the size. Cinder does not shrink
    # volumes, so the volume was as large as what the chain stores of it.
    size = chain.tip.manifest.volume_size
    if size is None:
        return max(link.manifest.end for link in chain.links)
    return size


def _names(chain: types.Chain) -> str:
    return ', '.join(link.ref.backup_id for link in chain.links)


def merge_blocks(blocks: Iterable[int], block_size: int, within: types.Extent,
                 gap: int = MERGE_GAP) -> list[types.Extent]:
    """The extents to store for the changed blocks of one chunk.

    :param blocks: indexes of changed blocks in ascending order, counted
        from the start of ``within``
    :param within: the chunk's extent; the last block ends with it
    :param gap: changed runs with at most this many bytes between them are
        stored as one
    """
    extents: list[types.Extent] = []
    for block in blocks:
        start = within.offset + block * block_size
        end = min(start + block_size, within.end)
        if extents and start - extents[-1].end <= gap:
            start = extents.pop().offset
        extents.append(types.Extent(start, end - start))
    return extents

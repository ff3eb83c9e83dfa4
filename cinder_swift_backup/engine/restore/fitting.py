# SPDX-License-Identifier: Apache-2.0

"""Fits a backup into less room than it has bytes.

Storage rounds up: a volume of 1 GiB may be a device of 1 GiB and 8 KiB, or one
of 8 GiB, and its backup has all of the device. Yet it has to fit a volume of
exactly 1 GiB if nobody has written behind that.

1. All blocks that end behind the room have to be zeros, by the digests of the
   tip. Where there are no digests, nobody knows that.
2. Then the plan is cut, to the whole blocks before the end of the
   room. What is left up to that end is zeros as well.
3. Otherwise the error says how many GiB would do.
"""

import bisect
import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types

_GIB = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True)
class Fit:
    """What to restore: a plan, and zeros from its end to ``end``, in bytes."""

    plan: planner.RestorePlan
    end: int

    @property
    def rest(self) -> types.Extent:
        """The zeros behind the plan; they may be none."""
        return types.Extent(self.plan.end, self.end - self.plan.end)


@dataclasses.dataclass(frozen=True, slots=True)
class Room:
    """Where to restore to, in bytes.

    ``least`` is what there has to be, whatever the backup holds, as far as it
    is known.
    """

    size: int
    least: int = 0


def fit(ref: types.BackupRef, plan: planner.RestorePlan, room: Room,
        table: digests.DigestTable | None, stop: pipelines.StopFlag) -> Fit:
    """What of a plan to restore where there is not room for all of it.

    :param ref: the backup
    :param table: the digests of the tip; None if it has none
    :raises VolumeError: when there is data behind the room, or may be
    :raises Cancelled: when ``stop`` is set
    """
    def has_room(size: int) -> bool:
        if table is None or size < min(room.least, plan.end):
            return False
        first = size // table.block_size * table.block_size
        return table.are_zeros(types.Extent(first, plan.end - first),
                               stop.check)

    if table is None or not room.size or not has_room(room.size):
        # What has room has it with every larger size, too.
        sizes = range(_GIB, plan.end, _GIB)
        needed = bisect.bisect_left(sizes, True, key=has_room) + 1
        raise exceptions.VolumeError(
            f'the volume is too small: the backup needs at least {needed} GiB',
            backup_id=ref.backup_id, expected=needed * _GIB,
            actual=room.size,
            remedy=exceptions.Remedy.LARGER_VOLUME)
    whole = room.size // table.block_size * table.block_size
    return Fit(plan.cut(whole), room.size)

# SPDX-License-Identifier: Apache-2.0

"""What there is of each volume of a store, in figures."""

import collections
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import volume_meta


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """A volume with backups.

    ``newest`` is its newest backup that is complete, if there is one,
    ``size`` that of the volume then, in bytes, as far as manifests tell, and
    ``depth`` how many backups it builds on. ``stored_bytes`` and ``objects``
    are of all backups, in whatever state; packs are counted with the backup
    that put them.
    """

    volume_id: str
    newest: backups.Backup | None = None
    size: int | None = None
    depth: int = 0
    stored_bytes: int = 0
    objects: int = 0
    by_state: Mapping[backups.State, int] = dataclasses.field(
        default_factory=dict)

    @property
    def count(self) -> int:
        """How many backups there are."""
        return sum(self.by_state.values())

    @property
    def noted(self) -> volume_meta.Volume:
        """What Cinder noted of the volume with the newest backup."""
        if self.newest is None or self.newest.summary is None:
            return volume_meta.Volume()
        return self.newest.summary.volume

    def age(self, now: datetime.datetime) -> datetime.timedelta | None:
        """How long ago the newest was begun; None if there is none."""
        if self.newest is None:
            return None
        return now - self.newest.listed.dated


def by_volume(lineage: lineages.Lineage,
              chosen: Iterable[backups.Backup]) -> dict[str, Figures]:
    """The figures of volumes, by their ids.

    :param chosen: backups of them, what one builds on before it
    """
    found: dict[str, list[backups.Backup]] = {}
    for backup in chosen:
        found.setdefault(backup.ref.volume_id, []).append(backup)
    return {volume_id: _of(volume_id, lineage, every)
            for volume_id, every in found.items()}


def _of(volume_id: str, lineage: lineages.Lineage,
        every: Sequence[backups.Backup]) -> Figures:
    complete = [backup for backup in every
                if lineage.state(backup) is backups.State.COMPLETE]
    # Of those begun at the same time, the last.
    newest = max(reversed(complete), default=None,
                 key=lambda backup: backup.listed.dated)
    return Figures(
        volume_id, newest,
        size=None if newest is None else lineage.size(newest),
        depth=0 if newest is None else len(lineage.chain(newest)) - 1,
        stored_bytes=sum(backup.listed.stored_bytes for backup in every),
        objects=sum(backup.listed.objects for backup in every),
        by_state=collections.Counter(map(lineage.state, every)))

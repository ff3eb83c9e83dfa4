# SPDX-License-Identifier: Apache-2.0

"""When the volumes of a store were last backed up."""

from collections.abc import Iterable
import dataclasses
import datetime

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages


@dataclasses.dataclass(slots=True)
class Freshness:
    """What there is of a volume.

    ``newest`` is its newest backup that is complete, if there is one, and
    ``count`` how many backups there are, in whatever state.
    """

    volume_id: str
    newest: backups.Backup | None = None
    count: int = 0

    def age(self, now: datetime.datetime) -> datetime.timedelta | None:
        """How long ago the newest was begun; None if there is none."""
        if self.newest is None:
            return None
        return now - self.newest.listed.created


def by_volume(lineage: lineages.Lineage,
              chosen: Iterable[backups.Backup]) -> dict[str, Freshness]:
    """The freshness of volumes, by their ids.

    :param chosen: backups of them, what one builds on before it
    """
    found: dict[str, Freshness] = {}
    for backup in chosen:
        volume_id = backup.ref.volume_id
        volume = found.setdefault(volume_id, Freshness(volume_id))
        volume.count += 1
        if lineage.state(backup) is backups.State.COMPLETE and (
                volume.newest is None
                or backup.listed.created >= volume.newest.listed.created):
            volume.newest = backup
    return found

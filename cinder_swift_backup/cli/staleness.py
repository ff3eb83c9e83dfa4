# SPDX-License-Identifier: Apache-2.0

"""Volumes that should have a newer backup.

1. If the login's catalog has Cinder, these are the volumes that it shows, and
   else those that have backups.
2. A volume is stale if its newest complete backup is older than it may be, or
   if it has none and is older itself.
3. A volume that Cinder no longer has is not: nobody can back it up.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.engine.survey import figures

COLUMNS = ('Volume', 'Newest complete', 'Age', 'Backups', 'Volume name',
           'Project')
# Which share a column where the terminal is narrow.
GROUPINGS = (
    (('Volume', 'Project'), ('Newest complete', 'Volume name'),
     ('Age', 'Backups')),)


def limit(text: str) -> tuple[str, datetime.timedelta]:
    """An age that the user types, and how it was typed."""
    return text, commands.age(text)


@dataclasses.dataclass(frozen=True, slots=True)
class Stale:
    """A stale volume, and what it is called."""

    volume: figures.Figures
    name: str
    project_id: str

    def cells(self, now: datetime.datetime) -> tuple[object, ...]:
        """The row of a table."""
        newest = self.volume.newest
        return (self.volume.volume_id,
                commands.Known(None if newest is None else formatting.moment(
                    newest.listed.dated)),
                commands.Age(self.volume.age(now)),
                self.volume.count, self.name, self.project_id)


def find(known: Mapping[str, figures.Figures],
         volumes: Mapping[str, cinder_api.Volume] | None,
         oldest: datetime.timedelta, now: datetime.datetime) -> list[Stale]:
    """The stale volumes, those that were backed up last first.

    :param known: volumes with backups
    :param volumes: those of Cinder; None if there is none
    :param oldest: how old the newest complete backup may be
    """
    found = list(_of_store(known) if volumes is None
                 else _of_cinder(known, volumes, now - oldest))
    stale = [each for each in found
             if (age := each.volume.age(now)) is None or age > oldest]
    return sorted(stale, key=lambda each: (
        each.volume.age(now) or datetime.timedelta.max,
        each.volume.volume_id))


def _of_store(known: Mapping[str, figures.Figures]) -> Iterator[Stale]:
    for volume in known.values():
        yield Stale(volume, volume.noted.name or '',
                    volume.noted.project_id or '')


def _of_cinder(known: Mapping[str, figures.Figures],
               volumes: Mapping[str, cinder_api.Volume],
               before: datetime.datetime) -> Iterator[Stale]:
    for volume in volumes.values():
        found = known.get(volume.id)
        if found is None or found.newest is None:
            # Nobody has had to back it up yet.
            if volume.created is not None and volume.created > before:
                continue
            found = found or figures.Figures(volume.id)
        yield Stale(found, volume.name, volume.project_id)


def summary(stale: Sequence[Stale],
            known: Mapping[str, figures.Figures],
            volumes: Mapping[str, cinder_api.Volume] | None,
            age: str) -> Iterator[str]:
    """Lines that say what the table amounts to.

    :param age: the limit, as the user has typed it
    """
    of = 'Swift' if volumes is None else 'Cinder'
    total = quantities.counted(len(known) if volumes is None
                              else len(volumes), 'volume')
    if stale:
        yield (f'{total} in {of}, {len(stale)} of them without a complete '
               f'backup from the last {age}.')
    else:
        yield (f'{total} in {of}: each has a complete backup from the last '
               f'{age}, or is itself newer than that.')
    gone = [] if volumes is None else known.keys() - volumes.keys()
    if gone:
        yield ('Not checked, because Cinder does not show them to this login: '
               f'{quantities.counted(len(gone), "volume")} with backups.')

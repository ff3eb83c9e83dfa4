# SPDX-License-Identifier: Apache-2.0

"""A page about all volumes and backups, for people.

1. Work out what the page shows: numbers and texts of each volume, and where
   its backups are on the timeline.
2. Fill in the template. All that comes from the store or from Cinder is
   escaped there.

The page is one file, which needs no script and loads nothing.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime

import jinja2

from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import staleness
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import figures
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import verified

_DAY = datetime.timedelta(days=1)
# Up to which age a volume is in which bar.
_AGES = (('less than 1 day', _DAY), ('1 to 2 days', 2 * _DAY),
         ('2 to 7 days', 7 * _DAY), ('7 to 30 days', 30 * _DAY),
         ('more than 30 days', datetime.timedelta.max))
_NONE = 'no complete backup'
# The timeline: what it covers at least, and how many parts it has.
_SHORTEST = 7 * _DAY
_TICKS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What a page is about.

    ``place`` is the account and what belongs to it. ``volumes`` are those of
    Cinder; None if there is none. A volume is stale if its newest complete
    backup is older than ``limit``, which the user typed as ``limit_text``.
    """

    place: str
    lineage: lineages.Lineage
    volumes: Mapping[str, cinder_api.Volume] | None
    times: verified.Verified
    limit: datetime.timedelta
    limit_text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """A backup on the timeline.

    ``at`` is in per cent of its width. ``text`` says all about it.
    """

    at: float
    state: str
    kind: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A volume. ``size_share`` and ``stored_share`` are in per cent."""

    volume_id: str
    name: str
    project_id: str
    newest: str
    age: str
    is_stale: bool
    count: int
    size: str
    stored: str
    size_share: float
    stored_share: float
    verified: str
    points: Sequence[Point]


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """Some volumes; ``share`` is in per cent of the longest bar."""

    label: str
    count: int
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class Lag:
    """How far a container that is a copy is behind."""

    container: str
    behind: int
    volumes: int
    longest: str


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """A backup that is not complete, and why."""

    backup_id: str
    volume_id: str
    volume_name: str
    created: str
    state: str
    why: str


class Page:
    """What the template shows."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._lineage = subject.lineage
        self._known = figures.by_volume(self._lineage, self._lineage.backups)
        self._of_volume: dict[str, list[backups.Backup]] = {}
        for backup in self._lineage.backups:
            self._of_volume.setdefault(backup.ref.volume_id, []).append(backup)
        self._problem = {backup.ref: self._lineage.problem(backup)
                         for backup in self._lineage.backups}
        self._all = self._all_volumes()
        self._stale = {each.volume.volume_id for each in staleness.find(
            self._known, subject.volumes, subject.limit, self._lineage.now)}
        self._largest = max((max(each.size or 0, each.stored_bytes)
                             for each in self._all.values()), default=0)
        # By Swift's clock: that of a host may have been years behind.
        self._first = min([*(backup.listed.modified
                             for backup in self._lineage.backups),
                           self._lineage.now - _SHORTEST])
        # A sentence begins with it.
        self.place = subject.place[:1].upper() + subject.place[1:]
        self.limit = subject.limit_text
        self.has_cinder = subject.volumes is not None
        self.created = formatting.moment(self._lineage.now)
        self.rows = sorted(
            map(self._row, self._all.values()),
            key=lambda row: (not row.is_stale, row.name or row.volume_id,
                             row.volume_id))
        self.problems = list(self._problems())
        self.bars = list(self._bars())
        self.lags = [self._lag(container)
                     for container in sorted(self._lineage.copies)]
        self.shared = sorted(self._lineage.shared - self._lineage.copies)
        self.ticks = list(self._ticks())

    def _all_volumes(self) -> dict[str, figures.Figures]:
        """Those with backups, and all others of Cinder."""
        return {**{volume_id: figures.Figures(volume_id)
                   for volume_id in self._subject.volumes or ()},
                **self._known}

    @property
    def stale(self) -> int:
        """How many volumes are stale."""
        return len(self._stale)

    @property
    def is_damaged(self) -> bool:
        """Whether a backup will not become complete by itself."""
        return any(problem.state != backups.State.ARRIVING.value
                   for problem in self.problems)

    @property
    def complete(self) -> int:
        """How many backups are complete."""
        return sum(each.by_state.get(backups.State.COMPLETE, 0)
                   for each in self._all.values())

    @property
    def size(self) -> str:
        """How large the volumes are in their newest complete backups."""
        return quantities.size(sum(each.size or 0
                                   for each in self._all.values()))

    @property
    def stored(self) -> str:
        """How much all backups take."""
        return quantities.size(sum(each.stored_bytes
                                   for each in self._all.values()))

    def _row(self, volume: figures.Figures) -> Row:
        known = (self._subject.volumes or {}).get(volume.volume_id)
        newest, age = volume.newest, volume.age(self._lineage.now)
        return Row(
            volume.volume_id,
            self._name(volume),
            (known.project_id if known else volume.noted.project_id) or '',
            newest='' if newest is None else formatting.moment(
                newest.listed.dated),
            age='' if age is None else quantities.duration(age),
            is_stale=volume.volume_id in self._stale,
            count=volume.count,
            size=quantities.size(volume.size),
            stored=quantities.size(volume.stored_bytes),
            size_share=self._share(volume.size or 0),
            stored_share=self._share(volume.stored_bytes),
            verified='' if newest is None else self._verified(newest),
            points=[self._point(backup) for backup
                    in self._of_volume.get(volume.volume_id, ())])

    def _verified(self, newest: backups.Backup) -> str:
        when = self._subject.times.when(newest)
        if when is not None:
            return f'verified {when:%Y-%m-%d}'
        # Nothing is noted in a copy, so nobody knows.
        return ('' if newest.ref.container in self._lineage.copies
                else 'not verified')

    def _name(self, volume: figures.Figures) -> str:
        known = (self._subject.volumes or {}).get(volume.volume_id)
        return (known.name if known else volume.noted.name) or ''

    def _share(self, count: int) -> float:
        return round(100 * count / self._largest, 2) if self._largest else 0

    def _point(self, backup: backups.Backup) -> Point:
        state, why = self._problem[backup.ref]
        kind = summaries.kind(backup)
        words = [state.value, {'packs': 'in packs', '-': ''}.get(kind, kind),
                 f'{quantities.size(backup.listed.stored_bytes)} stored',
                 f'backup {backup.ref.backup_id}']
        text = (f'{formatting.moment(backup.listed.dated)}: '
                f'{", ".join(filter(None, words))}')
        return Point(self._at(backup.listed.dated), state.value, kind,
                     f'{text}: {why}' if why else text)

    def _at(self, when: datetime.datetime) -> float:
        whole = self._lineage.now - self._first
        return round(100 * min(max((when - self._first) / whole, 0), 1), 2)

    def _ticks(self) -> Iterator[tuple[float, str]]:
        whole = self._lineage.now - self._first
        for number in range(_TICKS + 1):
            when = self._first + whole * number / _TICKS
            yield 100 * number / _TICKS, f'{when:%Y-%m-%d}'

    def _problems(self) -> Iterator[Problem]:
        for backup in self._lineage.backups:
            state, why = self._problem[backup.ref]
            if state is not backups.State.COMPLETE:
                volume_id = backup.ref.volume_id
                yield Problem(backup.ref.backup_id, volume_id,
                              self._name(self._known[volume_id]),
                              formatting.moment(backup.listed.dated),
                              state.value, why)

    def _bars(self) -> Iterator[Bar]:
        counts = dict.fromkeys([label for label, _ in _AGES] + [_NONE], 0)
        for volume in self._all.values():
            age = volume.age(self._lineage.now)
            label = _NONE if age is None else next(
                label for label, most in _AGES if age < most)
            counts[label] += 1
        longest = max(counts.values())
        for label, count in counts.items():
            yield Bar(label, count,
                      round(100 * count / longest, 2) if longest else 0)

    def _lag(self, container: str) -> Lag:
        lags = self._lineage.lags(container)
        behind = [lag for lag in lags if lag is not None]
        return Lag(container, len(behind), len(lags),
                   quantities.duration(max(behind)) if behind else '')


def render(page: Page) -> str:
    """The page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('cinder_swift_backup.cli'),
        autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    environment.filters['line'] = formatting.line
    return environment.get_template('report.html').render(page=page)

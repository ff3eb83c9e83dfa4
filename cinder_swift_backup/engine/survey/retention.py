# SPDX-License-Identifier: Apache-2.0

"""Which backups of a volume a policy keeps.

The words and what they mean are those of restic's ``forget``:

1. ``last`` keeps the newest ones.
2. ``hourly`` to ``yearly`` keep the newest one of each of the last hours,
   days, ISO weeks, months or years that have any. Those without do not count,
   so a volume that is no longer backed up loses nothing.
3. If there are fewer of these than a policy asks for, it keeps the oldest
   backup as well.
4. ``within`` keeps what was made less than a span before the newest one.
5. ``tags`` keep what has any of them.

Whatever one of them keeps stays. Hours and days are those of a calendar in a
time zone. An hour that comes twice, when clocks are put back, is two hours.
"""

import calendar
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import enum
import math

# Of as many as there are.
UNLIMITED = math.inf
_START = datetime.datetime.min.replace(tzinfo=datetime.UTC)


class Rule(enum.Enum):
    """What keeps a backup."""

    LAST = 'last'
    HOURLY = 'hourly'
    DAILY = 'daily'
    WEEKLY = 'weekly'
    MONTHLY = 'monthly'
    YEARLY = 'yearly'
    WITHIN = 'within'
    TAG = 'tag'


@dataclasses.dataclass(frozen=True, slots=True)
class Reason:
    """Why a backup is kept.

    ``number`` counts what a rule keeps, from 1 for the newest. ``is_oldest``
    says that the backup stays as the oldest one, and not as the newest of its
    period.
    """

    rule: Rule
    number: int = 1
    is_oldest: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A span of the calendar; the days before hours are whole ones."""

    years: int = 0
    months: int = 0
    days: int = 0
    hours: int = 0

    def before(self, moment: datetime.datetime,
               zone: datetime.tzinfo | None = None) -> datetime.datetime:
        """The same time so long ago, or the start of time.

        The last of a month goes back to the last of a shorter one.

        :param moment: in any time zone
        :param zone: whose calendar counts; that of this host if None
        """
        local = moment.astimezone(zone).replace(tzinfo=None)
        months = local.year * 12 + local.month - 1 - (
            self.years * 12 + self.months)
        year, month = divmod(months, 12)
        if year < datetime.MINYEAR:
            return _START
        day = min(local.day, calendar.monthrange(year, month + 1)[1])
        try:
            then = local.replace(year=year, month=month + 1, day=day)
            then -= datetime.timedelta(days=self.days)
            # By the offset of then, which may not be that of today.
            there = (then.astimezone() if zone is None
                     else then.replace(tzinfo=zone))
            # Hours are hours, whatever clocks do.
            return (there.astimezone(datetime.UTC)
                    - datetime.timedelta(hours=self.hours))
        except (OverflowError, ValueError, OSError):
            # No clock knows that year.
            return _START


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What to keep; numbers are whole, or :data:`UNLIMITED`.

    ``tags`` are names and values.
    """

    last: float = 0
    hourly: float = 0
    daily: float = 0
    weekly: float = 0
    monthly: float = 0
    yearly: float = 0
    within: Span | None = None
    tags: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it keeps nothing."""
        return not (any(count for _, count, _ in self._counts)
                    or self.within or self.tags)

    @property
    def _counts(self) -> Sequence[tuple[Rule, float, '_Period']]:
        """The rules that count, and the periods of which they keep one."""
        return (
            (Rule.LAST, self.last, lambda moment: object()),
            (Rule.HOURLY, self.hourly, lambda moment: (
                moment.date(), moment.hour, moment.utcoffset())),
            (Rule.DAILY, self.daily, lambda moment: moment.date()),
            (Rule.WEEKLY, self.weekly,
             lambda moment: moment.isocalendar()[:2]),
            (Rule.MONTHLY, self.monthly,
             lambda moment: (moment.year, moment.month)),
            (Rule.YEARLY, self.yearly, lambda moment: moment.year))


# What tells one period from another.
_Period = Callable[[datetime.datetime], object]


@dataclasses.dataclass(frozen=True, slots=True)
class Dated:
    """A backup as a policy sees it; ``created`` has a time zone."""

    created: datetime.datetime
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)


def reasons(policy: Policy, backups: Sequence[Dated], now: datetime.datetime,
            zone: datetime.tzinfo | None = None) -> list[tuple[Reason, ...]]:
    """Why each of the backups of a volume is kept; empty if it is not.

    :param now: in any time zone; what seems to be made later is not the
        newest that ``within`` goes by
    :param zone: whose calendar counts; that of this host if None
    """
    found: list[list[Reason]] = [[] for _ in backups]
    times = [backup.created.astimezone(zone) for backup in backups]
    # Newest first; of those made at the same time, the later ones.
    order = sorted(range(len(backups)), reverse=True,
                   key=lambda index: (times[index], index))
    for rule, count, period in policy._counts:
        for index, reason in _counted(rule, count, period, times, order):
            found[index].append(reason)
    limit = _limit(policy.within, times, now, zone)
    for index, backup in enumerate(backups):
        if limit is not None and times[index] > limit:
            found[index].append(Reason(Rule.WITHIN))
        if any(backup.tags.get(name) == value
               for name, value in policy.tags):
            found[index].append(Reason(Rule.TAG))
    return list(map(tuple, found))


def _counted(rule: Rule, count: float, period: _Period,
             times: Sequence[datetime.datetime],
             order: Sequence[int]) -> list[tuple[int, Reason]]:
    """What a rule keeps: the newest one of each of some periods."""
    kept: list[tuple[int, Reason]] = []
    last: object = None
    for index in order:
        if len(kept) >= count:
            return kept
        this = period(times[index])
        if this != last:
            kept.append((index, Reason(rule, len(kept) + 1)))
        last = this
    if kept and len(kept) < count and kept[-1][0] != order[-1]:
        kept.append((order[-1], Reason(rule, len(kept) + 1, is_oldest=True)))
    return kept


def _limit(within: Span | None, times: Sequence[datetime.datetime],
           now: datetime.datetime, zone: datetime.tzinfo | None,
           ) -> datetime.datetime | None:
    """What was made after this is kept; None if that keeps nothing."""
    if within is None or not times:
        return None
    newest = max((time for time in times if time <= now),
                 default=min(times))
    return within.before(newest, zone)

# SPDX-License-Identifier: Apache-2.0

"""Tells the time by a server's clock, from the ``Date`` of its answers.

A host may have any time, and objects have that of the store. So an age is only
right if both ends of it are by the store's clock.

1. Keep the ``Date`` of the latest answer, and when it came.
2. Add what has passed since, by a clock that nobody sets.

``Date`` is in whole seconds and older than its answer, so this is early by a
second or two, and what is young never seems old.
"""

import dataclasses
import datetime
import email.utils
import time


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """A time that a server told, and when, in seconds, it came."""

    moment: datetime.datetime
    came: float


def told(date: str | None) -> Told | None:
    """What the ``Date`` of an answer tells that has just come, if anything."""
    moment = parse(date or '')
    return None if moment is None else Told(moment, time.monotonic())


def parse(date: str) -> datetime.datetime | None:
    """A date as HTTP has it, in UTC; None if it is none."""
    try:
        moment = email.utils.parsedate_to_datetime(date)
        # Without a zone, or with one that is not known, it is in UTC.
        return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(
            datetime.UTC)
    except (ValueError, OverflowError):
        return None


class Clock:
    """The time at one server, for any threads."""

    def __init__(self) -> None:
        self._told: Told | None = None

    def set(self, latest: Told | None) -> None:
        """Learn the time from an answer, if that tells it."""
        if latest is not None:
            self._told = latest

    def now(self) -> datetime.datetime | None:
        """The time in UTC; None if no answer has told it."""
        latest = self._told
        if latest is None:
            return None
        passed = datetime.timedelta(seconds=time.monotonic() - latest.came)
        try:
            return latest.moment + passed
        except OverflowError:
            # It was told the last second of the year 9999.
            return None

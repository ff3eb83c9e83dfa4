# SPDX-License-Identifier: Apache-2.0

"""Values as people read them in a table."""

import datetime

_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')


def size(count: int | None) -> str:
    """A number of bytes in a unit that leaves three digits or four."""
    if count is None:
        return '-'
    value, unit = float(count), _UNITS[0]
    for unit in _UNITS:  # noqa: B007
        if value < 1000:
            break
        value /= 1024
    digits = 0 if unit == 'B' or value >= 100 else 1 if value >= 10 else 2
    return f'{value:.{digits}f} {unit}'


def moment(when: datetime.datetime) -> str:
    """A time in UTC, to the second, as ISO 8601 has it."""
    return when.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


def duration(span: datetime.timedelta) -> str:
    """A span of time in its two largest units."""
    seconds = int(span.total_seconds())
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    if days:
        return f'{days} d {hours} h'
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {seconds} s'

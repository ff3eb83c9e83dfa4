# SPDX-License-Identifier: Apache-2.0

"""Quantities as people read them, in logs and tables."""

import datetime

_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB')


def size(count: int | None) -> str:
    """A number of bytes in a unit that leaves three digits or four."""
    if count is None:
        return '-'
    value, power = float(count), 0
    while value >= 1000 and power < len(_UNITS) - 1:
        value /= 1024
        power += 1
    unit = _UNITS[power]
    digits = 0 if unit == 'B' or value >= 100 else 1 if value >= 10 else 2
    return f'{value:.{digits}f} {unit}'


def counted(number: int, thing: str) -> str:
    """Such as "1 entry" or "2 entries"."""
    if number == 1:
        return f'1 {thing}'
    if thing.endswith('y') and thing[-2] not in 'aeiou':
        return f'{number} {thing[:-1]}ies'
    return f'{number} {thing}s'


def duration(span: datetime.timedelta) -> str:
    """A span of time in its two largest units; none if clocks differ."""
    seconds = max(int(span.total_seconds()), 0)
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    if days:
        return f'{days} d {hours} h'
    if hours:
        return f'{hours} h {minutes} min'
    return f'{minutes} min {seconds} s'

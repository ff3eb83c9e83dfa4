# SPDX-License-Identifier: Apache-2.0

"""Values as people read them in a table."""

import datetime
from typing import Any
from typing import TextIO
import unicodedata

# What no terminal is harmed by, though Python calls it not printable, besides
# the spaces of other scripts: joiners are parts of words and of emojis.
_HARMLESS = '\n\u200c\u200d'
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


def printable(text: str) -> str:
    """A text that does nothing to a terminal but appear there.

    Names of objects and backups may hold anything.
    """
    return ''.join(
        letter if letter.isprintable() or letter in _HARMLESS
        or unicodedata.category(letter) == 'Zs'
        else letter.encode('unicode_escape').decode() for letter in text)


def line(text: str) -> str:
    """A printable text that is one line, whatever somebody put into it."""
    return printable(text).replace('\n', '\\n')


class Printable:
    """A stream whose output is made printable."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write all of it."""
        return self._stream.write(printable(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

# SPDX-License-Identifier: Apache-2.0

"""Values as people read them in a table."""

import datetime
from typing import Any
from typing import TextIO
import unicodedata

# What no terminal is harmed by, though Python calls it not printable, besides
# the spaces of other scripts: joiners are parts of words and of emojis.
_HARMLESS = '\n\u200c\u200d'


def moment(when: datetime.datetime) -> str:
    """A time in UTC, to the second, as ISO 8601 has it."""
    return when.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')


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

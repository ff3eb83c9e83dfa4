# SPDX-License-Identifier: Apache-2.0

"""Reads a JSON object whose long list has entries of JSON, one at a time.

An entry that has not come as a whole is looked at again when more has come.
"""

import abc
import codecs
import json
import re
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import long_list

# Characters of one entry. Real ones take less than a KiB.
_MOST_ENTRY = 1 << 16
_JSON = json.JSONDecoder(object_pairs_hook=documents.unique)
_SPACE = re.compile(r'[ \t\r\n]*')


class EntriesReader(long_list.LongListReader):
    """Reads such an object, fed in pieces; a subclass takes the entries."""

    def __init__(self, name: str, key: str, most: int) -> None:
        """See :class:`long_list.LongListReader`."""
        super().__init__(name, key, most)
        # How many entries there were.
        self._count = 0

    def _begin(self, fields: dict[str, Any]) -> None:
        # All fields are looked at in the end.
        pass

    def _take(self, rest: bytes) -> tuple[int, bool]:
        # A character may be cut at the end.
        try:
            text, _ = codecs.utf_8_decode(rest, 'strict', False)
        except UnicodeDecodeError as err:
            raise self._bad_entry(err) from err
        used, ended = self._take_entries(text)
        if not ended:
            self._check_entry(len(text) - used)
        return len(text[:used].encode()), ended

    def _take_entries(self, text: str) -> tuple[int, bool]:
        """As :meth:`_take`, in characters."""
        used = 0
        while True:
            start = _space_end(text, used)
            if text.startswith(']', start) and not self._count:
                self._check_entry(start - used)
                return start + 1, True
            try:
                entry, end = _JSON.raw_decode(text, start)
            except (RecursionError, documents.FieldTwice) as err:
                raise self._bad_entry(err) from err
            except ValueError:
                # Perhaps the rest of the entry is still to come.
                return used, False
            end = _space_end(text, end)
            if end == len(text):
                return used, False
            if text[end] not in ',]':
                raise self._bad_entry('no comma follows it')
            self._check_entry(end - used)
            self._add(entry)
            self._count += 1
            used = end + 1
            if text[end] == ']':
                return used, True

    @abc.abstractmethod
    def _add(self, entry: object) -> None:
        """Take the next entry.

        :raises FormatError: when it is none
        """

    def _check_entry(self, length: int) -> None:
        # The same limit however the manifest comes in pieces.
        if length > _MOST_ENTRY:
            raise self._bad_entry('it is too long')

    def _bad_entry(self, why: object) -> exceptions.FormatError:
        return documents.damaged(
            self._name, f'entry {self._count} of "{self._key}" is not '
                        f'valid JSON ({why})')


def _space_end(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    assert match is not None
    return match.end()

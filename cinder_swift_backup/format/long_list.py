# SPDX-License-Identifier: Apache-2.0

"""Reads a JSON object that has one long list, without having all of it.

Both documents of a backup are such objects:

1. Keep everything up to the bracket that opens the list.
2. Hand what is in the list to the subclass, which understands its items.
3. Keep everything after the bracket that closes it.
4. Parse what was kept, with an empty list in between, as JSON.

So memory is that of the other fields, and of a few pieces. Fields are taken as
they are in the document and as they are parsed, and a character may take four
bytes; so they take ten times their limit at most, besides 20 MiB for numbers,
lists and the like, of which there is a limit, too.

Whether a document is accepted does not depend on the pieces it comes in.
"""

import abc
from collections.abc import Sequence
import json
import re
from typing import Any

from cinder_swift_backup.format import documents

# Bytes handed to the subclass at once. A regular expression remembers each
# repetition of a group.
_STEP = 1 << 16
# How often the words that open the list may come before it. Each time, all
# before them is parsed.
_TRIES = 100

# JSON has fewer kinds of white space than "\s" matches.
SPACE = rb'[ \t\r\n]*'


class LongListReader(abc.ABC):
    """Reads such an object, fed in pieces; a subclass reads the items."""

    # Of the documents that are read.
    versions: Sequence[str] = (documents.VERSION,)
    # How many values all other fields may have, with those that look so in
    # texts.
    most_values = 1 << 18

    def __init__(self, name: str, key: str, most: int) -> None:
        """Prepare.

        :param name: of the stored object
        :param key: of the list
        :param most: bytes that all other fields may take
        """
        self._name = name
        self._key = key
        self._most_fields = most
        self._quoted = b'"' + key.encode() + b'"'
        self._opening = re.compile(
            self._quoted + SPACE + b':' + SPACE + rb'\[')
        # What was fed before the list, and how much of it was searched for the
        # list.
        self._before = bytearray()
        self._searched = 0
        # What was fed of the list and not yet understood.
        self._rest = b''
        self._tries = _TRIES
        # The fields before the list, and those after it.
        self._head: bytes | None = None
        self._tail: bytearray | None = None

    def feed(self, piece: bytes) -> None:
        """Take more of the object.

        :raises FormatError: when it is damaged
        """
        for start in range(0, len(piece), _STEP):
            self._feed(piece[start:start + _STEP])

    def _feed(self, piece: bytes) -> None:
        if self._tail is not None:
            self._tail += piece
            self._check_kept(len(self._tail))
            return
        if self._head is None:
            self._before += piece
            self._find_list()
        else:
            self._rest += piece
        if self._head is not None:
            self._read_items()

    def _find_list(self) -> None:
        while match := self._opening.search(self._before, self._searched):
            head = bytes(self._before[:match.end()])
            self._check_kept(len(head))
            self._check_values(head)
            fields = _parsed(head)
            if fields is not None:
                self._head = head
                self._rest = bytes(self._before[match.end():])
                self._begin(fields)
                return
            # The same words deeper inside, or in an object that is none.
            self._searched = match.end()
            self._tries -= 1
            if not self._tries:
                raise self._no_list()
        # What opens the list begins with its key, perhaps the last one so far.
        last = self._before.rfind(self._quoted, self._searched)
        self._searched = last if last >= 0 else max(
            self._searched, len(self._before) - len(self._quoted))
        self._check_kept(len(self._before))

    def _read_items(self) -> None:
        used, ended = self._take(self._rest)
        self._rest = self._rest[used:]
        if ended:
            self._tail = bytearray(self._rest)
            self._rest = b''
            self._check_kept(len(self._tail))

    @property
    def _in_list(self) -> bool:
        return self._head is not None and self._tail is None

    def _fields(self) -> dict[str, Any]:
        """All fields, once everything was fed; the list among them is empty.

        :raises FormatError: when the object is damaged or of an unknown
            version
        """
        if self._head is None or self._tail is None:
            # Raises if it is no JSON at all, or of another version.
            self._parse((self._head or bytes(self._before)) + self._rest)
            raise self._no_list()
        fields = self._parse(b''.join((self._head, b']', self._tail)))
        if fields.get(self._key) != []:
            raise self._no_list()
        return fields

    def _parse(self, document: bytes) -> dict[str, Any]:
        self._check_values(document)
        return documents.parse(self._name, document, self.versions)

    def _check_kept(self, length: int) -> None:
        before = 0 if self._tail is None else len(self._head or b'')
        if before + length > self._most_fields:
            raise self._no_list()

    def _check_values(self, kept: bytes) -> None:
        if sum(map(kept.count, (b',', b'[', b'{'))) > self.most_values:
            raise self._no_list()

    def _no_list(self) -> Exception:
        return documents.damaged(self._name,
                                 f'it does not hold the list {self._key!r}')

    @abc.abstractmethod
    def _begin(self, fields: dict[str, Any]) -> None:
        """Learn the fields that come before the list.

        They may be of any type. :meth:`_fields` has them again, and all
        others, when everything was fed.
        """

    @abc.abstractmethod
    def _take(self, rest: bytes) -> tuple[int, bool]:
        """Read items.

        :param rest: what follows in the list, which may end anywhere
        :returns: how many bytes of it were used, which may be none, and
            whether they end with the bracket that closes the list
        :raises FormatError: when it cannot be a beginning of items
        """


def _parsed(head: bytes) -> dict[str, Any] | None:
    """The fields of an object that has just opened a list."""
    try:
        fields = json.loads((head + b']}').decode('utf-8'))
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None

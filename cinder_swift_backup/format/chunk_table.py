# SPDX-License-Identifier: Apache-2.0

"""The records of many chunks, packed.

A large volume has millions of chunks in its chain. As objects they would take
700 bytes each, and Python's garbage collector would visit all of them again
and again; in columns they take 40 bytes, and nothing is visited. A column has
narrow numbers until there is one that is too wide for it.
"""

from array import array
import bisect
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import heapq
import itertools
import re
from typing import Protocol

from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

# Numbers of up to 18 digits fit in 64 bits, and lengths are not negative.
_NUMBER = re.compile(r'-([0-9]{5,18})\Z')
_NONE = -1
_MD5_SIZE = 16
# How many numbers are sorted at once.
_SORTED = 1 << 15


class ChunkTable:
    """The records of the chunks below one prefix.

    Records come out as they were put in. ``offsets`` and ``lengths`` are
    their extents, in bytes, for those who need no more of them.

    Loops over columns are Python's, not those of ``map`` and the like: these
    would not let another thread run before they have come to the end.
    """

    def __init__(self, prefix: str,
                 records: Iterable[types.ChunkRecord] = ()) -> None:
        """Prepare.

        :param prefix: what all names begin with
        """
        self._prefix = prefix
        self.offsets = array('q')
        self.lengths = array('i')
        self._numbers = array('i')
        self._stored_lengths = array('i')
        self._stored_md5s = bytearray()
        self._has_md5 = bytearray()
        self._codes = array('b')
        # The words of codecs, and the code of each.
        self._words: list[str] = []
        self._code_of: dict[str, int] = {}
        # The names that are not made of the prefix and a number, by index.
        self._odd_names: dict[int, str] = {}
        for record in records:
            self.append(record)

    def append(self, record: types.ChunkRecord) -> None:
        """Add a record at the end.

        :raises ValueError: when its MD5 is none
        :raises OverflowError: when a number has more than 63 bits
        """
        number = self._number(record.name)
        if number == _NONE:
            self._odd_names[len(self)] = record.name
        md5 = bytes.fromhex(record.stored_md5 or '')
        if len(md5) not in (0, _MD5_SIZE):
            raise ValueError(f'{record.stored_md5!r} is no MD5')
        self._numbers = _appended(self._numbers, number)
        self.offsets.append(record.extent.offset)
        self.lengths = _appended(self.lengths, record.extent.length)
        self._stored_lengths = _appended(
            self._stored_lengths,
            _NONE if record.stored_length is None else record.stored_length)
        self._stored_md5s += md5 or bytes(_MD5_SIZE)
        self._has_md5.append(bool(md5))
        self._codes = _appended(self._codes, self._code(record.compression))

    def _code(self, word: str) -> int:
        code = self._code_of.setdefault(word, len(self._words))
        if code == len(self._words):
            self._words.append(word)
        return code

    def _number(self, name: str) -> int:
        match = _NUMBER.match(name, len(self._prefix))
        if match is None:
            return _NONE
        number = int(match.group(1))
        return (number if naming.chunk_name(self._prefix, number) == name
                else _NONE)

    def __len__(self) -> int:
        """How many records there are."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[types.ChunkRecord]:
        """All records."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> types.ChunkRecord:
        """A record, made anew each time."""
        index = range(len(self))[index]
        length, md5 = self.stored(index)
        return types.ChunkRecord(
            name=self.name(index),
            extent=types.Extent(self.offsets[index], self.lengths[index]),
            compression=self.compression(index),
            stored_length=length, stored_md5=md5)

    def stored(self, index: int) -> tuple[int | None, str | None]:
        """The stored length and MD5 of a record, as far as it has them.

        A record itself takes several times as long to make.
        """
        length = self._stored_lengths[index]
        md5 = None
        if self._has_md5[index]:
            start = index * _MD5_SIZE
            md5 = self._stored_md5s[start:start + _MD5_SIZE].hex()
        return None if length == _NONE else length, md5

    def compression(self, index: int) -> str:
        """The word for the codec of a record."""
        return self._words[self._codes[index]]

    def name(self, index: int) -> str:
        """The name of the object of a record."""
        number = self._numbers[index]
        if number == _NONE:
            return self._odd_names[index]
        return naming.chunk_name(self._prefix, number)

    @property
    def words(self) -> int:
        """How many different words for codecs there are."""
        return len(self._words)

    def names(self) -> Iterator[str]:
        """The names of all objects, in order."""
        return map(self.name, range(len(self)))

    @property
    def end(self) -> int:
        """The first byte of the volume that no chunk reaches."""
        return max((offset + length for offset, length
                    in zip(self.offsets, self.lengths, strict=True)),
                   default=0)

    def names_twice(self) -> bool:
        """Whether two records have the same name."""
        if len(set(self._odd_names.values())) < len(self._odd_names):
            return True
        return not self._numbers_rise() and any(
            one == other != _NONE for one, other
            in itertools.pairwise(self._numbers_in_order()))

    def _numbers_in_order(self) -> Iterator[int]:
        # Sorting all of them would not let another thread run meanwhile.
        return heapq.merge(*(
            array('q', sorted(self._numbers[start:start + _SORTED]))
            for start in range(0, len(self), _SORTED)))

    def _numbers_rise(self) -> bool:
        return all(one < other for one, other
                   in itertools.pairwise(self._numbers))

    def finder(self) -> Callable[[str], int | None]:
        """A function that tells the index of the record with a name.

        It returns None if there is no such record. Where two have the same
        name, it never finds one of them.
        """
        numbers, indexes = self._in_order_of_numbers()
        odd = {name: index for index, name in self._odd_names.items()}

        def find(name: str) -> int | None:
            number = self._number(name)
            if number == _NONE:
                return odd.get(name)
            place = bisect.bisect_left(numbers, number)
            if place == len(numbers) or numbers[place] != number:
                return None
            return indexes[place]

        return find

    def _in_order_of_numbers(self) -> tuple[Sequence[int], Sequence[int]]:
        """All numbers, and the index of the record that has each."""
        if self._numbers_rise():
            return self._numbers, range(len(self))
        numbers = array('q', self._numbers_in_order())
        indexes = array('q', bytes(8 * len(self)))
        for index, number in enumerate(self._numbers):
            indexes[bisect.bisect_left(numbers, number)] = index
        return numbers, indexes

    def forget_md5s(self) -> None:
        """Have no record tell an MD5."""
        self._stored_md5s = bytearray(_MD5_SIZE * len(self))
        self._has_md5 = bytearray(len(self))

    def is_in_order(self) -> bool:
        """Whether no record begins before the one that it follows."""
        return all(one <= other for one, other
                   in itertools.pairwise(self.offsets))

    def in_order(self) -> 'ChunkTable':
        """The same records in the order of their offsets."""
        if self.is_in_order():
            return self
        order = sorted(range(len(self)), key=self.offsets.__getitem__)
        return ChunkTable(self._prefix, map(self.__getitem__, order))

    def __eq__(self, other: object) -> bool:
        """Whether another table has the same records."""
        if not isinstance(other, ChunkTable):
            return NotImplemented
        return self._columns() == other._columns()

    def _columns(self) -> tuple[object, ...]:
        # What stands for a codec depends on the order of the records only.
        return (self._prefix, self._numbers, self.offsets, self.lengths,
                self._stored_lengths, self._stored_md5s, self._has_md5,
                self._codes, self._words, self._odd_names)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """A few of the records, and how many there are."""
        return (f'<ChunkTable of {len(self)} at {self._prefix}: '
                f'{list(itertools.islice(self, 3))!r}...>')


def _appended(column: 'array[int]', number: int) -> 'array[int]':
    """The column with a number at its end, or a wider one."""
    try:
        column.append(number)
    except OverflowError:
        column = array('q', column)
        column.append(number)
    return column


class Objects(Protocol):
    """A table whose records are objects, no two of the same name."""

    def __len__(self) -> int:
        """How many there are."""

    def name(self, index: int, /) -> str:
        """The name of an object."""

    def stored(self, index: int, /) -> tuple[int | None, str | None]:
        """Its length in bytes and its MD5, as far as they are known."""

    def finder(self) -> Callable[[str], int | None]:
        """A function that tells the index of a name, or None."""


class Sightings:
    """Which objects of a table were seen, such as in a listing.

    Memory: a bit for each record; 16 bytes where their numbers do not rise,
    as no driver leaves them. No two records may have the same name.
    """

    def __init__(self, table: Objects) -> None:
        """Begin with none.

        :param table: does not change any more
        """
        self._table = table
        self._find = table.finder()
        self._bits = bytearray(-(-len(table) // 8))
        self._seen = 0

    def see(self, name: str) -> int | None:
        """Note an object; returns the index of its record, or None."""
        index = self.find(name)
        if index is not None:
            self.note(index)
        return index

    def find(self, name: str) -> int | None:
        """The index of the record of an object, without noting it."""
        return self._find(name)

    def note(self, index: int) -> None:
        """Note the object of a record."""
        if index not in self:
            self._bits[index >> 3] |= 1 << (index & 7)
            self._seen += 1

    def __contains__(self, index: int) -> bool:
        """Whether the object of a record was seen."""
        return bool(self._bits[index >> 3] >> (index & 7) & 1)

    def __len__(self) -> int:
        """How many were seen."""
        return self._seen

    def unseen(self) -> Iterator[int]:
        """The indexes of the records whose objects were not, in order."""
        return (index for index in range(len(self._table))
                if index not in self)

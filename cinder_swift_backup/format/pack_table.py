# SPDX-License-Identifier: Apache-2.0

"""The packs that a manifest names, in columns.

They are in the order in which they overwrite each other on the volume: those
of the backup that it was compared with, as far as they are still needed, and
behind them its own. Their keys rise in that order.
"""

from array import array
import bisect
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import itertools

from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packs

_MD5_SIZE = 16


class PackTable:
    """The packs of a recovery point.

    Memory: 96 bytes for each pack.
    """

    def __init__(self, prefix: str, table: Iterable[packs.Pack] = ()) -> None:
        """Prepare.

        :param prefix: of the backup
        """
        self._prefix = prefix
        # What the names of all packs of the volume begin with.
        self.root = naming.packs(prefix)
        # Who has put the packs, and of each pack who that was, and its number
        # there.
        self.makers: list[str] = []
        self._maker_of: dict[str, int] = {}
        self._keys = array('q')
        self._makers = array('i')
        self._numbers = array('i')
        self._lengths = array('q')
        self._md5s = bytearray()
        self._index_lengths = array('i')
        self._sha256s = bytearray()
        self._living = array('q')
        self._living_bytes = array('q')
        for pack in table:
            self.append(pack)

    def append(self, pack: packs.Pack) -> None:
        """Add a pack at the end.

        :raises ValueError: when it is none of the volume, or its key does not
            rise
        """
        if self._keys and pack.key <= self._keys[-1]:
            raise ValueError(f'{pack.key} is no higher than {self._keys[-1]}')
        maker = naming.pack_maker(
            pack.name.removeprefix(self.root))
        if maker is None:
            raise ValueError(f'{pack.name} is no pack of the volume')
        identifier, number = maker
        place = self._maker_of.setdefault(identifier, len(self.makers))
        if place == len(self.makers):
            self.makers.append(identifier)
        self._keys.append(pack.key)
        self._makers.append(place)
        self._numbers.append(number)
        self._lengths.append(pack.length)
        self._md5s += bytes.fromhex(pack.md5)
        self._index_lengths.append(pack.index_length)
        self._sha256s += pack.index_sha256
        self._living.append(pack.living)
        self._living_bytes.append(pack.living_bytes)

    def __len__(self) -> int:
        """How many packs there are."""
        return len(self._numbers)

    def __iter__(self) -> Iterator[packs.Pack]:
        """All packs."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, number: int) -> packs.Pack:
        """A pack, made anew each time."""
        length, md5 = self.stored(number)
        start = number * digests.DIGEST_SIZE
        return packs.Pack(
            self._keys[number], self.name(number), length, md5,
            self._index_lengths[number],
            bytes(self._sha256s[start:start + digests.DIGEST_SIZE]),
            self._living[number], self._living_bytes[number])

    @property
    def last_key(self) -> int:
        """The highest key; -1 without packs."""
        return self._keys[-1] if self._keys else -1

    def place(self, key: int) -> int | None:
        """The number of the pack that has a key; None if there is none."""
        number = bisect.bisect_left(self._keys, key)
        if number < len(self) and self._keys[number] == key:
            return number
        return None

    def name_of(self, key: int) -> str:
        """The name of the pack that has a key."""
        return self.name(bisect.bisect_left(self._keys, key))

    def name(self, number: int) -> str:
        """The name of a pack."""
        return naming.pack_name(self._prefix, self.maker(number),
                                self._numbers[number])

    def maker(self, number: int) -> str:
        """Who has put a pack, see :mod:`.naming`."""
        return self.makers[self._makers[number]]

    def names(self) -> Iterator[str]:
        """The names of all packs, in order."""
        return map(self.name, range(len(self)))

    def stored(self, number: int) -> tuple[int, str]:
        """The length in bytes and the MD5 of a pack."""
        start = number * _MD5_SIZE
        return (self._lengths[number],
                self._md5s[start:start + _MD5_SIZE].hex())

    def data_length(self, number: int) -> int:
        """How many bytes of a pack are chunks."""
        return self._lengths[number] - self._index_lengths[number]

    def names_twice(self) -> bool:
        """Whether a pack is there twice."""
        return len(self._places()) < len(self)

    def finder(self) -> Callable[[str], int | None]:
        """A function that tells the number of the pack with a name.

        It returns None if there is no such pack.
        """
        places = self._places()
        def find(name: str) -> int | None:
            if not name.startswith(self.root):
                return None
            maker = naming.pack_maker(name.removeprefix(self.root))
            if maker is None or maker[0] not in self._maker_of:
                return None
            return places.get((self._maker_of[maker[0]], maker[1]))

        return find

    def _places(self) -> dict[tuple[int, int], int]:
        pairs = zip(self._makers, self._numbers, strict=True)
        return dict(zip(pairs, itertools.count(), strict=False))

    def __eq__(self, other: object) -> bool:
        """Whether another table has the same packs."""
        if not isinstance(other, PackTable):
            return NotImplemented
        return self._columns() == other._columns()

    def _columns(self) -> tuple[object, ...]:
        return (self._prefix, self._keys, self.makers, self._makers,
                self._numbers, self._lengths, self._md5s, self._index_lengths,
                self._sha256s, self._living, self._living_bytes)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        """How many packs there are, and where."""
        return f'<PackTable of {len(self)} at {self.root}>'

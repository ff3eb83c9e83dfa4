# SPDX-License-Identifier: Apache-2.0

"""The records of chunks that are in packs, in columns and as stored.

A table of them is in the index of a pack and in each page of a manifest. Its
chunks are in the order in which they overwrite each other, the last one
winning. Stored, it is

1. how many chunks there are, in 4 bytes, the lowest first, as all numbers are;
2. a zlib stream (RFC 1950) of seven columns. Of each column first the lowest
   byte of all its numbers, then the next byte of all, and so on: the high ones
   are zeros, as a rule, and take no room.

The columns, with the bytes of each number:

* 8, with sign: the number of blocks from where the chunk before ends on the
  volume to where this one begins. The first is from where the table begins.
* 4: how many blocks the chunk has.
* 4: how many bytes its last block is short of a whole one. Only the last block
  that the volume had is.
* 8, with sign: the key of its pack, less that of the chunk before.
* 8, with sign: the number of bytes from where the chunk before ends in its
  pack to where this one begins.
* 4: how many stored bytes it has.
* 1: the codec, by its place in :data:`WORDS`. Zeros have no stored bytes.
"""

from array import array
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import itertools
import operator
import struct
import sys
import zlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import types

# The word for a chunk of which nothing is stored.
ZEROS = 'zeros'
# What a number in the last column means.
WORDS = ('none', 'zlib', 'zstd', 'bz2', ZEROS)
_CODES = {word: code for code, word in enumerate(WORDS)}
_COUNT = struct.Struct('<I')
_KINDS = 'qIIqqIB'
# The column with the keys of packs.
_KEYS = 3
_RECORD = sum(array(kind).itemsize for kind in _KINDS)
# Bytes: the largest pack.
LARGEST_PACK = (1 << 32) - 1


class PackedChunks:
    """The records of some chunks.

    ``offsets`` and ``lengths`` are their extents in bytes, ``packs`` the keys
    of their packs.

    Memory: 37 bytes for each chunk.
    """

    def __init__(self, names: Callable[[int], str]) -> None:
        """Prepare.

        :param names: the name of a pack by its key
        """
        self._names = names
        self.offsets = array('q')
        self.lengths = array('q')
        self.packs = array('q')
        self._places = array('q')
        self._stored_lengths = array('I')
        self._codes = array('B')

    def add(self, extent: types.Extent, word: str, pack: int,
            place: types.Extent) -> None:
        """Add a chunk at the end.

        :param word: of its codec, or :data:`ZEROS`
        :param pack: the key of its pack
        :param place: where it is in there
        """
        self.offsets.append(extent.offset)
        self.lengths.append(extent.length)
        self.packs.append(pack)
        self._places.append(place.offset)
        self._stored_lengths.append(place.length)
        self._codes.append(_CODES[word])

    def extend(self, other: 'PackedChunks') -> None:
        """Add all chunks of another table at the end."""
        for mine, others in zip(self._columns(), other._columns(),
                                strict=True):
            mine.extend(others)

    def select(self, indexes: Iterable[int]) -> 'PackedChunks':
        """Some of the chunks, in the order of their indexes."""
        found = PackedChunks(self._names)
        indexes = list(indexes)
        for mine, others in zip(found._columns(), self._columns(),
                                strict=True):
            mine.extend(map(others.__getitem__, indexes))
        return found

    def _columns(self) -> 'tuple[array[int], ...]':
        return (self.offsets, self.lengths, self.packs, self._places,
                self._stored_lengths, self._codes)

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self.offsets)

    def __iter__(self) -> Iterator[types.ChunkRecord]:
        """All records."""
        return map(self.__getitem__, range(len(self)))

    def __getitem__(self, index: int) -> types.ChunkRecord:
        """A record, made anew each time."""
        place = self.place(index)
        return types.ChunkRecord(
            self._names(self.packs[index]),
            types.Extent(self.offsets[index], self.lengths[index]),
            self.compression(index), place.length, place=place)

    def place(self, index: int) -> types.Extent:
        """Where a chunk is in its pack."""
        return types.Extent(self._places[index], self._stored_lengths[index])

    def compression(self, index: int) -> str:
        """The word for the codec of a chunk."""
        return WORDS[self._codes[index]]

    def words(self) -> list[str]:
        """The words for all codecs, each once."""
        return [WORDS[code] for code in sorted(set(self._codes))]

    def is_in_order(self) -> bool:
        """Whether no chunk begins before the one that it follows."""
        return all(one <= other for one, other
                   in itertools.pairwise(self.offsets))

    def marks(self) -> 'array[int]':
        """A number of 8 bytes for each chunk, the same for the same chunk.

        That is one with the same extent, codec and place in its pack. They
        hold for this process only.
        """
        return array('q', map(hash, zip(
            self.offsets, self.lengths, self._places, self._stored_lengths,
            self._codes, strict=True)))

    @property
    def stored_bytes(self) -> int:
        """How many bytes are stored of all of them."""
        return sum(self._stored_lengths)

    def places_follow(self) -> bool:
        """Whether each begins where the one before ends, the first at 0."""
        ends = itertools.accumulate(self._stored_lengths, initial=0)
        return all(map(operator.eq, self._places, ends))

    def place_ends(self) -> Iterable[int]:
        """Where each ends in its pack."""
        return map(operator.add, self._places, self._stored_lengths)

    def encode(self, block_size: int, first: int = 0) -> bytes:
        """The chunks as stored.

        :param block_size: in bytes; all chunks are of blocks
        :param first: the number of the block with which the table begins
        :raises ValueError: when a chunk begins within a block
        """
        counts = array('I', (-(-length // block_size)
                             for length in self.lengths))
        if any(offset % block_size for offset in self.offsets):
            raise ValueError('a chunk begins within a block')
        firsts = [offset // block_size for offset in self.offsets]
        cuts = array('I', (count * block_size - length for count, length
                           in zip(counts, self.lengths, strict=True)))
        columns = (
            array('q', _gaps(firsts, counts, first)), counts, cuts,
            array('q', _gaps(self.packs, itertools.repeat(0))),
            array('q', _gaps(self._places, self._stored_lengths)),
            self._stored_lengths, self._codes)
        return _COUNT.pack(len(self)) + zlib.compress(
            b''.join(map(_planes, columns)))


def decode(name: str, data: memoryview, block_size: int,
           names: Callable[[int], str], most: int,
           first: int = 0) -> PackedChunks:
    """The chunks of a table.

    :param name: of the object that has it
    :param block_size: in bytes
    :param names: the name of a pack by its key
    :param most: how many chunks there may be
    :param first: the number of the block with which the table begins
    :raises FormatError: when it is none
    """
    if len(data) < _COUNT.size:
        raise _damaged(name, 'it is cut off')
    count, = _COUNT.unpack_from(data)
    if count > most:
        raise _damaged(name, f'it has {count} chunks, and may have {most}')
    planes = _inflate(name, data[_COUNT.size:], count * _RECORD)
    gaps, counts, cuts, packs, places, stored, codes = _columns(planes, count)
    table = PackedChunks(names)
    try:
        table.offsets = array('q', (
            number * block_size for number in _sums(gaps, counts, first)))
        table.packs = array('q', _sums(packs, itertools.repeat(0)))
        table._places = array('q', _sums(places, stored))
    except OverflowError as err:
        raise _damaged(name, 'its numbers are too large') from err
    table.lengths = array('q', (
        blocks * block_size - cut
        for blocks, cut in zip(counts, cuts, strict=True)))
    table._stored_lengths = stored
    table._codes = codes
    _check(name, table, cuts, block_size)
    return table


def without_keys(name: str, body: bytes, most: int) -> list[bytes]:
    """Several tables, one after the other, but for the keys of packs.

    Those of the same chunks are the same, whichever keys a manifest has given
    to their packs.

    :param name: of the object that has them
    :param most: how many chunks one may have
    :raises FormatError: when they are none
    """
    start = sum(array(kind).itemsize for kind in _KINDS[:_KEYS])
    end = start + array(_KINDS[_KEYS]).itemsize
    found = []
    rest = memoryview(body)
    while rest:
        if len(rest) < _COUNT.size:
            raise _damaged(name, 'it is cut off')
        count, = _COUNT.unpack_from(rest)
        if count > most:
            raise _damaged(name, f'it has {count} chunks, and may have {most}')
        stream = zlib.decompressobj()
        try:
            planes = stream.decompress(rest[_COUNT.size:], count * _RECORD + 1)
        except zlib.error as err:
            raise _damaged(name, f'it is no zlib stream ({err})') from err
        if len(planes) != count * _RECORD or not stream.eof:
            raise _damaged(name, 'it has another length than it should have')
        found.append(planes[:start * count] + planes[end * count:])
        rest = rest[len(rest) - len(stream.unused_data):]
    return found


def _check(name: str, table: PackedChunks, cuts: 'array[int]',
           block_size: int) -> None:
    if not table:
        return
    zeros = _CODES[ZEROS]
    faults = (
        ('a chunk begins before the volume does', min(table.offsets) < 0),
        ('a chunk is empty', min(table.lengths) <= 0),
        ('a block is shorter than it can be', max(cuts) >= block_size),
        ('a chunk ends where no volume can reach', max(map(
            operator.add, table.offsets, table.lengths))
         > types.LARGEST_OFFSET),
        ('a key is negative', min(table.packs) < 0),
        ('a chunk begins before its pack does', min(table._places) < 0),
        ('a chunk ends where no pack can reach',
         max(table.place_ends()) > LARGEST_PACK),
        ('a codec is not known', max(table._codes) > zeros),
        ('nothing is stored of a chunk that is not zeros, or something of '
         'one that is', any(
             (code == zeros) != (length == 0) for code, length
             in zip(table._codes, table._stored_lengths, strict=True))))
    for what, is_so in faults:
        if is_so:
            raise _damaged(name, what)


def _damaged(name: str, what: str) -> exceptions.FormatError:
    return documents.damaged(name, f'in a table of chunks, {what}')


def _inflate(name: str, data: memoryview, length: int) -> bytes:
    """What a stream holds, which must be so many bytes."""
    stream = zlib.decompressobj()
    try:
        # One byte more than expected, to notice surplus data.
        found = stream.decompress(data, length + 1)
    except zlib.error as err:
        raise _damaged(name, f'it is no zlib stream ({err})') from err
    if len(found) != length or not stream.eof or stream.unused_data:
        raise _damaged(name, 'it has another length than it should have')
    return found


def _gaps(starts: Iterable[int], lengths: Iterable[int],
          first: int = 0) -> Iterator[int]:
    """From the end of what came before to the start of each.

    :param first: what the first is compared with
    """
    end = first
    for start, length in zip(starts, lengths, strict=False):
        yield start - end
        end = start + length


def _sums(gaps: Iterable[int], lengths: Iterable[int],
          first: int = 0) -> Iterator[int]:
    """The reverse of :func:`_gaps`."""
    end = first
    for gap, length in zip(gaps, lengths, strict=False):
        start = end + gap
        yield start
        end = start + length


def _planes(column: 'array[int]') -> bytes:
    if sys.byteorder == 'big':
        column = array(column.typecode, column)
        column.byteswap()
    raw = column.tobytes()
    return b''.join(raw[place::column.itemsize]
                    for place in range(column.itemsize))


def _columns(planes: bytes, count: int) -> 'list[array[int]]':
    columns = []
    start = 0
    for kind in _KINDS:
        column = array(kind)
        raw = bytearray(count * column.itemsize)
        for place in range(column.itemsize):
            raw[place::column.itemsize] = planes[start:start + count]
            start += count
        column.frombytes(bytes(raw))
        if sys.byteorder == 'big':
            column.byteswap()
        columns.append(column)
    return columns

# SPDX-License-Identifier: Apache-2.0

"""The ``_sha256file`` object: the digests of all blocks of the volume.

It describes the whole volume as of its backup, also for an incremental.
``chunk_size`` in the file is the size of a block, not of a chunk. The last
digest may be of a short block. In the file, a digest is 64 hexadecimal digits
in quotes. Field names: Cinder's ``chunkeddriver``, which sorts them, so that
some come before the digests and some after.

A file is read as a stream, since it is 70 MiB for each TiB of blocks of 1 MiB
and 2.2 GiB of blocks of 32 KiB. Each run of whole digests is turned to bytes,
32 for each.
"""

from collections.abc import Callable
from collections.abc import Iterator
import json
import re
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import long_list
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

# Digests per piece of a generated file: about 1 MiB of JSON.
PIECE = 15000
# Bytes: limits for all fields but the digests, and for the white space before
# and after a digest. Real files have far less.
_MOST_FIELDS = 1 << 20
_MOST_SPACE = 1 << 10
# Bytes: PowerFlex makes all volumes a multiple of this, and no other storage
# rounds up by as much.
_ROUNDED = 8 << 30
_MOST_WORD = 2 * _MOST_SPACE + 2 * digests.DIGEST_SIZE + len('"",')

_CLOSING_TEXT = b']}'
# Possessive quantifiers would fit, and match wrongly before Python 3.11.5.
_SPACE = rb'[ \t\r\n]{0,%d}' % _MOST_SPACE
_WORD = _SPACE + rb'"[0-9a-fA-F]{64}"' + _SPACE
_WORDS = re.compile(rb'(?:' + _WORD + rb',)*')
_CLOSING = re.compile(rb'(?:(' + _WORD + rb')|' + _SPACE + rb')\]')
_BETWEEN = b' \t\r\n",'


def encode(header: types.BackupHeader, table: digests.DigestTable,
           part: digest_segments.Part | None = None) -> Iterator[bytes]:
    """The digest file in pieces; see :func:`encoded_length`.

    :param part: the digests to encode, by default all; the first opens the
        file, and the last closes it
    """
    count = len(table)
    part = part or digest_segments.Part(0, count)
    if not part.first:
        yield _opening(header, table.block_size)
    for first in range(part.first, part.end, PIECE):
        run = table.run(first, min(first + PIECE, part.end))
        words = run.hex(',', digests.DIGEST_SIZE).replace(',', '","')
        yield f'{"," if first else ""}"{words}"'.encode()
    if part.end == count:
        yield _CLOSING_TEXT


def encoded_length(header: types.BackupHeader, block_size: int, count: int,
                   part: digest_segments.Part | None = None) -> int:
    """How many bytes the pieces of :func:`encode` add up to.

    :param count: of the digests in the file
    """
    part = part or digest_segments.Part(0, count)
    length = len(part) * (2 * digests.DIGEST_SIZE + 3)
    if not part.first:
        # No comma comes before the first digest.
        length += len(_opening(header, block_size)) - bool(len(part))
    if part.end == count:
        length += len(_CLOSING_TEXT)
    return length


def credible_size(recorded: int | None, told: int) -> int:
    """How large a volume may be, in bytes.

    Storage rounds up, so the device of a volume may be larger than its record
    says, by a few KiB or by some GiB. Then the backup knows better. Beyond
    that it is not believed, for others may be able to write to the account.

    :param recorded: by Cinder; None if that is not known
    :param told: by the manifest
    """
    if recorded is None:
        return told
    return max(recorded, min(told, 2 * recorded + _ROUNDED))


def most_digests(volume_size: int) -> int:
    """An upper bound for the number of digests.

    The file itself says how small its blocks are, so it may say anything. A
    file that holds a volume may be longer than the volume, but not much.

    :param volume_size: in bytes, as far as it is credible
    """
    return (2 * volume_size + (1 << 30)) // types.SMALLEST_BLOCK


def _opening(header: types.BackupHeader, block_size: int) -> bytes:
    fields: dict[str, str | int | None] = dict(
        documents.header_fields(header))
    fields['chunk_size'] = block_size
    return json.dumps(fields)[:-1].encode() + b', "sha256s": ['


class Reader(long_list.LongListReader):
    """Reads a digest file that is fed in pieces.

    Memory: a few pieces, besides what ``make`` makes.
    """

    def __init__(self, prefix: str, size: int, most: int,
                 make: Callable[[bytes], digests.Packed]) -> None:
        """Prepare.

        :param prefix: of the backup
        :param size: of the volume in bytes, as its manifest tells; a file
            with the digests of more than that is not read to its end
        :param most: how many digests there can be, whatever the files say;
            see :func:`most_digests`
        :param make: takes the digest of a block of zeros, if it is known, and
            returns an empty place for the digests
        """
        super().__init__(naming.digest_file_name(prefix), 'sha256s',
                         _MOST_FIELDS)
        self._size = size
        self._most = most
        self._make = make
        self._packed: digests.Packed
        self._count = 0
        self._owner = ''

    def finish(self) -> digests.DigestTable:
        """The digests, once everything was fed.

        :raises FormatError: when the file is damaged or of an unknown version
        """
        fields = self._fields()
        block_size = documents.size(self._name, fields, 'chunk_size')
        if not block_size:
            raise documents.damaged(self._name, 'its block size is zero')
        if block_size > types.LARGEST_BLOCK:
            raise documents.damaged(
                self._name, f'its block size of {block_size} bytes is larger '
                            'than any driver uses')
        self._owner = self._read_owner(fields)
        return digests.DigestTable(block_size, self._packed)

    def _read_owner(self, fields: dict[str, Any]) -> str:
        try:
            return documents.identifier(self._name, fields, 'backup_id') or ''
        except exceptions.FormatError:
            # What is no id says nothing, and the digests may still be right.
            return ''

    @property
    def owner(self) -> str:
        """The id of the backup, once it has finished; '' if it tells none."""
        return self._owner

    @property
    def count(self) -> int:
        """How many digests there were."""
        return self._count

    @property
    def pending(self) -> bytes | None:
        """What was fed of the list and not understood yet.

        None outside of the list, where what follows is no digest.
        """
        return self._rest if self._in_list else None

    def repeat(self, first: int, end: int) -> None:
        """Take digests again, from ``first`` to before ``end``.

        This is as if what they came of was fed again.

        :raises FormatError: when there are too many then
        """
        for start in range(first, end, PIECE):
            stop = min(start + PIECE, end)
            self._packed += bytes(self._packed[
                start * digests.DIGEST_SIZE:stop * digests.DIGEST_SIZE])
            self._check_count()

    def _begin(self, fields: dict[str, Any]) -> None:
        # The size of the blocks may come after the digests.
        try:
            size = documents.size(self._name, fields, 'chunk_size')
        except exceptions.FormatError:
            size = 0
        known = 0 < size <= types.LARGEST_BLOCK
        self._packed = self._make(digests.of_zeros(size) if known else b'')
        self._most = min(self._most,
                         -(-self._size // (size or types.SMALLEST_BLOCK)))

    def _take(self, rest: bytes) -> tuple[int, bool]:
        match = _WORDS.match(rest)
        assert match is not None
        self._add(match.group())
        used = match.end()
        closing = _CLOSING.match(rest, used)
        if closing is not None:
            last = closing.group(1)
            if self._packed and last is None:
                raise documents.damaged(
                    self._name, 'its list of digests ends in a comma')
            self._add(last or b'')
            return closing.end(), True
        if len(rest) - used > _MOST_WORD:
            raise documents.damaged(
                self._name,
                f'{rest[used:used + 80]!r} is not a SHA-256 digest')
        return used, False

    def _add(self, words: bytes) -> None:
        self._packed += bytes.fromhex(
            words.translate(None, _BETWEEN).decode('ascii'))
        self._check_count()

    def _check_count(self) -> None:
        self._count = len(self._packed) // digests.DIGEST_SIZE
        if self._count > self._most:
            raise documents.damaged(
                self._name, f'it has more than the {self._most} digests that '
                            'a volume of its size can have')

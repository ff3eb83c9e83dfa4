# SPDX-License-Identifier: Apache-2.0

"""Which chunks the pages of a backup name, pack by pack.

Pages are in the order of the volume, and packs are looked at one by one. So
each chunk is noted as a number of 8 bytes
(:meth:`packed_chunks.PackedChunks.marks`), those of a pack side by side. The
manifest says how many there are of each.

Memory: up to 8 MiB, and 16 bytes for each pack. More is in a temporary file.
Its functions wait for the disk, so they have to be offloaded, and are for one
thread at a time.
"""

from array import array
import itertools
import tempfile

from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks

_SIZE = 8


class PageMarks:
    """The marks of all chunks that pages name."""

    def __init__(self, directory: str | None,
                 packs: pack_table.PackTable) -> None:
        """Prepare.

        :param directory: for the temporary file; the system's if None
        :param packs: those that the pages may name
        """
        self._directory = directory
        self._packs = packs
        self._starts = array('q', itertools.accumulate(
            (pack.living for pack in packs), initial=0))
        self._counts = array('q', bytes(8 * len(packs)))
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=spool.IN_MEMORY, dir=directory)

    def close(self) -> None:
        """Forget all."""
        self._file.close()

    def add(self, name: str, chunks: packed_chunks.PackedChunks) -> None:
        """Note the chunks of a page.

        :param name: of the object that has the page
        :raises FormatError: when pages name more chunks of a pack than the
            manifest says
        :raises SpoolError: when there is no room for them
        """
        marks = chunks.marks()
        keys = chunks.packs
        for key, indexes in itertools.groupby(range(len(keys)),
                                              keys.__getitem__):
            self._put(name, key, array('q', map(marks.__getitem__, indexes)))

    def _put(self, name: str, key: int, marks: 'array[int]') -> None:
        number = self._packs.place(key)
        if number is None:
            raise ValueError(f'there is no pack {key}')
        start = self._starts[number] + self._counts[number]
        if start + len(marks) > self._starts[number + 1]:
            raise documents.damaged(
                name, f'pages name more chunks of {self._packs.name(number)} '
                      f'than the manifest says')
        with spool.failing(self._directory):
            self._file.seek(start * _SIZE)
            self._file.write(marks.tobytes())
        self._counts[number] += len(marks)

    def check(self) -> None:
        """See that there are as many as the manifest says.

        :raises FormatError: when there are fewer of a pack
        """
        for number, pack in enumerate(self._packs):
            if self._counts[number] != pack.living:
                raise documents.damaged(
                    pack.name, f'pages name {self._counts[number]} chunks of '
                               f'it, and the manifest says {pack.living}')

    def of(self, number: int) -> 'array[int]':
        """The marks of the chunks of a pack.

        :param number: its place in the table
        :raises SpoolError: when they cannot be read
        """
        found = array('q')
        with spool.failing(self._directory):
            self._file.seek(self._starts[number] * _SIZE)
            found.frombytes(self._file.read(self._counts[number] * _SIZE))
        return found

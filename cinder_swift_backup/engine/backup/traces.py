# SPDX-License-Identifier: Apache-2.0

"""What may exist of a backup that is being made, to be deleted if it fails."""

from array import array
from collections.abc import Iterator
import dataclasses

from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types


@dataclasses.dataclass(slots=True)
class Traces:
    """Objects that were tried to be put, but for digest file and manifest.

    ``numbers`` are those in the names of chunks, or of objects of pages;
    ``segments`` are names, ``packs`` is the number of packs that a ``maker``
    has put.
    """

    maker: str
    numbers: 'array[int]' = dataclasses.field(
        default_factory=lambda: array('q'))
    segments: list[str] = dataclasses.field(default_factory=list)
    packs: int = 0

    def names(self, ref: types.BackupRef) -> Iterator[str]:
        """The names of chunks, of objects of pages, and of packs."""
        for number in self.numbers:
            yield naming.chunk_name(ref.prefix, number)
        for number in range(1, self.packs + 1):
            yield naming.pack_name(ref.prefix, self.maker, number)

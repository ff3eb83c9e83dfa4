# SPDX-License-Identifier: Apache-2.0

"""What is doubtful of data that was restored without being verified.

Memory: some bytes for each run of blocks that is doubtful.
"""

from collections.abc import Iterable
import dataclasses

from cinder_swift_backup.engine import intervals
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class Doubt:
    """Part of an object that may be wrong.

    ``is_wrong`` says that it does not match; else nobody can tell.
    """

    name: str
    extent: types.Extent
    is_wrong: bool

    def __str__(self) -> str:
        """Which bytes may be wrong, and why."""
        why = 'does not match' if self.is_wrong else 'cannot be checked'
        return (f'Bytes {self.extent.offset} to {self.extent.end}: object '
                f'{self.name} {why}.')


class Doubts:
    """What was noted of one restore; several workers may note.

    ``has_digests`` is whether there were any to compare all of it with.
    """

    def __init__(self) -> None:
        self.has_digests = False
        # By the name of an object, and whether it is wrong. A worker has an
        # object for itself, so its set needs no lock.
        self._noted: dict[tuple[str, bool], intervals.IntervalSet] = {}

    def note(self, name: str, extents: Iterable[types.Extent], *,
             is_wrong: bool) -> None:
        """Note parts of an object, perhaps again."""
        noted = self._noted.setdefault((name, is_wrong),
                                       intervals.IntervalSet())
        for extent in extents:
            noted.claim(extent)

    def found(self) -> list[Doubt]:
        """All of it in the order of the volume, no byte of it twice."""
        doubts = [Doubt(name, extent, is_wrong)
                  for (name, is_wrong), noted in self._noted.items()
                  for extent in noted.extents()]
        return sorted(doubts, key=lambda doubt: doubt.extent.offset)

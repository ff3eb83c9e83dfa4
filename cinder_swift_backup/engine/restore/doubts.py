# SPDX-License-Identifier: Apache-2.0

"""What is doubtful of data that was restored without being verified.

Memory: some bytes for each 2 MiB that have anything doubtful.
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

    @property
    def how(self) -> str:
        """What is doubtful, behind the name of the object."""
        return 'does not match' if self.is_wrong else 'cannot be checked'


class Doubts:
    """What was noted of one restore; several workers may note.

    ``has_digests`` is whether there were any to compare all of it with.
    """

    def __init__(self) -> None:
        self.has_digests = False
        # Whatever kind of threads it is, appending needs no lock.
        self._noted: list[Doubt] = []

    def note(self, name: str, extents: Iterable[types.Extent], *,
             is_wrong: bool) -> None:
        """Note parts of an object, perhaps again."""
        self._noted += [Doubt(name, extent, is_wrong) for extent in extents]

    def found(self) -> list[Doubt]:
        """All of it in the order of the volume, no byte of it twice."""
        sets: dict[tuple[str, bool], intervals.IntervalSet] = {}
        for each in self._noted:
            sets.setdefault((each.name, each.is_wrong),
                            intervals.IntervalSet()).claim(each.extent)
        found = [Doubt(name, extent, is_wrong)
                 for (name, is_wrong), claimed in sets.items()
                 for extent in claimed.extents()]
        return sorted(found, key=lambda each: each.extent.offset)

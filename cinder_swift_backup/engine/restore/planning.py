# SPDX-License-Identifier: Apache-2.0

"""Makes the plan for a backup in whichever form it is.

In the form of packs, the pages that tell of chunks are fetched while the plan
is carried out, and once before, so that nothing is written if one is damaged
or missing.
"""

from collections.abc import Iterator
import dataclasses

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types


def plan(repo: repository.Repository,
         chain: chains.Chain) -> planner.RestorePlan:
    """The plan that brings back the tip of a chain.

    :raises ChainError: when part of the volume is in none of its backups
    """
    tip = chain.tip
    if tip.manifest.point is None:
        return repo.operation.call(planner.plan_restore, chain)
    return PointPlan(repo.operation, tip.ref, tip.manifest.point,
                     tip.manifest.end)


@dataclasses.dataclass(frozen=True, slots=True)
class PointPlan:
    """A :class:`planner.RestorePlan` for a backup in the form of packs.

    Memory: one page, and some more as they are stored.
    """

    operation: operations.Operation
    ref: types.BackupRef
    point: chains.Point
    end: int

    def parts(self) -> Iterator[planner.PlannedChunks]:
        """See :class:`planner.RestorePlan`."""
        for part in point_objects.PointObjects(self.operation).parts(
                self.ref, self.point, self.end):
            yield self._plan(part)

    def begin_of_part(self, offset: int) -> int:
        """See :class:`planner.RestorePlan`."""
        return offset // self.point.page_size * self.point.page_size

    def part(self, begin: int,
             operation: operations.Operation) -> planner.PlannedChunks:
        """See :class:`planner.RestorePlan`."""
        return self._plan(point_objects.PointObjects(operation).part(
            self.ref, self.point, types.Extent(
                begin, min(self.point.page_size, self.end - begin))))

    def _plan(self, part: point_objects.Part) -> planner.PlannedChunks:
        return self.operation.call(
            planner.plan_page, self.ref.container, part.name, part.extent,
            part.chunks, self.point.block_size)

    def cut(self, end: int) -> 'PointPlan':
        """See :class:`planner.RestorePlan`."""
        return dataclasses.replace(self, end=end)

    def of_each_codec(self,
                      call: pipelines.Call) -> list[planner.PlannedChunk]:
        """See :class:`planner.RestorePlan`."""
        found: dict[str, planner.PlannedChunk] = {}
        objects = point_objects.PointObjects(self.operation)
        for stored in objects.pages(self.ref,
                                    self.point.pages_until(self.end)):
            # The manifest says which there are.
            if found.keys() >= self.point.stored.keys():
                continue
            chunks = objects.chunks(self.ref, self.point, stored)
            for word in set(chunks.words()).difference(found):
                found[word] = call(self._first, chunks, word)
        return list(found.values())

    def _first(self, chunks: packed_chunks.PackedChunks,
               word: str) -> planner.PlannedChunk:
        record = next(record for record in chunks
                      if record.compression == word)
        return planner.PlannedChunk(self.ref.container, record,
                                    (record.extent,))

# SPDX-License-Identifier: Apache-2.0

"""Which packs a backup rewrites, because little of them is needed any more.

A pack stays as long as anything in it is named. Without rewriting, what nobody
needs would grow for ever. So:

1. Choose the packs of the parent of which less than a part is still needed,
   those of which least is first, and no more of them than a part of what the
   volume has stored.
2. A pack that is lost, or damaged, is one of them, whatever it has.
3. What the parent takes from these counts as changed: it is read from the
   volume, as all of it is anyway unless changes are tracked, and stored anew.
   Then the new backup does not name them.

Older backups still do, so that the packs go with these.

Memory: that of one page, and some more as they are stored.
"""

from collections.abc import Collection
from collections.abc import Iterator

from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import overlay
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import types

# A pack of which less than this part of the stored bytes is needed. Of changes
# all over the volume a quarter would keep the fewest bytes, of changes next to
# each other a half; see the measurements in the documentation.
NEEDED = 0.4
# The part of all stored bytes that a backup rewrites at most.
BUDGET = 0.05


def choose(point: chains.Point,
           lost: Collection[int] = ()) -> frozenset[int]:
    """The keys of the packs to rewrite.

    :param point: of the parent
    :param lost: the keys of those that cannot be read
    """
    left = BUDGET * sum(pack.living_bytes for pack in point.packs)
    candidates = sorted(
        (pack.living_bytes / (pack.length - pack.index_length), pack.key,
         pack.living_bytes)
        for pack in point.packs
        if pack.living_bytes < NEEDED * (pack.length - pack.index_length)
        and pack.key not in lost)
    chosen = set(lost)
    for _, key, living in candidates:
        left -= living
        if left < 0:
            break
        chosen.add(key)
    return frozenset(chosen)


class Rewriter:
    """Tells what to store anew, from the beginning of the volume to its end.

    For the coordinator alone.
    """

    def __init__(self, operation: operations.Operation,
                 parent: chains.ChainLink, point: chains.Point,
                 lost: Collection[int] = ()) -> None:
        """Prepare.

        :param point: that of the parent
        :param lost: the keys of packs that cannot be read
        """
        self._operation = operation
        self._parent = parent
        self._point = point
        self._keys = choose(point, lost)
        self._pages = point_objects.PointObjects(operation).pages(
            parent.ref, point.pages if self._keys else ())
        self._found = intervals.IntervalSet()
        # Up to where pages were read.
        self._position = 0

    def within(self, extent: types.Extent) -> list[types.Extent]:
        """What of an extent to store anew, whole blocks in order.

        :param extent: begins where the one before ended, or later
        :raises FormatError: when a page of the parent is damaged
        :raises ChunkMissing: when a page of the parent is not there
        :raises StoreError: when the store fails
        """
        while self._position < extent.end:
            stored = next(self._pages, None)
            if stored is None:
                self._position = types.LARGEST_OFFSET
                break
            page = stored.page.extent
            self._position = page.end
            if page.end <= extent.offset:
                continue
            chunks = point_objects.PointObjects(self._operation).chunks(
                self._parent.ref, self._point, stored)
            found = intervals.IntervalSet()
            for each in self._found.within(types.Extent(
                    extent.offset, types.LARGEST_OFFSET - extent.offset)):
                found.claim(each)
            self._found = found
            for each in self._operation.call(list, self._of_packs(
                    page, chunks)):
                self._found.claim(each)
        return self._found.within(extent)

    def _of_packs(self, extent: types.Extent,
                  chunks: packed_chunks.PackedChunks,
                  ) -> Iterator[types.Extent]:
        """What the chosen packs provide of a page."""
        if self._keys.isdisjoint(chunks.packs):
            return
        runs = overlay.runs(extent, chunks, self._point.block_size)
        for number, offset, length in zip(runs.numbers, runs.offsets,
                                          runs.lengths, strict=True):
            # Zeros, too: they keep a pack as data does.
            if number and chunks.packs[number - 1] in self._keys:
                yield types.Extent(offset, length)

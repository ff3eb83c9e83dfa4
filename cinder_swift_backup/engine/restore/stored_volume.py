# SPDX-License-Identifier: Apache-2.0

"""A backup, to be read like the volume that it is of.

1. Look up which groups of chunks have the extent that is wanted; see
   :mod:`cinder_swift_backup.engine.restore.lookup`. In the form of packs, the
   page that tells is fetched once for many reads.
2. What digests or the manifest show to be zeros is not fetched.
3. Fetch a group of which everything is wanted right to where it is wanted. Of
   others, fetch and keep all that the backup takes of them, for reads mostly
   follow each other; see
   :mod:`cinder_swift_backup.engine.restore.kept_pieces`.
4. Whoever finds a group being fetched by another meanwhile fetches one that
   comes after it, so that readers in a row do not wait for one.

Everything is verified as in a restore, and nothing is handed on before that.

Memory: some pages, and a few MiB for each reader. What is kept is in temporary
files: a group has 64 MiB at most, or as much as one object.
"""

from collections.abc import Iterator
import contextlib
import copy
import functools
from typing import Self

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import kept_pieces
from cinder_swift_backup.engine.restore import lookup as lookups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types

# How many groups are kept, and how many of them may be fetched ahead.
_KEPT = 16
_AHEAD = 4
# How many parts of a plan are kept.
_PARTS = 4
# Blocks that are data together, where one of them is.
_GRAIN = 64


@contextlib.contextmanager
def opened(repo: repository.Repository,
           chain: chains.Chain) -> Iterator['StoredVolume']:
    """The tip of a chain as a volume, until the end of a block.

    :raises BackupError: as :func:`fetching.prepared` does
    """
    with fetching.prepared(repo, chain, None) as (plan, fetcher):
        volume = StoredVolume(plan, fetcher)
        try:
            yield volume
        finally:
            volume.close()


class StoredVolume:
    """A :class:`volumes.VolumeReader` for a backup.

    ``digests`` are those of all blocks; None if the backup has none.
    """

    def __init__(self, plan: planner.RestorePlan,
                 fetcher: fetching.Fetcher) -> None:
        self._plan = plan
        self._fetcher = fetcher
        self._operation: operations.Operation = fetcher.operation
        self._check = fetcher.check
        self._stop = pipelines.StopFlag()
        runtime = fetcher.operation.runtime
        self._kept = kept_pieces.KeptPieces(_KEPT, runtime.lock)
        self._lock = runtime.lock()
        # The parts of the plan, by where they begin.
        self._parts: dict[int, lookups.Lookup] = {}
        self.size = plan.end
        self.digests: digests.DigestTable | None = (
            None if self._check.digests is None
            else self._check.digests.table)
        self.tells_holes = self.digests is not None

    def close(self) -> None:
        """Forget what was kept."""
        self._kept.close()

    def until(self, stop: pipelines.StopFlag) -> Self:
        """The same volume for a worker, until its flag is set."""
        other = copy.copy(self)
        other._stop = stop
        return other

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`volumes.VolumeReader`; begins and ends with a block.

        :raises BackupError: as :meth:`chunk_reader.Reader.read` does
        """
        view = memoryview(buffer)[:extent.length]
        position = extent.offset
        while position < extent.end:
            self._stop.check()
            begin, part = self._part(position)
            some = types.Extent(position,
                                min(part.end, extent.end) - position)
            self._read(begin, part, some, view[position - extent.offset:])
            position = some.end
        return view

    def _part(self, offset: int) -> tuple[int, lookups.Lookup]:
        begin = self._plan.begin_of_part(offset)
        # One at a time, so that none is fetched by several.
        with self._lock:
            found = self._parts.pop(begin, None)
            if found is None:
                found = lookups.Lookup(self._plan.part(
                    begin, self._operation.until(self._stop)))
            self._parts[begin] = found
            if len(self._parts) > _PARTS:
                del self._parts[next(iter(self._parts))]
        return begin, found

    def _read(self, begin: int, part: lookups.Lookup, extent: types.Extent,
              view: memoryview) -> None:
        wanted: dict[int, list[types.Extent]] = {}
        for number, shared in part.within(extent):
            wanted.setdefault(number, []).append(shared)
        for number, extents in wanted.items():
            group = part.group(number)
            left = self._left(group, extents, view, extent.offset)
            if not left:
                continue
            if len(left) == len(group.extents) and _length(left) == _length(
                    group.extents):
                self._fetcher.reader.read(
                    group, _Placing(view, extent.offset).write, self._stop)
                continue
            self._help(begin, part, number)
            with self._kept.holding((begin, number), functools.partial(
                    self._fetch, group)) as pieces:
                for shared in left:
                    pieces.read(shared, _cut(view, extent.offset, shared))

    def _left(self, group: groups.Group, extents: list[types.Extent],
              view: memoryview, start: int) -> list[types.Extent]:
        """What of some extents has to be fetched; the rest is zeros."""
        if group.is_zeros:
            self._check.confirm_zeros(group.name, extents)
            zeros = frozenset(extents)
        else:
            zeros = self._check.zeros(extents)
        for extent in zeros:
            _cut(view, start, extent)[:] = bytes(extent.length)
        return [extent for extent in extents if extent not in zeros]

    def _help(self, begin: int, part: lookups.Lookup, number: int) -> None:
        """Fetch what comes next while another fetches what is wanted now."""
        following = number + 1
        while (self._kept.is_being_made((begin, number))
               and following < min(number + 1 + _AHEAD, len(part))):
            key = begin, following
            group = part.group(following)
            following += 1
            if not group.is_zeros and not self._kept.is_known(key):
                with self._kept.holding(key, functools.partial(
                        self._fetch, group)):
                    pass

    def _fetch(self, group: groups.Group) -> kept_pieces.Pieces:
        """Fetch all that the backup takes of a group."""
        pieces = kept_pieces.Pieces(self._operation.directory, group.extents)
        try:
            left = group.without(self._check.zeros(group.extents))
            if left is not None:
                self._fetcher.reader.read(left, pieces.write, self._stop)
        except BaseException:
            pieces.close()
            raise
        return pieces

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`volumes.VolumeReader`: by digests, in whole blocks."""
        table = self.digests
        if table is None:
            yield within
            return
        position, end = within.offset, within.offset
        for extent in self._grains(within, table):
            if extent.offset > end:
                if position < end:
                    yield types.Extent(position, end - position)
                position = extent.offset
            end = extent.end
        if position < end:
            yield types.Extent(position, end - position)

    def _grains(self, within: types.Extent,
                table: digests.DigestTable) -> Iterator[types.Extent]:
        for large in within.aligned_parts(digests.STEP * table.block_size):
            self._stop.check()
            if table.are_zeros(large):
                continue
            for small in large.aligned_parts(_GRAIN * table.block_size):
                if not table.are_zeros(small):
                    yield small

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`volumes.VolumeReader`."""
        return not any(True for _ in self.data_extents(extent))

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> None:
        """See :class:`volumes.VolumeReader`: digests tell more."""


class _Placing:
    """Puts verified data where it is wanted."""

    def __init__(self, view: memoryview, start: int) -> None:
        self._view = view
        self._start = start

    def write(self, offset: int, data: memoryview, *, repeated: bool) -> None:
        """See :class:`chunk_reader.Use`."""
        at = offset - self._start
        self._view[at:at + len(data)] = data


def _cut(view: memoryview, start: int, extent: types.Extent) -> memoryview:
    """The part of a view, which begins at ``start``, that is an extent."""
    at = extent.offset - start
    return view[at:at + extent.length]


def _length(extents: list[types.Extent] | tuple[types.Extent, ...]) -> int:
    return sum(extent.length for extent in extents)

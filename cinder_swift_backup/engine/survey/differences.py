# SPDX-License-Identifier: Apache-2.0

"""What of a volume differs between two backups, or from a backup.

By digests alone, so no chunk is fetched:

1. Load the digests of both backups, or those of one, and hash the volume.
2. Compare them block by block, and join blocks that are neighbours.
3. What only the larger one has differs, too.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import functools

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types

# Bytes of a volume that one task hashes, and that it reads at once.
_TASK = 64 << 20
_PIECE = 2 << 20
# An extent, and what of it differs.
_Hashed = tuple[types.Extent, list[types.Extent]]


@dataclasses.dataclass(frozen=True, slots=True)
class Differences:
    """Extents that differ, in order, of ``size`` bytes altogether.

    They are of whole blocks, but for the end.
    """

    size: int
    extents: tuple[types.Extent, ...]

    @property
    def bytes(self) -> int:
        """How many bytes they have."""
        return sum(extent.length for extent in self.extents)

    def parts(self, count: int) -> list[float]:
        """How much of each of equal parts of the volume differs, from 0 to 1.

        :param count: of parts
        """
        step = max(self.size, 1) / count
        found = [0.0] * count
        for extent in self.extents:
            at = min(int(extent.offset / step), count - 1)
            while at < count and at * step < extent.end:
                found[at] += (min(extent.end, (at + 1) * step)
                              - max(extent.offset, at * step))
                at += 1
        return [min(covered / step, 1.0) for covered in found]


def between(repo: repository.Repository, one: chains.Chain,
            other: chains.Chain) -> Differences:
    """What differs between two backups.

    :raises ChainError: when their digests cannot be compared
    :raises IntegrityError: when there are not as many as there have to be
    :raises FormatError: when an object with digests is damaged
    :raises KeyUnavailable: when the key of an encrypted backup is missing
    :raises StoreError: when the store fails
    :raises SpoolError: when there is no room for the digests
    """
    operation = repo.operation
    with operation.runtime.closing(_check(repo, one)) as before, \
            operation.runtime.closing(_check(repo, other)) as after:
        _check_comparable(before, after, other)
        tables = [check.digests for check in (before, after)
                  if check.digests is not None]
        shorter, longer = sorted(tables, key=lambda check: check.end)
        found = operation.one(lambda stop: list(_runs(
            longer.table, shorter.table, stop)))
        return _joined(longer.end, (types.Extent(
            first * longer.table.block_size,
            min(end * longer.table.block_size, longer.end)
            - first * longer.table.block_size) for first, end in found))


def of_volume(repo: repository.Repository, chain: chains.Chain,
              volume: volumes.VolumeReader,
              observer: operations.Observer) -> Differences:
    """What of a volume differs from a backup.

    :param observer: told bytes of the volume
    :raises VolumeError: when the volume cannot be read
    :raises Cancelled: when the observer cancelled
    :raises BackupError: as of :func:`between`
    """
    operation = repo.during(observer).operation
    with operation.runtime.closing(_check(repo, chain)) as found:
        check = found.digests
        assert check is not None
        both = min(check.end, volume.size)
        # The last block of the shorter one is not whole in the other.
        if check.end != volume.size:
            both -= both % check.table.block_size
        differing: list[types.Extent] = []
        done = 0

        def collect(result: _Hashed) -> None:
            nonlocal done
            extent, different = result
            differing.extend(different)
            done += extent.length
            observer.advanced(done, both)

        look = functools.partial(_hash, check, volume)

        def task(extent: types.Extent) -> pipelines.Task[_Hashed]:
            return pipelines.Task(
                lambda stop: operation.call(look, extent, stop),
                extent.length)

        piece = types.whole(_TASK, check.table.block_size)
        operation.run(map(task, types.Extent(0, both).parts(piece)), collect,
                      full=piece)
        size = max(check.end, volume.size)
        return _joined(size, (*differing, types.Extent(both, size - both)))


def _check(repo: repository.Repository,
           chain: chains.Chain) -> verification.Check:
    """The digests of a backup, which it has."""
    check = verification.strict(repo, chain.tip, planner.restored_size(chain))
    if check.digests is None:
        check.close()
        raise exceptions.ChainError(
            'the backup has no digests to compare, because it is from before '
            'Cinder 2015.1', backup_id=chain.tip.ref.backup_id)
    return check


def _check_comparable(before: verification.Check, after: verification.Check,
                      chain: chains.Chain) -> None:
    if before.key != after.key:
        raise exceptions.ChainError(
            'the two backups were not encrypted by the same data key, so '
            'their digests cannot be compared',
            backup_id=chain.tip.ref.backup_id)
    assert before.digests is not None
    assert after.digests is not None
    sizes = [check.table.block_size
             for check in (before.digests, after.digests)]
    if sizes[0] != sizes[1]:
        raise exceptions.ChainError(
            'the two backups have digests of blocks of different sizes',
            backup_id=chain.tip.ref.backup_id, expected=sizes[0],
            actual=sizes[1])


def _runs(longer: digests.DigestTable, shorter: digests.DigestTable,
          stop: pipelines.StopFlag) -> Iterator[tuple[int, int]]:
    """Runs of blocks whose digests differ: the first, and past the last."""
    begun = end = 0
    for start in range(0, len(longer), digests.STEP):
        stop.check()
        stop_at = start + digests.STEP
        for block in digests.changed_blocks(longer.run(start, stop_at),
                                            shorter.run(start, stop_at)):
            if start + block != end:
                if begun < end:
                    yield begun, end
                begun = start + block
            end = start + block + 1
    if begun < end:
        yield begun, end


def _hash(check: verification.DigestCheck, volume: volumes.VolumeReader,
          extent: types.Extent, stop: pipelines.StopFlag) -> _Hashed:
    piece = types.whole(_PIECE, check.table.block_size)
    buffer = bytearray(min(piece, extent.length))
    found: list[types.Extent] = []
    for part in extent.parts(piece):
        stop.check()
        found += check.mismatches(part, volume.read(part, buffer))
    return extent, found


def _joined(size: int, extents: Iterable[types.Extent]) -> Differences:
    joined = intervals.IntervalSet()
    for extent in extents:
        joined.claim(extent)
    return Differences(size, tuple(joined.extents()))

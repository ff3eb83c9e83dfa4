# SPDX-License-Identifier: Apache-2.0

"""Fetches the packs that a backup names, and compares all of them.

1. Read all pages of the manifest.
2. Fetch each pack, all or a sample, and compare the blocks of its chunks with
   the digests in its own index, of which the manifest has the SHA-256.

Several backups name the same packs. Each is fetched once, and what was found
in it holds for all of them: also if it is in a part that only some need.

Memory: a few MiB for each worker, and an index.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import functools
import random

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import types

Damage = exceptions.IntegrityError | exceptions.FormatError
# The container of a pack, its name, and the SHA-256 of its index.
_Pack = tuple[str, str, bytes]


class Checker:
    """Looks at one backup at a time; remembers packs."""

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo
        self._known: dict[_Pack, Sequence[Damage]] = {}

    def check(self, link: chains.ChainLink, point: chains.Point,
              observer: operations.Observer, *,
              part: float = 1) -> list[Damage]:
        """What is wrong with a backup.

        :param point: that of its manifest
        :param observer: told stored bytes of packs
        :param part: of its packs, taken at random, from 0 to 1
        :raises StoreError: when the store fails
        :raises Cancelled: when the observer cancelled
        """
        repo = self._repository.during(observer)
        damage: list[Damage] = []
        try:
            for _ in point_objects.PointObjects(repo.operation).parts(
                    link.ref, point, link.manifest.end):
                pass
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            damage.append(err)
        numbers = chosen(len(point.packs), part)
        self._check_packs(repo.operation, link.ref, [
            pack for pack in map(point.packs.__getitem__, numbers)
            if _key(link.ref, pack) not in self._known])
        for number in numbers:
            damage += self._known[_key(link.ref, point.packs[number])]
        return damage

    def _check_packs(self, operation: operations.Operation,
                     ref: types.BackupRef,
                     packs: Iterable[packs_.Pack]) -> None:
        packs = list(packs)
        total = sum(pack.length for pack in packs)
        done = 0

        def collect(result: tuple[packs_.Pack, Sequence[Damage]]) -> None:
            nonlocal done
            pack, found = result
            self._known[_key(ref, pack)] = found
            done += pack.length
            operation.observer.advanced(done, total)

        operation.run(
            (pipelines.Task(functools.partial(
                _check_pack, operation, ref, pack), pack.length)
             for pack in packs), collect, full=pipelines.FULL)


def chosen(count: int, part: float) -> Sequence[int]:
    """Some of so many things, taken at random, in their order.

    There is one at least, wherever there is any.
    """
    if part >= 1:
        return range(count)
    size = min(max(round(count * part), 1), count)
    return sorted(random.sample(range(count), size))


class Noting:
    """A reader that notes damage and goes on."""

    def __init__(self, reader: chunk_reader.Reader) -> None:
        self._reader = reader
        # Whatever kind of threads it is, appending needs no lock.
        self.damage: list[Damage] = []

    def read(self, group: groups.Group, use: chunk_reader.Use,
             stop: pipelines.StopFlag) -> None:
        """See :class:`chunk_reader.Reader`."""
        try:
            self._reader.read(group, use, stop)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            # All others of a group may be well. None is, without the object.
            if len(group.chunks) == 1 or isinstance(
                    err, exceptions.ChunkMissing):
                self.damage.append(err)
                return
            for chunk in group.chunks:
                self.read(groups.Group((chunk,)), use, stop)


def _key(ref: types.BackupRef, pack: packs_.Pack) -> _Pack:
    return ref.container, pack.name, pack.index_sha256


def _check_pack(operation: operations.Operation, ref: types.BackupRef,
                pack: packs_.Pack, stop: pipelines.StopFlag,
                ) -> tuple[packs_.Pack, Sequence[Damage]]:
    """What is wrong with one pack."""
    objects = point_objects.PointObjects(operation.until(stop))
    try:
        index = objects.index(ref, pack)
        end = max((record.extent.end for record in index.chunks), default=0)
        with operation.runtime.closing(operation.call(
                point_objects.digests_of, index, end,
                operation.directory)) as table:
            check = verification.Check(verification.DigestCheck(table, end))
            return pack, _compare(operation, ref, index, check, stop)
    except (exceptions.IntegrityError, exceptions.FormatError) as err:
        return pack, [err]


def _compare(operation: operations.Operation, ref: types.BackupRef,
             index: packs_.Index, check: verification.Check,
             stop: pipelines.StopFlag) -> Sequence[Damage]:
    """What is wrong with the chunks of a pack."""
    reader = Noting(chunk_reader.ChunkReader(operation, check))
    for group in groups.grouped(
            planner.PlannedChunk(ref.container, record, (record.extent,))
            for record in index.chunks if not record.is_zeros):
        stop.check()
        reader.read(group, fetching.Discard().write, stop)
    return reader.damage

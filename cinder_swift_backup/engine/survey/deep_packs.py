# SPDX-License-Identifier: Apache-2.0

"""Fetches the packs that a backup names, and compares all of them.

1. Read all pages of the manifest, and note the chunks that they name. They
   have to be as many of each pack as the manifest says.
2. Fetch the index of each pack, all or a sample, of which the manifest has the
   SHA-256. It has to have the chunks that pages name.
3. Fetch the rest of the pack, and compare the blocks of its chunks with the
   digests in the index.

Several backups name the same packs. Each is fetched once, but for its index,
and what was found in it holds for all of them: also if it is in a part that
only some need.

Memory: a few MiB for each worker, and an index. There may be a temporary file,
see :mod:`cinder_swift_backup.engine.survey.page_marks`.
"""

from array import array
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
from cinder_swift_backup.engine.survey import page_marks
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import types

Damage = exceptions.IntegrityError | exceptions.FormatError
Fault = Damage | exceptions.StoreUnavailable
# How many packs in a row the store may fail to give before it is down.
_FAILURES = 5
# The container of a pack, its name, the SHA-256 of its index, and its key.
_Pack = tuple[str, str, bytes, encryption.DataKey | None]
# The number of a pack, what is wrong with it, if that was not known before or
# cannot be, and with what pages say of it.
_Result = tuple[int, Sequence[Damage] | exceptions.StoreUnavailable | None,
                list[Damage]]


class Checker:
    """Looks at one backup at a time; remembers packs."""

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo
        self._known: dict[_Pack, Sequence[Damage]] = {}

    def check(self, link: chains.ChainLink, point: chains.Point,
              observer: operations.Observer, *, part: float = 1,
              ) -> list[Damage]:
        """What is wrong with a backup.

        :param point: that of its manifest
        :param observer: told stored bytes of packs
        :param part: of its packs, taken at random, from 0 to 1
        :raises StoreError: when the store fails
        :raises KeyUnavailable: when the key of an encrypted backup is missing
        :raises Cancelled: when the observer cancelled
        """
        operation = self._repository.during(observer).operation
        with operation.runtime.closing(_marks(operation, point)) as marks:
            damage = _mark(operation, link.ref, point, marks)
            try:
                key = operation.keys.unlock(point.encryption)
            except exceptions.KeyUnavailable:
                # Pages need none.
                if damage:
                    return damage
                raise
            look = _Look(operation, link.ref, point, key,
                         None if damage else marks)
            found = self._check_packs(operation, point, look,
                                      chosen(len(point.packs), part))
            # Failures of the store were raised.
            return damage + [fault for faults in found.values()
                             for fault in faults if not isinstance(
                                 fault, exceptions.StoreUnavailable)]

    def check_some(self, link: chains.ChainLink, point: chains.Point,
                   observer: operations.Observer,
                   numbers: Sequence[int],
                   ) -> tuple[list[Fault], dict[int, list[Fault]]]:
        """What is wrong with the pages of a backup, and with some packs.

        If the store gives some objects and not others, its errors are among
        what is wrong with these.

        :param numbers: of the packs
        :raises StoreError: when the store fails altogether
        :raises KeyUnavailable: when the key of an encrypted backup is missing
        :raises Cancelled: when the observer cancelled
        """
        operation = self._repository.during(observer).operation
        key = operation.keys.unlock(point.encryption)
        with operation.runtime.closing(_marks(operation, point)) as marks:
            faults: list[Fault] = []
            try:
                faults += _mark(operation, link.ref, point, marks)
            except exceptions.StoreUnavailable as err:
                # If it is down, it gives no pack either.
                faults.append(err)
            look = _Look(operation, link.ref, point, key,
                         None if faults else marks, failures=_FAILURES)
            return faults, self._check_packs(operation, point, look, numbers)

    def _check_packs(self, operation: operations.Operation,
                     point: chains.Point, look: '_Look',
                     numbers: Sequence[int]) -> dict[int, list[Fault]]:
        """What is wrong with each of some packs."""
        known = {number for number in numbers
                 if look.key(number) in self._known}
        total = sum(point.packs.stored(number)[0] for number in numbers
                    if number not in known)
        done = 0
        found: dict[int, list[Fault]] = {}

        def collect(result: _Result) -> None:
            nonlocal done
            number, in_pack, in_pages = result
            key = look.key(number)
            if isinstance(in_pack, exceptions.StoreUnavailable):
                found[number] = [in_pack]
                return
            if in_pack is None:
                found[number] = [*self._known[key]] or [*in_pages]
                return
            self._known[key] = in_pack
            found[number] = [*in_pack, *in_pages]
            done += point.packs.stored(number)[0]
            operation.observer.advanced(done, total)

        operation.run(
            (pipelines.Task(
                functools.partial(look.at, number, is_known=number in known),
                1 if number in known else point.packs.stored(number)[0])
             for number in numbers), collect, full=pipelines.FULL)
        return {number: found[number] for number in numbers}


def is_unknown(fault: Fault) -> bool:
    """Whether a fault says nothing of a pack."""
    return isinstance(fault, exceptions.StoreUnavailable)


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


def _marks(operation: operations.Operation,
           point: chains.Point) -> page_marks.PageMarks:
    return operation.call(page_marks.PageMarks, operation.directory,
                          point.packs)


def _mark(operation: operations.Operation, ref: types.BackupRef,
          point: chains.Point, marks: page_marks.PageMarks) -> list[Damage]:
    """Note the chunks of all pages; returns what is wrong with them."""
    objects = point_objects.PointObjects(operation)
    try:
        for stored in objects.pages(ref, point.pages):
            operation.call(marks.add, stored.page.name,
                           objects.chunks(ref, point, stored))
        operation.call(marks.check)
    except (exceptions.IntegrityError, exceptions.FormatError) as err:
        return [err.about(container=ref.container, backup_id=ref.backup_id)]
    return []


class _Look:
    """Looks at the packs of one backup; for all workers."""

    def __init__(self, operation: operations.Operation, ref: types.BackupRef,
                 point: chains.Point, key: encryption.DataKey | None,
                 marks: page_marks.PageMarks | None,
                 failures: int = 0) -> None:
        """Prepare.

        :param key: of the packs, if they are encrypted
        :param marks: of the chunks that pages name; None if not all are known
        :param failures: how many packs in a row the store may fail to give
        """
        self._failures = failures
        # How many it has in a row.
        self._failed = 0
        self._operation = operation
        self._ref = ref
        self._point = point
        self._marks = marks
        self._key = key
        # The marks are in one file.
        self._lock = operation.runtime.lock()

    def key(self, number: int) -> _Pack:
        """What a pack is known by, and how it is read."""
        pack = self._point.packs[number]
        return self._ref.container, pack.name, pack.index_sha256, self._key

    def at(self, number: int, stop: pipelines.StopFlag, *,
           is_known: bool) -> _Result:
        """What is wrong with a pack, and with what pages say of it.

        :param is_known: whether the first was found out before
        :raises StoreError: when the store fails too often
        """
        try:
            found = self._at(number, stop, is_known=is_known)
        except exceptions.StoreUnavailable as err:
            with self._lock:
                self._failed += 1
                if self._failed > self._failures:
                    raise
            return number, err.about(
                container=self._ref.container,
                name=self._point.packs.name(number)), []
        with self._lock:
            self._failed = 0
        return found

    def _at(self, number: int, stop: pipelines.StopFlag, *,
            is_known: bool) -> _Result:
        operation = self._operation.until(stop)
        pack = self._point.packs[number]
        try:
            index = point_objects.PointObjects(operation).index(
                self._ref, pack)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            return (number, None, [err]) if is_known else (number, [err], [])
        in_pages = [] if self._marks is None else self._compare(
            operation, self._marks, number, index)
        if is_known:
            return number, None, in_pages
        return number, _blocks(operation, self._ref, index,
                               self._key, stop), in_pages

    def _compare(self, operation: operations.Operation,
                 all_marks: page_marks.PageMarks, number: int,
                 index: packs_.Index) -> list[Damage]:
        """Compare what pages say of a pack with its index."""
        pack = self._point.packs[number]
        with self._lock:
            marks = operation.call(all_marks.of, number)
        if operation.call(_are_among, marks, index.chunks):
            return []
        return [documents.damaged(
            pack.name, 'pages name chunks that are not in its index, or one '
                       'twice').about(container=self._ref.container,
                                      backup_id=self._ref.backup_id)]


def _are_among(marks: 'array[int]',
               chunks: packed_chunks.PackedChunks) -> bool:
    """Whether all of some chunks are in a table, each once."""
    found = set(marks)
    return (len(found) == len(marks)
            and found.issubset(chunks.marks()))


def _blocks(operation: operations.Operation, ref: types.BackupRef,
            index: packs_.Index, key: encryption.DataKey | None,
            stop: pipelines.StopFlag) -> Sequence[Damage]:
    """What is wrong with the chunks of a pack."""
    end = max((record.extent.end for record in index.chunks), default=0)
    with operation.runtime.closing(operation.call(
            point_objects.digests_of, index, end, operation.directory,
            digests.sha256 if key is None else key.digest)) as table:
        reader = Noting(chunk_reader.ChunkReader(
            operation, verification.Check(
                verification.DigestCheck(table, end), key=key)))
        for group in groups.grouped(
                planner.PlannedChunk(ref.container, record, (record.extent,))
                for record in index.chunks if not record.is_zeros):
            stop.check()
            reader.read(group, fetching.Discard().write, stop)
        return reader.damage

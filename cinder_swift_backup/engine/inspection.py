# SPDX-License-Identifier: Apache-2.0

"""Fetches what a backup consists of, to see whether it is what was stored.

1. Decode the chunks of the backup, all or a sample, and compare their blocks
   with the digests of the backup.
2. Compare all other digests with those of the parent, for an incremental takes
   these blocks from there.

So the backup can be restored if its parent can, and each object is fetched
once, however many backups need it. Nothing is written anywhere.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
import random

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import chunk_reader
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import verification
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

Damage = exceptions.IntegrityError | exceptions.FormatError


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A backup to look at; ``size`` is that of its volume, in bytes."""

    link: chains.ChainLink
    size: int


class Inspector:
    """Looks at one backup at a time."""

    def __init__(self, repo: repository.Repository,
                 pipeline: pipelines.Pipeline, known: codecs.Codecs) -> None:
        self._repository = repo
        self._pipeline = pipeline
        self._codecs = known

    def inspect(self, subject: Subject, parent: Subject | None,
                observer: progress.Observer, *,
                part: float = 1) -> list[Damage]:
        """What is wrong with a backup.

        :param part: of its chunks, taken at random, from 0 to 1
        :raises StoreError: when the store fails
        :raises SpoolError: when there is no room for the digests
        :raises Cancelled: when the observer cancelled
        """
        runtime = self._pipeline.runtime
        try:
            check = self._load(subject, observer)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            return [err]
        if check is None:
            # Those releases only made full backups.
            plan = planner.plan_restore(chains.Chain((subject.link,)))
            try:
                runtime.call(verification.check_md5s, plan)
            except exceptions.IntegrityError as err:
                return [err]
            return self._fetch(subject, verification.Check(None), observer,
                               part)
        with runtime.closing(check.table):
            damage = self._fetch(subject, verification.Check(check),
                                 observer, part)
            if parent is not None:
                damage += self._compare(subject, check, parent, observer)
            return damage

    def _load(self, subject: Subject, observer: progress.Observer,
              ) -> verification.DigestCheck | None:
        """The digests of a backup; None if it is from before there were."""
        repo = self._repository.until(pipelines.Watch(observer.checkpoint))
        check = verification.load_digests(repo, subject.link, subject.size)
        manifest, ref = subject.link.manifest, subject.link.ref
        if check is None and manifest.era is chains.Era.DIGESTS:
            raise exceptions.IntegrityError(
                'the backup was stored with a file of digests, which is gone',
                backup_id=ref.backup_id, container=ref.container,
                name=naming.digest_file_name(ref.prefix))
        return check

    def _fetch(self, subject: Subject, check: verification.Check,
               observer: progress.Observer, part: float) -> list[Damage]:
        table = subject.link.manifest.chunks
        damage: list[Damage] = []
        chosen = self._chosen(len(table), part)
        total = sum(table.lengths[index] for index in chosen)
        done = 0
        reader = chunk_reader.ChunkReader(
            self._repository.store, self._pipeline.runtime, self._codecs,
            check)

        def collect(result: tuple[int, Damage | None]) -> None:
            nonlocal done
            done += result[0]
            if result[1] is not None:
                damage.append(result[1])
            observer.advanced(done, total)

        def tasks() -> Iterator[pipelines.Task[tuple[int, Damage | None]]]:
            for index in chosen:
                record = table[index]
                chunk = planner.PlannedChunk(
                    subject.link.ref.container, record, (record.extent,))
                yield pipelines.Task(
                    functools.partial(self._read, reader, chunk),
                    record.extent.length)

        self._pipeline.run(tasks(), collect, observer.checkpoint,
                           full=chunk_reader.FULL)
        return damage

    @staticmethod
    def _chosen(count: int, part: float) -> Sequence[int]:
        if part >= 1:
            return range(count)
        # One at least, wherever there is one.
        some = min(max(round(count * part), 1), count)
        return sorted(random.sample(range(count), some))

    @staticmethod
    def _read(reader: chunk_reader.ChunkReader, chunk: planner.PlannedChunk,
              stop: pipelines.StopFlag) -> tuple[int, Damage | None]:
        stop.check()
        length = chunk.record.extent.length
        try:
            reader.read(chunk, _drop, stop)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            return length, err
        return length, None

    def _compare(self, subject: Subject, check: verification.DigestCheck,
                 parent: Subject,
                 observer: progress.Observer) -> list[Damage]:
        """Compare the digests of what the parent has to provide."""
        try:
            before = self._load(parent, observer)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            return [err]
        if before is None:
            return []
        with self._pipeline.runtime.closing(before.table):
            return self._pipeline.one(
                lambda stop: _differences(subject, check, before.table, stop),
                observer.checkpoint)


def _drop(offset: int, data: memoryview, *, repeated: bool) -> None:
    """Take verified data, for which there is no use."""


def _differences(subject: Subject, check: verification.DigestCheck,
                 before: digests.DigestTable,
                 stop: pipelines.StopFlag) -> list[Damage]:
    ref = subject.link.ref
    name = naming.digest_file_name(ref.prefix)
    size = check.table.block_size
    if before.block_size != size:
        return [exceptions.IntegrityError(
            'the parent has digests of blocks of another size',
            backup_id=ref.backup_id, container=ref.container, name=name,
            expected=before.block_size, actual=size)]
    for extent in _inherited(subject):
        first, end = extent.block_range(size)
        for start in range(first, end, digests.STEP):
            stop.check()
            stop_at = min(start + digests.STEP, end)
            changed = digests.changed_blocks(
                check.table.run(start, stop_at), before.run(start, stop_at))
            if changed:
                block = start + changed[0]
                return [exceptions.IntegrityError(
                    'a digest is not that of the parent, from which the '
                    'backup takes the block', backup_id=ref.backup_id,
                    container=ref.container, name=name, offset=block * size,
                    end=min((block + 1) * size, subject.size))]
    return []


def _inherited(subject: Subject) -> list[types.Extent]:
    """What a backup does not store itself."""
    claimed = intervals.IntervalSet()
    for record in subject.link.manifest.chunks.in_order():
        claimed.claim(record.extent)
    return claimed.claim(types.Extent(0, subject.size))

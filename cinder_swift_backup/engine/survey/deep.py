# SPDX-License-Identifier: Apache-2.0

"""Fetches what a backup consists of, to see whether it is what was stored.

1. Decode the chunks of the backup, all or a sample, and compare their blocks
   with the digests of the backup.
2. Compare all other digests with those of the parent, for an incremental takes
   these blocks from there.

So the backup can be restored if its parent can, and each object is fetched
once, however many backups need it. Nothing is written anywhere. In the form of
packs, see :mod:`cinder_swift_backup.engine.survey.deep_packs`.
"""

from collections.abc import Sequence
import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.restore import fetching
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep_packs
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

Damage = exceptions.IntegrityError | exceptions.FormatError
# What says nothing of a backup, or of any other.
_UNKNOWN = (exceptions.StoreError, exceptions.KeyUnavailable)


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """A backup to look at; ``size`` is that of its volume, in bytes."""

    link: chains.ChainLink
    size: int


class Checker:
    """Looks at one backup at a time."""

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo
        self._packs = deep_packs.Checker(repo)

    def check(self, subject: Subject, parent: Subject | None,
              observer: operations.Observer, *,
              part: float = 1) -> list[Damage]:
        """What is wrong with a backup.

        :param part: of its chunks, or of its packs, taken at random, from 0
            to 1
        :raises StoreError: when the store fails
        :raises KeyUnavailable: when the key of an encrypted backup is missing
        :raises SpoolError: when there is no room for the digests
        :raises Cancelled: when the observer cancelled
        """
        point = subject.link.manifest.point
        if point is not None:
            return self._packs.check(subject.link, point, observer, part=part)
        repo = self._repository.during(observer)
        try:
            check = verification.strict(repo, subject.link, subject.size)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            return [err]
        with repo.operation.runtime.closing(check):
            damage = self._fetch(repo.operation, subject, check, part)
            if parent is not None and check.digests is not None:
                damage += self._compare(repo, subject, check.digests, parent)
            return damage

    def check_packs(self, link: chains.ChainLink, names: Sequence[str],
                    observer: operations.Observer,
                    ) -> tuple[list[deep_packs.Fault],
                               Sequence[list[deep_packs.Fault]]]:
        """What is wrong with the pages of a backup, and with some packs.

        :param names: of packs
        :returns: the faults of pages, and those of each pack
        :raises ChainError: when the backup does not need them now
        :raises StoreError: when the store fails
        :raises KeyUnavailable: when the key of an encrypted backup is missing
        :raises Cancelled: when the observer cancelled
        """
        point = link.manifest.point
        every = [] if point is None else list(point.packs.names())
        numbers = {name: number for number, name in enumerate(every)}
        if point is None or not numbers.keys() >= set(names):
            raise exceptions.ChainError(
                'the backup has been replaced meanwhile',
                backup_id=link.ref.backup_id, container=link.ref.container)
        in_pages, found = self._packs.check_some(
            link, point, observer, [numbers[name] for name in names])
        return in_pages, [found[numbers[name]] for name in names]

    def _fetch(self, operation: operations.Operation, subject: Subject,
               check: verification.Check, part: float) -> list[Damage]:
        table = subject.link.manifest.chunks
        chosen = deep_packs.chosen(len(table), part)
        total = sum(table.lengths[index] for index in chosen)
        done = 0

        def collect(length: int) -> None:
            nonlocal done
            done += length
            operation.observer.advanced(done, total)

        # Objects count, so none is left out for what its digests say.
        fetcher = fetching.make(
            operation, dataclasses.replace(check, sparing=False))
        reader = deep_packs.Noting(fetcher.reader)
        dataclasses.replace(fetcher, reader=reader).fetch(
            (planner.PlannedChunk(subject.link.ref.container, record,
                                  (record.extent,))
             for record in map(table.__getitem__, chosen)),
            fetching.Discard(), collect)
        return reader.damage

    @staticmethod
    def _compare(repo: repository.Repository, subject: Subject,
                 check: verification.DigestCheck,
                 parent: Subject) -> list[Damage]:
        """Compare the digests of what the parent has to provide."""
        try:
            before = verification.strict(repo, parent.link, parent.size)
        except (exceptions.IntegrityError, exceptions.FormatError) as err:
            return [err]
        with repo.operation.runtime.closing(before):
            if before.digests is None:
                return []
            table = before.digests.table
            return repo.operation.one(
                lambda stop: _differences(subject, check, table, stop))


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a backup that was fetched.

    ``state`` is None where that could not be found out. ``faults`` are what is
    wrong with the backup itself. ``below`` is a backup that it builds on, if
    that is to blame.
    """

    state: backups.State | None = backups.State.COMPLETE
    faults: tuple[exceptions.BackupError, ...] = ()
    below: types.BackupRef | None = None


class Verifier:
    """Fetches the backups of a lineage, each after what it builds on."""

    def __init__(self, repo: repository.Repository, lineage: lineages.Lineage,
                 part: float) -> None:
        """Prepare.

        :param part: of the chunks of each, taken at random, from 0 to 1
        """
        self._repository = repo
        self._checker = Checker(repo)
        self._lineage = lineage
        self._part = part
        self._bad: dict[types.BackupRef, backups.State | None] = {}

    def verify(self, backup: backups.Backup,
               observer: operations.Observer) -> Verdict:
        """Fetch a backup that looks complete.

        :raises SpoolError: when there is no room for the digests
        :raises Cancelled: when the observer cancelled
        """
        chain = self._lineage.chain(backup)
        verdict = self._by_itself(chain, observer)
        if verdict.state is backups.State.COMPLETE:
            below = next((link.ref for link in chain if link.ref in self._bad),
                         None)
            if below is None:
                return verdict
            verdict = Verdict(self._bad[below], below=below)
        self._bad[backup.ref] = verdict.state
        return verdict

    def verify_packs(self, backup: backups.Backup, names: Sequence[str],
                     observer: operations.Observer,
                     ) -> tuple[Verdict, Sequence[Verdict]]:
        """Fetch some packs of a backup.

        :param names: of packs that it needed a moment ago
        :returns: what is known of the backup, but for packs, and of each pack
        :raises Cancelled: when the observer cancelled
        """
        try:
            link = chains.ChainLink(backup.ref,
                                    self._repository.load(backup.ref))
            in_pages, found = self._checker.check_packs(link, names, observer)
        except (*_UNKNOWN, exceptions.ChainError,
                exceptions.FormatError) as err:
            # Of a backup that was deleted meanwhile, no pack was fetched.
            return Verdict(None, (err,)), [Verdict(None) for _ in names]
        return _verdict(in_pages), list(map(_verdict, found))

    def _by_itself(self, chain: Sequence[backups.Backup],
                   observer: operations.Observer) -> Verdict:
        try:
            subjects = [self._subject(link) for link in chain[-2:]]
            damage = self._checker.check(
                subjects[-1], subjects[-2] if len(subjects) > 1 else None,
                observer, part=self._part)
        except _UNKNOWN as err:
            return Verdict(None, (err,))
        except (exceptions.ChainError, exceptions.FormatError) as err:
            # It was deleted or replaced meanwhile.
            return Verdict(backups.State.DAMAGED, (err,))
        if damage:
            return Verdict(backups.State.DAMAGED, tuple(damage))
        return Verdict()

    def _subject(self, backup: backups.Backup) -> Subject:
        return Subject(
            chains.ChainLink(backup.ref, self._repository.load(backup.ref)),
            self._lineage.size(backup) or 0)


def _verdict(faults: Sequence[deep_packs.Fault]) -> Verdict:
    """What some faults amount to."""
    if not faults:
        return Verdict()
    return Verdict(None if all(map(deep_packs.is_unknown, faults))
                   else backups.State.DAMAGED, tuple(faults))


def _differences(subject: Subject, check: verification.DigestCheck,
                 before: digests.DigestTable,
                 stop: pipelines.StopFlag) -> list[Damage]:
    ref = subject.link.ref
    name = naming.digest_file_name(ref.prefix)
    size = check.table.block_size
    if before.block_size != size:
        return [exceptions.IntegrityError(
            "the block size of the backup differs from its parent's",
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
                    "a digest differs from the parent's, though the backup "
                    'takes the block from the parent',
                    backup_id=ref.backup_id, container=ref.container,
                    name=name, offset=block * size,
                    end=min((block + 1) * size, subject.size))]
    return []


def _inherited(subject: Subject) -> list[types.Extent]:
    """What a backup does not store itself."""
    claimed = intervals.IntervalSet()
    for record in subject.link.manifest.chunks.in_order():
        claimed.claim(record.extent)
    return claimed.claim(types.Extent(0, subject.size))

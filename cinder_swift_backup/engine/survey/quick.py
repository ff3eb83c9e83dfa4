# SPDX-License-Identifier: Apache-2.0

"""Says of each backup in a store whether it can be restored.

A quick look compares what is named with what is there:

1. Read the manifest. Compare the objects it names with a listing: that they
   are there, and their stored length and MD5 where the manifest has them. In
   the form of packs, do so with the packs of the volume, too.
2. Look for the digest file, and for its segments if it has any.
3. What a listing does not show, or shows otherwise, is asked for, since
   listings lag. Only the object itself counts.
4. A closer look also asks for what a listing shows as it should be, or for a
   sample of it; see :mod:`cinder_swift_backup.engine.presence`.

Each backup is looked at alone. It is no better than what it builds on; see
:mod:`cinder_swift_backup.engine.survey.lineages`.

Memory: the manifest of each backup that is looked at, with 40 bytes for each
chunk, and a bit for each to know which of them are listed.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import itertools

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base


class Checker:
    """Looks at backups, several at a time."""

    def __init__(self, repo: repository.Repository,
                 patience: backups.Patience) -> None:
        self._repository = repo
        self._patience = patience

    def check(self, listed: Sequence[inventory.Listed],
              observer: operations.Observer, *,
              closely: bool = True) -> list[backups.Backup]:
        """A quick look at each backup, in the same order.

        :param observer: told the numbers of backups
        :param closely: whether to ask for what listings show
        :raises StoreError: when the store fails
        """
        checked: dict[int, backups.Backup] = {}

        def collect(result: tuple[int, backups.Backup]) -> None:
            checked.update([result])
            observer.advanced(len(checked), len(listed))

        def task(number: int) -> pipelines.Task[tuple[int, backups.Backup]]:
            return pipelines.Task(
                lambda stop: (number, self._check(listed[number], stop,
                                                  closely)), 1)

        self._repository.during(observer).operation.run(
            map(task, range(len(listed))), collect, full=1)
        return [checked[number] for number in range(len(listed))]

    def _check(self, listed: inventory.Listed, stop: pipelines.StopFlag,
               closely: bool) -> backups.Backup:
        stop.check()
        repo = self._repository.until(stop)
        ref = listed.ref
        try:
            manifest = repo.load(ref)
        except exceptions.ChainError:
            # What a listing shows is not given up.
            state = (self._patience.incomplete(listed) if listed.has_manifest
                     else self._patience.without_manifest(listed))
            return backups.Backup(listed, None, (backups.Finding(
                state, 'the backup has no manifest', ref.container,
                naming.manifest_name(ref.prefix)),))
        except exceptions.FormatError as err:
            return backups.Backup(listed, None, (
                _finding(err, backups.State.DAMAGED),))
        look = _Look(chains.ChainLink(ref, manifest), repo.store,
                     self._patience, self._patience.incomplete(listed))
        findings = [*look.objects(), *look.packs(), *look.digests(),
                    *look.gaps()]
        if closely:
            findings += look.examine(findings)
        return backups.Backup(listed, backups.summarise(manifest),
                              tuple(findings), tuple(look.strays))


class _Look:
    """A quick look at the objects of one backup."""

    def __init__(self, link: chains.ChainLink, store: base.ObjectStore,
                 patience: backups.Patience, missing: backups.State) -> None:
        """Prepare.

        :param missing: what a missing object makes of the backup
        """
        self._ref = link.ref
        self._manifest = link.manifest
        self._seen = chunk_table.Sightings(link.manifest.objects)
        self._store = store
        self._patience = patience
        self._missing = missing
        # What is listed besides objects of the manifest; what to ask of packs,
        # and the segments of the digests.
        self._others: list[str] = []
        self._of_packs: Iterator[presence.Question] = iter(())
        self._segments: list[tuple[types.BackupRef, base.Segment]] = []
        self.strays: list[str] = []

    def objects(self) -> Iterator[backups.Finding]:
        return self._compare(self._manifest.objects, self._seen,
                             self._ref.prefix)

    def packs(self) -> Iterator[backups.Finding]:
        point = self._manifest.point
        if point is None:
            return
        seen = chunk_table.Sightings(point.packs)
        yield from self._compare(point.packs, seen, point.packs.root)
        self._of_packs = presence.questions(self._ref, point.packs, seen)

    def _compare(self, objects: chunk_table.Objects,
                 seen: chunk_table.Sightings,
                 prefix: str) -> Iterator[backups.Finding]:
        """Compare what the manifest names with a listing."""
        for info in self._store.list(self._ref.container, prefix):
            index = seen.see(info.name)
            if index is not None:
                # There may be millions: only few get a question, and a name.
                if presence.mismatch(objects.stored(index), info) is not None:
                    yield from self._ask(
                        presence.of_object(self._ref, objects, index))
            elif self._is_other(info):
                self._others.append(info.name)
            elif self._is_stray(info):
                self.strays.append(info.name)
        yield from self._unlisted(
            len(objects) - len(seen),
            (presence.of_object(self._ref, objects, index)
             for index in seen.unseen()))

    def examine(self, known: Collection[backups.Finding],
                ) -> Iterator[backups.Finding]:
        """The first object that is not as the listing shows it, if any.

        :param known: what has been found before
        """
        for question in itertools.chain(
                presence.of_names(self._ref, self._others),
                presence.questions(self._ref, self._manifest.objects,
                                   self._seen),
                self._of_packs, presence.of_segments(self._segments)):
            for finding in self._ask(question):
                if finding not in known:
                    yield finding
                    return

    def _is_other(self, info: base.ObjectInfo) -> bool:
        return info.name in (naming.manifest_name(self._ref.prefix),
                             naming.digest_file_name(self._ref.prefix))

    def _is_stray(self, info: base.ObjectInfo) -> bool:
        """Whether nobody has use for an object, or will have."""
        place = naming.place(info.name)
        return (place is not None and place.prefix == self._ref.prefix
                and self._patience.is_late(info.modified))

    def _ask(self, question: presence.Question) -> Iterator[backups.Finding]:
        """What is wrong with an object itself, whatever a listing shows."""
        return self._findings(question.ask(self._store))

    def _findings(self, fault: exceptions.IntegrityError | None,
                  ) -> Iterator[backups.Finding]:
        """What the fault of an object, if any, makes of the backup."""
        if fault is not None:
            missing = isinstance(fault, exceptions.ChunkMissing)
            yield _finding(fault, self._missing if missing
                           else backups.State.DAMAGED)

    def _unlisted(self, count: int, questions: Iterable[presence.Question],
                  ) -> Iterator[backups.Finding]:
        """What is wrong with objects that should be there and are not listed.

        One that is not there speaks for all the others.

        :param count: of the questions
        """
        for number, asked in enumerate(questions, 1):
            fault = asked.ask(self._store)
            if isinstance(fault, exceptions.ChunkMissing):
                rest = count - number
                what = 'missing'
                if rest:
                    what += f', and {rest} more are not listed'
                yield backups.Finding(self._missing, what,
                                      asked.ref.container, asked.name)
                return
            yield from self._findings(fault)

    def gaps(self) -> Iterator[backups.Finding]:
        """A full backup has all of its volume."""
        manifest = self._manifest
        # What no page is of is zeros.
        if manifest.parent_id is not None or manifest.point is not None:
            return
        claimed = intervals.IntervalSet()
        for offset, length in zip(manifest.chunks.offsets,
                                  manifest.chunks.lengths, strict=True):
            claimed.claim(types.Extent(offset, length))
        end = manifest.volume_size or manifest.end
        for gap in claimed.claim(types.Extent(0, end)):
            yield backups.Finding(
                backups.State.DAMAGED, f'bytes {gap.offset} to {gap.end} of '
                f'the volume are in none of its chunks', self._ref.container,
                naming.manifest_name(self._ref.prefix))
            return

    def digests(self) -> Iterator[backups.Finding]:
        if not self._manifest.has_digest_file:
            return
        name = naming.digest_file_name(self._ref.prefix)
        try:
            segments = self._store.segments(self._ref.container, name)
        except exceptions.ObjectNotFound:
            yield backups.Finding(self._missing, 'missing',
                                  self._ref.container, name)
            return
        if segments:
            yield from self._compare_segments(segments)

    def _compare_segments(self, segments: tuple[base.Segment, ...],
                          ) -> Iterator[backups.Finding]:
        missing = {segment.name: segment for segment in segments}
        container = segments[0].container
        for info in digest_objects.listed_segments(
                self._store, container,
                naming.digest_segments(self._ref.prefix)):
            segment = missing.pop(info.name, None)
            if segment is None:
                continue
            self._segments.append((self._ref, segment))
            question = presence.of_segment(self._ref, segment)
            if presence.mismatch(question.expected, info) is not None:
                yield from self._ask(question)
        yield from self._unlisted(
            len(missing), (presence.of_segment(self._ref, missing[name])
                           for name in sorted(missing)))


def _finding(err: exceptions.BackupError,
             state: backups.State) -> backups.Finding:
    return backups.Finding(state, err.clause, err.container, err.name)

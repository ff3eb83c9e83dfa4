# SPDX-License-Identifier: Apache-2.0

"""Says of each backup in a store whether it can be restored.

A quick look compares what is named with what is there:

1. Read the manifest. Compare the chunks it names with a listing: that they are
   there, and their stored length and MD5 where the manifest has them.
2. Look for the file of digests, and for its segments if it has any.
3. What a listing does not show is asked for, since listings lag.
4. A closer look also asks for what a listing shows, or a sample of it; see
   :mod:`cinder_swift_backup.engine.presence`.

Each backup is looked at alone. It is no better than what it builds on; see
:mod:`cinder_swift_backup.engine.survey.lineages`.

What is missing may still be on its way: while a backup is made, its manifest
is; while a container is copied to another site, anything is. After some time
it is lost.

Memory: the manifest of each backup that is looked at, with 50 bytes for each
chunk, and a bit for each to know which of them are listed.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import enum
import itertools

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.format import volume_meta
from cinder_swift_backup.stores import base


class State(enum.Enum):
    """What can be said of a backup, from the best to the worst."""

    COMPLETE = 'complete'
    ARRIVING = 'arriving'
    ORPHANED = 'orphaned'
    DAMAGED = 'damaged'

    def worst(self, other: 'State') -> 'State':
        """The worse one of two."""
        order = list(State)
        return max(self, other, key=order.index)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a backup, and what that makes of it."""

    state: State
    what: str
    container: str | None = None
    name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Stored:
    """Chunks of one codec: their number, bytes of volume and of store.

    ``stored_bytes`` is None where the manifest does not tell.
    """

    chunks: int
    bytes: int
    stored_bytes: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """A manifest without its chunks.

    ``end`` is where the last chunk ends, in bytes of the volume.
    ``by_codec`` is by the words of codecs. ``key_id`` is that of the backup's
    own copy of a key, ``volume`` what Cinder noted of the volume.
    """

    header: types.BackupHeader
    era: chains.Era
    parent_id: str | None
    parent: types.BackupRef | None
    volume_size: int | None
    file_format: str | None
    end: int
    volume: volume_meta.Volume
    key_id: str | None
    by_codec: Mapping[str, Stored]

    @property
    def is_ours(self) -> bool:
        """Whether this package wrote it."""
        return self.volume_size is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Audit:
    """A backup, and what was found out about it alone.

    ``summary`` is None where the manifest cannot be read. ``strays`` are the
    names of objects that look like the backup's and are not in its manifest.
    They do no harm, but for the stock driver refusing to restore it.
    """

    found: inventory.Found
    summary: Summary | None
    findings: tuple[Finding, ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def state(self) -> State:
        """The worst that was found."""
        state = State.COMPLETE
        for finding in self.findings:
            state = state.worst(finding.state)
        return state


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """For how long what is missing may still arrive.

    ``now`` is in UTC, by the store's clock as the times of objects are. Where
    ``grace`` is 0, nothing is waited for. ``copies`` are the containers that
    another site is copied to. ``shared`` are those that are copied elsewhere,
    and perhaps the other way, too.
    """

    now: datetime.datetime
    grace: datetime.timedelta
    copies: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()

    def is_late(self, modified: datetime.datetime) -> bool:
        """Whether an object is older than what may still be worked on."""
        # A store tells its time to the second, and that of objects better.
        return not self.grace or self.now - modified >= self.grace

    def without_manifest(self, found: inventory.Found) -> State:
        """The state of a backup that has none.

        In a copy the manifest may come at any time, whatever the age of what
        is there: objects keep the time of their originals.
        """
        if self._young(found):
            return State.ARRIVING
        return (State.DAMAGED if found.ref.container in self.copies
                else State.ORPHANED)

    def incomplete(self, found: inventory.Found) -> State:
        """The state of a backup that lacks something else.

        The manifest is written last, but need not be copied last.
        """
        if found.ref.container in self.copies and self._young(found):
            return State.ARRIVING
        return State.DAMAGED

    def _young(self, found: inventory.Found) -> bool:
        return not self.is_late(found.modified)


class Auditor:
    """Looks at backups, several at a time."""

    def __init__(self, repo: repository.Repository,
                 patience: Patience) -> None:
        self._repository = repo
        self._patience = patience

    def audit(self, found: Iterable[inventory.Found],
              observer: operations.Observer, *,
              closely: bool = True) -> list[Audit]:
        """A quick look at each backup, in the same order.

        :param observer: told the numbers of backups
        :param closely: whether to ask for what listings show
        :raises StoreError: when the store fails
        """
        found = list(found)
        results: dict[int, Audit] = {}

        def collect(result: tuple[int, Audit]) -> None:
            results[result[0]] = result[1]
            observer.advanced(len(results), len(found))

        def task(number: int) -> pipelines.Task[tuple[int, Audit]]:
            return pipelines.Task(
                lambda stop: (number, self._audit(found[number], stop,
                                                  closely)), 1)

        self._repository.during(observer).operation.run(
            map(task, range(len(found))), collect, full=1)
        return [results[number] for number in range(len(found))]

    def _audit(self, found: inventory.Found, stop: pipelines.StopFlag,
               closely: bool) -> Audit:
        stop.check()
        repo = self._repository.until(stop)
        try:
            manifest = repo.load(found.ref)
        except exceptions.ChainError:
            # What a listing shows is not given up.
            state = (self._patience.incomplete(found) if found.has_manifest
                     else self._patience.without_manifest(found))
            return Audit(found, None, (Finding(
                state, 'it has no manifest', found.ref.container,
                naming.manifest_name(found.ref.prefix)),))
        except exceptions.FormatError as err:
            return Audit(found, None, (_finding(err, State.DAMAGED),))
        look = _Look(chains.ChainLink(found.ref, manifest), repo.store,
                     self._patience, self._patience.incomplete(found))
        findings = [*look.chunks(), *look.digests(), *look.gaps()]
        if closely:
            findings += look.examine()
        return Audit(found, summarise(manifest), tuple(findings),
                     tuple(look.strays))


class _Look:
    """A quick look at the objects of one backup."""

    def __init__(self, link: chains.ChainLink, store: base.ObjectStore,
                 patience: Patience, missing: State) -> None:
        """Prepare.

        :param missing: what a missing object makes of the backup
        """
        self._link = link
        self._ref = link.ref
        self._manifest = link.manifest
        self._seen = chunk_table.Sightings(link.manifest.chunks)
        self._store = store
        self._patience = patience
        self._missing = missing
        # What is listed besides chunks, and segments of the digests.
        self._others: list[str] = []
        self._segments: list[tuple[types.BackupRef, base.Segment]] = []
        self.strays: list[str] = []

    def chunks(self) -> Iterator[Finding]:
        table = self._manifest.chunks
        for info in self._store.list(self._ref.container, self._ref.prefix):
            index = self._seen.see(info.name)
            if index is not None:
                yield from self._compare(table.stored(index), info)
            elif self._is_other(info):
                self._others.append(info.name)
            elif self._is_stray(info):
                self.strays.append(info.name)
        yield from self._unlisted(
            len(table) - len(self._seen),
            (presence.of_chunk(self._ref, table, index)
             for index in self._seen.unseen()))

    def examine(self) -> Iterator[Finding]:
        """The first object that is not as the listing shows it, if any."""
        for question in itertools.chain(
                presence.questions(self._link, self._seen, self._others),
                presence.of_segments(self._segments)):
            fault = question.ask(self._store)
            # Lengths and MD5s are those of the listing.
            if isinstance(fault, (exceptions.ChunkMissing,
                                  exceptions.ObjectExpires)):
                missing = isinstance(fault, exceptions.ChunkMissing)
                yield _finding(fault, self._missing if missing
                               else State.DAMAGED)
                return

    def _is_other(self, info: base.ObjectInfo) -> bool:
        return info.name in (naming.manifest_name(self._ref.prefix),
                             naming.digest_file_name(self._ref.prefix))

    def _is_stray(self, info: base.ObjectInfo) -> bool:
        """Whether nobody has use for an object, or will have."""
        place = naming.place(info.name)
        return (place is not None and place.prefix == self._ref.prefix
                and self._patience.is_late(info.modified))

    def _compare(self, expected: presence.Stored,
                 info: base.ObjectInfo) -> Iterator[Finding]:
        fault = presence.mismatch(expected, info)
        if fault is not None:
            yield _finding(fault.about(container=self._ref.container,
                                       name=info.name), State.DAMAGED)

    def _unlisted(self, count: int, questions: Iterable[presence.Question],
                  ) -> Iterator[Finding]:
        """What is wrong with objects that should be there and are not listed.

        One that is not there speaks for all the others.

        :param count: of the questions
        """
        for number, asked in enumerate(questions, 1):
            fault = asked.ask(self._store)
            if isinstance(fault, exceptions.ChunkMissing):
                rest = count - number
                what = ('it is not there' if not rest else 'it is not '
                        f'there, and {rest} more are not listed')
                yield Finding(self._missing, what, asked.ref.container,
                              asked.name)
                return
            if fault is not None:
                yield _finding(fault, State.DAMAGED)

    def gaps(self) -> Iterator[Finding]:
        """A full backup has all of its volume."""
        manifest = self._manifest
        if manifest.parent_id is not None:
            return
        claimed = intervals.IntervalSet()
        for offset, length in zip(manifest.chunks.offsets,
                                  manifest.chunks.lengths, strict=True):
            claimed.claim(types.Extent(offset, length))
        end = manifest.volume_size or manifest.end
        for gap in claimed.claim(types.Extent(0, end)):
            yield Finding(
                State.DAMAGED, f'bytes {gap.offset} to {gap.end} of the '
                f'volume are in none of its chunks', self._ref.container,
                naming.manifest_name(self._ref.prefix))
            return

    def digests(self) -> Iterator[Finding]:
        if self._manifest.era is chains.Era.BEFORE_DIGESTS:
            return
        name = naming.digest_file_name(self._ref.prefix)
        try:
            segments = self._store.segments(self._ref.container, name)
        except exceptions.ObjectNotFound:
            yield Finding(self._missing, 'it is not there',
                          self._ref.container, name)
            return
        if segments:
            yield from self._compare_segments(segments)

    def _compare_segments(self, segments: tuple[base.Segment, ...],
                          ) -> Iterator[Finding]:
        wanted = {segment.name: segment for segment in segments}
        container = segments[0].container
        for info in digest_objects.listed_segments(
                self._store, container,
                naming.digest_segments(self._ref.prefix)):
            segment = wanted.pop(info.name, None)
            if segment is None:
                continue
            self._segments.append((self._ref, segment))
            if presence.mismatch((segment.size, segment.md5), info):
                yield Finding(
                    State.DAMAGED, 'it is not what the file of digests '
                    'consists of', container, info.name)
        yield from self._unlisted(
            len(wanted), (presence.of_segment(self._ref, wanted[name])
                          for name in sorted(wanted)))


def _finding(err: exceptions.BackupError, state: State) -> Finding:
    return Finding(state, err.clause, err.container, err.name)


def summarise(manifest: chains.Manifest) -> Summary:
    """A manifest without its chunks."""
    return Summary(
        header=manifest.header, era=manifest.era,
        parent_id=manifest.parent_id, parent=manifest.parent,
        volume_size=manifest.volume_size, file_format=manifest.file_format,
        end=manifest.end,
        volume=volume_meta.read(manifest.volume_meta),
        key_id=manifest.key_id,
        by_codec=_by_codec(manifest.chunks))


def _by_codec(table: chunk_table.ChunkTable) -> dict[str, Stored]:
    found: dict[str, Stored] = {}
    for record in table:
        before = found.get(record.compression, Stored(0, 0, 0))
        stored = None
        if record.stored_length is not None and (
                before.stored_bytes is not None):
            stored = before.stored_bytes + record.stored_length
        found[record.compression] = Stored(
            before.chunks + 1, before.bytes + record.extent.length, stored)
    return found

# SPDX-License-Identifier: Apache-2.0

"""Says of each backup in a store whether it can be restored.

A quick look compares what is named with what is there:

1. Read the manifest. Compare the chunks it names with a listing: that they are
   there, and their stored length and MD5 where the manifest has them.
2. Look for the file of digests, and for its segments if it has any.
3. What a listing does not show is asked for, since listings lag.
4. A backup is no better than what it builds on.

What is missing may still be on its way: while a backup is made, its manifest
is; while a container is copied to another site, anything is. After some time
it is lost.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import enum

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import inventory
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import progress
from cinder_swift_backup.engine import repository
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
    ``by_codec`` is by the words of codecs.
    """

    header: types.BackupHeader
    era: chains.Era
    parent_id: str | None
    parent: types.BackupRef | None
    volume_size: int | None
    end: int
    cinder_size: int | None
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

    ``now`` is in UTC. ``copies`` are the containers that another site is
    copied to. ``shared`` are those that are copied elsewhere, and perhaps the
    other way, too.
    """

    now: datetime.datetime
    grace: datetime.timedelta
    copies: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()

    def is_late(self, modified: datetime.datetime) -> bool:
        """Whether an object is older than what may still be worked on."""
        return self.now - modified >= self.grace

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
                 pipeline: pipelines.Pipeline, patience: Patience) -> None:
        self._repository = repo
        self._pipeline = pipeline
        self._patience = patience

    def audit(self, found: Iterable[inventory.Found],
              observer: progress.Observer) -> list[Audit]:
        """A quick look at each backup, in the same order.

        :param observer: told the numbers of backups
        :raises StoreError: when the store fails
        """
        found = list(found)
        results: dict[int, Audit] = {}

        def collect(result: tuple[int, Audit]) -> None:
            results[result[0]] = result[1]
            observer.advanced(len(results), len(found))

        def task(number: int) -> pipelines.Task[tuple[int, Audit]]:
            return pipelines.Task(
                lambda stop: (number, self._audit(found[number], stop)), 1)

        self._pipeline.run(map(task, range(len(found))), collect,
                           observer.checkpoint, full=1)
        return [results[number] for number in range(len(found))]

    def _audit(self, found: inventory.Found,
               stop: pipelines.StopFlag) -> Audit:
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
        look = _Look(found.ref, repo.store, self._patience,
                     self._patience.incomplete(found))
        findings = [*look.chunks(manifest), *look.digests(manifest),
                    *look.gaps(manifest)]
        return Audit(found, summarise(manifest), tuple(findings),
                     tuple(look.strays))


class _Look:
    """A quick look at the objects of one backup."""

    def __init__(self, ref: types.BackupRef, store: base.ObjectStore,
                 patience: Patience, missing: State) -> None:
        """Prepare.

        :param missing: what a missing object makes of the backup
        """
        self._ref = ref
        self._store = store
        self._patience = patience
        self._missing = missing
        self.strays: list[str] = []

    def chunks(self, manifest: chains.Manifest) -> Iterator[Finding]:
        table = manifest.chunks
        places = {name: index for index, name in enumerate(table.names())}
        for info in self._store.list(self._ref.container, self._ref.prefix):
            index = places.pop(info.name, None)
            if index is not None:
                yield from self._compare(table[index], info)
            elif self._is_stray(info):
                self.strays.append(info.name)
        yield from self._lost(self._ref.container, places)

    def _is_stray(self, info: base.ObjectInfo) -> bool:
        """Whether nobody has use for an object, or will have."""
        place = naming.place(info.name)
        return (place is not None and place.prefix == self._ref.prefix
                and info.name not in (
                    naming.manifest_name(self._ref.prefix),
                    naming.digest_file_name(self._ref.prefix))
                and self._patience.is_late(info.modified))

    def _compare(self, record: types.ChunkRecord,
                 info: base.ObjectInfo) -> Iterator[Finding]:
        if record.stored_length not in (None, info.size):
            yield self._damaged(
                info, f'{info.size} bytes are stored instead of '
                      f'{record.stored_length}')
        elif record.stored_md5 is not None and (
                record.stored_md5.lower() != info.etag.lower()):
            yield self._damaged(info, 'its MD5 is not that of the manifest')

    def _damaged(self, info: base.ObjectInfo, what: str) -> Finding:
        return Finding(State.DAMAGED, what, self._ref.container, info.name)

    def _lost(self, container: str,
              names: Iterable[str]) -> Iterator[Finding]:
        """A finding of all that is not there, which names the first."""
        rest = sorted(names)
        for number, name in enumerate(rest):
            if self._is_there(container, name):
                continue
            count = len(rest) - number
            what = ('it is not there' if count == 1 else
                    f'it is not there, and {count - 1} more are not listed')
            yield Finding(self._missing, what, container, name)
            return

    def _is_there(self, container: str, name: str) -> bool:
        try:
            self._store.segments(container, name)
        except exceptions.ObjectNotFound:
            return False
        return True

    def gaps(self, manifest: chains.Manifest) -> Iterator[Finding]:
        """A full backup has all of its volume."""
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

    def digests(self, manifest: chains.Manifest) -> Iterator[Finding]:
        if manifest.era is chains.Era.BEFORE_DIGESTS:
            return
        name = naming.digest_file_name(self._ref.prefix)
        try:
            segments = self._store.segments(self._ref.container, name)
        except exceptions.ObjectNotFound:
            yield Finding(self._missing, 'it is not there',
                          self._ref.container, name)
            return
        if segments:
            yield from self._segments(segments)

    def _segments(self,
                  segments: tuple[base.Segment, ...]) -> Iterator[Finding]:
        wanted = {segment.name: segment for segment in segments}
        container = segments[0].container
        try:
            for info in self._store.list(
                    container, naming.digest_segments(self._ref.prefix)):
                segment = wanted.pop(info.name, None)
                if segment is not None and (
                        segment.size, segment.md5) != (info.size, info.etag):
                    yield Finding(
                        State.DAMAGED, 'it is not what the file of digests '
                        'consists of', container, info.name)
        except exceptions.ContainerNotFound:
            pass
        yield from self._lost(container, wanted)


def _finding(err: exceptions.BackupError, state: State) -> Finding:
    return Finding(state, err.clause, err.container, err.name)


def summarise(manifest: chains.Manifest) -> Summary:
    """A manifest without its chunks."""
    return Summary(
        header=manifest.header, era=manifest.era,
        parent_id=manifest.parent_id, parent=manifest.parent,
        volume_size=manifest.volume_size, end=manifest.end,
        cinder_size=volume_meta.size(manifest.volume_meta),
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


class Library:
    """The backups of a store, and which builds on which.

    ``audits`` has what a backup builds on before it, whatever the clocks of
    the hosts were that made them.
    """

    def __init__(self, audits: Iterable[Audit], patience: Patience) -> None:
        found = list(audits)
        self._patience = patience
        self._by_id: dict[str, list[Audit]] = {}
        for audit in found:
            self._by_id.setdefault(audit.found.ref.backup_id,
                                   []).append(audit)
        self.audits = self._parents_first(found)

    def _parents_first(self, audits: Iterable[Audit]) -> list[Audit]:
        done: dict[types.BackupRef, Audit] = {}
        for audit in audits:
            chain: dict[types.BackupRef, Audit] = {}
            below: Audit | None = audit
            while below is not None and not (
                    below.found.ref in chain or below.found.ref in done):
                chain[below.found.ref] = below
                below = self._parent_or_none(below)
            done.update(reversed(chain.items()))
        return list(done.values())

    def _parent_or_none(self, audit: Audit) -> Audit | None:
        try:
            return self._parent(audit)
        except exceptions.ChainError:
            return None

    def chain(self, audit: Audit) -> list[Audit]:
        """The backups that one consists of, oldest first.

        :raises ChainError: when one is not there, or cannot be read, or
            builds on itself
        """
        found = [audit]
        while (below := self._parent(found[-1])) is not None:
            if below in found:
                raise exceptions.ChainError(
                    'by its manifest it is its own ancestor',
                    backup_id=below.found.ref.backup_id)
            found.append(below)
        found.reverse()
        return found

    def _parent(self, audit: Audit) -> Audit | None:
        ref = audit.found.ref
        if audit.summary is None:
            raise exceptions.ChainError(
                'it has no manifest that can be read',
                backup_id=ref.backup_id, container=ref.container,
                name=naming.manifest_name(ref.prefix))
        parent_id = audit.summary.parent_id
        if parent_id is None:
            return None
        same = self._by_id.get(parent_id, [])
        # Beside this one, or where it was when this one was made.
        for wanted in (ref, audit.summary.parent):
            for other in same:
                if wanted and other.found.ref.container == wanted.container:
                    return other
        if len(same) == 1:
            return same[0]
        raise exceptions.ChainError(
            f'it builds on backup {parent_id}, '
            + ('which is in several containers' if same
               else 'of which there is nothing'),
            backup_id=ref.backup_id)

    def unknown(self, audit: Audit) -> list[Audit]:
        """Newer backups of the volume that may build on one, or may not.

        Their manifests cannot be read, or are still to come: also that of an
        incremental which has found nothing to store for a long time.
        """
        return [other for other in self.audits
                if other.summary is None and other is not audit
                and other.found.ref.volume_id == audit.found.ref.volume_id
                and other.found.created >= audit.found.created]

    def dependents(self, audit: Audit) -> list[Audit]:
        """The backups that build on one directly."""
        backup_id = audit.found.ref.backup_id
        return [other for other in self.audits
                if other.summary is not None
                and other.summary.parent_id == backup_id]

    def state(self, audit: Audit) -> State:
        """The state of a backup with all that it builds on."""
        return self.problem(audit)[0]

    def problem(self, audit: Audit) -> tuple[State, str]:
        """The state, and a text that says why; empty if it is complete."""
        if audit.state is not State.COMPLETE:
            return audit.state, _described(audit)
        try:
            chain = self.chain(audit)
        except exceptions.ChainError as err:
            # Perhaps the parent is still to come.
            return self._patience.incomplete(audit.found), str(err)
        for link in chain:
            if link.state is not State.COMPLETE:
                state = (State.ARRIVING if link.state is State.ARRIVING
                         else State.DAMAGED)
                return state, _described(link)
        return State.COMPLETE, ''

    def lags(self, container: str) -> list[datetime.timedelta | None]:
        """For each volume in a container, how far its backups are behind.

        None if they are not. Else it is from the newest backup that can be
        restored to the newest that has begun to arrive; from the oldest, if
        none can be restored.
        """
        by_volume: dict[str, list[Audit]] = {}
        for audit in self.audits:
            if audit.found.ref.container == container:
                by_volume.setdefault(audit.found.ref.volume_id,
                                     []).append(audit)
        return [self._lag(audits) for audits in by_volume.values()]

    def _lag(self, audits: list[Audit]) -> datetime.timedelta | None:
        if self.state(audits[-1]) is State.COMPLETE:
            return None
        times = [audit.found.created for audit in audits]
        usable = [audit.found.created for audit in audits
                  if self.state(audit) is State.COMPLETE]
        return max(times) - max(usable, default=min(times))

    @property
    def copies(self) -> frozenset[str]:
        """The containers that another site is copied to."""
        return self._patience.copies

    @property
    def shared(self) -> frozenset[str]:
        """The containers that are copied to another site."""
        return self._patience.shared

    def size(self, audit: Audit) -> int | None:
        """The size of the volume in bytes, as far as manifests tell.

        The stock driver does not note it; then it is where the chunks of the
        chain end.
        """
        if audit.summary is None:
            return None
        if audit.summary.volume_size is not None:
            return audit.summary.volume_size
        try:
            chain = self.chain(audit)
        except exceptions.ChainError:
            return None
        return max(link.summary.end for link in chain if link.summary)


def _described(audit: Audit) -> str:
    worst = audit.state
    finding = next(each for each in audit.findings if each.state is worst)
    where = f'{finding.name}: ' if finding.name else ''
    return (f'backup {audit.found.ref.backup_id}: {where}{finding.what}')

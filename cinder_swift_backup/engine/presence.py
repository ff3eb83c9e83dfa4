# SPDX-License-Identifier: Apache-2.0

"""Says whether the objects are there that a manifest names.

1. List what is below the prefix of the backup.
2. Ask for each chunk that the listing does not show, since listings lag,
   several at a time. Where there is no listing, these are all.

A listing also shows what is gone: an object that has expired, until the
expirer comes, and ghosts. And it does not show that an object will expire. So
before a chain is built on, or a backup called complete:

3. Ask for the manifests, the files of digests, the segments of these and the
   chunks themselves; of more than :data:`SAMPLE` chunks, for as many taken at
   random, and so of the segments. If one of a hundred is not as it should be,
   that is noticed in 95 of 100 cases; if one of twenty is not, practically
   always. It takes a second or less.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import itertools
import random
from typing import TypeVar

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
_E = TypeVar('_E', bound=exceptions.IntegrityError)
_T = TypeVar('_T')
# How many objects a worker asks for at once. It only waits for the store.
_AT_ONCE = 4
# How many chunks of a chain, or of a backup, are asked for themselves; and how
# many segments of digests.
SAMPLE = 300


def missing(store: base.ObjectStore, pipeline: pipelines.Pipeline,
            ref: types.BackupRef, chunks: chunk_table.ChunkTable,
            checkpoint: pipelines.Checkpoint) -> str | None:
    """The name of a chunk that is not there; None if all are.

    A listing has 10,000 objects an answer, so this takes little time. What
    they hold is not looked at.

    :param store: whose requests end when the caller is called off
    :param checkpoint: called now and then while chunks are asked for
    :raises ContainerNotFound: when even the container is missing
    :raises StoreError: when it cannot be asked
    :raises Exception: what ``checkpoint`` raised
    """
    if not chunks:
        return None
    return _first(store, pipeline, ref.container,
                  _absent(chunks, _listed(store, ref)), checkpoint,
                  there=False)


def _absent(chunks: chunk_table.ChunkTable,
            names: Iterable[str]) -> Iterator[str]:
    """The names of chunks that are not among ``names``."""
    seen = chunk_table.Sightings(chunks)
    for name in names:
        seen.see(name)
    return map(chunks.name, seen.unseen())


def remaining(store: base.ObjectStore, pipeline: pipelines.Pipeline,
              container: str, names: Iterable[str],
              checkpoint: pipelines.Checkpoint) -> str | None:
    """The name of an object that is there; None if none of them is.

    :param checkpoint: called now and then
    :raises StoreError: when the store cannot be asked
    """
    return _first(store, pipeline, container, names, checkpoint, there=True)


def _first(store: base.ObjectStore, pipeline: pipelines.Pipeline,
           container: str, names: Iterable[str],
           checkpoint: pipelines.Checkpoint, *, there: bool) -> str | None:
    """The first to be found that is there, or that is not."""
    found: list[str] = []

    def collect(name: str | None) -> None:
        if name is not None:
            found.append(name)

    def task(name: str) -> pipelines.Task[str | None]:
        return pipelines.Task(
            lambda stop: name if there is is_there(
                store.until(stop), container, name) else None, 1)

    def tasks() -> Iterator[pipelines.Task[str | None]]:
        for name in names:
            if found:
                return
            yield task(name)

    pipeline.run(tasks(), collect, checkpoint, full=_AT_ONCE)
    return found[0] if found else None


def _listed(store: base.ObjectStore, ref: types.BackupRef) -> Iterator[str]:
    try:
        for info in store.list(ref.container, ref.prefix):
            yield info.name
    except exceptions.StoreUnavailable as err:
        # Objects can be had while the containers are overloaded.
        LOG.warning('The objects of backup %s cannot be listed, so each is '
                    'asked for: %s', ref.backup_id, err)


def is_there(store: base.ObjectStore, container: str, name: str) -> bool:
    """Whether there is such an object, whatever listings show.

    :raises StoreError: when the store cannot be asked
    """
    try:
        store.segments(container, name)
    except exceptions.ObjectNotFound:
        return False
    return True


def examine(store: base.ObjectStore, pipeline: pipelines.Pipeline,
            chain: chains.Chain, checkpoint: pipelines.Checkpoint,
            ) -> exceptions.IntegrityError | None:
    """What is wrong with an object of a chain; None if all are well.

    All are asked for, but a sample of many chunks, and of many segments.

    :param checkpoint: called now and then
    :raises StoreError: when the store cannot be asked
    :raises Exception: what ``checkpoint`` raised
    """
    faults: list[exceptions.IntegrityError] = []
    segments = _segments_of_chain(store, pipeline, chain, checkpoint)

    def collect(fault: exceptions.IntegrityError | None) -> None:
        if fault is not None:
            faults.append(fault)

    def task(question: Question,
             ) -> pipelines.Task[exceptions.IntegrityError | None]:
        return pipelines.Task(
            lambda stop: question.ask(store.until(stop)), 1)

    def tasks() -> Iterator[pipelines.Task[exceptions.IntegrityError | None]]:
        for question in itertools.chain(_of_chain(chain),
                                        of_segments(segments)):
            if faults:
                return
            yield task(question)

    pipeline.run(tasks(), collect, checkpoint, full=_AT_ONCE)
    return faults[0] if faults else None


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """An object that has to be there, and what is known of it."""

    ref: types.BackupRef
    name: str
    record: types.ChunkRecord | None = None

    def ask(self, store: base.ObjectStore) -> exceptions.IntegrityError | None:
        """What is wrong with it; None if nothing is."""
        try:
            found = store.stat(self.ref.container, self.name)
        except exceptions.ObjectNotFound:
            return self._about(exceptions.ChunkMissing(
                'a listing shows an object that is not there'))
        if found.expires is not None:
            return self._about(exceptions.ObjectExpires(
                f'Swift will delete an object at '
                f'{found.expires.isoformat(timespec="seconds")}'))
        return self._compare(found)

    def _compare(self,
                 found: base.Stat) -> exceptions.IntegrityError | None:
        if self.record is None:
            return None
        length, md5 = self.record.stored_length, self.record.stored_md5
        if length not in (None, found.size):
            return self._about(exceptions.LengthMismatch(
                'an object has another length than the manifest tells',
                expected=length, actual=found.size))
        if md5 is not None and md5.lower() != found.etag.lower():
            return self._about(exceptions.DigestMismatch(
                'an object has another MD5 than the manifest tells',
                expected=md5, actual=found.etag))
        return None

    def _about(self, err: _E) -> _E:
        return err.about(backup_id=self.ref.backup_id,
                         container=self.ref.container, name=self.name)


def questions(link: chains.ChainLink, seen: chunk_table.Sightings,
              others: Iterable[str]) -> Iterator[Question]:
    """What to ask for of a backup, of what a listing shows.

    :param others: names of objects that are no chunks
    """
    # Each chunk has the same chance, however many a listing shows.
    some = _some(range(len(link.manifest.chunks)))
    return _questions(link, filter(seen.__contains__, some), others)


def _questions(link: chains.ChainLink, indexes: Iterable[int],
               others: Iterable[str]) -> Iterator[Question]:
    for name in others:
        yield Question(link.ref, name)
    for index in indexes:
        record = link.manifest.chunks[index]
        yield Question(link.ref, record.name, record)


def of_segments(segments: Sequence[tuple[types.BackupRef, base.Segment]],
                ) -> Iterator[Question]:
    """What to ask for of the segments of digests, each with whose it is."""
    for ref, segment in _some(segments):
        yield Question(dataclasses.replace(ref, container=segment.container),
                       segment.name)


def _segments_of_chain(store: base.ObjectStore, pipeline: pipelines.Pipeline,
                       chain: chains.Chain, checkpoint: pipelines.Checkpoint,
                       ) -> list[tuple[types.BackupRef, base.Segment]]:
    """The segments of all digests, each once."""
    found: list[tuple[types.BackupRef, base.Segment]] = []

    def task(ref: types.BackupRef) -> pipelines.Task[
            list[tuple[types.BackupRef, base.Segment]]]:
        return pipelines.Task(lambda stop: [
            (ref, segment) for segment in _segments(store.until(stop), ref)],
            1)

    pipeline.run((task(link.ref) for link in chain.links
                  if link.manifest.era is not chains.Era.BEFORE_DIGESTS),
                 found.extend, checkpoint, full=_AT_ONCE)
    return found


def _segments(store: base.ObjectStore,
              ref: types.BackupRef) -> Iterable[base.Segment]:
    try:
        segments = store.segments(ref.container,
                                  naming.digest_file_name(ref.prefix))
    except exceptions.ObjectNotFound:
        # Whoever asks for the digests themselves finds out.
        return ()
    return dict.fromkeys(segments or ())


def _of_chain(chain: chains.Chain) -> Iterator[Question]:
    """What to ask for of a chain: of its chunks no more than of a backup's."""
    some = _some(range(sum(len(link.manifest.chunks)
                           for link in chain.links)))
    first = 0
    for link in chain.links:
        end = first + len(link.manifest.chunks)
        indexes = [index - first for index in some if first <= index < end]
        yield from _questions(link, indexes, _others(link))
        first = end


def _some(items: Sequence[_T]) -> Sequence[_T]:
    """All items, or a sample of many, in their order."""
    if len(items) <= SAMPLE:
        return items
    return [items[place] for place
            in sorted(random.sample(range(len(items)), SAMPLE))]


def _others(link: chains.ChainLink) -> Iterator[str]:
    """The names of the objects of a backup that are no chunks."""
    yield naming.manifest_name(link.ref.prefix)
    if link.manifest.era is not chains.Era.BEFORE_DIGESTS:
        yield naming.digest_file_name(link.ref.prefix)

# SPDX-License-Identifier: Apache-2.0

"""Says whether the objects of a backup are there, and are what it stored.

1. List what is below the prefix of the backup. Compare the length and the MD5
   of each chunk with the manifest, as far as the manifest tells them.
2. Ask for each chunk that the listing does not show like that, since listings
   lag, several at a time. Where there is no listing, these are all.
3. Do the same with the segments of digests, whose lengths and MD5s are in the
   list that Swift has of them.

A listing also shows what is gone: an object that has expired, until the
expirer comes, and ghosts. And it does not show that an object will expire. So
before a chain is built on, or a backup called complete:

4. Ask for the manifests, the digest files, the segments of these and the
   chunks themselves; of more than :data:`SAMPLE` chunks, for as many taken at
   random, and so of the segments. If one of a hundred is not as it should be,
   that is noticed in 95 of 100 cases; if one of twenty is not, practically
   always. It takes a second or less.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
import itertools
import operator
import random
from typing import TypeAlias
from typing import TypeVar

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
_E = TypeVar('_E', bound=exceptions.IntegrityError)
_T = TypeVar('_T')
# The length and the MD5 of a stored object, each None if it is not known.
Stored: TypeAlias = tuple[int | None, str | None]
# How many objects a worker asks for at once. It only waits for the store.
_AT_ONCE = 4
# How many chunks of a chain, or of a backup, are asked for themselves; and how
# many segments of digests.
SAMPLE = 300


def look(operation: operations.Operation, ref: types.BackupRef,
         objects: chunk_table.Objects,
         prefix: str | None = None) -> exceptions.IntegrityError | None:
    """What is wrong with an object of a backup; None if all are well.

    A listing has 10,000 objects an answer, so this takes little time.

    :param prefix: what the names of all objects begin with; by default that
        of the backup

    :raises ContainerNotFound: when even the container is missing
    :raises StoreError: when it cannot be asked
    :raises Cancelled: when the observer cancelled
    """
    if not len(objects):
        return None
    listed = _listed(ref, operation.store.list(ref.container,
                                               prefix or ref.prefix))
    return _first_fault(operation, _not_as_stored(ref, objects, listed))


def lost_packs(operation: operations.Operation, link: chains.ChainLink,
               ) -> dict[int, exceptions.IntegrityError]:
    """The packs of a recovery point that are not as they were stored.

    They are found as :func:`look` and :func:`examine` do.

    :returns: what is wrong with each, by their numbers in the manifest
    :raises ContainerNotFound: when even the container is missing
    :raises StoreError: when they cannot be asked for
    :raises Cancelled: when the observer cancelled
    """
    found: dict[int, exceptions.IntegrityError] = {}
    point = link.manifest.point
    if point is None or not len(point.packs):
        return found
    packs = point.packs
    seen = _seen(packs, _listed(link.ref, operation.store.list(
        link.ref.container, packs.root)))

    def ask(number: int, stop: pipelines.StopFlag,
            ) -> tuple[int, exceptions.IntegrityError | None]:
        question = of_object(link.ref, packs, number)
        return number, question.ask(operation.store.until(stop))

    def collect(
            result: tuple[int, exceptions.IntegrityError | None]) -> None:
        number, fault = result
        if fault is not None:
            found[number] = fault

    operation.run(
        (pipelines.Task(functools.partial(ask, number), 1) for number
         in sorted({*seen.unseen(), *_some(range(len(packs)))})),
        collect, full=_AT_ONCE)
    return dict(sorted(found.items()))


def _not_as_stored(ref: types.BackupRef, objects: chunk_table.Objects,
                   listed: Iterable[base.ObjectInfo]) -> Iterator['Question']:
    """What to ask of the objects that are not listed as they were stored."""
    return (of_object(ref, objects, index)
            for index in _seen(objects, listed).unseen())


def _seen(objects: chunk_table.Objects,
          listed: Iterable[base.ObjectInfo]) -> chunk_table.Sightings:
    """Which objects are listed as they were stored."""
    seen = chunk_table.Sightings(objects)
    for info in listed:
        index = seen.find(info.name)
        if index is not None and mismatch(objects.stored(index), info) is None:
            seen.note(index)
    return seen


def mismatch(expected: Stored, actual: base.ObjectInfo | base.Stat,
             ) -> exceptions.IntegrityError | None:
    """How an object differs from what was stored; None if it does not.

    :param expected: as far as it is known
    :param actual: as a listing shows it, or as it is
    """
    length, md5 = expected
    if length not in (None, actual.size):
        return exceptions.LengthMismatch(
            'the length of an object differs from the recorded one',
            expected=length, actual=actual.size)
    if md5 is not None and md5.lower() != actual.etag.lower():
        return exceptions.DigestMismatch(
            'the MD5 of an object differs from the recorded one',
            expected=md5, actual=actual.etag)
    return None


def remaining(operation: operations.Operation, container: str,
              names: Iterable[str]) -> str | None:
    """The name of an object that is there; None if none of them is.

    :raises StoreError: when the store cannot be asked
    """
    def ask(name: str, asked: base.ObjectStore) -> str | None:
        return name if asked.exists(container, name) else None

    return _first(operation,
                  (functools.partial(ask, name) for name in names))


def _first_fault(operation: operations.Operation,
                 questions: Iterable['Question'],
                 ) -> exceptions.IntegrityError | None:
    """The first fault to be found; None if all objects are well."""
    return _first(operation, (question.ask for question in questions))


def _first(operation: operations.Operation,
           asks: Iterable[Callable[[base.ObjectStore], _T | None]],
           ) -> _T | None:
    """The first answer to be had but None, if there is any."""
    answers: list[_T] = []

    def collect(answer: _T | None) -> None:
        if answer is not None:
            answers.append(answer)

    def task(ask: Callable[[base.ObjectStore], _T | None],
             ) -> pipelines.Task[_T | None]:
        return pipelines.Task(lambda stop: ask(operation.store.until(stop)), 1)

    def tasks() -> Iterator[pipelines.Task[_T | None]]:
        for ask in asks:
            if answers:
                return
            yield task(ask)

    operation.run(tasks(), collect, full=_AT_ONCE)
    return answers[0] if answers else None


def _listed(ref: types.BackupRef, infos: Iterable[base.ObjectInfo],
            ) -> Iterator[base.ObjectInfo]:
    """What a listing shows, as far as it can be had."""
    try:
        yield from infos
    except exceptions.StoreUnavailable as err:
        # Objects can be had while the containers are overloaded.
        LOG.warning('Cannot list the objects of backup %s, so each is '
                    'checked individually: %s', ref.backup_id, err)


def examine(operation: operations.Operation, chain: chains.Chain, *,
            packs: bool = True) -> exceptions.IntegrityError | None:
    """What is wrong with an object of a chain; None if all are well.

    All are asked for, but a sample of many chunks, packs or segments, and
    first of all each segment that is not listed as it was stored.

    :param packs: whether to ask for packs
    :raises StoreError: when the store cannot be asked
    :raises Cancelled: when the observer cancelled
    """
    segments = _segments_of_chain(operation, chain)
    return _first_fault(operation, itertools.chain(
        _segments_not_as_stored(operation.store, segments),
        _of_chain(chain), _of_packs(chain.tip) if packs else (),
        of_segments(segments)))


@dataclasses.dataclass(frozen=True, slots=True)
class Question:
    """An object that has to be there, and what is known of it."""

    ref: types.BackupRef
    name: str
    expected: Stored = (None, None)

    def ask(self, store: base.ObjectStore) -> exceptions.IntegrityError | None:
        """What is wrong with it; None if nothing is."""
        try:
            actual = store.stat(self.ref.container, self.name)
        except exceptions.ObjectNotFound:
            return self._about(exceptions.ChunkMissing(
                'an object of the backup is missing'))
        if actual.expires is not None:
            return self._about(exceptions.ObjectExpires(
                f'Swift will delete an object at '
                f'{actual.expires.isoformat(timespec="seconds")}'))
        fault = mismatch(self.expected, actual)
        return None if fault is None else self._about(fault)

    def _about(self, err: _E) -> _E:
        return err.about(backup_id=self.ref.backup_id,
                         container=self.ref.container, name=self.name)


def questions(ref: types.BackupRef, objects: chunk_table.Objects,
              seen: chunk_table.Sightings) -> Iterator[Question]:
    """What to ask of some objects of a backup, of those that were seen."""
    # Each has the same chance, however many a listing shows.
    return (of_object(ref, objects, index)
            for index in _some(range(len(objects))) if index in seen)


def of_names(ref: types.BackupRef,
             names: Iterable[str]) -> Iterator[Question]:
    """What to ask of objects of which nothing is known but that they are."""
    return (Question(ref, name) for name in names)


def of_object(ref: types.BackupRef, objects: chunk_table.Objects,
              index: int) -> Question:
    """What to ask of an object of a backup."""
    return Question(ref, objects.name(index), objects.stored(index))


def of_segments(segments: Sequence[tuple[types.BackupRef, base.Segment]],
                ) -> Iterator[Question]:
    """What to ask for of the segments of digests, each with whose it is."""
    return itertools.starmap(of_segment, _some(segments))


def of_segment(ref: types.BackupRef, segment: base.Segment) -> Question:
    """What to ask of a segment of the digests of a backup."""
    return Question(dataclasses.replace(ref, container=segment.container),
                    segment.name, (segment.size, segment.md5))


def _segments_not_as_stored(
        store: base.ObjectStore,
        segments: Iterable[tuple[types.BackupRef, base.Segment]],
        ) -> Iterator[Question]:
    """What to ask of the segments that are not listed as they were stored."""
    for ref, group in itertools.groupby(segments, operator.itemgetter(0)):
        asked = {segment.name: of_segment(ref, segment)
                 for _, segment in group}
        container = next(iter(asked.values())).ref.container
        # Without their container, each turns out not to be there.
        for info in _listed(ref, digest_objects.listed_segments(
                store, container, naming.digest_segments(ref.prefix))):
            question = asked.get(info.name)
            if question and mismatch(question.expected, info) is None:
                del asked[info.name]
        yield from asked.values()


def _segments_of_chain(operation: operations.Operation, chain: chains.Chain,
                       ) -> list[tuple[types.BackupRef, base.Segment]]:
    """The segments of all digests, each once."""
    pairs: list[tuple[types.BackupRef, base.Segment]] = []

    def task(ref: types.BackupRef) -> pipelines.Task[
            list[tuple[types.BackupRef, base.Segment]]]:
        return pipelines.Task(lambda stop: [
            (ref, segment) for segment
            in _segments(operation.store.until(stop), ref)], 1)

    operation.run((task(link.ref) for link in chain.links
                   if link.manifest.has_digest_file),
                  pairs.extend, full=_AT_ONCE)
    return pairs


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
    chosen = _some(range(sum(len(link.manifest.objects)
                             for link in chain.links)))
    first = 0
    for link in chain.links:
        end = first + len(link.manifest.objects)
        indexes = [index - first for index in chosen if first <= index < end]
        yield from of_names(link.ref, _others(link))
        for index in indexes:
            yield of_object(link.ref, link.manifest.objects, index)
        first = end


def _of_packs(link: chains.ChainLink) -> Iterator[Question]:
    """What to ask for of the packs that a backup names, if it names any."""
    if link.manifest.point is None:
        return
    packs = link.manifest.point.packs
    for index in _some(range(len(packs))):
        yield of_object(link.ref, packs, index)


def _some(items: Sequence[_T]) -> Sequence[_T]:
    """All items, or a sample of many, in their order."""
    if len(items) <= SAMPLE:
        return items
    return [items[place] for place
            in sorted(random.sample(range(len(items)), SAMPLE))]


def _others(link: chains.ChainLink) -> Iterator[str]:
    """The names of the objects of a backup that its manifest does not list."""
    yield naming.manifest_name(link.ref.prefix)
    if link.manifest.has_digest_file:
        yield naming.digest_file_name(link.ref.prefix)

# SPDX-License-Identifier: Apache-2.0

"""Stores the digests of a backup, and loads them.

As a rule they are one object. They are a large object, whose segments are in a
container of their own, where they have to be, because the cluster takes no
object of that size, and where it is worth it, because the volume is mostly
zeros; see :mod:`cinder_swift_backup.format.digest_segments`. The stock driver
reads it like any other.

1. Cut the file into parts, and put each as a segment, that of zeros once.
2. Put the large object.
3. Where there cannot be segments, because their container is forbidden, or of
   a storage policy that takes no more, or full, put one object if it is not
   too large, and delete the segments that are there already.

To load a large object:

1. Ask what it consists of.
2. Fetch each segment once: if one comes again, and the reader is where it was
   before it, take the same digests again.
3. Begin again if a segment is not what was asked for, or if all of them are
   another backup's: they, or the list of them, may have been answered for
   others. If the list is the same then, it is stored so.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import hashlib

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
# Bytes: not to store so many is worth a container for segments.
WORTH_SEGMENTS = 64 << 20
# Bytes: the largest object of a cluster that does not tell, which is Swift's
# default. To refuse a volume now is better than to fail after days.
USUAL_LARGEST = 5 << 30
# Bytes that encoding a segment holds.
_PIECE = 1 << 20
# What there may be instead of segments, or of their container.
_REFUSALS = (exceptions.StoreError, exceptions.ConfigurationError)
# How often to load digests of which a segment arrived damaged.
_ATTEMPTS = 4
# The container and name of an object.
_Where = tuple[str, str]


class _Changed(Exception):
    """A segment was fed that is not the one that was asked for."""

    def __init__(self, where: _Where) -> None:
        super().__init__()
        self.where = where


@dataclasses.dataclass(frozen=True, slots=True)
class DigestFile:
    """The file of a backup: where it goes, and what it consists of.

    ``cluster`` is what the store can do, ``containers`` what a container for
    segments is like.
    """

    ref: types.BackupRef
    header: types.BackupHeader
    cluster: base.Capabilities
    containers: base.NewContainers = base.ANY

    def fits(self, block_size: int, count: int) -> bool:
        """Whether so many digests fit into one object."""
        return digest_file.encoded_length(
            self.header, block_size, count) <= self._largest

    @property
    def _largest(self) -> int:
        largest = self.cluster.max_object_size
        return USUAL_LARGEST if largest is None else largest

    def too_large(self, block_size: int, count: int,
                  why: exceptions.BackupError | None = None,
                  ) -> exceptions.VolumeError:
        """The error for digests that cannot be stored.

        :param why: there can be no segments
        """
        detail = f'{count} blocks of {block_size} bytes'
        if why is not None:
            detail = f'{detail}; segments cannot be used: {why}'
        return exceptions.VolumeError(
            'the digest file does not fit into one object of the cluster',
            detail=detail,
            expected=self._largest,
            actual=digest_file.encoded_length(self.header, block_size, count),
            remedy=exceptions.Remedy.LARGER_OBJECTS)

    def segment_size(self, block_size: int, count: int) -> int | None:
        """How many digests a segment has; None if there can be none."""
        most = self.cluster.max_segments
        if not most or container_names.fault_of_new(
                naming.segments_container(self.ref.container)):
            return None
        return digest_segments.segment_size(
            count, most, self.cluster.max_object_size,
            digest_file.encoded_length(self.header, block_size, 0))

    def parts(self, table: digests.DigestTable, stop: pipelines.StopFlag,
              ) -> list[digest_segments.Part]:
        """What the segments are of; one if it is an ordinary object.

        :raises SpoolError: when the digests cannot be read
        :raises Cancelled: when ``stop`` is set
        """
        count = len(table)
        whole = [digest_segments.Part(0, count)]
        size = self.segment_size(table.block_size, count)
        if size is None:
            return whole
        parts = digest_segments.cut(count, table.zero_runs(stop.check), size)
        if digest_segments.saved(parts) >= WORTH_SEGMENTS:
            return parts
        return whole if self.fits(table.block_size, count) else parts


class DigestObjects:
    """The digests of backups in a store."""

    def __init__(self, operation: operations.Operation) -> None:
        self._operation = operation
        self._store = operation.store
        self._call = operation.call

    def check(self, file: DigestFile, block_size: int, count: int) -> None:
        """Make sure that so many digests can be stored.

        :raises VolumeError: when they cannot
        """
        if file.fits(block_size, count):
            return
        if file.segment_size(block_size, count) is None:
            raise file.too_large(block_size, count)
        try:
            self._ensure_container(file)
        except exceptions.StoreUnavailable:
            raise
        except _REFUSALS as err:
            raise file.too_large(block_size, count, err) from err

    def put(self, file: DigestFile, table: digests.DigestTable,
            announce: Callable[[str], None]) -> None:
        """Store the digests of a backup.

        :param announce: called with the name of each segment before it is
            put
        :raises StoreError: when the store fails
        :raises SpoolError: when the digests cannot be read
        """
        parts = self._operation.one(functools.partial(file.parts, table))
        begun: list[str] = []

        def begin(name: str) -> None:
            begun.append(name)
            announce(name)

        if len(parts) > 1:
            try:
                self._put_large(file, table, parts, begin)
                return
            except _REFUSALS as err:
                _pass_on(err, file, table)
        self._store.put(
            file.ref.container, naming.digest_file_name(file.ref.prefix),
            self._body(file, table, digest_segments.Part(0, len(table))))
        self._delete_segments(file, begun)

    def _put_large(self, file: DigestFile, table: digests.DigestTable,
                   parts: list[digest_segments.Part],
                   begin: Callable[[str], None]) -> None:
        self._ensure_container(file)
        self._store.put_large(
            file.ref.container, naming.digest_file_name(file.ref.prefix),
            self._put_segments(file, table, parts, begin))

    def _ensure_container(self, file: DigestFile) -> None:
        self._store.ensure_container(
            naming.segments_container(file.ref.container),
            create=file.containers.allowed,
            storage_policy=file.containers.storage_policy,
            like=file.ref.container, sync=file.containers.sync)

    def _delete_segments(self, file: DigestFile,
                         names: Iterable[str]) -> None:
        """Delete what nothing refers to; as much as can be."""
        container = naming.segments_container(file.ref.container)
        for name in names:
            try:
                self._store.delete(container, name)
            except exceptions.StoreError as err:
                LOG.warning('Unused digest segments of backup %s cannot be '
                            'deleted: %s', file.ref.backup_id, err)
                return

    def _put_segments(self, file: DigestFile, table: digests.DigestTable,
                      parts: list[digest_segments.Part],
                      announce: Callable[[str], None],
                      ) -> list[base.Segment]:
        """Put each segment once; returns all of them in their order."""
        zeros = next((part for part in parts if part.zeros), None)
        names = {
            part: naming.digest_segment_name(file.ref.prefix, number)
            for number, part in enumerate(parts)
            if not part.zeros or part is zeros}
        stored: dict[str, base.Segment] = {}

        def collect(segment: base.Segment) -> None:
            stored[segment.name] = segment

        def tasks() -> Iterator[pipelines.Task[base.Segment]]:
            for part, name in names.items():
                announce(name)
                yield pipelines.Task(functools.partial(
                    self._put_segment, file, table, part, name), _PIECE)

        self._operation.run(tasks(), collect, full=4 * _PIECE)
        return [stored[names[zeros if part.zeros and zeros else part]]
                for part in parts]

    def _put_segment(self, file: DigestFile, table: digests.DigestTable,
                     part: digest_segments.Part, name: str,
                     stop: pipelines.StopFlag) -> base.Segment:
        stop.check()
        container = naming.segments_container(file.ref.container)
        body = self._body(file, table, part)
        md5 = self._store.until(stop).put(container, name, body)
        return base.Segment(container, name, body.length, md5)

    def _body(self, file: DigestFile, table: digests.DigestTable,
              part: digest_segments.Part) -> base.Body:
        return base.Body(
            digest_file.encoded_length(file.header, table.block_size,
                                       len(table), part),
            lambda: self._operation.runtime.each(
                digest_file.encode(file.header, table, part)))

    def load(self, ref: types.BackupRef,
             size: int) -> digests.DigestTable | None:
        """The digests of a backup, or None if it has none.

        Cinder wrote no digests before 2015.1. The caller has to close the
        table.

        :param size: of the volume in bytes, as the manifest tells; see
            :func:`digest_file.credible_size`
        :raises FormatError: when the file is damaged, another backup's, or has
            more digests than the volume has blocks
        :raises SpoolError: when there is no room for the digests
        """
        name = naming.digest_file_name(ref.prefix)
        try:
            return self._load_changing(ref, size)
        except exceptions.ObjectNotFound as err:
            if err.name != name:
                raise exceptions.FormatError(
                    'a segment of the digest file is missing', name=name,
                    backup_id=ref.backup_id, container=ref.container,
                    remedy=exceptions.Remedy.OTHER_BACKUP) from err
            return None
        except exceptions.FormatError as err:
            err.about(backup_id=ref.backup_id, container=ref.container)
            raise

    @contextlib.contextmanager
    def _reader(self, ref: types.BackupRef,
                size: int) -> Iterator[digest_file.Reader]:
        """A reader; if all goes well, its table is left to the caller."""
        known = digest_file.credible_size(ref.volume_size, size)
        with contextlib.ExitStack() as spools:
            def make(zeros: bytes) -> spool.Spool:
                return spools.enter_context(contextlib.closing(
                    spool.Spool(self._operation.directory, zeros)))

            yield digest_file.Reader(
                ref.prefix, size, digest_file.most_digests(known), make)
            spools.pop_all()

    def _load_pieces(self, ref: types.BackupRef, size: int,
                     pieces: Iterator[bytes]) -> digests.DigestTable:
        with self._reader(ref, size) as reader:
            for piece in pieces:
                self._call(reader.feed, piece)
            # In here, so that the store reads it again.
            return self._finish(ref, reader)

    def _finish(self, ref: types.BackupRef,
                reader: digest_file.Reader) -> digests.DigestTable:
        table = self._call(reader.finish)
        documents.check_owner(naming.digest_file_name(ref.prefix), ref,
                              reader.owner)
        return table

    def _load_changing(self, ref: types.BackupRef,
                       size: int) -> digests.DigestTable:
        """Load digests, and begin again when segments arrived damaged."""
        where = ref.container, naming.digest_file_name(ref.prefix)
        damaged: collections.Counter[_Where] = collections.Counter()
        before = None
        for _ in range(_ATTEMPTS):
            segments = self._store.segments(*where)
            try:
                table = self._load_listed(ref, size, segments)
            except _Changed as err:
                damaged[err.where] += 1
                continue
            except exceptions.FormatError:
                if not segments or segments == before:
                    raise
                damaged[where] += 1
                before = segments
                continue
            _tell_of(damaged)
            return table
        raise exceptions.FormatError(
            'a segment of the digest file arrives damaged every time',
            name=where[1], remedy=exceptions.Remedy.OTHER_BACKUP)

    def _load_listed(self, ref: types.BackupRef, size: int,
                     segments: tuple[base.Segment, ...] | None,
                     ) -> digests.DigestTable:
        """Load digests, which have these segments if any."""
        if segments:
            return self._load_segments(ref, size, segments)
        return self._store.read(
            ref.container, naming.digest_file_name(ref.prefix),
            functools.partial(self._load_pieces, ref, size), compared=True)

    def _load_segments(self, ref: types.BackupRef, size: int,
                       segments: tuple[base.Segment, ...],
                       ) -> digests.DigestTable:
        # The digests that a segment gave, by it and by what was not understood
        # before it and was the same after it.
        known: dict[tuple[base.Segment, bytes], tuple[int, int]] = {}
        with self._reader(ref, size) as reader:
            for segment in segments:
                before, first = reader.pending, reader.count
                given = None if before is None else known.get(
                    (segment, before))
                if given is not None:
                    self._call(reader.repeat, *given)
                    continue
                once = _Once(segment,
                             lambda rest: self._call(reader.feed, rest))
                self._store.read(segment.container, segment.name, once,
                                 compared=True)
                once.check()
                if before is not None and reader.pending == before:
                    known[segment, before] = first, reader.count
            return self._finish(ref, reader)


def _pass_on(err: exceptions.BackupError, file: DigestFile,
             table: digests.DigestTable) -> None:
    """Say why there are no segments; raise it if there have to be some."""
    if isinstance(err, exceptions.StoreUnavailable) and err.gone:
        raise err
    if not file.fits(table.block_size, len(table)):
        raise err
    # That there may be no new containers is what the operator wants.
    usual = (isinstance(err, exceptions.ContainerNotFound)
             and not file.containers.allowed)
    LOG.log(logging.INFO if usual else logging.WARNING,
            'Storing the digests of backup %s as one object, because '
            'segments cannot be used: %s', file.ref.backup_id, err)


def _tell_of(damaged: collections.Counter[_Where]) -> None:
    """Say in the log which objects were intact in the end."""
    for (container, name), times in damaged.items():
        LOG.warning('%s in container %s arrived damaged %d times, then '
                    'intact.', name, container, times)


class _Once:
    """Feeds each byte of a segment once, though requests are repeated."""

    def __init__(self, segment: base.Segment,
                 feed: Callable[[bytes], None]) -> None:
        self._segment = segment
        self._feed = feed
        self._fed = 0
        self._hash = hashlib.md5(usedforsecurity=False)

    def __call__(self, pieces: Iterator[bytes]) -> None:
        """Take the pieces of one request.

        :raises _Changed: when bytes that were fed are others now
        """
        again = hashlib.md5(usedforsecurity=False)
        known = self._fed
        for piece in pieces:
            again.update(piece[:known])
            rest = piece[known:]
            known -= len(piece) - len(rest)
            if rest:
                self._confirm(again)
                again = self._hash
                self._hash.update(rest)
                self._fed += len(rest)
                self._feed(rest)
        self._confirm(again)

    def check(self) -> None:
        """Compare what was fed with the segment.

        :raises _Changed: when it was something else
        """
        if self._hash.hexdigest() != self._segment.md5.lower():
            raise self._changed()

    def _confirm(self, again: 'hashlib._Hash') -> None:
        if again.digest() != self._hash.digest():
            raise self._changed()

    def _changed(self) -> _Changed:
        return _Changed((self._segment.container, self._segment.name))


def listed_segments(store: base.ObjectStore, container: str,
                    prefix: str) -> Iterator[base.ObjectInfo]:
    """The segments that a listing shows.

    There are none without the container, and none where the login may not list
    it. Then it cannot have stored anything there; whoever knows the names of
    segments that others stored has to ask for these.

    :param container: of segments
    :raises StoreError: when it cannot be listed for another reason
    """
    try:
        yield from store.list(container, prefix)
    except exceptions.ContainerNotFound:
        return
    except exceptions.AccessDenied as err:
        LOG.info('Not looking for digest segments in container %s: %s',
                 container, err)

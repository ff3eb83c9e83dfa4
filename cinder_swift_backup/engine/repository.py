# SPDX-License-Identifier: Apache-2.0

"""Finding, resolving and deleting the backups of a store.

Deleting goes like this:

1. Find the objects: list the prefix, and read the manifest if there is one. If
   the listing fails, so does the delete. The manifest names objects that an
   outdated listing leaves out.
2. Delete the digest file, and its segments if it has any. From then on no
   incremental is made on the backup, see
   :mod:`cinder_swift_backup.engine.backup.parents`.
3. Delete the chunks, several at a time.
4. Believe no answer: list the prefix once more, and delete again what it
   still shows. Ask for what is listed even then, for listings lag. If one of
   them is there, the delete has failed.
5. Delete the manifest last, so that an interrupted delete can be repeated and
   still finds all objects. See in the same way that it is gone.

Clean-up after a failed backup knows all names and does the same.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import presence
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

LOG = logging.getLogger(__name__)
# Each failure comes after all repetitions of its request. After so many of
# them the store is down, and going on would only take time.
_ENOUGH_FAILURES = 8
# How many objects a worker deletes at once. It only waits for the store.
_AT_ONCE = 4


@dataclasses.dataclass(frozen=True, slots=True)
class Remains:
    """What there is of a backup: the names of its objects, and its mark.

    ``form`` is None if its manifest does not tell. ``makers`` have put
    the packs that it names, see :mod:`cinder_swift_backup.format.naming`.
    """

    names: frozenset[str]
    mark: types.Mark | None = None
    form: chains.Form | None = None
    makers: frozenset[str] = frozenset()


class Repository:
    """The backups in one store."""

    def __init__(self, operation: operations.Operation) -> None:
        """Prepare.

        :param operation: what the repository is used for
        """
        self.operation = operation
        self.store = operation.store
        self.digests = digest_objects.DigestObjects(operation)

    def during(self, observer: operations.Observer) -> 'Repository':
        """The same repository, for an operation that may be cancelled.

        Deletes are not: whoever no longer wants a backup wants it undone.
        """
        return Repository(self.operation.during(observer))

    def until(self, stop: pipelines.StopFlag) -> 'Repository':
        """The same repository for a worker, until its flag is set."""
        return Repository(self.operation.until(stop))

    @functools.cached_property
    def _undisturbed(self) -> operations.Operation:
        return self.operation.during(operations.Silent())

    def load(self, ref: types.BackupRef) -> chains.Manifest:
        """The manifest of a backup.

        :raises ChainError: when there is none: the backup was not completed,
            or was deleted
        :raises FormatError: when it is damaged, another backup's, or larger
            than the volume's size can explain
        """
        name = naming.manifest_name(ref.prefix)
        most = (None if ref.volume_size is None
                else manifest_format.largest(ref.volume_size,
                                             ref.prefix))

        def read(pieces: Iterator[bytes]) -> chains.Manifest:
            reader = manifests.Reader(ref.prefix)
            for piece in base.bounded(pieces, name, most):
                self.operation.call(reader.feed, piece)
            manifest = self.operation.call(reader.finish)
            # In here, so that the store reads it again.
            documents.check_owner(name, ref, manifest.header.backup_id)
            return manifest

        try:
            return self.store.read(ref.container, name, read, compared=True)
        except exceptions.ObjectNotFound as err:
            raise exceptions.ChainError(
                'there is no manifest: the backup was never completed or '
                'its objects were deleted', backup_id=ref.backup_id,
                container=ref.container, name=name,
                remedy=exceptions.Remedy.NEW_BACKUP) from err
        except exceptions.FormatError as err:
            err.about(backup_id=ref.backup_id, container=ref.container)
            raise

    def load_digests(self, link: chains.ChainLink,
                     size: int) -> digests.DigestTable | None:
        """The digests of a backup, wherever they are; None if it has none.

        See :meth:`digest_objects.DigestObjects.load` and
        :meth:`point_objects.PointObjects.digests`.
        """
        if link.manifest.point is None:
            return self.digests.load(link.ref, size)
        return point_objects.PointObjects(self.operation).digests(
            link.ref, link.manifest.point, size)

    def resolve(self, refs: Sequence[types.BackupRef]) -> chains.Chain:
        """The chain of ``refs``, oldest first, with all manifests.

        A recovery point stands alone, whatever its record says: it names a
        parent until the backup is complete.

        :raises ChainError: when one of them is missing, or builds on another
            by its manifest
        """
        tip = chains.ChainLink(refs[-1], self.load(refs[-1]))
        if tip.manifest.point is not None:
            return chains.Chain((tip,))
        links: list[chains.ChainLink] = []
        for ref in refs[:-1]:
            links.append(chains.ChainLink(ref, self.load(ref)))
            _check_parent(links)
        links.append(tip)
        _check_parent(links)
        return chains.Chain(tuple(links))

    def find_objects(self, ref: types.BackupRef, *, complete: bool,
                     parent: types.BackupRef | None = None) -> Remains:
        """All objects of a backup, to :meth:`discard`.

        :param complete: whether the backup is known to have objects; finding
            none of it is then an error, because they must be somewhere else
        :param parent: what it builds on, if it is an incremental. That has to
            be in the account where nothing of the incremental is: otherwise
            they may both be in another
        :raises ContainerNotFound: when even the container is missing
        :raises ObjectNotFound: when nothing is found and that is an error
        :raises StoreError: when it cannot be asked
        """
        try:
            names = {info.name for info
                     in self.store.list(ref.container, ref.prefix)}
        except exceptions.ContainerNotFound as err:
            raise exceptions.ContainerNotFound(
                'the account has no such container', backup_id=ref.backup_id,
                container=ref.container, name=naming.manifest_name(
                    ref.prefix),
                remedy=exceptions.Remedy.OTHER_ACCOUNT) from err
        manifest = self._load_if_whole(ref)
        if manifest is not None:
            names |= self.operation.call(set, manifest.objects.names())
        if not names and (complete or not self._has(parent)):
            raise exceptions.ObjectNotFound(
                'the account has no objects of this backup',
                backup_id=ref.backup_id, container=ref.container,
                name=naming.manifest_name(ref.prefix),
                remedy=exceptions.Remedy.OTHER_ACCOUNT)
        strangers = [name for name in names
                     if not naming.belongs_to(name, ref.prefix)]
        if strangers:
            LOG.warning('Ignoring %d objects that are not part of backup %s, '
                        'such as %s.', len(strangers),
                        ref.backup_id, strangers[0])
        names.difference_update(strangers)
        if manifest is None:
            return Remains(frozenset(names))
        return Remains(
            frozenset(names), manifest.mark, manifest.form,
            frozenset(() if manifest.point is None
                      else manifest.point.packs.makers))

    def _has(self, parent: types.BackupRef | None) -> bool:
        """Whether the store has the parent, if there is one."""
        return parent is None or self.store.exists(
            parent.container, naming.manifest_name(parent.prefix))

    def discard(self, ref: types.BackupRef, names: Iterable[str],
                segments: Iterable[str] = (), *, spare: bool = True,
                maker: str | None = None,
                before_last: Callable[[], None] = lambda: None) -> None:
        """Delete the named objects, the digest file first, the manifest last.

        If an object cannot be deleted, the others still are, except for the
        manifest, so that :meth:`find_objects` finds the rest later. It ends
        soon when the store is gone.

        :param segments: of the digests, besides those that a listing shows
        :param spare: leave the chunks if the digest file cannot be deleted,
            because an incremental may be in the making that needs them
        :param maker: of packs that the backup has put, and no other needs
        :param before_last: called when only the manifest is left
        :raises StoreUnavailable: when an object is still there, whatever the
            store has answered
        :raises StoreError: the first error
        """
        manifest = naming.manifest_name(ref.prefix)
        digest_file_name = naming.digest_file_name(ref.prefix)
        chunks = (name for name in names
                  if name not in (manifest, digest_file_name))
        container = naming.segments_container(ref.container)
        every = set(segments)
        failure = None
        try:
            every |= self._segments(ref, container)
        except exceptions.StoreError as err:
            failure = err
        stays = self._delete(ref.container, [digest_file_name])
        if stays is not None and spare:
            raise stays
        failure = failure or stays
        for place, objects in ((container, every), (ref.container, chunks)):
            error = self._delete(place, objects)
            failure = failure or error
        if failure is not None:
            raise failure
        if every:
            self._delete_rest(ref, container, functools.partial(
                self._listed_segments, ref, container))
        self._delete_rest(ref, ref.container, functools.partial(
            self._left, ref, manifest))
        if maker is not None:
            self._delete_rest(ref, ref.container, functools.partial(
                self._packs_of, ref, maker))
        before_last()
        self._undisturbed.store.delete(ref.container, manifest)
        self._refuse_if_there(ref, ref.container, [
            name for name in self._listed(ref.container, manifest)
            if name == manifest])

    def _delete_rest(self, ref: types.BackupRef, container: str,
                     left: Callable[[], Collection[str]]) -> None:
        """Delete what is left though the store has answered otherwise.

        :param left: what a listing shows
        :raises StoreUnavailable: when an object stays even then
        :raises StoreError: the first error
        """
        names = left()
        if not names:
            return
        failure = self._delete(container, names)
        if failure is not None:
            raise failure
        self._refuse_if_there(ref, container, left())

    def _refuse_if_there(self, ref: types.BackupRef, container: str,
                         names: Collection[str]) -> None:
        """Ask for objects that a listing shows, for it may lag.

        :raises StoreUnavailable: when one of them is there
        """
        if not names:
            return
        name = presence.remaining(self._undisturbed, container, names)
        if name is not None:
            raise exceptions.StoreUnavailable(
                'Swift still has an object that it was asked to delete',
                backup_id=ref.backup_id, container=container, name=name,
                remedy=exceptions.Remedy.REPEAT)

    def _left(self, ref: types.BackupRef, manifest: str) -> list[str]:
        """What a listing still shows of a backup but for the manifest."""
        return [name for name in self._listed(ref.container, ref.prefix)
                if name != manifest and naming.belongs_to(name, ref.prefix)]

    def _packs_of(self, ref: types.BackupRef, maker: str) -> list[str]:
        """The packs that a listing still shows of those a maker has put."""
        root = naming.packs(ref.prefix)
        return [name for name in self._listed(ref.container,
                                              f'{root}{maker}-')
                if (found := naming.pack_maker(name.removeprefix(root)))
                and found[0] == maker]

    def _listed(self, container: str, prefix: str) -> list[str]:
        """What a listing shows; nothing where there is no container."""
        try:
            return [info.name for info
                    in self._undisturbed.store.list(container, prefix)]
        except exceptions.ContainerNotFound:
            return []

    def _segments(self, ref: types.BackupRef, container: str) -> set[str]:
        """The names of all segments of the digests.

        The digest file names those that an outdated listing leaves out.
        """
        prefix = naming.digest_segments(ref.prefix)
        names: set[str] = set()
        try:
            large = self._undisturbed.store.segments(
                ref.container, naming.digest_file_name(ref.prefix))
            if large is None:
                return names
            # Others may be able to write it, so only our own.
            names = {segment.name for segment in large
                     if segment.container == container
                     and segment.name.startswith(prefix)}
        except exceptions.ObjectNotFound:
            # An earlier delete has got so far, or a backup has not.
            pass
        return names | self._listed_segments(ref, container)

    def _listed_segments(self, ref: types.BackupRef,
                         container: str) -> set[str]:
        return {info.name for info in digest_objects.listed_segments(
            self._undisturbed.store, container,
            naming.digest_segments(ref.prefix))}

    def delete_objects(self, container: str,
                       names: Iterable[str]) -> None:
        """Delete objects; if one cannot be deleted, the others still are.

        :raises StoreError: the first error
        """
        failure = self._delete(container, names)
        if failure is not None:
            raise failure

    def _delete(self, container: str,
                names: Iterable[str]) -> exceptions.StoreError | None:
        """Delete objects; returns the first error.

        Where the store is gone, that ends it. It may only have been gone for
        the objects that were asked for before, and then it is not any more.
        """
        failures: list[exceptions.StoreError] = []

        def collect(failure: exceptions.StoreError | None) -> None:
            if failure is None:
                return
            failures.append(failure)
            if len(failures) >= _ENOUGH_FAILURES or _is_gone(failure):
                raise failures[0]

        try:
            self._undisturbed.run(
                (pipelines.Task(functools.partial(
                    self._delete_one, container, name), size=1)
                 for name in names),
                collect, full=_AT_ONCE)
        except exceptions.StoreError as err:
            return err
        return failures[0] if failures else None

    def _delete_one(self, container: str, name: str,
                    stop: pipelines.StopFlag) -> exceptions.StoreError | None:
        stop.check()
        try:
            self.store.until(stop).delete(container, name)
        except exceptions.StoreError as err:
            return err
        return None

    def _load_if_whole(self, ref: types.BackupRef) -> chains.Manifest | None:
        try:
            return self.load(ref)
        except exceptions.ChainError:
            return None
        except exceptions.FormatError as err:
            LOG.warning('Finding the objects of backup %s by its listing '
                        'alone: %s', ref.backup_id, err)
            return None


def _check_parent(links: Sequence[chains.ChainLink]) -> None:
    """Make sure that the last link builds on the one before it."""
    *before, link = links
    below = before[-1].ref.backup_id if before else None
    if link.manifest.parent_id != below:
        raise exceptions.ChainError(
            'manifest and record of the backup name different parents',
            backup_id=link.ref.backup_id,
            expected=str(link.manifest.parent_id), actual=str(below),
            remedy=exceptions.Remedy.CORRECT_RECORDS)


def _is_gone(err: exceptions.StoreError) -> bool:
    """Whether no others need be tried after this error."""
    return isinstance(err, exceptions.StoreUnavailable) and err.gone

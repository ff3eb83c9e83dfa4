# SPDX-License-Identifier: Apache-2.0

"""Puts the manifest of a backup, which makes it one.

1. Make sure that nobody has deleted or replaced what the manifest names.
2. Make sure that the parent is still there, and in the form of packs, that no
   sweep is about to delete any that the manifest names.
3. Ask the observer whether the backup is still wanted. What others can undo
   comes last, so that little time is left.
4. Put the manifest, and ask for it, though the store has confirmed it.
5. In the form of packs, do 1 and 2 once more: a sweep that has not seen the
   manifest may have deleted some, or may be about to.
"""

import functools

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import protection
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base


def commit(repo: repository.Repository, job: jobs.ArchiveJob,
           manifest: chains.Manifest,
           observer: operations.ArchiveObserver) -> None:
    """Put a manifest, last of all.

    :raises ChainError: when the parent was deleted meanwhile
    :raises ChunkMissing: when an object was
    :raises StoreError: when the store fails
    """
    ref, store = job.ref, repo.operation.store
    # It is encoded once more when it is sent: to keep it would take as much
    # room as the records in it do altogether.
    length = repo.operation.one(functools.partial(_length, manifest,
                                                  ref.prefix))
    _confirm_objects(repo.operation, ref, manifest)
    if manifest.point is not None:
        _protect(repo.operation, job, manifest.point)
    elif job.parent is not None:
        job.parent.confirm(repo)
    observer.confirm()
    name = naming.manifest_name(ref.prefix)
    store.put(ref.container, name, base.Body(
        length, lambda: repo.operation.runtime.each(
            manifests.encode(manifest))))
    if not store.exists(ref.container, name):
        raise exceptions.StoreUnavailable(
            'the manifest was not stored', backup_id=ref.backup_id,
            container=ref.container, name=name,
            remedy=exceptions.Remedy.REPEAT)
    if manifest.point is not None:
        _protect(repo.operation, job, manifest.point)
        _confirm_objects(repo.operation, ref, manifest)


def _length(manifest: chains.Manifest, prefix: str,
            stop: pipelines.StopFlag) -> int:
    """The bytes of a manifest.

    :raises FormatError: when it could not be read again, in the form of packs
    """
    if manifest.point is None:
        return manifests.encoded_length(manifest, stop.check)
    length = 0
    reader = manifests.Reader(prefix)
    for piece in manifests.encode(manifest):
        stop.check()
        length += len(piece)
        reader.feed(piece)
    reader.finish()
    return length


def _protect(operation: operations.Operation, job: jobs.ArchiveJob,
             point: chains.Point) -> None:
    """Have no sweep delete what a recovery point needs."""
    protection.protect(operation, job.ref, point.packs,
                       None if job.parent is None else job.parent.ref,
                       job.grace)


def _confirm_objects(operation: operations.Operation, ref: types.BackupRef,
                     manifest: chains.Manifest) -> None:
    """Make sure that nobody has deleted or replaced what was stored."""
    fault = presence.look(operation, ref, manifest.objects)
    if fault is None and manifest.point is not None:
        packs = manifest.point.packs
        fault = presence.look(operation, ref, packs, packs.root)
    if fault is None and manifest.has_digest_file:
        name = naming.digest_file_name(ref.prefix)
        # Deletions begin with it.
        if not operation.store.exists(ref.container, name):
            fault = exceptions.ChunkMissing(
                'the digest file is missing', name=name)
    if fault is None:
        return
    raise exceptions.ChunkMissing(
        'an object was deleted or replaced during the backup',
        backup_id=ref.backup_id, container=ref.container,
        name=fault.name, detail=fault.clause,
        remedy=exceptions.Remedy.REPEAT)

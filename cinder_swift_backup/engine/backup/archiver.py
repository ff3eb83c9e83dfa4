# SPDX-License-Identifier: Apache-2.0

"""Making a backup of a volume, all or nothing.

1. Refuse a file that is only part of a volume; see
   :mod:`cinder_swift_backup.engine.volumes.format_checks`.
2. Store it in its form: see
   :mod:`cinder_swift_backup.engine.backup.chunk_backup` and
   :mod:`cinder_swift_backup.engine.backup.pack_backup`. The coordinator
   reports progress and notices cancellation.
3. Put the manifest last. It is the commit point: without it there is no
   backup. So it is asked for, though the store has confirmed it.
4. Tell the observer, who records the result.
5. If anything fails before that, delete every object that may exist.
"""

from oslo_log import log as logging

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import chunk_backup
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import pack_backup
from cinder_swift_backup.engine.backup import storing
from cinder_swift_backup.engine.backup import traces as traces_
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
_STORING: dict[chains.Form, type[storing.Storing]] = {
    chains.Form.CHUNKS: chunk_backup.ChunkBackup,
    chains.Form.PACKS: pack_backup.PackBackup}


class Archiver:
    """Writes backups to a repository."""

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo

    def archive(self, job: jobs.ArchiveJob, source: volumes.VolumeReader,
                observer: operations.ArchiveObserver) -> chains.Manifest:
        """Back up a volume; all or nothing.

        :raises FormatError: when the codec is not known
        :raises VolumeError: when it cannot be read, is too large for the
            store, or is a file without all of the volume
        :raises SpoolError: when there is no room for the digests
        :raises ChainError: when the parent was deleted meanwhile
        :raises ChunkMissing: when an object of its own was, as a chunk
        :raises Cancelled: when the observer cancelled; nothing is left
        :raises StoreError: when the store failed; nothing is left that can
            still be reached
        """
        repo = self._repository.during(observer)
        backup = _STORING[job.form](job, repo, observer)
        try:
            manifest = backup.make(source)
            # A delete that Cinder ran while the manifest was uploaded did not
            # see the manifest. Without this check it would stay for ever.
            observer.confirm()
            observer.stored(manifest)
        except BaseException as err:
            # Also when the thread itself is ended, as eventlet can do.
            self._clean_up(job.ref, backup.traces, err)
            raise
        return manifest

    def _clean_up(self, ref: types.BackupRef, traces: traces_.Traces,
                  cause: BaseException) -> None:
        try:
            self._repository.discard(
                ref, traces.names(ref), traces.segments, spare=False,
                maker=traces.maker if traces.packs else None)
        except Exception as err:
            # The caller has to see the cause. This is for the operator, who
            # can delete the backup later and thereby the rest of it.
            LOG.error('Backup %s failed (%s), and not all of its objects '
                      'under %s in container %s could be deleted: %s',
                      ref.backup_id, cause, ref.prefix, ref.container, err)

# SPDX-License-Identifier: Apache-2.0

"""Following a backup or restore on behalf of Cinder.

Both observers run in the coordinator, so that one thread alone touches the
database and no timer outlives its operation.
"""

import time

from cinder import exception as cinder_exception
from cinder.objects import fields
from cinder.volume import volume_utils
from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import progress

CONF = cfg.CONF


class BackupObserver:
    """Ends a backup whose status was changed; tells how far it is.

    A ``createprogress`` notification goes out for every
    ``backup_object_number_per_notification`` chunks, every
    ``backup_timer_interval`` seconds unless
    ``backup_swift_enable_progress_timer`` is off, and at the end. Its
    ``backup_percent`` is the part of the volume that is dealt with.
    """

    def __init__(self, context, backup):
        self._context = context
        self._backup = backup
        self._percent = 0
        self._chunks = 0
        self._last = time.monotonic()

    def checkpoint(self):
        """See :class:`cinder_swift_backup.engine.progress.Observer`."""
        with self._backup.as_read_deleted():
            self._backup.refresh()
        if self._backup.status != fields.BackupStatus.CREATING:
            raise exceptions.Cancelled(
                f'The status of backup {self._backup.id} was changed to '
                f'{self._backup.status}.')
        elapsed = time.monotonic() - self._last
        if (CONF.backup_swift_enable_progress_timer
                and elapsed >= CONF.backup_timer_interval):
            self._notify()

    def advanced(self, done, total):
        """See :class:`cinder_swift_backup.engine.progress.Observer`."""
        self._percent = progress.percentage(done, total)
        self._chunks += 1
        if not self._chunks % CONF.backup_object_number_per_notification:
            self._notify()

    def stored(self, manifest):
        """Send the last notification, of 100 per cent; note the result.

        See :class:`cinder_swift_backup.engine.progress.ArchiveObserver`.
        """
        self._percent = 100
        self._notify()
        # Last, for a count says that there are objects to be deleted.
        self._backup.object_count = len(manifest.chunks)
        self._backup.save()

    @property
    def deleted(self):
        """Whether the last look found the backup being deleted."""
        return self._backup.status in (fields.BackupStatus.DELETING,
                                       fields.BackupStatus.DELETED)

    def _notify(self):
        self._last = time.monotonic()
        volume_utils.notify_about_backup_usage(
            self._context, self._backup, 'createprogress',
            extra_usage_info={'backup_percent': self._percent})


class RestoreObserver:
    """Ends a restore whose backup is no longer in the status for it."""

    def __init__(self, backup):
        self._backup = backup

    def checkpoint(self):
        """See :class:`cinder_swift_backup.engine.progress.Observer`."""
        try:
            with self._backup.as_read_deleted():
                self._backup.refresh()
        except cinder_exception.BackupNotFound:
            pass
        else:
            if self._backup.status == fields.BackupStatus.RESTORING:
                return
        raise exceptions.Cancelled(
            f'The status of backup {self._backup.id} was changed.')

    def advanced(self, done, total):
        """Cinder has no notification for the progress of a restore."""

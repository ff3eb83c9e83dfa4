# SPDX-License-Identifier: Apache-2.0

"""Follow a backup or restore for Cinder: progress and cancellation.

Both observers run in the coordinator. So only one thread uses the database,
and no timer goes on after its operation.
"""

import contextlib
import time

from cinder import exception as cinder_exception
from cinder.objects import fields
from cinder.volume import volume_utils
from oslo_db import exception as db_exception
from oslo_log import log as logging
from sqlalchemy import exc as sqlalchemy_exc

from cinder_swift_backup import exceptions

LOG = logging.getLogger(__name__)
# Raised when the database is down, restarts or is overloaded.
DATABASE_ERRORS = (db_exception.DBError, sqlalchemy_exc.SQLAlchemyError)
# Of these, what it answers for good.
_FINAL = (db_exception.DBDataError, db_exception.DBDuplicateEntry,
          db_exception.DBReferenceError, db_exception.DBConstraintError)
# Seconds, where the operator has turned patience off: to fail while the
# database is away helps nobody, for Cinder cannot note it.
_LEAST_PATIENCE = 60
# Seconds between two attempts.
_LONGEST_WAIT = 10


def percentage(done, total):
    """Whole per cent of a total, 0 to 100; nothing to do is all done."""
    return 100 * done // total if total else 100


class Database:
    """Waits for a database that is away for a while.

    A backup of hours should not fail because of one lost query. And a failure
    that cannot be noted leaves the record as it is, 'creating', until
    cinder-backup is restarted.
    """

    def __init__(self, what, patience):
        """Prepare.

        :param what: the operation, for the log
        :param patience: in seconds
        """
        self._what = what
        self._patience = max(patience, _LEAST_PATIENCE)
        self._since = None

    def glance(self, look):
        """Call ``look``, and ignore its database errors at first.

        :raises DatabaseUnavailable: when the database has not answered for
            as long as patience lasts
        """
        try:
            look()
        except DATABASE_ERRORS as err:
            self._tolerate(err)
            return
        self._since = None

    def insist(self, work):
        """Call ``work`` until the database answers; returns its result.

        :raises DatabaseUnavailable: as :meth:`glance`
        """
        wait = 1
        while True:
            try:
                result = work()
            except DATABASE_ERRORS as err:
                self._tolerate(err)
            else:
                self._since = None
                return result
            time.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _tolerate(self, err):
        if isinstance(err, _FINAL):
            raise err
        now = time.monotonic()
        if self._since is None:
            self._since = now
        waited = now - self._since
        if waited >= self._patience:
            raise exceptions.DatabaseUnavailable(
                f"Cinder's database has not answered for {waited:.0f} s",
                detail=_in_brief(err)) from err
        LOG.warning('The database does not answer; %s waits for it for up to '
                    '%d s: %s', self._what, self._patience,
                    _in_brief(err))


def _in_brief(err):
    """What an error of the database says, without the page of SQL behind."""
    return f'{type(err).__name__}: {str(err).partition(chr(10))[0]}'


@contextlib.contextmanager
def noted(record, patience):
    """Let a failure out of a block only when the database can note it.

    It is let out anyway when patience is over.
    """
    try:
        yield
    except exceptions.Cancelled:
        raise
    except Exception:
        with contextlib.suppress(exceptions.DatabaseUnavailable,
                                 cinder_exception.BackupNotFound):
            Database('the failed operation on backup '
                     f'{record.id}', patience).insist(
                record.refresh)
        raise


class BackupObserver:
    """Cancels a backup whose status was changed, and notifies progress.

    ``database`` waits for the database, and ``log`` has the lines of the
    operation, for whoever else needs them.

    It sends a ``createprogress`` notification after a number of chunks, after
    a number of seconds, and at the end. ``backup_percent`` is the part of the
    volume that is processed.
    """

    def __init__(self, context, backup, notifications, patience, log):
        """Prepare.

        :param notifications: the :class:`settings.Notifications`
        :param patience: how many seconds to wait for the database
        :param log: the :class:`operation_log.OperationLog` of the backup
        """
        self.log = log
        self._context = context
        self._backup = backup
        self._notifications = notifications
        self._percent = 0
        self._chunks = 0
        self._last = time.monotonic()
        self.database = Database(f'backup {backup.id}', patience)

    def checkpoint(self):
        """See :class:`cinder_swift_backup.engine.operations.Observer`."""
        self.database.glance(self._look)
        self.log.tick()
        interval = self._notifications.interval
        if interval is None:
            return
        if time.monotonic() - self._last >= interval:
            self._notify()

    def confirm(self):
        """Cancel the backup unless its status is still 'creating'.

        See :class:`cinder_swift_backup.engine.operations.ArchiveObserver`.
        """
        self.database.insist(self._look)

    def _look(self):
        with self._backup.as_read_deleted():
            self._backup.refresh()
        if self._backup.status != fields.BackupStatus.CREATING:
            raise exceptions.Cancelled(
                f'the backup was cancelled: its status was changed to '
                f'{self._backup.status}', backup_id=self._backup.id,
                remedy=exceptions.Remedy.OWNER_DELETES)

    def advanced(self, done, total):
        """See :class:`cinder_swift_backup.engine.operations.Observer`."""
        self.log.advance(done, total)
        self._percent = percentage(done, total)
        self._chunks += 1
        every = self._notifications.chunks
        # Cinder takes any number, and has no notifications for none.
        if every > 0 and self._chunks % every == 0:
            self._notify()

    def stored(self, manifest):
        """Send the last notification, of 100 per cent; save the record.

        See :class:`cinder_swift_backup.engine.operations.ArchiveObserver`.
        """
        self._percent = 100
        self._notify()
        # This comes last: a count tells the delete that there is a manifest.
        self._backup.object_count = manifest.own_objects
        if manifest.point is not None:
            # It stands alone, and its parent may be deleted from now on.
            self._backup.parent_id = None
        self.database.insist(self._backup.save)

    @property
    def deleted(self):
        """Whether the last check found the backup being deleted."""
        return self._backup.status in (fields.BackupStatus.DELETING,
                                       fields.BackupStatus.DELETED)

    def _notify(self):
        self._last = time.monotonic()
        volume_utils.notify_about_backup_usage(
            self._context, self._backup, 'createprogress',
            extra_usage_info={'backup_percent': self._percent})


class RestoreObserver:
    """Cancels a restore when the backup's status was changed.

    ``database`` waits for the database, and ``log`` has the lines of the
    operation, for whoever else needs them.
    """

    def __init__(self, backup, patience, log):
        """Prepare.

        :param patience: how many seconds to wait for the database
        :param log: the :class:`operation_log.OperationLog` of the restore
        """
        self.log = log
        self._backup = backup
        self.database = Database(f'the restore of backup {backup.id}',
                                 patience)

    def checkpoint(self):
        """See :class:`cinder_swift_backup.engine.operations.Observer`."""
        self.database.glance(self._look)
        self.log.tick()

    def _look(self):
        try:
            with self._backup.as_read_deleted():
                self._backup.refresh()
        except cinder_exception.BackupNotFound:
            pass
        else:
            if self._backup.status == fields.BackupStatus.RESTORING:
                return
        raise exceptions.Cancelled(
            'the restore was cancelled: the status of its backup was changed',
            backup_id=self._backup.id)

    def advanced(self, done, total):
        """Only log it: Cinder has no notification for a restore."""
        self.log.advance(done, total)

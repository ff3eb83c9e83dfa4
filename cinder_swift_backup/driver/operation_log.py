# SPDX-License-Identifier: Apache-2.0

"""What the log has of each operation.

1. A line of level INFO when it starts, and one when it has ended, with how
   much was read, stored and skipped, how fast, and how many requests had to
   be sent again.
2. A line in between whenever another 10 % are done or 30 seconds are over.
3. A line of level ERROR if it fails, with what is wrong and what to do about
   it.

What an operation waits for is told at level WARNING, here or by whoever waits.
Each of these lines has what it says also in fields of its own, for formatters
that write such, as that for JSON does.
"""

import time

from cinder import exception as cinder_exception
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.driver import errors

LOG = logging.getLogger(__name__)
# Per cent, and seconds, after which there is another line.
_STEP = 10
_LONGEST = 30
# Seconds between two lines at least, since a fast operation needs none.
_SHORTEST = 5


class OperationLog:
    """The lines of one operation."""

    def __init__(self, title, **fields):
        """Prepare.

        :param title: begins each line: what the operation is, and of what
        :param fields: go with each line
        """
        self._title = title
        self._fields = fields
        self._began = time.monotonic()
        # Seconds for which it waited before it could do anything.
        self._waited = 0
        # What the last line said: when, and how much was done by then.
        self._told = self._began
        self._told_done = 0
        self._done = self._total = 0

    @property
    def seconds(self):
        """How long the operation takes so far."""
        return time.monotonic() - self._began

    def _start(self, text, size=0, **fields):
        self._total = size
        LOG.info('%s starts: %s.', self._title, text,
                 event='start', **({'size': size} if size else {}),
                 **self._fields, **fields)

    def advance(self, done, total):
        """Note that so many bytes of the volume are done, and maybe tell."""
        self._done, self._total = done, total
        self.tick()

    def tick(self):
        """Tell how far the operation is, if it is time to."""
        now = time.monotonic()
        since = now - self._told
        step = 100 * (self._done - self._told_done)
        if (not self._total or since < _SHORTEST
                or (since < _LONGEST and step < _STEP * self._total)):
            return
        rate = (self._done - self._told_done) / since
        percent = 100 * self._done // self._total
        LOG.info('%s is at %d %% after %d s: %s of %s, now at %s/s.',
                 self._title, percent, self.seconds,
                 quantities.size(self._done), quantities.size(self._total),
                 quantities.size(rate),
                 event='progress', percent=percent, done=self._done,
                 total=self._total, rate=round(rate),
                 seconds=round(self.seconds, 1), **self._fields)
        self._told, self._told_done = now, self._done

    def _end(self, text, traffic, **fields):
        retries = quantities.counted(traffic.retries, 'retry')
        self._tell_end(f'{text}, {retries}', retries=traffic.retries,
                       **fields)

    def _tell_end(self, text, **fields):
        LOG.info('%s completed in %.1f s: %s.', self._title, self.seconds,
                 text, event='end', seconds=round(self.seconds, 1),
                 **self._fields, **fields)

    def _rate(self, count):
        """How many bytes were moved each second, on average."""
        return round(count / max(self.seconds - self._waited, 0.001))

    def wait_for_memory(self):
        """Tell that the operation waits until others need less."""
        LOG.warning('%s waits until other backups and restores free memory. '
                    'backup_swift_memory limits what they all take together.',
                    self._title, event='wait', **self._fields)

    def admit(self):
        """Note that it need not wait any more, so that rates are right."""
        self._waited = self.seconds

    def cancel(self, fault):
        """Tell that the operation was cancelled, which is no failure."""
        LOG.info('%s was cancelled after %.1f s: %s.', self._title,
                 self.seconds, _clause(fault), event='cancellation',
                 seconds=round(self.seconds, 1), **self._fields)

    def follow(self, work):
        """Do ``work``, and tell if it fails.

        :raises Exception: what it raises
        """
        try:
            work()
            return
        except Exception as err:
            fault = err
        try:
            # Not while it is handled: then oslo.log would append it.
            self._tell(fault)
            raise fault
        finally:
            # Or its traceback, which has this frame, would keep itself.
            del fault

    def _tell(self, fault):
        if _is_cancelled(fault):
            self.cancel(_cause(fault))
            return
        LOG.error('%s failed after %.1f s: %s', self._title, self.seconds,
                  _sentence(fault), event='failure',
                  error=type(_cause(fault)).__name__,
                  seconds=round(self.seconds, 1), **self._fields)


class BackupLog(OperationLog):
    """The lines of a backup."""

    def __init__(self, backup):
        super().__init__(
            f'Backup {backup.id} of volume {backup.volume_id}',
            operation='backup', backup_id=backup.id,
            volume_id=backup.volume_id, parent_id=backup.parent_id)

    def start(self, size):
        """Tell that it starts.

        :param size: of the volume by its record, in bytes
        """
        parent = self._fields['parent_id']
        kind = ('full' if parent is None
                else f'incremental that builds on backup {parent}')
        self._start(f'{quantities.size(size)}, {kind}', size)

    def build_on(self, parent_id):
        """Note what it builds on in fact; None if it is a full one."""
        self._fields['parent_id'] = parent_id

    def end(self, size, engine, form, container):
        """Tell that the backup is complete.

        :param size: of the volume, in bytes
        :param engine: that has made it
        :param form: the :class:`chains.Form` that it has
        """
        traffic, read = engine.store.traffic, engine.volume_traffic.read
        skipped = size - read
        rate = self._rate(read)
        kind = 'full' if self._fields['parent_id'] is None else 'incremental'
        self._end(
            f'{kind}, read {quantities.size(read)} of '
            f'{quantities.size(size)} at {quantities.size(rate)}/s, skipped '
            f'{quantities.size(skipped)}, stored '
            f'{quantities.size(traffic.sent)} in {form.value}, as '
            f'{quantities.counted(traffic.objects, "object")} in container '
            f'{container}',
            traffic, size=size, read=read, skipped=skipped, rate=rate,
            stored=traffic.sent, objects=traffic.objects, form=form.value,
            container=container)


class RestoreLog(OperationLog):
    """The lines of a restore."""

    def __init__(self, backup, volume_id):
        super().__init__(
            f'Restore of backup {backup.id} to volume {volume_id}',
            operation='restore', backup_id=backup.id, volume_id=volume_id)

    def start(self, size, container):
        """Tell that it starts.

        :param size: of the volume that was backed up, in bytes
        """
        self._start(f'{quantities.size(size)}, from container {container}',
                    size, container=container)

    def end(self, engine):
        """Tell that all of it was restored.

        :param engine: that has restored it
        """
        traffic = engine.store.traffic
        # A file may be shorter than its volume.
        size = self._total
        # What came twice was written twice.
        written = min(engine.volume_traffic.written, size)
        skipped = size - written
        rate = self._rate(written)
        self._end(
            f'received {quantities.size(traffic.received)}, wrote '
            f'{quantities.size(written)} of {quantities.size(size)} at '
            f'{quantities.size(rate)}/s, skipped {quantities.size(skipped)} '
            'of zeros', traffic, size=size, received=traffic.received,
            written=written, skipped=skipped, rate=rate)


class DeleteLog(OperationLog):
    """The lines of a delete."""

    def __init__(self, backup):
        super().__init__(
            f'Delete of backup {backup.id} of volume {backup.volume_id}',
            operation='delete', backup_id=backup.id,
            volume_id=backup.volume_id)

    def start(self, container):
        """Tell that it starts.

        :param container: where its objects are; None if it has none
        """
        self._start(f'from container {container}' if container
                    else 'it has no container', container=container)

    def end(self, objects, traffic):
        """Tell that all objects were deleted.

        :param objects: how many there were
        :param traffic: of the store that they were in
        """
        self._end(f'deleted {quantities.counted(objects, "object")}', traffic,
                  objects=objects)

    def end_with_nothing(self):
        """Tell that the backup never stored anything."""
        self._tell_end('the backup never stored anything', objects=0)

    def keep(self, twin):
        """Tell that the objects stay, since another record needs them."""
        self._tell_end(f'kept the objects, because the record of backup '
                       f'{twin.id} names the same ones', objects=0)


def _clause(fault):
    """Why it was cancelled, which the line says by itself."""
    text = (fault.what if isinstance(fault, exceptions.BackupError)
            else str(fault).rstrip('.'))
    return text.partition(' was cancelled: ')[2] or text


def _is_cancelled(fault):
    return isinstance(_cause(fault), exceptions.Cancelled) or isinstance(
        fault, cinder_exception.BackupRestoreCancel)


def _sentence(fault):
    """What is wrong, and what to do: all of it, however long."""
    cause = _cause(fault)
    if isinstance(cause, exceptions.BackupError):
        return errors.sentence(cause)
    # Behind the first line, a database tells its SQL.
    text = str(fault).partition('\n')[0]
    return f'{text.rstrip(".")} ({type(fault).__name__}).'


def _cause(fault):
    """Our error, if Cinder's stands for one of ours."""
    if isinstance(fault.__cause__, exceptions.BackupError):
        return fault.__cause__
    return fault

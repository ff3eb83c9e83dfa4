# SPDX-License-Identifier: Apache-2.0

"""Has Cinder back up volumes, some at a time, and waits for them.

1. Start as many as there may be at a time. If the user asks for it, each is of
   a snapshot, which is made first.
2. Ask for all of them every few seconds. One that is in an error is deleted,
   and started once more, as a full backup if Cinder refuses an incremental.
3. Delete the snapshot of each that has ended, and snapshots that earlier runs
   could not delete.

Nobody waits for a backup that takes longer than the longest: its host may be
dead. It stays as it is, and so does its snapshot. The same goes if Cinder may
have started a backup and gave no clear answer: nothing is ever started twice.
"""

import argparse
import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import datetime
import time
from typing import Any

import openstack.exceptions
from oslo_log import log as logging

from cinder_swift_backup.cli import cinder_api

LOG = logging.getLogger(__name__)
# Seconds between two questions.
_PAUSE = 3.0
# How often a question may fail in a row.
_PATIENCE = 20
_ATTEMPTS = 2
_IN_THE_MAKING = ('creating', 'backing-up')
# What the names of snapshots begin with.
_SNAPSHOT = 'cinder-swift-backup: '


@dataclasses.dataclass(frozen=True, slots=True)
class Wanted:
    """A backup to make; ``name`` is what users see of it."""

    volume_id: str
    name: str
    incremental: bool = False
    force: bool = False
    from_snapshot: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Made:
    """What became of it: ``why`` is empty if the backup is available.

    ``took`` is how long it took, with all attempts.
    """

    wanted: Wanted
    backup_id: str
    why: str
    took: datetime.timedelta
    attempts: int


class _Failed(Exception):
    """An attempt has failed, and says why.

    ``is_final`` is whether another would be wrong: the backup may still be in
    the making.
    """

    def __init__(self, why: str, *, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


@dataclasses.dataclass(slots=True)
class _Job:
    wanted: Wanted
    begun: float
    steps: Iterator[None]
    backup_id: str = ''
    why: str = ''
    attempts: int = 0
    errors: int = 0


class Jobs:
    """Backups that Cinder makes."""

    def __init__(self, options: argparse.Namespace,
                 environment: Mapping[str, str], patience: float, *,
                 at_once: int, longest: datetime.timedelta,
                 sleep: Callable[[float], None] = time.sleep,
                 clock: Callable[[], float] = time.monotonic) -> None:
        """Log in.

        :param options: of the command line, see :mod:`.logins`
        :param patience: as of :func:`.cinder_api.read`
        :param at_once: how many backups are made at the same time
        :param longest: how long to wait for one
        :raises ConfigurationError: when that cannot be
        """
        self._api: Any = cinder_api.connect(options, environment, patience)
        self._at_once = at_once
        self._longest = longest.total_seconds()
        self._sleep = sleep
        self._clock = clock

    def make(self, wanted: Iterable[Wanted]) -> Iterator[Made]:
        """Make backups; gives each when it has ended."""
        waiting = collections.deque(wanted)
        running: list[_Job] = []
        while waiting or running:
            while waiting and len(running) < self._at_once:
                running.append(self._job(waiting.popleft()))
            for job in list(running):
                if not self._goes_on(job):
                    running.remove(job)
                    yield Made(
                        job.wanted, job.backup_id, job.why,
                        datetime.timedelta(
                            seconds=self._clock() - job.begun), job.attempts)
            if running:
                self._sleep(_PAUSE)

    def _job(self, wanted: Wanted) -> _Job:
        job = _Job(wanted, self._clock(), iter(()))
        job.steps = self._steps(job)
        return job

    def _goes_on(self, job: _Job) -> bool:
        """Take a step; returns whether there is another."""
        try:
            next(job.steps)
        except StopIteration:
            return False
        return True

    def _steps(self, job: _Job) -> Iterator[None]:
        """Make a backup, and wait at each ``yield``."""
        while job.attempts < _ATTEMPTS:
            if job.backup_id:
                yield from self._remove(job)
            job.attempts += 1
            job.why = ''
            try:
                yield from self._attempt(job)
            except _Failed as err:
                job.why = str(err)
                if err.is_final:
                    return
            except cinder_api.ERRORS as err:
                job.why = cinder_api.words(err)
            if not job.why:
                return
        if job.backup_id:
            yield from self._remove(job)

    def _attempt(self, job: _Job) -> Iterator[None]:
        snapshot_id = None
        try:
            if job.wanted.from_snapshot:
                self._forget_old_snapshots(job.wanted.volume_id)
                snapshot_id = self._api.create_snapshot(
                    volume_id=job.wanted.volume_id,
                    name=f'{_SNAPSHOT}{job.wanted.name}', is_forced=True).id
                yield from self._wait(job, self._api.get_snapshot, snapshot_id)
            job.backup_id = ''
            job.backup_id = self._start(job, snapshot_id)
            yield from self._wait(job, self._api.get_backup, job.backup_id)
        finally:
            if snapshot_id is not None:
                self._forget_snapshot(snapshot_id)

    def _start(self, job: _Job, snapshot_id: str | None) -> str:
        wanted = job.wanted
        try:
            # Releases of openstacksdk name what is incremental differently.
            answer = self._api.post('/backups', json={'backup': {
                'volume_id': wanted.volume_id, 'name': wanted.name,
                'incremental': wanted.incremental, 'force': wanted.force,
                **({} if snapshot_id is None
                   else {'snapshot_id': snapshot_id})}})
            openstack.exceptions.raise_from_response(answer)
            return str(answer.json()['backup']['id'])
        except cinder_api.ERRORS as err:
            status = getattr(err, 'status_code', None) or getattr(
                err, 'http_status', None)
            if status is None or not 400 <= status < 500:
                raise _Failed(
                    f'Cinder gave no clear answer ({cinder_api.words(err)}), '
                    'and may have started the backup',
                    is_final=True) from err
            # The parent may be gone, or that of another project.
            job.wanted = dataclasses.replace(wanted, incremental=False)
            raise

    def _wait(self, job: _Job, ask: Callable[[str], Any],
              id_: str) -> Iterator[None]:
        """Wait until something is available.

        :raises _Failed: when it does not become so
        """
        while True:
            thing = self._asked(job, ask, id_)
            if thing is not None and thing.status == 'available':
                return
            if thing is not None and thing.status not in _IN_THE_MAKING:
                why = getattr(thing, 'fail_reason', None)
                raise _Failed(f'Cinder reports status {thing.status}'
                              + (f': {why}' if why else ''))
            if self._clock() - job.begun > self._longest:
                raise _Failed('not finished within --longest, but Cinder may '
                              'still finish it', is_final=True)
            yield

    @staticmethod
    def _asked(job: _Job, ask: Callable[[str], Any], id_: str) -> Any:
        """What Cinder says of a thing; None if it is away for a moment."""
        try:
            thing = ask(id_)
        except openstack.exceptions.NotFoundException as err:
            raise _Failed('somebody deleted the backup or its snapshot',
                          is_final=True) from err
        except cinder_api.ERRORS as err:
            job.errors += 1
            if job.errors > _PATIENCE:
                raise _Failed(
                    f'Cinder does not answer ({cinder_api.words(err)}), but '
                    'may still finish the backup', is_final=True) from err
            return None
        job.errors = 0
        return thing

    def _remove(self, job: _Job) -> Iterator[None]:
        """Delete what a failed attempt has left, as far as that can be."""
        try:
            self._api.delete_backup(job.backup_id)
            while True:
                backup = self._api.get_backup(job.backup_id)
                if backup.status != 'deleting' or (
                        self._clock() - job.begun > self._longest):
                    return
                yield
        except openstack.exceptions.NotFoundException:
            return
        except cinder_api.ERRORS as err:
            LOG.warning('Failed backup %s could not be deleted: %s',
                        job.backup_id, cinder_api.words(err))

    def _forget_old_snapshots(self, volume_id: str) -> None:
        """Delete those of earlier runs that nobody reads any more."""
        for snapshot in self._api.snapshots(volume_id=volume_id):
            if snapshot.status == 'available' and (
                    snapshot.name or '').startswith(_SNAPSHOT):
                self._forget_snapshot(snapshot.id)

    def _forget_snapshot(self, snapshot_id: str) -> None:
        try:
            self._api.delete_snapshot(snapshot_id)
        except cinder_api.ERRORS as err:
            LOG.warning('Snapshot %s could not be deleted: %s', snapshot_id,
                        cinder_api.words(err))

# SPDX-License-Identifier: Apache-2.0

"""What Cinder says of backups and volumes when Swift is not well.

Each test has a Cinder of its own, with the fault proxy before Swift.

1. Swift stays away in the middle of an operation: that ends when patience
   does, in the states that Cinder has for it, and can be repeated.
2. It comes back in time: the operation goes on, and the service was well
   meanwhile.
3. Whoever calls an operation off does not wait for Swift.
4. The service is killed: its next start puts the states right.
"""

import contextlib
import random
import sqlite3
from typing import ClassVar

from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Moment
from tests.cloud.fault_proxy.rules import Refuse
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Stall
from tests.functional import reasons
from tests.functional.api import MIB

# Seconds: for good, as far as a test goes.
_ALWAYS = 3600
# Far less than the patience of who does not wait for it to end.
_SOON = 60
# More than the longest pauses, and what is done after them.
_BACK = 300
# How many have to come, one a second.
_HEARTBEATS = 5
_LATER = 'Repeat the operation later.'
_UNAVAILABLE = r'Swift answered 503 Service Unavailable, for \d+ s'
_REFUSED = r'Swift at [\d.:]+ .*\(connection refused\), for \d+ s'


class StatesTestCase(reasons.FailReasonTestCase):
    """A test whose service goes through the fault proxy."""

    options: ClassVar[dict] = {}

    def start(self):
        """See the base class."""
        self.start_proxy()
        self.own.extra_options.update({
            'backup_swift_object_size': 2 * MIB,
            'backup_compression_algorithm': 'none',
            **self.options})
        super().start()
        self.store.ensure_container(self.container, create=True)

    @contextlib.contextmanager
    def broken(self, *faults):
        """Have these happen; all is well behind it."""
        self.proxy.apply(*faults)
        try:
            yield
            self.assertNotIn(0, self.proxy.hits())
        finally:
            self.heal()

    def heal(self):
        """Have everything work again."""
        self.proxy.apply()
        self.proxy.accept()

    def make_volume(self, mib=20, seed=0):
        """See the base class; ten chunks are noise, and the rest is empty."""
        volume = super().make_volume()
        self.write(volume, 0, random.Random(seed).randbytes(mib * MIB))
        return volume

    def objects_of(self, backup):
        """The names of a backup's objects."""
        return [name for name in self.object_names(self.container)
                if backup.id in name]

    def status(self, backup):
        """What Cinder says of a backup."""
        return self.cinder.backups.get(backup.id).status

    def stalls(self, *methods):
        """Have each operation come to a stop in its middle."""
        moments = {'PUT': Moment.IN_BODY, 'GET': Moment.IN_ANSWER,
                   'DELETE': Moment.BEFORE}
        return [rule(Stall(_ALWAYS, moments[method]), method, Kind.CHUNK,
                     first=3, count=None) for method in methods]

    def is_hit(self):
        """Whether each of the faults has happened."""
        return all(self.proxy.hits())


class ImpatientTestCase(StatesTestCase):
    """Swift does not come back in time."""

    options: ClassVar[dict] = {'backup_swift_patience': 1}

    def test_all_operations(self):
        volume = self.make_volume()
        full = self.back_up(volume)
        before = self.object_names(self.container)
        with self.broken(*(rule(Answer(503), method, Kind.CHUNK, first=3,
                                count=None) for method in ('PUT', 'GET'))):
            target = self.start_restore(full)
            self.fail_to_back_up(volume, _UNAVAILABLE, _LATER)
            self.assert_not_restored(full, target, _UNAVAILABLE, _LATER)
            # Swift lets what was stored be deleted.
            self.assertEqual(before, self.object_names(self.container))
        for offset in range(0, 20 * MIB, 5 * MIB):
            self.write(volume, offset, b'changed')
        # When digests are put, all chunks are stored.
        with self.broken(rule(Refuse(_ALWAYS), 'PUT', Kind.DIGESTS)):
            failed = self.fail_to_back_up(volume, _REFUSED, _LATER,
                                          incremental=True)
        self.assertNotEqual([], self.objects_of(failed))
        self.delete_backup(failed)
        self.assertEqual(before, self.object_names(self.container))
        tip = self.back_up(volume, incremental=True)
        self.assertTrue(tip.is_incremental)
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(tip)))
        self.delete_backup(tip)
        with self.broken(rule(Refuse(_ALWAYS), 'DELETE', Kind.CHUNK, first=3)):
            self.fail_to_delete(full, _REFUSED, _LATER)
        self.assertNotIn(len(self.objects_of(full)), (0, len(before)))
        self.delete_backup(full)
        self.assertEqual([], self.object_names(self.container))


class PatientTestCase(StatesTestCase):
    """Swift is away for a while."""

    options: ClassVar[dict] = {'backup_swift_patience': 600,
                               'report_interval': 1}

    def test_outage(self):
        volumes = [self.make_volume(seed=seed) for seed in range(2)]
        full = self.back_up(volumes[0])
        with self.broken(*self.stalls('PUT', 'GET')):
            made, unwanted = map(self.start_backup, volumes)
            target = self.start_restore(full)
            self.wait_until(self.all_store, made, unwanted)
            self.wait_until(self.is_hit)
            self.proxy.refuse()
            self.wait_until(
                self.log_has, 'are failing and will be '
                              'retried for up to 600 s')
            self.check_heartbeats()
            self.assertEqual(
                ['creating', 'creating', 'restoring'],
                [self.status(each) for each in (made, unwanted, full)])
            self.cancel(unwanted, full, target)
            self.assertEqual('creating', self.status(made))
        self.wait(self.cinder.backups, made, 'available',
                  patience=_BACK)
        self.wait_gone(self.cinder.backups, unwanted)
        self.assertTrue(self.log_has('succeed again after '))
        # Nothing of the unwanted one.
        self.assertEqual(2 * len(self.objects_of(full)),
                         len(self.object_names(self.container)))
        self.assertEqual(self.sha256(volumes[0]),
                         self.sha256(self.restore(made)))

    def all_store(self, *backups):
        """Whether each of the backups has begun to store chunks."""
        targets = [each.target for each in self.proxy.requests()
                   if each.method == 'PUT' and each.kind == Kind.CHUNK]
        return all(any(backup.id in target for target in targets)
                   for backup in backups)

    def check_heartbeats(self):
        """The service goes on to say that it is well."""
        admin = self.client(self.cloud.admin)
        seen = set()

        def are_seen():
            service, = admin.services.list(binary='cinder-backup')
            self.assertEqual('up', service.state)
            seen.add(service.updated_at)
            return len(seen) > _HEARTBEATS
        self.wait_until(are_seen)

    def cancel(self, backup, restored, target):
        """Call a backup and a restore off, which are over at once."""
        volume = self.cinder.volumes.get(backup.volume_id)
        self.client(self.demo_admin).backups.delete(backup, force=True)
        self.client(self.cloud.admin).backups.reset_state(restored.id,
                                                          'available')
        for each, status in ((volume, 'available'), (target, 'error')):
            self.wait_until(
                lambda each=each, status=status:
                self.cinder.volumes.get(each.id).status == status,
                patience=_SOON)
        self.assertEqual('available', self.status(restored))


class KilledTestCase(StatesTestCase):
    """The service is killed, and so is the rest of Cinder with it."""

    def test_in_all_operations(self):
        volume = self.make_volume()
        restored, deleted = self.back_up(volume), self.back_up(volume)
        with self.broken(*self.stalls('PUT', 'GET', 'DELETE')):
            made = self.start_backup(volume)
            target = self.start_restore(restored)
            self.cinder.backups.delete(deleted)
            self.wait_until(self.is_hit)
            self.wait_until(self.is_stored)
            self.assertEqual(
                ['creating', 'restoring', 'deleting'],
                [self.status(each) for each in (made, restored, deleted)])
            self.own.kill()
        self.check_early_delete(deleted)
        self.check_killed_backup(made)
        self.check_killed_restore(restored, target)
        self.check_killed_delete(deleted)
        self.assertEqual(self.sha256(volume), self.sha256(
            self.restore(self.back_up(volume))))

    def check_early_delete(self, backup):
        """Cinder resumes deletes while it waits for its driver's check.

        It gives up those that come before the end of that. That Swift is
        away is no reason to stay down.
        """
        with self.broken(rule(Stall(_ALWAYS), 'GET', Kind.INFO, count=None)):
            self.own.start()
            # Its API starts later.
            self.wait_until(self.is_given_up, backup)
            self.proxy.refuse()
            self.own.wait()
            self.assertTrue(self.log_has('The service starts anyway'))
        self.client(self.demo_admin).backups.reset_state(backup.id, 'error')

    def is_given_up(self, backup):
        """Whether Cinder's database says so of a delete."""
        with contextlib.closing(
                sqlite3.connect(self.own.database)) as database:
            (status,), = database.execute(
                'SELECT status FROM backups WHERE id = ?', (backup.id,))
        return status == 'error_deleting'

    def is_stored(self):
        """Whether Swift has a chunk of the backup that is being made."""
        return any((each.method, each.kind, each.result)
                   == ('PUT', Kind.CHUNK, '201')
                   for each in self.proxy.requests())

    def check_killed_backup(self, backup):
        """It failed, which can be seen, and leaves nothing when deleted."""
        self.wait_until(self.has_failed, backup)
        self.wait(self.cinder.volumes,
                  self.cinder.volumes.get(backup.volume_id), 'available')
        self.assertNotEqual([], self.objects_of(backup))
        self.delete_backup(backup)
        self.assertEqual([], self.objects_of(backup))

    def check_killed_restore(self, backup, target):
        """The volume is of no use, and the backup as good as before."""
        self.wait(self.cinder.backups, backup, 'available')
        self.wait_until(lambda: self.cinder.volumes.get(target.id).status
                        == 'error_restoring')
        self.assertEqual(
            self.sha256(self.cinder.volumes.get(backup.volume_id)),
            self.sha256(self.restore(backup)))

    def check_killed_delete(self, backup):
        """Cinder resumes it, but without a token; the user can repeat it."""
        with self.broken(*self.stalls('DELETE')):
            self.cinder.backups.delete(backup)
            self.wait_until(self.is_hit)
            self.own.kill()
        # Swift is found by each request, and the check is over at once.
        del self.own.extra_options['backup_swift_url']
        self.own.start()
        self.own.wait()
        self.wait_until(self.has_failed, backup)
        self.assertEqual(
            'Backup driver reported an error: the request has no token for '
            'Swift, as when Cinder resumes a delete at startup. Have a user '
            'of the project that owns the backup do it. [for backup '
            f'{backup.id}]',
            self.cinder.backups.get(backup.id).fail_reason)
        self.assertNotEqual([], self.objects_of(backup))
        self.delete_backup(backup)
        self.assertEqual([], self.objects_of(backup))

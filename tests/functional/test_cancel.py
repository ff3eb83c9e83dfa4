# SPDX-License-Identifier: Apache-2.0

"""Cancelling backups and restores, through the real Cinder API."""

import contextlib
import random
from typing import ClassVar

from cinderclient import exceptions as client_exceptions

from cinder_swift_backup import exceptions
from tests import selection
from tests.functional import reasons
from tests.functional.api import MIB

_POLICY = '''
"volume_extension:backup_admin_actions:force_delete":
  "rule:xena_system_admin_or_project_member"
'''
_STRANGER = ('the backup is in the account of another project, which this '
             'user may not use.')
_OWNER_DOES = 'Have a user of the project that owns the backup do it.'
_CANCELLED = ('the backup was cancelled: its status was changed to error.')
_OWNER_DELETES = 'Have a user of the project that owns the backup delete it.'

class SlowTestCase(reasons.FailReasonTestCase):
    """A service slow enough to be caught in the act."""

    options: ClassVar[dict] = {
        'backup_swift_object_size': 4 * MIB,
        'backup_swift_workers': 1}

    def start_and_wait(self, volume):
        """Begin a backup, and wait until something of it is stored."""
        backup = self.start_backup(volume)
        self.wait_until(self.has_objects)
        self.assertEqual('creating',
                         self.cinder.backups.get(backup.id).status)
        return backup

    def has_objects(self):
        """Whether anything is stored yet."""
        with contextlib.suppress(exceptions.ContainerNotFound):
            return bool(self.object_names(self.container))
        return False


class CancelTestCase(SlowTestCase):
    """Cancelling by an administrator of the project."""

    modes = selection.Modes.BOTH

    # The largest number of objects that was seen.
    most = 0

    def test_delete_while_creating(self):
        # Long enough that the driver looks before the end of it.
        volume = self.make_volume(200)
        backup = self.start_and_wait(volume)
        self.client(self.demo_admin).backups.delete(
            backup, force=True)
        self.wait_until(self.is_gone, backup)
        self.wait(self.cinder.volumes, volume, 'available')
        self.assertLess(self.most, 200 // 4)
        self.assertEqual([], self.object_names(self.container))

    def is_gone(self, backup):
        """Whether it is; notes how many objects there were of it."""
        self.most = max(self.most, len(self.object_names(self.container)))
        return backup.id not in [
            each.id for each in self.cinder.backups.list()]

    @selection.modes(selection.Modes.EVERYTHING)
    def test_reset_status_while_restoring(self):
        # Long enough that the restore is still at it when it is noticed.
        volume = self.make_volume()
        noise = random.Random(1).randbytes(60 * MIB)
        for offset in range(0, 1020 * MIB, len(noise)):
            self.write(volume, offset, noise)
        backup = self.wait(self.cinder.backups, self.start_backup(volume),
                           'available', patience=600)
        admin = self.client(self.cloud.admin)
        answer = self.cinder.restores.restore(backup.id)
        target = self.cinder.volumes.get(answer.volume_id)
        self.addCleanup(self.forget_volume, target)
        path = self.volume_path(target)
        self.wait_until(lambda: path.exists() and path.stat().st_blocks)
        admin.backups.reset_state(backup.id, 'available')
        self.wait_until(
            lambda: self.cinder.volumes.get(target.id).status == 'error')
        self.assertEqual('error', self.cinder.volumes.get(target.id).status)
        self.assertEqual('available',
                         self.cinder.backups.get(backup.id).status)


class StrangerTestCase(SlowTestCase):
    """Cancelling by an administrator of another project."""

    def check_failed(self, backup, *reasons_):
        """It has failed and left nothing; its owner deletes it."""
        self.wait_until(self.has_failed, backup)
        self.wait(self.cinder.volumes,
                  self.cinder.volumes.get(backup.volume_id), 'available')
        # Whichever notes it last, the backup or its delete.
        self.assertIn(
            self.cinder.backups.get(backup.id).fail_reason.partition(' [')[0],
            [f'Backup driver reported an error: {each}'
             for each in reasons_])
        self.assertEqual([], self.object_names(self.container))
        self.delete_backup(backup)

    def test_delete(self):
        volume = self.make_volume(200)
        backup = self.start_and_wait(volume)
        self.assertRaises(client_exceptions.Forbidden,
                          self.cinder.backups.delete, backup, force=True)
        self.client(self.cloud.admin).backups.delete(backup, force=True)
        self.check_failed(backup, f'{_STRANGER} {_OWNER_DOES}',
                          f'{_CANCELLED} {_OWNER_DELETES}')

    @selection.modes(selection.Modes.EVERYTHING)
    def test_reset_status(self):
        # Which needs nothing of Swift.
        volume = self.make_volume(200)
        backup = self.start_and_wait(volume)
        self.client(self.cloud.admin).backups.reset_state(backup.id, 'error')
        self.check_failed(backup, f'{_CANCELLED} {_OWNER_DELETES}')


class OwnerTestCase(SlowTestCase):
    """Cancelling by a user of the project, where policy lets them."""

    def start(self):
        self.own.directory.mkdir(parents=True, exist_ok=True)
        policy = self.own.directory / 'policy.yaml'
        policy.write_text(_POLICY)
        self.own.extra_sections['oslo_policy'] = {'policy_file': policy}
        super().start()

    def test_delete(self):
        volume = self.make_volume(200)
        backup = self.start_and_wait(volume)
        self.assertRaises(client_exceptions.NotFound,
                          self.client(self.cloud.other).backups.delete,
                          backup.id, force=True)
        self.cinder.backups.delete(backup, force=True)
        self.wait_gone(self.cinder.backups, backup)
        self.wait(self.cinder.volumes, volume, 'available')
        self.assertEqual([], self.object_names(self.container))

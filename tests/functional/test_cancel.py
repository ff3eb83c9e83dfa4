# SPDX-License-Identifier: Apache-2.0

"""Cancelling backups and restores, through the real Cinder API."""

import contextlib
import random
from typing import ClassVar

from cinder_swift_backup import exceptions
from tests.functional import own_cinder
from tests.functional.api import MIB


class CancelTestCase(own_cinder.OwnCinderTestCase):
    """Cancelling, on a service slow enough to be caught in the act."""

    options: ClassVar[dict] = {
        'backup_swift_object_size': 4 * MIB,
        'backup_swift_workers': 1}

    # The largest number of objects that was seen.
    most = 0

    def test_delete_while_creating(self):
        # Long enough that the driver looks before the end of it.
        volume = self.make_volume(200)
        backup = self.start_backup(volume)
        self.wait_until(self.has_objects)
        self.assertEqual('creating',
                         self.cinder.backups.get(backup.id).status)
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

    def has_objects(self):
        """Whether anything is stored yet."""
        with contextlib.suppress(exceptions.ContainerNotFound):
            return bool(self.object_names(self.container))
        return False

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

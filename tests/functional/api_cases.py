# SPDX-License-Identifier: Apache-2.0

"""Everything users do with backups, on volumes of any kind."""

import base64
import json
import uuid

from cinderclient import exceptions as client_exceptions

from tests.functional import api
from tests.functional.api import MIB


class BackupTestCase(api.ApiTestCase):
    """Backups that succeed."""

    def test_full_and_incremental(self):
        volume = self.make_volume(60)
        first = self.sha256(volume)
        full = self.back_up(volume)
        self.assertFalse(full.is_incremental)
        self.write(volume, 20 * MIB, bytes(MIB))
        self.write(volume, 1000 * MIB, b'new')
        second = self.sha256(volume)
        incremental = self.back_up(volume, incremental=True)
        self.assertTrue(incremental.is_incremental)
        self.assertLess(incremental.object_count, full.object_count)
        names = self.object_names(self.container)
        self.assertEqual(
            full.object_count + incremental.object_count + 4, len(names))

        self.assertEqual(first, self.sha256(self.restore(full)))
        self.assertEqual(second, self.sha256(self.restore(incremental)))
        existing = self.make_volume()
        self.fill(existing)
        self.assertEqual(
            second, self.sha256(self.restore(incremental, existing)))
        self.fill(existing)
        self.assertEqual(first, self.sha256(self.restore(full, existing)))

        self.assertRaises(client_exceptions.BadRequest,
                          self.cinder.backups.delete, full)
        for backup in (incremental, full):
            self.delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

    def test_snapshot(self):
        volume = self.make_volume(10)
        then = self.sha256(volume)
        snapshot = self.cinder.volume_snapshots.create(volume.id)
        self.wait(self.cinder.volume_snapshots, snapshot, 'available')
        self.addCleanup(self.forget_snapshot, snapshot)
        self.write(volume, 0, b'changed after the snapshot')
        backup = self.back_up(volume, snapshot_id=snapshot.id)
        self.assertEqual(then, self.sha256(self.restore(backup)))

    def forget_snapshot(self, snapshot):
        self.cinder.volume_snapshots.delete(snapshot)
        self.wait_gone(self.cinder.volume_snapshots, snapshot)

    def test_in_use(self):
        volume = self.make_volume(10)
        attachment = self.cinder.attachments.create(
            volume.id, {'host': 'somewhere'}, str(uuid.uuid4()))
        self.cinder.attachments.complete(attachment['id'])
        self.wait(self.cinder.volumes, volume, 'in-use')
        self.assertRaises(client_exceptions.BadRequest,
                          self.start_backup, volume)
        backup = self.back_up(volume, force=True)
        self.assertEqual('in-use', self.cinder.volumes.get(volume.id).status)
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(backup)))

    def test_metadata(self):
        volume = self.make_volume(1)
        self.cinder.volumes.set_metadata(volume, {'tier': 'gold'})
        restored = self.restore(self.back_up(volume))
        restored = self.cinder.volumes.get(restored.id)
        self.assertEqual('gold', restored.metadata['tier'])
        self.assertEqual(volume.name, restored.name)

    def test_export_and_import(self):
        volume = self.make_volume(10)
        backup = self.back_up(volume)
        admin = self.client(self.cloud.admin)
        record = admin.backups.export_record(backup.id)
        names = self.object_names(self.container)
        self.lose_record(backup, names)
        # The project of whoever imports a backup owns it from then on.
        demo_as_admin = self.client(self.demo_admin)
        imported = demo_as_admin.backups.import_record(
            record['backup_service'], record['backup_url'])
        self.assertEqual(backup.id, imported['id'])
        imported = self.wait(self.cinder.backups, backup, 'available')
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(imported)))

    def test_two_records_of_one_backup(self):
        volume = self.make_volume(10)
        backup = self.back_up(volume)
        names = self.object_names(self.container)
        owners = [self.demo_admin]
        if self.cloud.objects == 'swift':
            # The gateway refuses to look for the container of another project.
            owners.append(self.cloud.admin)
        for owner in owners:
            importer = self.client(owner)
            twin = self._import_again(importer, backup)
            importer.backups.delete(twin)
            self.wait_gone(importer.backups, twin)
            self.assertEqual(names, self.object_names(self.container))
        twin = self._import_again(self.client(self.demo_admin), backup)
        self.delete_backup(backup)
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(twin)))
        self.delete_backup(twin)
        self.assertEqual([], self.object_names(self.container))

    def _import_again(self, importer, backup):
        """Give a backup another record, with an id of its own."""
        record = self.client(self.cloud.admin).backups.export_record(backup.id)
        fields = json.loads(base64.b64decode(record['backup_url']))
        fields['id'] = str(uuid.uuid4())
        answer = importer.backups.import_record(
            record['backup_service'],
            base64.b64encode(json.dumps(fields).encode()).decode())
        return self.wait(importer.backups,
                         importer.backups.get(answer['id']), 'available')

    def test_force_delete_of_an_errored_backup(self):
        backup = self.back_up(self.make_volume(1))
        admin = self.client(self.cloud.admin)
        admin.backups.reset_state(backup.id, 'error')
        # Cinder answers before the service has changed the status.
        self.wait(self.cinder.backups, backup, 'error')
        self.client(self.demo_admin).backups.delete(
            backup, force=True)
        self.wait_gone(self.cinder.backups, backup)
        self.assertEqual([], self.object_names(self.container))

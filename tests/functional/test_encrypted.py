# SPDX-License-Identifier: Apache-2.0

"""Encrypted volumes and their keys, through the real Cinder API.

Nothing is decrypted for a backup, by Cinder or by the driver: what is in the
volume's file is stored. So these volumes need not be LUKS for real. Their keys
are, in a key manager that deletes what it is told to delete.
"""

import base64
import filecmp
import json
import uuid

from tests import selection
from tests.fakes import blobs
from tests.functional import encrypted
from tests.functional.api import MIB

_FIXED_KEY = '5b' * 32
# What Cinder calls the only key of this key manager.
_FIXED_ID = str(uuid.UUID(int=0))


class KeysTestCase(encrypted.FileKeysTestCase):
    """Keys that come and go."""

    def test_each_has_a_key_of_its_own(self):
        volume = self.make_encrypted(10)
        key, before = self.key(volume), self.sha256(volume)
        backup = self.back_up(volume)
        target = self.make_encrypted(20)
        unused = target.encryption_key_id
        self.assertNotIn(self.key(target), (key, None))
        target = self.restore(backup, target)
        self.assertEqual(before, self.sha256(target))
        self.assertFalse((self.keys / unused).exists())
        self.assertEqual([key] * 3,
                         [self.key(each) for each in (volume, backup, target)])
        self.assertEqual(3, len({each.encryption_key_id
                                 for each in (volume, backup, target)}))
        # The backup outlives the volume.
        self.cinder.volumes.delete(volume)
        self.wait_gone(self.cinder.volumes, volume)
        self.assertIsNone(self.key(volume))
        another = self.restore(backup, self.make_encrypted())
        self.assertEqual((before, key),
                         (self.sha256(another), self.key(another)))
        # And the volumes outlive the backup.
        self.delete_backup(backup)
        self.assertIsNone(self.key(backup))
        self.assertEqual([key] * 2,
                         [self.key(each) for each in (target, another)])

    def test_volume_of_another_type(self):
        # Of a restore that names none, Cinder makes a volume of its default
        # type.
        backup = self.back_up(self.make_encrypted(10))
        self.fail_to_restore(
            backup, 'the backup is of an encrypted volume whose type differs '
                    "from the target's",
            'Restore to a volume of the type of the backup. If that type was '
            'deleted, see "Encrypted volumes" in the documentation.')

    def test_backup_that_is_not_encrypted(self):
        # Cinder takes the key from the volume, which is plain from then on.
        volume = self.make_volume(10)
        target = self.restore(self.back_up(volume), self.make_encrypted(20))
        self.assertEqual(self.sha256(volume), self.sha256(target))
        self.assertIsNone(self.key_id(target))
        self.assertFalse(target.encrypted)

    def test_lost_database(self):
        volume = self.make_encrypted(10)
        key = self.key(volume)
        full = self.back_up(volume)
        self.write(volume, 5 * MIB, b'changed')
        tip = self.back_up(volume, incremental=True)
        self.assertTrue(tip.is_incremental)
        before = self.sha256(volume)
        self.cinder.volumes.delete(volume)
        self.wait_gone(self.cinder.volumes, volume)
        self.own.stop()
        self.own.lose_database()
        self.own.start()
        self.own.wait()
        found = self.program().json('show', tip.id)
        self.assertEqual(
            (tip.encryption_key_id, volume.encryption_key_id),
            (found['Encryption key'], found['Key of the volume']))
        self.make_type(found['Volume type'])
        self.import_records(
            (row['backup_service'], row['backup_url'])
            for row in self.program().json('export-record', tip.id))
        target = self.restore(tip, self.make_encrypted())
        self.assertEqual((before, key),
                         (self.sha256(target), self.key(target)))
        for backup in (tip, full):
            self.delete_backup(backup)
            self.assertIsNone(self.key(backup))
        self.assertEqual(key, self.key(target))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_record_without_a_key(self):
        # As the command makes them of backups of the stock driver.
        volume = self.make_encrypted(10)
        backup = self.back_up(volume)
        self._forget_key(backup)
        self.lose_record(backup, self.object_names(self.container))
        done = self.program().run('export-record', backup.id, '-f', 'json')
        self.assertIn(f'{backup.id} names no key', done.stderr)
        self.import_records((row['backup_service'], row['backup_url'])
                            for row in json.loads(done.stdout))
        target = self.restore(backup, self.make_encrypted())
        self.assertEqual(self.key(volume), self.key(target))
        # Cinder takes the key of the volume for that of the backup, and
        # would delete it.
        self.assertEqual(
            volume.encryption_key_id,
            self.cinder.backups.get(backup.id).encryption_key_id)
        self.execute('UPDATE backups SET encryption_key_id = NULL '
                     'WHERE id = ?', backup.id)
        self.delete_backup(backup)
        self.assertIsNotNone(self.key(volume))

    def _forget_key(self, backup):
        """Have the manifest be as without this package."""
        name, = (name for name in self.object_names(self.container)
                 if name.endswith('_metadata'))
        fields = json.loads(blobs.get(self.store, self.container, name))
        self.assertEqual(backup.encryption_key_id,
                         fields.pop('csb_encryption_key_id'))
        blobs.put(self.store, self.container, name,
                  json.dumps(fields).encode())

    @selection.modes(selection.Modes.EVERYTHING)
    def test_two_records_of_one_backup(self):
        volume = self.make_encrypted(10)
        backup = self.back_up(volume)
        url = self.admin.backups.export_record(backup.id)['backup_url']
        fields = json.loads(base64.b64decode(url))
        fields['id'] = str(uuid.uuid4())
        self.import_records([(fields['service'], base64.b64encode(
            json.dumps(fields).encode()).decode())])
        self.delete_backup(backup)
        twin = self.cinder.backups.get(fields['id'])
        target = self.restore(twin, self.make_encrypted())
        self.assertEqual((self.sha256(volume), self.key(volume)),
                         (self.sha256(target), self.key(target)))
        self.delete_backup(twin)
        self.assertIsNone(self.key(twin))
        self.assertEqual([], self.object_names(self.container))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_without_cinder(self):
        # What is in the file is what was in the volume's.
        volume = self.make_encrypted(10)
        backup = self.back_up(volume)
        self.assertTrue(filecmp.cmp(
            self.program().restored(backup.id), self.volume_path(volume),
            shallow=False))


class FixedKeyTestCase(encrypted.EncryptedTestCase):
    """One key for all, in Cinder's configuration."""

    def key_manager(self):
        return {'backend': 'cinder.keymgr.conf_key_mgr.ConfKeyManager',
                'fixed_key': _FIXED_KEY}

    def test_restore(self):
        volume = self.make_encrypted(10)
        backup = self.back_up(volume)
        target = self.restore(backup, self.make_encrypted())
        self.assertEqual(self.sha256(volume), self.sha256(target))
        self.delete_backup(backup)
        self.assertEqual([_FIXED_ID] * 2,
                         [self.key_id(each) for each in (volume, target)])
        self.assertTrue(target.encrypted)

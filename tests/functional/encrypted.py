# SPDX-License-Identifier: Apache-2.0

"""A Cinder with encrypted volumes and a key manager."""

import contextlib
import sqlite3

from tests.functional import command
from tests.functional import reasons
from tests.functional.api import MIB

_TYPE = 'encrypted'


class EncryptedTestCase(reasons.FailReasonTestCase):
    """A Cinder with a key manager, and a type of encrypted volumes."""

    # The first with which the API tells the keys of volumes and backups.
    microversion = '3.64'

    def start(self):
        self.own.extra_sections['key_manager'] = self.key_manager()
        super().start()
        self.admin = self.client(self.cloud.admin)
        self.make_type()

    def make_type(self, type_id=None):
        """The type, as an administrator makes it.

        :param type_id: the id that it gets, by SQL
        """
        found = self.admin.volume_types.create(_TYPE).id
        if type_id is not None:
            self.execute('UPDATE volume_types SET id = ? WHERE id = ?',
                         type_id, found)
        self.admin.volume_encryption_types.create(type_id or found, {
            'provider': 'luks', 'cipher': 'aes-xts-plain64', 'key_size': 256,
            'control_location': 'front-end'})

    def execute(self, statement, *values):
        """Change Cinder's database, behind its back."""
        with (contextlib.closing(sqlite3.connect(self.own.database))
              as database, database):
            self.assertEqual(1, database.execute(statement, values).rowcount)

    def make_encrypted(self, mib=0):
        """An encrypted volume, with something on it."""
        volume = self.cinder.volumes.create(1, volume_type=_TYPE)
        volume = self.wait(self.cinder.volumes, volume, 'available')
        self.forget_later(self.forget_volume, volume)
        if mib:
            self.write(volume, 0, b'LUKS\xba\xbe\0\1')
            self.write(volume, 4 * MIB, b'\xa5' * mib * MIB)
        return volume

    def key_id(self, volume):
        """The id of a volume's key, as those see it who attach it."""
        return self.cinder.volumes.get_encryption_metadata(
            volume.id)['encryption_key_id']

    def program(self):
        """The command, with the login of the project."""
        return command.Command(
            self, self.cloud.os_environment(self.cloud.demo))


class FileKeysTestCase(EncryptedTestCase):
    """A key manager that deletes what it is told to delete."""

    def key_manager(self):
        self.keys = self.own.directory / 'keys'
        return {'backend': 'tests.cloud.key_manager.FileKeyManager',
                'keys_directory': self.keys}

    def key(self, thing):
        """The key of a volume or a backup; None if it is gone."""
        path = self.keys / thing.encryption_key_id
        return path.read_text() if path.exists() else None

# SPDX-License-Identifier: Apache-2.0

"""Encrypted backups with a real Barbican, as the documentation sets it up."""

import base64
import hashlib
import importlib.util
import json
import pathlib
import tempfile
import unittest
import uuid

from barbicanclient import client as barbican_client

from tests import selection
from tests.cloud import barbican
from tests.fakes import blobs
from tests.functional import base
from tests.functional import command
from tests.functional import encrypted
from tests.functional.api import MIB

_COMMANDS = '''
umask 077
cd "$(dirname "$KEYS")"
head -c 32 /dev/urandom > key.bin
url=$(barbican secret store --name cinder-backups --secret-type symmetric \\
      --file key.bin -f value -c 'Secret href')
echo "${url##*/} $(od -An -v -tx1 key.bin | tr -d ' \\n')" >> "$KEYS"
shred -u key.bin
echo "${url##*/}"
'''
_KNOWN = b'What nobody but the owner of the key can read. ' * 1000


@unittest.skipUnless(importlib.util.find_spec('barbican'),
                     'The environments of other releases have no Barbican.')
class BarbicanTestCase(encrypted.EncryptedTestCase):
    """Keys of volumes by the users' tokens, that of backups by the login."""

    def key_manager(self):
        directory = self.enterContext(tempfile.TemporaryDirectory(
            prefix='barbican-', dir=self.cloud.directory))
        server = barbican.Barbican(
            self.cloud, pathlib.Path(directory) / 'barbican')
        server.start()
        self.addCleanup(server.stop)
        sections = server.sections(self.cloud.cinder)
        self.own.extra_sections['barbican'] = sections['barbican']
        self.barbican = server
        self.key_path = pathlib.Path(directory) / 'keys'
        self.key_id = self.make_key()
        self.own.extra_options.update(
            debug=True, default_log_levels='sqlalchemy=WARN',
            backup_swift_form='packs',
            backup_swift_encryption_key_id=self.key_id)
        return sections['key_manager']

    def make_key(self):
        """A key, which the file gets, too; returns its id."""
        # The client of OpenStack has the same commands.
        return command.Command(self, {}).shell(
            _COMMANDS, {**self.cloud.os_environment(self.cloud.cinder),
                        'BARBICAN_ENDPOINT': self.barbican.url,
                        'KEYS': str(self.key_path)}).stdout.strip()

    def restart(self, **options):
        """Have Cinder read other options."""
        self.own.stop()
        self.own.extra_options.update(options)
        self.own.start()
        self.own.wait()
        self.cinder = self.client(self.cloud.demo)

    def forget(self, key_id):
        """Have Barbican lose a key."""
        barbican_client.Client(
            session=base.keystone_session(self.cloud.cinder,
                                          self.cloud.auth_url),
            endpoint=self.barbican.url,
        ).secrets.delete(f'{self.barbican.url}/v1/secrets/{key_id}')

    @selection.modes(selection.Modes.EVERYTHING)
    def test_key_that_changes(self):
        volume = self.make_volume(20)
        self.write(volume, 5 * MIB, _KNOWN)
        first = self.sha256(volume)
        full = self.back_up(volume)
        second_key = self.make_key()
        self.restart(backup_swift_encryption_key_id=f'{second_key}, '
                                                    f'{self.key_id}')
        self.write(volume, 20 * MIB, _KNOWN)
        second = self.sha256(volume)
        tip = self.back_up(volume, incremental=True)
        self.assertEqual(first, self.sha256(self.restore(full)))
        self.assertEqual(second, self.sha256(self.restore(tip)))
        for name in self.object_names(self.container):
            self.assertNotIn(_KNOWN[:47],
                             blobs.get(self.store, self.container, name))
        program = self.program()
        shown = program.json('show', tip.id)
        # It builds on what the old key has encrypted.
        self.assertIn(full.id, json.dumps(shown))
        self.assertIn(f'"{second_key}"', json.dumps(shown))
        where = ('--key-file', self.key_path)
        program.run('verify', '--all', '--deep', *where,
                    '--container', self.container)
        self.assertEqual(second, hashlib.sha256(
            program.restored(tip.id, *where).read_bytes()).hexdigest())
        said = program.run('restore', full.id, self.key_path.with_name('x'),
                           code=4).stderr
        self.assertIn('Give a file that has it with --key-file.', said)
        self.forget(self.key_id)
        self.fail_to_restore(
            full, f'the key manager has no key {self.key_id}',
            'Restore it with a copy of the key: "cinder-swift-backup restore '
            '--key-file".')
        self.assertEqual(second, self.sha256(self.restore(tip)))
        self.assert_not_logged()

    @selection.modes(selection.Modes.EVERYTHING)
    def test_old_key_that_is_lost(self):
        volume = self.make_volume(20)
        full = self.back_up(volume)
        new = self.make_key()
        self.restart(backup_swift_encryption_key_id=f'{new}, {self.key_id}')
        self.forget(self.key_id)
        self.write(volume, 20 * MIB, _KNOWN)
        # Cinder calls it an incremental; it is a full one.
        backup = self.back_up(volume, incremental=True)
        self.assertIn(f'the key manager has no key {self.key_id}',
                      self.own.log.read_text())
        shown = self.program().json('show', backup.id)
        self.assertNotIn(full.id, json.dumps(shown))
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(backup)))
        self.restart()
        self.assertIn(f'No incremental can build on a backup whose key is '
                      f'{self.key_id}', self.own.log.read_text())

    def test_key_that_is_mistyped(self):
        conf = self.key_path.with_name('mistyped.conf')
        for wrong in (str(uuid.uuid4()), 'no UUID'):
            conf.write_text(self.own.conf.read_text().replace(
                self.key_id, wrong))
            self.assertIn(f'the key manager has no key {wrong}',
                          self.checked(conf, code=4)['Problem'])

    def assert_not_logged(self):
        """Nobody has logged a key."""
        log = self.own.log.read_text()
        self.assertIn('DEBUG keystoneauth', log)
        for line in self.key_path.read_text().splitlines():
            key = bytes.fromhex(line.rpartition(' ')[2])
            for text in (key.hex(), base64.b64encode(key).decode(), repr(key)):
                self.assertNotIn(text[:20], log)

    @selection.modes(selection.Modes.EVERYTHING)
    def test_no_answer(self):
        volume = self.make_volume(20)
        before = self.sha256(volume)
        backup = self.back_up(volume)
        self.assertEqual(f'with key {self.key_id}, which the key manager has',
                         self.checked()['Value'])
        self.barbican.stop()
        self.assertIn(f'the key manager did not return key {self.key_id}',
                      self.checked(code=4)['Problem'])
        self.fail_to_restore(
            backup, f'the key manager did not return key {self.key_id}',
            'Check [key_manager], and that the user there may read the key.')
        self.fail_to_back_up(
            volume, f'the key manager did not return key {self.key_id}',
            'Check [key_manager], and that the user there may read the key.',
            incremental=True)
        self.barbican.start()
        self.assertEqual(before, self.sha256(self.restore(backup)))

    def checked(self, conf=None, code=0):
        """What the configuration says of encryption."""
        (row,) = [row for row in self.program().json(
            'check-config', '--config-file', conf or self.own.conf, code=code)
            if row['Subject'] == 'Encryption']
        return row

    def test_encrypted_volume(self):
        # Which has its key by the token of its user.
        volume = self.make_encrypted(10)
        backup = self.back_up(volume)
        target = self.restore(backup, self.make_encrypted())
        self.assertEqual(self.sha256(volume), self.sha256(target))

# SPDX-License-Identifier: Apache-2.0

"""Encrypted backups, by the keys of a key manager."""

import io
import pathlib
import tempfile
import threading
from unittest import mock

from castellan.common import exception as castellan_exception
from castellan.common import utils as castellan_utils
from castellan.common.credentials import keystone_password
from cinder import exception as cinder_exception
from oslo_config import cfg
import requests

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import driver
from cinder_swift_backup.driver import encryption
from cinder_swift_backup.driver import errors
from cinder_swift_backup.driver import setup_check
from tests.cloud import key_manager
from tests.unit.driver import base

_CHANGED = bytes(reversed(base.DATA))


class Backend(key_manager.FileKeyManager):
    """A key manager that remembers who asks, and can be down."""

    # What it raises instead of answering.
    fault: Exception | None = None
    asked_by: list

    def get(self, context, managed_object_id, **others):
        self.asked_by.append(context)
        if self.fault is not None:
            raise self.fault
        return super().get(context, managed_object_id, **others)


class EncryptionTestCase(base.MethodTestCase):
    """A driver with a key manager that has one key."""

    def setUp(self):
        super().setUp()
        directory = self.enterContext(tempfile.TemporaryDirectory())
        cfg.CONF.register_opts(key_manager.OPTIONS, group='key_manager')
        cfg.CONF.set_override('keys_directory', directory, 'key_manager')
        self.backend = Backend(cfg.CONF)
        self.backend.asked_by = []
        self.enterContext(mock.patch.object(
            encryption.key_manager, 'API', return_value=self.backend))
        self.directory = pathlib.Path(directory)
        self.key = self.new_key()
        self.config(backup_swift_form='packs',
                    backup_swift_encryption_key_id=[self.key])

    def new_key(self, bits=256):
        return self.backend.create_key(None, 'AES', bits)

    def lose(self, key_id):
        (self.directory / key_id).unlink()

    def have_login(self, **options):
        cfg.CONF.register_opts(castellan_utils.credential_opts, 'key_manager')
        for name, value in options.items():
            cfg.CONF.set_override(name, value, 'key_manager')
            self.addCleanup(cfg.CONF.clear_override, name, 'key_manager')

    def point(self, backup):
        """What the manifest says of the points."""
        with self.driver._engine(backup, 'test') as (engine, _):
            return engine.repository.load(
                driver.records.backup_ref(backup)).point

    def data_key(self, backup):
        with self.driver._engine(backup, 'test') as (engine, _):
            return engine.repository.operation.keys.unlock(
                self.point(backup).encryption)

    def refused(self, backup, *words):
        err = self.assertRaises(
            cinder_exception.BackupDriverException, self.driver.backup,
            backup, io.BytesIO(_CHANGED), False)
        for word in words:
            self.assertIn(word, str(err)[:255])
        return err


class BackupTest(EncryptionTestCase):
    """backup() and restore()."""

    def test_there_and_back(self):
        full = self._backup()
        self.assertEqual(base.DATA, self._restore(full))
        self.assertEqual({self.driver.context}, set(self.backend.asked_by))
        stored = b''.join(
            self.memory.read(base.CONTAINER, name, b''.join)
            for name in self._names())
        for offset in range(0, len(base.DATA), base.BLOCK):
            self.assertNotIn(base.DATA[offset:offset + base.BLOCK], stored)
        self.assertEqual(self.key, self.point(full).encryption.key_id)

    def test_incremental(self):
        full = self._backup()
        changed = _CHANGED[:base.BLOCK] + base.DATA[base.BLOCK:]
        backup = self._backup(changed, parent_id=full.id)
        self.assertEqual(changed, self._restore(backup))
        self.assertEqual(base.DATA, self._restore(full))
        ours, parents = self.point(backup), self.point(full)
        self.assertLess(set(parents.packs.names()), set(ours.packs.names()))

    def test_how_often_the_key_manager_is_asked(self):
        full = self._backup()
        self.assertEqual(1, len(self.backend.asked_by))
        self._backup(_CHANGED, parent_id=full.id)
        self.assertEqual(3, len(self.backend.asked_by))
        self._restore(full)
        self.assertEqual(4, len(self.backend.asked_by))

    def test_rotated(self):
        full = self._backup()
        new = self.new_key()
        self.config(backup_swift_encryption_key_id=[new, self.key])
        backup = self._backup(_CHANGED, parent_id=full.id)
        self.assertEqual(new, self.point(backup).encryption.key_id)
        self.assertEqual(self.key, self.point(full).encryption.key_id)
        self.assertEqual(self.data_key(full), self.data_key(backup))
        self.assertEqual(_CHANGED, self._restore(backup))
        # An incremental needs no older key than its own.
        self.lose(self.key)
        self.assertEqual(_CHANGED, self._restore(backup))
        err = self.assertRaises(
            cinder_exception.BackupDriverException, self._restore, full)
        self.assertIn(f'the key manager has no key {self.key}', str(err))
        self.assertIn('restore --key-file', str(err)[:255])
        self.assertNotIn('backup_swift_encryption_key_id', str(err))

    def test_key_of_the_parent_is_lost(self):
        full = self._backup()
        self.config(backup_swift_encryption_key_id=[self.new_key(), self.key])
        self.lose(self.key)
        with self.assertLogs(level='WARNING') as logs:
            backup = self._backup(_CHANGED, parent_id=full.id)
        self.assertTrue(any(
            f'the key manager has no key {self.key}' in line
            for line in logs.output))
        self.assertEqual(_CHANGED, self._restore(backup))
        self.assertFalse(set(self.point(backup).packs.names())
                         & set(self.point(full).packs.names()))

    def test_key_that_is_not_one_to_build_on(self):
        # Whoever can write to Swift might have taken a key of their own.
        full = self._backup()
        self.config(backup_swift_encryption_key_id=[self.new_key()])
        with self.assertLogs(level='WARNING') as logs:
            backup = self._backup(_CHANGED, parent_id=full.id)
        self.assertTrue(any(
            f'key {self.key}, which encrypted the parent, is not one of the '
            f'configured keys' in line for line in logs.output))
        self.assertNotEqual(self.data_key(full), self.data_key(backup))
        self.assertEqual(_CHANGED, self._restore(backup))
        self.assertEqual(base.DATA, self._restore(full))

    def test_another_key_of_the_same_id(self):
        full = self._backup()
        (self.directory / self.key).write_text('00' * 32)
        # The operator's copy would not open the next backup.
        err = self.refused(self.record(parent_id=full.id),
                           'is not the one that encrypted the backup',
                           'Put the old key back')
        self.assertIn(full.id, str(err))
        err = self.assertRaises(
            cinder_exception.BackupDriverException, self._restore, full)
        self.assertIn('is not the one that encrypted the backup', str(err))
        self.assertIn('restore --key-file', str(err))

    def test_on_and_off(self):
        full = self._backup()
        self.config(backup_swift_encryption_key_id=[])
        plain = self._backup(_CHANGED, parent_id=full.id)
        self.assertIsNone(self.point(plain).encryption)
        self.assertEqual(base.DATA, self._restore(full))
        self.config(backup_swift_encryption_key_id=[self.key])
        backup = self._backup(base.DATA, parent_id=plain.id)
        self.assertEqual(self.key, self.point(backup).encryption.key_id)
        for parent, child in ((full, plain), (plain, backup)):
            self.assertFalse(set(self.point(parent).packs.names())
                             & set(self.point(child).packs.names()))

    def test_no_such_key(self):
        self.lose(self.key)
        backup = self.record()
        self.refused(backup, f'has no key {self.key}',
                     'backup_swift_encryption_key_id')
        self.assertEqual([], self._names())
        # So there is nothing to delete.
        self.assertIsNone(backup.service_metadata)

    def test_wrong_length(self):
        key = self.new_key(128)
        self.config(backup_swift_encryption_key_id=[key])
        self.refused(self.record(), f'key {key} is not 256 bits long')

    def test_key_manager_is_down(self):
        full = self._backup()
        self.backend.fault = castellan_exception.KeyManagerError(
            reason='it is\ndown')
        err = self.refused(self.record(parent_id=full.id),
                           f'did not return key {self.key}', '[key_manager]')
        self.assertIn('down', str(err))
        self.assertNotIn('\n', str(err))
        self.backend.fault = None
        self.assertEqual(_CHANGED, self._restore(
            self._backup(_CHANGED, parent_id=full.id)))

    def test_chunks(self):
        self.config(backup_swift_form='chunks')
        self.refused(self.record(), 'only backups in packs can be encrypted')
        self.assertRaises(exceptions.ConfigurationError,
                          setup_check.check, self.context())

    def test_empty_is_none(self):
        self.config(backup_swift_encryption_key_id=[''])
        self.assertIsNone(self.point(self._backup()).encryption)

    def test_what_cannot_be_an_id(self):
        for key_id in ('a\nb', 'x' * 300):
            self.config(backup_swift_encryption_key_id=[key_id])
            self.refused(self.record(), 'which cannot be the id of a key')

    def test_an_id_that_the_key_manager_does_not_understand(self):
        self.config(backup_swift_encryption_key_id=['mistyped'])
        self.backend.fault = ValueError('no UUID')
        self.refused(self.record(), 'has no key mistyped',
                     'Correct backup_swift_encryption_key_id')

    def test_answers_that_do_not_say_that_there_is_no_key(self):
        full = self._backup()
        for fault in (requests.exceptions.JSONDecodeError('a page', '<', 0),
                      UnicodeDecodeError('utf-8', b'x', 0, 1, 'a page'),
                      KeyError('payload'), OSError('no route'),
                      castellan_exception.Forbidden()):
            self.backend.fault = fault
            # Not a full backup.
            self.refused(self.record(parent_id=full.id),
                         f'did not return key {self.key}', '[key_manager]')

    def test_no_answer(self):
        self.enterContext(mock.patch.object(encryption, '_PATIENCE', 0.1))
        answered = threading.Event()
        self.addCleanup(answered.set)
        with mock.patch.object(self.backend, 'get',
                               side_effect=lambda *args: answered.wait(60)):
            self.refused(self.record(), 'has not answered', '[key_manager]')

    def test_delete_needs_no_key(self):
        full = self._backup()
        self.lose(self.key)
        self.driver.delete_backup(full)
        self.assertEqual([], self._names())


class LoginTest(EncryptionTestCase):
    """Who asks the key manager."""

    def test_service(self):
        self.have_login(auth_type='keystone_password', username='cinder',
                        password='secret')
        self._restore(self._backup())
        for asked_by in self.backend.asked_by:
            self.assertIsInstance(asked_by,
                                  keystone_password.KeystonePassword)
            self.assertEqual('cinder', asked_by.username)

    def test_token_of_the_request(self):
        self.have_login(auth_type='keystone_token')
        self._backup()
        self.assertEqual({'users-token'}, {
            asked_by.token for asked_by in self.backend.asked_by})
        self.assertIsNone(encryption.of_service())

    def test_none(self):
        self.assertIsNone(encryption.of_service())


class StartTest(EncryptionTestCase):
    """When the service starts."""

    def setUp(self):
        super().setUp()
        self.have_login(auth_type='password', username='u', password='p')

    def check(self):
        setup_check.check(self.context())

    def test_well(self):
        self.check()
        self.assertEqual(1, len(self.backend.asked_by))

    def test_no_such_key(self):
        self.lose(self.key)
        err = self.assertRaises(exceptions.KeyUnavailable, self.check)
        self.assertIn(self.key, str(err))

    def test_down(self):
        self.backend.fault = OSError('no route')
        with self.assertLogs(level='ERROR') as logs:
            self.check()
        self.assertIn('no route', logs.output[0])

    def _refused(self, *options):
        """What is said of a [key_manager] with these options."""
        file = self.directory / 'wrong.conf'
        file.write_text('\n'.join(('[key_manager]', *options, '')))
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[str(file)], default_config_dirs=[])
        with mock.patch.object(encryption, 'CONF', conf):
            return errors.sentence(self.assertRaises(
                exceptions.ConfigurationError, self.check))

    def test_a_login_that_cannot_be_read(self):
        for auth_type, option in (
                ('barbican', ''),
                ('keystone_password', 'reauthenticate = perhaps')):
            text = self._refused(f'auth_type = {auth_type}', option)
            self.assertIn((option or auth_type).split()[-1], text)
            self.assertIn('Check [key_manager]', text)
            self.assertNotIn('LocationInfo', text)

    def test_a_password_that_looks_like_a_reference(self):
        for password in ('s3cret$word', 's3cret${word}', 's3cret$no.word'):
            text = self._refused('auth_type = keystone_password',
                                 f'password = {password}')
            self.assertIn('"$$" stands for "$"', text)
            self.assertNotIn('word', text.replace('password', ''))

    def test_older_keys(self):
        old, lost = self.new_key(), self.new_key()
        self.lose(lost)
        self.config(backup_swift_encryption_key_id=[self.key, old, lost])
        with self.assertLogs(level='WARNING') as logs:
            self.check()
        (line,) = logs.output
        self.assertIn(f'No incremental can build on a backup whose key is '
                      f'{lost}: the key manager has no key {lost}', line)

    def test_no_encryption(self):
        self.config(backup_swift_encryption_key_id=[])
        self.check()
        self.assertEqual([], self.backend.asked_by)

# SPDX-License-Identifier: Apache-2.0

"""The driver's methods, with Swift in memory and no database."""

import contextlib
import io
import json
import logging
from unittest import mock

from cinder import exception as cinder_exception
from cinder import objects
import fixtures
from oslo_db import exception as db_exception

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import auth
from cinder_swift_backup.driver import driver
from cinder_swift_backup.driver import observers
from cinder_swift_backup.driver import settings
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import memory
from cinder_swift_backup.stores import swift_errors
from tests.fakes import blobs
from tests.fakes import container_names
from tests.fakes import faulty
from tests.unit.driver import base

_BLOCK = base.BLOCK
_DATA = base.DATA
_CONTAINER = base.CONTAINER


class BackupTest(base.MethodTestCase):
    """backup()."""

    def test_record(self):
        backup = self._backup()
        self.assertEqual(_CONTAINER, backup.container)
        self.assertRegex(
            backup.service_metadata,
            f'^volume_{base.VOLUME}/[0-9]{{14}}/az_nova_backup_{backup.id}$')
        self.assertEqual(3, backup.object_count)
        self.assertIsNone(backup.parent_id)
        self.assertEqual(5, len(self._names()))

    def test_store_is_the_owners(self):
        backup = self._backup()
        auth.make_store.assert_called_once_with(
            self.driver.context, backup.project_id, settings.read(),
            f'backup {backup.id}')

    def test_log(self):
        self.config(backup_swift_key='hunter2')
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        data = _DATA + bytes(len(_DATA)) + _DATA
        backup = self._backup(data)
        self._restore(backup, before=bytes(len(data)))
        self.driver.delete_backup(backup)
        lines = [line for line in log.output.splitlines()
                 if 'The rest of the target' not in line]
        self.assertEqual(6, len(lines), lines)
        for line, words in zip(lines, (
                ('Backup ', 'starts: 1.00 GiB, full.'),
                ('Backup ', 'read 15.0 KiB of 15.0 KiB', ' objects',
                 ' 0 retries'),
                ('Restore ', f' to volume {base.VOLUME} starts: 1.00 GiB'),
                ('Restore ', 'wrote 11.0 KiB of 15.0 KiB', ' 0 retries'),
                ('Delete ', 'starts: '),
                ('Delete ', 'deleted 9 objects')),
                strict=True):
            self.assertIn(backup.id, line)
            for word in words:
                self.assertIn(word, line)
        self.assertNotIn('hunter2', log.output)

    def test_what_is_read_twice_counts_once(self):
        for form in ('chunks', 'packs'):
            self.config(backup_swift_form=form)
            parent = self._backup(_DATA)
            data = _DATA[:-base.BLOCK] + bytes(base.BLOCK)
            log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
            backup = self._backup(data, parent_id=parent.id)
            self.assertIn('read 5.00 KiB of 5.00 KiB', log.output)
            self.assertIn('skipped 0 B', log.output)
            log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
            self.assertEqual(data, self._restore(
                backup, before=bytes(len(data))))
            self.assertIn('wrote 4.50 KiB of 5.00 KiB', log.output)
            self.assertIn('skipped 512 B', log.output)

    def test_log_of_a_failure(self):
        self.store.script(faulty.fail(
            'put', exceptions.StoreUnavailable('on fire')))
        log = self.useFixture(fixtures.FakeLogger(
            level=logging.INFO, format='%(levelname)s %(message)s'))
        self.assertRaises(cinder_exception.SwiftConnectionFailed,
                          self._backup)
        error, = (line for line in log.output.splitlines()
                  if line.startswith('ERROR'))
        self.assertIn('failed after ', error)
        self.assertIn('on fire. Repeat the operation later.', error)

    def test_container_of_the_user(self):
        self._backup(container='mine')
        self.assertEqual(5, len(self._names('mine')))

    def test_container_that_cannot_be(self):
        self.store.ensure_container('foo', create=True)
        for name in (*container_names.UNASKABLE,
                     *container_names.UNWANTED):
            if not name:
                # Which is how forms say that there is none.
                continue
            backup = self.record(container=name)
            asked = len(self.store.calls)
            err = self.assertRaises(
                cinder_exception.BackupDriverException, self.driver.backup,
                backup, io.BytesIO(_DATA), False)
            self.assertIn('the container cannot be used', str(err))
            self.assertIn('Name another container.', str(err)[:255])
            self.assertTrue(str(err).isprintable())
            self.assertEqual(asked, len(self.store.calls))
            self.assertIsNone(backup.service_metadata)
            # So there is nothing to be deleted, and no reason to refuse it.
            self.driver.delete_backup(backup)
        self.assertEqual([], self._names('foo'))

    def test_container_that_nobody_names(self):
        for name in (None, ''):
            self.assertEqual(_CONTAINER,
                             self._backup(container=name).container)

    def test_volume_is_not_touched_for_a_container_that_cannot_be(self):
        handle = mock.Mock(side_effect=AssertionError)
        self.assertRaises(cinder_exception.BackupDriverException,
                          self.driver.backup, self.record(container='a/b'),
                          handle, False)
        self.assertEqual([], handle.mock_calls)

    def test_container_is_not_made_unasked(self):
        self.config(backup_create_containers=False)
        err = self.assertRaises(cinder_exception.BackupDriverException,
                                self._backup)
        self.assertIn(_CONTAINER, str(err))

    def test_policy_of_a_new_container(self):
        self.config(backup_swift_create_storage_policy='gold')
        with mock.patch.object(self.store, 'ensure_container') as ensured:
            self.assertRaises(cinder_exception.CinderException, self._backup)
        ensured.assert_called_once_with(_CONTAINER, create=True,
                                        storage_policy='gold', sync=None)

    def test_container_that_is_copied(self):
        self.config(backup_swift_container_sync_to='//realm/b',
                    backup_swift_container_sync_key='secret')
        self._backup()
        self.assertEqual(
            store_base.Sync(f'//realm/b/memory/{_CONTAINER}', 'secret'),
            self.store.sync(_CONTAINER))

    def test_container_that_should_be_copied(self):
        self.store.ensure_container(_CONTAINER, create=True)
        self.config(backup_swift_container_sync_to='//realm/b',
                    backup_swift_container_sync_key='secret')
        log = self.useFixture(fixtures.FakeLogger())
        backup = self._backup()
        self.assertIn('is not set up to be copied to', log.output)
        self.assertNotIn('secret', log.output)
        self.assertEqual(_DATA, self._restore(backup))

    def test_compression(self):
        for word in ('none', 'zlib', 'bz2', 'zstd', 'ZSTD'):
            self.config(backup_compression_algorithm=word)
            backup = self._backup(bytes(len(_DATA)))
            self.assertEqual(bytes(len(_DATA)), self._restore(backup))

    def test_empty_volume(self):
        self.assertRaises(cinder_exception.InvalidVolume, self._backup, b'')

    def test_metadata_of_the_volume(self):
        backup = self.record()
        with mock.patch.object(self.driver, 'get_metadata',
                               return_value='{"a": 1}'), \
                mock.patch.object(self.driver, 'put_metadata') as put:
            # The manager does not say; the default is to save it.
            self.driver.backup(backup, io.BytesIO(_DATA))
            backup.status = 'restoring'
            self._restore(backup)
        put.assert_called_once_with(base.VOLUME, '{"a": 1}')

    def test_failure_leaves_nothing(self):
        self.store.script(faulty.fail(
            'put', exceptions.StoreUnavailable('on fire'), nth=3))
        err = self.assertRaises(cinder_exception.SwiftConnectionFailed,
                                self._backup)
        self.assertIn('on fire', str(err))
        self.assertEqual([], self._names())

    def test_deleted_meanwhile_ends_without_error(self):
        def refresh(backup):
            if backup.service_metadata:
                backup.status = 'deleting'

        self.refreshed = refresh
        backup = self.record()
        self.driver.backup(backup, io.BytesIO(_DATA), False)
        self.assertEqual([], self._names())
        self.assertEqual([], self.notify.call_args_list)

    def test_status_changed_meanwhile_is_an_error(self):
        def refresh(backup):
            if backup.service_metadata:
                backup.status = 'error'

        self.refreshed = refresh
        err = self.assertRaises(
            cinder_exception.BackupDriverException, self.driver.backup,
            backup := self.record(), io.BytesIO(_DATA), False)
        self.assertEqual(
            'Backup driver reported an error: the backup was cancelled: its '
            'status was changed to error. Have a user of the project that '
            f'owns the backup delete it. [backup {backup.id}]', str(err))
        self.assertEqual([], self._names())

    def test_record_that_is_read_again(self):
        # That undoes what was not saved.
        def refresh(backup):
            if not backup.service_metadata:
                backup.container = None

        self.refreshed = refresh
        self.assertEqual(_CONTAINER, self._backup().container)

    def test_deleted_before_it_began(self):
        def refresh(backup):
            backup.status = 'deleted'

        self.refreshed = refresh
        self.driver.backup(self.record(), io.BytesIO(_DATA), False)
        self.assertEqual([], self._names())

    def test_deleted_while_the_store_has_us_wait(self):
        parent = self._backup()

        def refresh(backup):
            if self.store.names(method):
                backup.status = 'deleting'

        self.refreshed = refresh
        self.enterContext(mock.patch.object(pipelines, 'POLL', 0.01))
        for method in ('ensure_container', 'read'):
            before = self._names()
            self.store.heal()
            busy = faulty.Busy(method)
            self.store.script(busy)
            self.driver.backup(self.record(parent_id=parent.id),
                               io.BytesIO(_DATA), False)
            self.assertEqual([True], busy.cut_short)
            self.assertEqual(before, self._names())

    def test_last_notification(self):
        self._backup()
        self.assertEqual(
            100, self.notify.call_args.kwargs['extra_usage_info'][
                'backup_percent'])

    def test_store_is_closed(self):
        with mock.patch.object(self.store, 'close') as closed:
            self._backup()
        closed.assert_called_once_with()


class IncrementalTest(base.MethodTestCase):
    """backup() of a volume whose backup has a parent."""

    def setUp(self):
        super().setUp()
        self.parent = self._backup()
        self.now = _DATA[:_BLOCK] + bytes(_BLOCK) + _DATA[2 * _BLOCK:]

    def test_incremental(self):
        backup = self._backup(self.now, parent_id=self.parent.id)
        self.assertEqual(self.parent.id, backup.parent_id)
        self.assertEqual(1, backup.object_count)
        self.assertEqual(self.now, self._restore(backup))
        self.assertEqual(self.now, self._restore(
            backup, bytes(len(_DATA)), new=True))
        self.assertEqual(_DATA, self._restore(self.parent))

    def test_another_block_size_makes_a_full_one(self):
        self.config(backup_swift_block_size=_BLOCK * 2)
        backup = self._backup(self.now, parent_id=self.parent.id)
        self.assertIsNone(backup.parent_id)
        self.assertEqual(3, backup.object_count)

    def test_parent_without_digests_makes_a_full_one(self):
        self.memory.delete(_CONTAINER,
                           f'{self.parent.service_metadata}_sha256file')
        backup = self._backup(self.now, parent_id=self.parent.id)
        self.assertIsNone(backup.parent_id)
        self.assertEqual(3, backup.object_count)

    def test_larger_volume(self):
        backup = self._backup(self.now + b'more', parent_id=self.parent.id)
        self.assertEqual(self.now + b'more', self._restore(
            backup, bytes(len(_DATA) + 4)))

    def test_parent_without_its_manifest(self):
        self.memory.delete(_CONTAINER,
                           f'{self.parent.service_metadata}_metadata')
        self._check_full(self._backup(self.now, parent_id=self.parent.id))

    def test_ancestor_without_its_manifest(self):
        middle = self._backup(self.now, parent_id=self.parent.id)
        self.memory.delete(_CONTAINER,
                           f'{self.parent.service_metadata}_metadata')
        self._check_full(self._backup(self.now, parent_id=middle.id))

    def test_record_of_the_chain_that_is_gone(self):
        middle = self._backup(self.now, parent_id=self.parent.id)
        del self.records[self.parent.id]
        self._check_full(self._backup(self.now, parent_id=middle.id))
        del self.records[middle.id]
        self._check_full(self._backup(self.now, parent_id=middle.id))

    def _check_full(self, backup):
        self.assertIsNone(backup.parent_id)
        self.assertEqual(3, backup.object_count)
        self.assertEqual(self.now, self._restore(backup))

    def test_store_that_fails_is_no_broken_chain(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('on fire')))
        self.assertRaises(cinder_exception.SwiftConnectionFailed,
                          self._backup, self.now, parent_id=self.parent.id)


class RestoreTest(base.MethodTestCase):
    """restore()."""

    def setUp(self):
        super().setUp()
        self.backup = self._backup()

    def test_restore(self):
        self.assertEqual(_DATA, self._restore(self.backup))
        self.driver.db.volume_get.assert_called_with(
            self.driver.context, base.VOLUME)

    def test_volume_too_small(self):
        self.assertRaises(cinder_exception.InvalidVolume, self._restore,
                          self.backup, bytes(10))

    def test_cancelled_while_the_store_has_us_wait(self):
        def refresh(backup):
            if any(name.endswith(suffix)
                   for name in self.store.names('read')):
                backup.status = 'error'

        self.refreshed = refresh
        self.enterContext(mock.patch.object(pipelines, 'POLL', 0.01))
        for suffix in ('_metadata', '_sha256file', '-00000'):
            self.store.heal()
            self.backup.status = 'restoring'
            busy = faulty.Busy('read', matching=lambda name, end=suffix:
                               name.endswith(end))
            self.store.script(busy)
            self.assertRaises(cinder_exception.BackupRestoreCancel,
                              self._restore, self.backup)
            self.assertEqual([True], busy.cut_short)

    def _encrypted(self, version=2):
        """The backup of an encrypted volume."""
        backup = self.record(encryption_key_id='key')
        with mock.patch.object(
                self.driver, 'get_metadata', return_value=json.dumps({
                    'version': version, 'volume-base-metadata': {
                        'encryption_key_id': 'key-of-the-volume',
                        'volume_type_id': 'luks'}})):
            self.driver.backup(backup, io.BytesIO(_DATA))
        backup.status = 'restoring'
        return backup

    def _have_volume(self, **fields):
        """Have the volume to restore to be so."""
        self.driver.db.volume_get.return_value = {
            'id': base.VOLUME, 'size': 1, 'encryption_key_id': None,
            'volume_type_id': None, **fields}

    def test_key_of_the_backup_is_noted(self):
        self.assertIn('"csb_encryption_key_id": "key"', self._manifest(
            self._encrypted()))
        self.assertNotIn('csb_encryption_key_id', self._manifest(self.backup))

    def _manifest(self, backup):
        return blobs.get(self.memory, _CONTAINER,
                         f'{backup.service_metadata}_metadata').decode()

    def test_encrypted_volume_of_another_type(self):
        # Before anything is written.
        backup = self._encrypted()
        self._have_volume(volume_type_id='other')
        handle = io.BytesIO(before := b'\xa5' * len(_DATA))
        err = self.assertRaises(
            cinder_exception.InvalidVolume, self.driver.restore, backup,
            base.VOLUME, handle, False)
        self.assertEqual(before, handle.getvalue())
        self.assertIn('whose type differs', str(err))
        self.assertIn('other instead of luks', str(err))

    def test_encrypted_volume_of_the_same_type(self):
        backup = self._encrypted()
        for type_id in ('luks', None):
            self._have_volume(volume_type_id=type_id)
            with mock.patch.object(self.driver, 'put_metadata') as put:
                self.assertEqual(_DATA, self._restore(backup))
            put.assert_called_once()

    def test_types_that_do_not_matter(self):
        # To a volume that was not encrypted, and to Cinder of long ago.
        self._have_volume(volume_type_id='other')
        self.assertEqual(_DATA, self._restore(self.backup))
        with mock.patch.object(self.driver, 'put_metadata'):
            self.assertEqual(_DATA, self._restore(self._encrypted(version=1)))

    def test_damaged(self):
        name = self._names()[0]
        data = bytearray(blobs.get(self.memory, _CONTAINER, name))
        data[5] ^= 1
        blobs.put(self.memory, _CONTAINER, name, bytes(data))
        err = self.assertRaises(cinder_exception.InvalidBackup,
                                self._restore, self.backup)
        for word in (name, self.backup.id):
            self.assertIn(word, str(err))
        log = self.useFixture(fixtures.FakeLogger())
        self.config(backup_swift_verify_restore=False)
        self._restore(self.backup)
        # It is not refused, and not silent.
        self.assertIn(f'object {name} does not match', log.output)
        self.assertIn(f'Of what was restored of backup {self.backup.id} '
                      'without backup_swift_verify_restore', log.output)

    def test_status_changed(self):
        def refresh(backup):
            backup.status = 'error'

        self.refreshed = refresh
        err = self.assertRaises(cinder_exception.BackupRestoreCancel,
                                self._restore, self.backup)
        self.assertIn(self.backup.id, str(err))
        self.assertIn(base.VOLUME, str(err))

    def test_metadata_that_cannot_be_restored(self):
        for metadata in ('{"version": 99}', 'not json', '[]', '{}', '5'):
            with mock.patch.object(self.driver, 'get_metadata',
                                   return_value=metadata):
                backup = self.record()
                self.driver.backup(backup, io.BytesIO(_DATA), True)
            backup.status = 'restoring'
            err = self.assertRaises(cinder_exception.BackupDriverException,
                                    self._restore, backup)
            for word in (backup.id, 'data', 'metadata was not'):
                self.assertIn(word, str(err))


class DeleteTest(base.MethodTestCase):
    """delete_backup()."""

    def setUp(self):
        super().setUp()
        self.backup = self._backup()

    def test_delete(self):
        self.driver.delete_backup(self.backup)
        self.assertEqual([], self._names())
        self.driver.delete_backup(self.backup)

    def _twin(self, **fields):
        """Another record of the same objects, as an import makes it."""
        return self.record(**{
            'container': _CONTAINER, 'status': 'available',
            'service_metadata': self.backup.service_metadata,
            'object_count': self.backup.object_count, **fields})

    def _delete(self, backup):
        backup.status = 'deleting'
        self.driver.delete_backup(backup)
        del self.records[backup.id]

    def test_last_record_of_the_objects(self):
        before = self._names()
        for status in ('available', 'error', 'error_deleting', 'restoring'):
            self._delete(self._twin())
            self.assertEqual(before, self._names())
            twin, self.backup = self.backup, self._twin(status=status)
            # Whichever of them is older.
            self._delete(twin)
            self.assertEqual(before, self._names())
        self.assertEqual(_DATA, self._restore(self.backup))
        self._delete(self.backup)
        self.assertEqual([], self._names())

    def test_key_of_two_records(self):
        # Cinder deletes the one that it finds in the record.
        self.backup.encryption_key_id = 'key'
        stores = {base.OWNER: self.store, 'other': memory.MemoryStore()}
        with mock.patch.object(auth, 'make_store',
                               lambda _, project, *__: stores[project]):
            for project in stores:
                for key, left in (('key', None), ('other-key', 'other-key')):
                    twin = self._twin(encryption_key_id=key,
                                      project_id=project)
                    self._delete(twin)
                    self.assertEqual(left, twin.encryption_key_id)
            self._delete(self.backup)
        self.assertEqual('key', self.backup.encryption_key_id)

    def test_key_of_a_record_that_stays(self):
        self.backup.encryption_key_id = 'key'
        twin = self._twin(encryption_key_id='key', project_id='other')
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('on fire')))
        self.assertRaises(cinder_exception.SwiftConnectionFailed,
                          self._delete, twin)
        self.assertEqual('key', twin.encryption_key_id)

    def test_both_records_at_once(self):
        # Neither may leave the objects to the other.
        self._twin(status='deleting')
        self._delete(self.backup)
        self.assertEqual([], self._names())

    def test_record_of_another_container(self):
        self._twin(container='elsewhere')
        self._delete(self.backup)
        self.assertEqual([], self._names())

    def test_record_of_another_project(self):
        # In its account there may be a copy, or nothing.
        before = self._names()
        stranger = self._twin(project_id='other')
        stranger.status = 'deleting'
        self._in_another_account(stranger)
        with mock.patch.object(auth, 'make_store',
                               lambda *_: memory.MemoryStore()):
            self.driver.delete_backup(stranger)
        self.assertEqual(before, self._names())
        stranger.status = 'available'
        self._delete(self.backup)
        self.assertEqual([], self._names())

    def test_record_of_another_project_in_one_account(self):
        self.config(backup_swift_auth='single_user', backup_swift_user='u',
                    backup_swift_key='k')
        before = self._names()
        self._delete(self._twin(project_id='other'))
        self.assertEqual(before, self._names())

    def test_database_that_fails(self):
        # Whatever is lost, the delete can be repeated.
        manifest = [f'{self.backup.service_metadata}_metadata']
        for fails, left in ((True, manifest), (False, [])):
            objects.Backup.save.side_effect = RuntimeError if fails else None
            with contextlib.suppress(RuntimeError):
                self.driver.delete_backup(self.backup)
            self.assertEqual(left, self._names())

    def _in_another_account(self, backup):
        """Delete it where there is a container of that name, and no more."""
        other = memory.MemoryStore()
        other.account = lambda: 'other'
        other.ensure_container(_CONTAINER, create=True)
        with mock.patch.object(auth, 'make_store', lambda *_: other):
            self.driver.delete_backup(backup)

    def test_another_account(self):
        unchanged = self._backup(parent_id=self.backup.id)
        self.assertEqual(0, unchanged.object_count)
        before = self._names()
        for backup in (unchanged, self.backup):
            err = self.assertRaises(cinder_exception.InvalidBackup,
                                    self._in_another_account, backup)
            self.assertIn('another account', str(err))
            self.assertEqual(before, self._names())
            self.records.pop(unchanged.id, None)
        self.records[unchanged.id] = unchanged
        for backup in (unchanged, self.backup):
            self.driver.delete_backup(backup)
            del self.records[backup.id]
        self.assertEqual([], self._names())

    def test_another_account_after_a_delete_that_failed(self):
        self.store.script(faulty.fail(
            'delete', exceptions.StoreUnavailable('on fire'), nth=2))
        self.assertRaises(cinder_exception.SwiftConnectionFailed,
                          self.driver.delete_backup, self.backup)
        self.assertRaises(cinder_exception.InvalidBackup,
                          self._in_another_account, self.backup)
        self.driver.delete_backup(self.backup)
        self.assertEqual([], self._names())

    def _refused_in_another_account(self, backup):
        before = self._names()
        err = self.assertRaises(cinder_exception.InvalidBackup,
                                self._in_another_account, backup)
        self.assertIn('another account', str(err))
        self.assertEqual(before, self._names())

    def test_another_account_after_a_delete_that_failed_at_the_end(self):
        for fault in (faulty.fail, faulty.lose_answer):
            backup = self._backup()
            self.store.script(fault(
                'delete', exceptions.StoreUnavailable('on fire'),
                matching=lambda name: name.endswith('_metadata')))
            self.assertRaises(cinder_exception.SwiftConnectionFailed,
                              self.driver.delete_backup, backup)
            self.store.heal()
            self._refused_in_another_account(backup)
            self.driver.delete_backup(backup)
            self.assertEqual(5, len(self._names()))

    def _fail_to_back_up(self, *faults, **fields):
        backup = self.record(**fields)
        self.store.script(faulty.fail(
            'put', exceptions.StoreUnavailable('on fire'), nth=2), *faults)
        self.assertRaises(cinder_exception.SwiftConnectionFailed,
                          self.driver.backup, backup, io.BytesIO(_DATA[::-1]),
                          False)
        self.store.heal()
        return backup

    def test_another_account_after_a_backup_that_failed(self):
        for fields in ({}, {'parent_id': self.backup.id}):
            backup = self._fail_to_back_up(faulty.fail(
                'delete', exceptions.StoreUnavailable('on fire')), **fields)
            self.assertLess(5, len(self._names()))
            self._refused_in_another_account(backup)
            self.driver.delete_backup(backup)
            self.assertEqual(5, len(self._names()))

    def test_backup_that_failed_and_left_nothing(self):
        backup = self._fail_to_back_up()
        self.assertEqual(5, len(self._names()))
        self.driver.delete_backup(backup)

    def test_backup_of_others_that_left_nothing(self):
        # As an older release or the stock driver notes it.
        self.driver.delete_backup(self.record(
            container=_CONTAINER, object_count=0,
            service_metadata='volume_1/20260801000000/az_nova_backup_2'))

    def _elsewhere(self):
        """A backup that an older release stored below another container."""
        self.store.ensure_container('foo', create=True)
        for name in self._names():
            data = blobs.get(self.memory, _CONTAINER, name)
            blobs.put(self.memory, 'foo', f'bar/{name}', data)
        self.backup.container = 'foo/bar'
        return self._names('foo')

    def test_container_that_cannot_be(self):
        names = self._elsewhere()
        for call in (self.driver.delete_backup, self._restore):
            err = str(self.assertRaises(cinder_exception.InvalidBackup, call,
                                        self.backup))
            self.assertIn('its name has a slash. Nothing was changed.', err)
            self.assertIn('in container foo, objects '
                          f'bar/{self.backup.service_metadata}', err)
            self.assertEqual(names, self._names('foo'))
        self.assertEqual(3, self.backup.object_count)

    def test_incremental_on_a_container_that_cannot_be(self):
        names = self._elsewhere()
        tip = self._backup(parent_id=self.backup.id)
        self.assertIsNone(tip.parent_id)
        self.assertEqual(_DATA, self._restore(tip))
        self.assertEqual(names, self._names('foo'))

    def test_incremental_whose_parent_is_there(self):
        # It was never completed, or a delete got as far as that.
        backup = self.record(
            parent_id=self.backup.id, container=_CONTAINER,
            service_metadata='volume_1/20260801000000/az_nova_backup_2')
        self.driver.delete_backup(backup)
        backup.object_count = 0
        # Nothing tells that this is the account.
        del self.records[self.backup.id]
        self.assertRaises(cinder_exception.InvalidBackup,
                          self.driver.delete_backup, backup)

    def test_wrong_options_for_backups(self):
        # They matter to backups, and here is one already.
        self.config(backup_swift_block_size=100)
        self.assertRaises(cinder_exception.BackupDriverException,
                          self._backup)
        self.assertEqual(_DATA, self._restore(self.backup))
        self.driver.delete_backup(self.backup)
        self.assertEqual([], self._names())

    def test_base_of_somebody_s_incrementals_is_kept(self):
        before = self._names()
        child = self.record(parent_id=self.backup.id, project_id='other')
        for admin in (False, True):
            self.driver.context.is_admin = admin
            err = self.assertRaises(cinder_exception.InvalidBackup,
                                    self.driver.delete_backup, self.backup)
            for word in (self.backup.id, child.id, 'project other'):
                self.assertIn(word, str(err))
            self.assertEqual(before, self._names())
        del self.records[child.id]
        self.driver.delete_backup(self.backup)
        self.assertEqual([], self._names())

    def test_objects_in_another_account_keep_the_record(self):
        self.backup.service_metadata += '-elsewhere'
        err = self.assertRaises(cinder_exception.InvalidBackup,
                                self.driver.delete_backup, self.backup)
        self.assertIn('another account', str(err))

    def test_failing_listing_keeps_the_record(self):
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('on fire')))
        err = self.assertRaises(cinder_exception.SwiftConnectionFailed,
                                self.driver.delete_backup, self.backup)
        self.assertIn(self.backup.id, str(err))
        self.assertEqual(5, len(self._names()))

    def test_base_that_was_never_stored(self):
        backup = self.record()
        self.record(parent_id=backup.id, project_id='other')
        self.assertRaises(cinder_exception.InvalidBackup,
                          self.driver.delete_backup, backup)

    def test_nothing_was_ever_stored(self):
        auth.make_store.reset_mock()
        for container, prefix in ((None, None), ('c', None)):
            self.driver.delete_backup(self.record(
                container=container, service_metadata=prefix))
        auth.make_store.assert_not_called()

    def test_no_credentials_keeps_the_record(self):
        auth.make_store.side_effect = exceptions.AccessDenied('no token')
        err = self.assertRaises(cinder_exception.BackupDriverException,
                                self.driver.delete_backup, self.backup)
        self.assertIn('no token', str(err))

    def test_account_that_the_user_may_not_use(self):
        # It tells what to do according to whose account that is.
        self.store.script(faulty.fail('list', swift_errors.Forbidden(
            'Swift answered 403 Forbidden', transaction='tx1')))
        stranger = driver.SwiftBackupDriver(self.context(base.OTHER))
        for used, single, told in (
                (stranger, False, 'the backup is in the account of another '
                 'project, which this user may not use. Have a user of the '
                 'project that owns the backup do it. [transaction tx1; '),
                (stranger, True, 'Swift answered 403 Forbidden. Check '),
                (self.driver, False, 'Swift answered 403 Forbidden. Check ')):
            self.config(
                backup_swift_auth='single_user' if single else 'per_user',
                backup_swift_user='u', backup_swift_key='k')
            err = self.assertRaises(cinder_exception.BackupDriverException,
                                    used.delete_backup, self.backup)
            self.assertIs(cinder_exception.BackupDriverException, type(err))
            self.assertIn(f'error: {told}', str(err))
            self.assertEqual(5, len(self._names()))


class DatabaseTest(base.MethodTestCase):
    """A database that is away for some queries, or for good."""

    def setUp(self):
        super().setUp()
        self.parent = self._backup()
        self.clock = mock.Mock(now=0.0)
        self.clock.monotonic = lambda: self.clock.now
        self.clock.sleep = self._sleep
        self.enterContext(mock.patch.object(observers, 'time', self.clock))

    def _sleep(self, seconds):
        self.clock.now += seconds

    @contextlib.contextmanager
    def _away(self, owner, name, times=3):
        """Have so many queries fail; yields a list with one item for each."""
        real, failed = getattr(owner, name), []

        def query(*args, **kwargs):
            if len(failed) < times:
                failed.append(name)
                raise db_exception.DBConnectionError(
                    'no answer\n[SQL: SELECT * FROM backups]')
            return real(*args, **kwargs)

        with mock.patch.object(owner, name, query):
            yield failed

    def _back_up(self):
        backup = self.record(parent_id=self.parent.id)
        self.driver.backup(backup, io.BytesIO(_DATA), True)
        return backup

    def _incremental(self):
        with mock.patch.object(self.driver, 'get_metadata',
                               return_value='{}'):
            return self._backup(parent_id=self.parent.id)

    def test_backup(self):
        self.driver.get_metadata = mock.Mock(return_value='{}')
        for owner, name in ((objects.Backup, 'get_by_id'),
                            (self.driver, 'get_metadata'),
                            (objects.Backup, 'save')):
            with self._away(owner, name) as failed:
                self.assertEqual(self.parent.id, self._back_up().parent_id)
            self.assertEqual(3, len(failed), name)

    def test_restore(self):
        backup = self._incremental()
        for owner, name in ((objects.Backup, 'get_by_id'),
                            (self.driver.db, 'volume_get')):
            with self._away(owner, name) as failed:
                self.assertEqual(_DATA, self._restore(backup))
            self.assertEqual(3, len(failed), name)

    def test_delete(self):
        for owner, name in ((objects.BackupList, 'get_all'),
                            (objects.Backup, 'get_by_id'),
                            (objects.Backup, 'save')):
            backup = self._incremental()
            with self._away(owner, name) as failed:
                self.driver.delete_backup(backup)
            del self.records[backup.id]
            self.assertEqual(3, len(failed), name)
            self.assertEqual(5, len(self._names()))

    def _assert_told(self, function, *args):
        """It gives up in time, and says so in what Cinder keeps of it."""
        begin = self.clock.now
        err = self.assertRaises(cinder_exception.BackupDriverException,
                                function, *args)
        self.assertGreater(700, self.clock.now - begin)
        self.assertRegex(
            str(err)[:255], r": Cinder's database has not answered for "
            r"3\d\d s\. Repeat the operation when it answers again\. \[")
        self.assertNotIn('SQL', str(err))

    def test_backup_gives_up(self):
        self.driver.get_metadata = mock.Mock(return_value='{}')
        for owner, name in ((objects.Backup, 'get_by_id'),
                            (self.driver, 'get_metadata'),
                            (objects.Backup, 'save')):
            with self._away(owner, name, 1000):
                self._assert_told(self._back_up)
            self.assertEqual(5, len(self._names()))

    def test_restore_gives_up(self):
        backup = self._incremental()
        for owner, name in ((objects.Backup, 'get_by_id'),
                            (self.driver.db, 'volume_get')):
            with self._away(owner, name, 1000):
                self._assert_told(self._restore, backup)

    def test_delete_gives_up(self):
        backup = self._incremental()
        for owner, name, left in ((objects.BackupList, 'get_all', 7),
                                  (objects.Backup, 'get_by_id', 7),
                                  (objects.Backup, 'save', 6)):
            with self._away(owner, name, 1000):
                self._assert_told(self.driver.delete_backup, backup)
            self.assertEqual(left, len(self._names()), name)
        self.driver.delete_backup(backup)
        self.assertEqual(5, len(self._names()))

    def test_failure_waits_for_the_database(self):
        # Or nobody could be told of it.
        auth.make_store.side_effect = exceptions.AccessDenied('no token')
        with self._away(objects.Backup, 'refresh') as failed:
            self.assertRaises(cinder_exception.BackupDriverException,
                              self._restore, self.parent)
        self.assertEqual(3, len(failed))


class ClassTest(base.DriverTestCase):
    """What Cinder looks at."""

    def test_force_delete(self):
        self.assertTrue(driver.SwiftBackupDriver(
            self.context()).support_force_delete)

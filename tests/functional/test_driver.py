# SPDX-License-Identifier: Apache-2.0

"""The driver's promises beside the data itself, on a real Swift."""

import json
import logging
import random
import time
import urllib.parse
import uuid

from cinder import context as cinder_context
from cinder import exception as cinder_exception
from cinder import objects
from cinder.objects import fields
import fixtures

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import setup_check
from cinder_swift_backup.format import naming
from tests import selection
from tests.cloud.fault_proxy import proxy
from tests.cloud.fault_proxy import rules
from tests.fakes import blobs
from tests.functional import base
from tests.functional import cinder_process
from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

_DATA = bytes(range(256)) * (3 * CHUNK // 256) + b'the end'


class BackupTestCase(cinder_side.CinderSideTestCase):
    """Backing up."""

    modes = selection.Modes.BOTH

    def test_progress_is_a_percentage(self):
        self.configure(backup_object_number_per_notification=1)
        volume, path = self.make_volume(_DATA)
        self.back_up(OURS, volume, path)
        told = cinder_side.progress_notifications()
        self.assertEqual(sorted(told), told)
        self.assertEqual(5, len(told))
        # Three whole chunks and the short last one, in whatever order.
        self.assertTrue(0 <= told[0] <= 34, told)
        self.assertEqual([100, 100], told[-2:])

    def test_object_count(self):
        volume, path = self.make_volume(_DATA)
        backup = self.back_up(OURS, volume, path)
        self.assertEqual(4, backup.object_count)

    def test_a_backup_that_is_deleted_meanwhile_leaves_nothing(self):
        volume, path = self.make_volume(_DATA)
        backup = self.make_backup(volume)
        other = objects.Backup.get_by_id(self.context, backup.id)
        other.status = fields.BackupStatus.DELETING
        other.save()
        # It is noticed before there is a container.
        self.store.ensure_container(self.container, create=True)
        with open(path, 'rb') as handle:
            self.assertIsNone(
                OURS(self.context).backup(backup, handle, False))
        self.assertEqual([], self.object_names(self.container))

    def test_grown_volume(self):
        volume, path = self.make_volume(_DATA)
        full = self.back_up(OURS, volume, path)
        volume.size = 2
        volume.save()
        grown = _DATA + bytes(CHUNK) + b'new data'
        path.write_bytes(grown)
        incremental = self.back_up(OURS, volume, path, parent=full)
        self.assertEqual(full.id, incremental.parent_id)
        self.assert_content(self.restore_new(OURS, incremental), grown)

    def test_bandwidth(self):
        self.configure(backup_swift_bandwidth=1 << 20)
        data = random.Random(1).randbytes(3 << 20)
        volume, path = self.make_volume(data)
        # The first piece of each direction waits for nothing.
        begun = time.monotonic()
        backup = self.back_up(OURS, volume, path)
        self.assertGreater(time.monotonic() - begun, 2.5)
        begun = time.monotonic()
        self.assert_content(self.restore_new(OURS, backup), data)
        self.assertGreater(time.monotonic() - begun, 2.5)

    def test_a_full_backup_after_some_incrementals(self):
        self.configure(backup_swift_full_after=2)
        volume, path = self.make_volume(_DATA)
        made = [self.back_up(OURS, volume, path)]
        for number in range(4):
            path.write_bytes(b'%d' % number + _DATA)
            with fixtures.FakeLogger('cinder_swift_backup') as log:
                made.append(self.back_up(OURS, volume, path, parent=made[-1]))
            self.assertEqual(
                number == 2, f'2 incrementals build on backup {made[0].id}'
                in log.output)
        self.assertEqual(
            [None, made[0].id, made[1].id, None, made[3].id],
            [backup.parent_id for backup in made])
        # Nothing needs the old chain.
        for backup in reversed(made[:3]):
            OURS(self.context).delete_backup(backup)
            backup.destroy()
        self.assert_content(self.restore_new(OURS, made[-1]), b'3' + _DATA)

    def test_changed_block_size_makes_a_full_backup(self):
        volume, path = self.make_volume(_DATA)
        full = self.back_up(OURS, volume, path)
        self.configure(backup_swift_block_size=2 * BLOCK)
        second = self.back_up(OURS, volume, path, parent=full)
        self.assertIsNone(second.parent_id)
        self.assertEqual(full.object_count, second.object_count)
        OURS(self.context).delete_backup(full)
        self.assert_content(self.restore_new(OURS, second), _DATA)

    def test_no_container_is_created_against_the_configuration(self):
        self.configure(backup_create_containers=False)
        volume, path = self.make_volume(_DATA)
        error = self.assertRaises(
            cinder_exception.BackupDriverException,
            self.back_up, OURS, volume, path)
        self.assertIn(self.container, str(error))

    def test_storage_policy(self):
        self.need('directory')
        self.configure(backup_swift_create_storage_policy='silver')
        volume, path = self.make_volume(_DATA)
        self.back_up(OURS, volume, path)
        session = base.keystone_session(self.cloud.demo)
        headers = session.head(
            f'/{self.container}',
            endpoint_filter={'service_type': 'object-store',
                             'interface': 'public'}).headers
        self.assertEqual('silver', headers['X-Storage-Policy'])

    def test_unknown_storage_policy(self):
        self.configure(backup_swift_create_storage_policy='platinum')
        volume, path = self.make_volume(_DATA)
        error = self.assertRaises(
            cinder_exception.BackupDriverException,
            self.back_up, OURS, volume, path)
        self.assertIn('backup_swift_create_storage_policy', str(error))


class MetadataTestCase(cinder_side.CinderSideTestCase):
    """Cinder's own data of the volume."""

    modes = selection.Modes.BOTH

    def test_saved_and_put_back(self):
        volume, path = self.make_volume(_DATA)
        cinder_side.db.volume_metadata_update(
            self.context, volume.id, {'tier': 'gold'}, True)
        cinder_side.db.volume_update(
            self.context, volume.id, {'display_name': 'precious'})
        backup = self.back_up(OURS, volume, path)
        target, target_path = self.make_volume(b'')
        cinder_side.db.volume_update(
            self.context, target.id,
            {'display_name': f'restore_backup_{backup.id}'})
        with open(target_path, 'wb') as handle:
            self.restore_to(OURS, backup, target, handle, True)
        restored = objects.Volume.get_by_id(self.context, target.id)
        self.assertEqual('precious', restored.display_name)
        self.assertEqual('gold', restored.metadata['tier'])

    def test_version(self):
        self.configure(backup_metadata_version=1)
        volume, path = self.make_volume(_DATA)
        backup = self.back_up(OURS, volume, path)
        manifest = json.loads(blobs.get(
            self.store,
            self.container, naming.manifest_name(backup.service_metadata)))
        self.assertEqual(1, json.loads(manifest['volume_meta'])['version'])


class EncryptedTestCase(cinder_side.CinderSideTestCase):
    """A volume that Cinder encrypts: its key goes where its data goes."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.key = str(uuid.uuid4())
        volume, path = self.make_volume(_DATA)
        self.kind = volume.volume_type_id
        cinder_side.db.volume_update(
            self.context, volume.id, {'encryption_key_id': self.key})
        self.backup = self.back_up(OURS, volume, path)

    def restore_to_type(self, kind):
        volume, path = self.make_volume(b'')
        cinder_side.db.volume_update(self.context, volume.id,
                                     {'volume_type_id': kind})
        with open(path, 'wb') as handle:
            self.restore_to(OURS, self.backup, volume, handle, True)
        self.assert_content(path, _DATA)
        return objects.Volume.get_by_id(self.context, volume.id)

    def test_same_type(self):
        self.assertEqual(
            self.key, self.restore_to_type(self.kind).encryption_key_id)

    def test_another_type(self):
        error = self.assertRaises(cinder_exception.InvalidVolume,
                                  self.restore_to_type, str(uuid.uuid4()))
        self.assertIn('whose type differs', str(error))


class DeleteTestCase(cinder_side.CinderSideTestCase):
    """Deleting: everything or an error."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.volume, path = self.make_volume(_DATA)
        self.backup = self.back_up(OURS, self.volume, path)
        self.names = self.object_names(self.container)

    def assert_refused(self, context, text):
        error = self.assertRaises(
            cinder_exception.BackupDriverException,
            OURS(context).delete_backup, self.backup)
        self.assertIn(text, str(error))
        self.assertEqual(self.names, self.object_names(self.container))

    def test_missing_container(self):
        self.backup.container = 'gone'
        self.assert_refused(self.context, 'gone')

    def test_without_credentials(self):
        self.assert_refused(cinder_context.get_admin_context(), 'token')

    def test_with_a_token_that_is_not_valid(self):
        context = cinder_process.make_context(self.cloud.demo)
        context.auth_token = 'gAAAA-not-a-token'
        self.assert_refused(context, 'backup_swift_service_auth')

    def test_somebody_elses(self):
        self.need('other')
        self.assert_refused(cinder_process.make_context(self.cloud.other),
                            '403')

    def test_base_that_an_incremental_needs(self):
        path = self.directory / self.volume.id
        child = self.back_up(OURS, self.volume, path, self.backup)
        names = self.object_names(self.container)
        # As an administrator of another project, whom Cinder's API lets.
        admin = cinder_process.make_context(self.cloud.demo)
        admin.project_id = 'another'
        error = self.assertRaises(
            cinder_exception.InvalidBackup,
            OURS(admin).delete_backup, self.backup)
        self.assertIn(child.id, str(error))
        self.assertEqual(names, self.object_names(self.container))
        OURS(self.context).delete_backup(child)
        child.destroy()
        OURS(self.context).delete_backup(self.backup)
        self.assertEqual([], self.object_names(self.container))

    def test_twice(self):
        for _ in range(2):
            OURS(self.context).delete_backup(self.backup)
        self.assertEqual([], self.object_names(self.container))

    def test_with_the_settings_of_another_account(self):
        self.need('other')
        other = base.swift_store(base.swift_credentials(self.cloud.other))
        self.addCleanup(other.close)
        other.ensure_container(self.container, create=True)
        self.configure(backup_swift_auth='single_user',
                       **cinder_side.version_3_options(self.cloud,
                                                       self.cloud.other))
        error = self.assertRaises(
            cinder_exception.InvalidBackup,
            OURS(self.context).delete_backup, self.backup)
        self.assertIn('another account', str(error))
        self.assertEqual(self.names, self.object_names(self.container))

    def test_never_stored(self):
        backup = self.make_backup(self.volume)
        OURS(cinder_context.get_admin_context()).delete_backup(backup)


class BadInputTestCase(cinder_side.CinderSideTestCase):
    """Damaged backups end in Cinder's fitting error, and say what to do."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.configure(backup_compression_algorithm='zlib')
        self.volume, self.path = self.make_volume(_DATA)
        self.backup = self.back_up(OURS, self.volume, self.path)
        self.prefix = self.backup.service_metadata
        self.manifest = naming.manifest_name(self.prefix)

    def assert_refused(self, *texts, error=cinder_exception.InvalidBackup):
        raised = self.assertRaises(error, self.restore_new, OURS,
                                   self.backup)
        for text in (self.backup.id, *texts):
            self.assertIn(text, str(raised))

    def edit(self, change):
        fields_ = json.loads(blobs.get(
            self.store, self.container, self.manifest))
        change(fields_)
        blobs.put(self.store, self.container, self.manifest,
                       json.dumps(fields_).encode())

    def first_object(self):
        """The object of the first chunk; workers take numbers as they come.
        """
        manifest = json.loads(blobs.get(
            self.store,
            self.container,
            naming.manifest_name(self.backup.service_metadata)))
        name, = manifest['objects'][0]
        return name

    def edit_first(self, **values):
        def change(fields_):
            entry, = fields_['objects'][0].values()
            entry.update(values)
        self.edit(change)

    def test_not_json(self):
        blobs.put(self.store, self.container, self.manifest, b'{"version": ')
        self.assert_refused(self.manifest, 'not valid JSON')

    def test_unknown_version(self):
        self.edit(lambda found: found.update(version='9.0.0'))
        self.assert_refused(self.manifest, '9.0.0', 'newer')

    def test_unknown_codec(self):
        self.edit_first(compression='lzma')
        self.assert_refused('lzma', f'{self.prefix}-0000')

    def test_offset_past_the_end(self):
        self.edit_first(offset=1 << 50)
        self.assert_refused()

    def test_chunk_past_the_end(self):
        blobs.put(self.store, self.container, f'{self.prefix}-00099', b'x')
        self.edit(lambda found: found['objects'].append(
            {f'{self.prefix}-00099': {'offset': len(_DATA),
                                      'length': 2 << 30,
                                      'compression': 'none'}}))
        self.assert_refused(self.manifest, 'is damaged')
        # As the stock driver leaves it, the size is not in the manifest.
        self.edit(lambda found: found.pop('csb_volume_size'))
        self.assert_refused(f'{self.prefix}_sha256file')

    def test_missing_chunk(self):
        self.store.delete(self.container, f'{self.prefix}-00032')
        self.assert_refused(f'{self.prefix}-00032', 'another backup')

    def test_chunk_of_the_wrong_length(self):
        self.configure(backup_compression_algorithm='none')
        self.backup = self.back_up(OURS, self.volume, self.path)
        name = self.first_object()
        blobs.put(self.store, self.container, name, b'short')
        self.assert_refused(name, str(CHUNK))

    def test_flipped_byte(self):
        self.configure(backup_compression_algorithm='none')
        self.backup = self.back_up(OURS, self.volume, self.path)
        name = self.first_object()
        data = bytearray(blobs.get(self.store, self.container, name))
        data[12345] ^= 1
        blobs.put(self.store, self.container, name, bytes(data))
        self.assert_refused(name, 'the digest of a block')
        self.configure(backup_swift_verify_restore=False)
        self.assert_content(self.restore_new(OURS, self.backup),
                            bytes(data) + _DATA[CHUNK:])

    def test_no_manifest(self):
        self.store.delete(self.container, self.manifest)
        self.assert_refused(self.manifest, 'never completed')

    def test_parent_gone(self):
        child = self.back_up(OURS, self.volume, self.path, self.backup)
        self.backup.destroy()
        self.backup = child
        self.assert_refused('backup-import')

    def test_parents_objects_gone(self):
        OURS(self.context).delete_backup(self.backup)
        made = self.back_up(OURS, self.volume, self.path, self.backup)
        self.assertIsNone(made.parent_id)
        self.assert_content(self.restore_new(OURS, made), _DATA)


class CancelRestoreTestCase(cinder_side.CinderSideTestCase):
    """A restore ends when the backup's status is changed."""

    modes = selection.Modes.BOTH

    def test_reset_status(self):
        volume, path = self.make_volume(_DATA)
        backup = self.back_up(OURS, volume, path)
        target, target_path = self.make_volume(b'')
        with open(target_path, 'wb') as handle:
            self.assertRaises(
                cinder_exception.BackupRestoreCancel,
                OURS(self.context).restore, backup, target.id, handle, True)


class SetupTestCase(cinder_side.CinderSideTestCase):
    """One line that says what is wrong with the configuration."""

    modes = selection.Modes.BOTH

    def assert_refused(self, *texts):
        context = cinder_context.get_admin_context()
        error = str(self.assertRaises(
            cinder_exception.BackupDriverException,
            OURS(context).check_for_setup_error))
        self.assertNotIn('\n', error)
        for text in texts:
            self.assertIn(text, error)

    def assert_away(self, *texts):
        """The service starts, and its log says why Swift was not asked."""
        with self.assertLogs(
                setup_check.__name__, logging.ERROR) as logs:
            OURS(cinder_context.get_admin_context()).check_for_setup_error()
        told, = logs.output
        self.assertNotIn('\n', told)
        for text in texts:
            self.assertIn(text, told)

    def use_url(self):
        self.need('swift_url')
        self.configure(
            backup_swift_url=f'{self.cloud.swift_url}/v1/AUTH_')

    def test_right(self):
        OURS(cinder_context.get_admin_context()).check_for_setup_error()
        self.use_url()
        self.configure(backup_swift_create_storage_policy='silver')
        OURS(cinder_context.get_admin_context()).check_for_setup_error()

    def test_info_behind_somebody_elses_door(self):
        self.need('swift_url', 'v1')
        if self.cloud.objects != 'swift':
            self.skipTest('The proxy finds the information by its path.')
        door = proxy.FaultProxy(self.cloud.swift_url)
        self.addCleanup(door.stop)
        door.start()
        user = self.cloud.v1
        path = urllib.parse.urlsplit(user.auth_url).path
        for options in (
                {'backup_swift_url': f'{door.url}/v1/AUTH_'},
                {'backup_swift_auth': 'single_user',
                 'backup_swift_auth_version': '1',
                 'backup_swift_auth_url': f'{door.url}{path}',
                 'backup_swift_user': user.username,
                 'backup_swift_key': user.password}):
            self.configure(backup_swift_retry_attempts=0,
                           backup_swift_create_storage_policy='unknown',
                           **options)
            self._pass(door)
            door.apply(rules.rule(rules.Answer(503), count=None))
            self.assert_away('503')
        self.configure(backup_swift_key='wrong')
        door.apply(rules.rule(rules.Answer(200), 'GET', rules.Kind.INFO))
        self.assert_refused('backup_swift_key')

    def _pass(self, door):
        """Start well, whatever somebody else says for the cluster."""
        driver = OURS(cinder_context.get_admin_context())
        for answer in (rules.Answer(404), rules.Answer(200),
                       rules.Answer(302, {'Location': '/login'}),
                       rules.Answer(503), rules.Answer(401)):
            door.apply(rules.rule(answer, 'GET', rules.Kind.INFO))
            driver.check_for_setup_error()
            self.assertEqual([1], list(door.hits()))

    def test_unreachable(self):
        self.configure(backup_swift_url='http://127.0.0.1:9/v1/AUTH_',
                       backup_swift_retry_attempts=0)
        self.assert_away('127.0.0.1:9', 'cannot be reached')

    def test_unknown_storage_policy(self):
        self.use_url()
        self.configure(backup_swift_create_storage_policy='platinum')
        self.assert_refused('platinum', 'standard', 'silver')

    def test_object_size_not_a_multiple(self):
        self.configure(backup_swift_object_size=100000)
        self.assert_refused('backup_swift_object_size', '100000')

    def test_object_size_too_large(self):
        self.use_url()
        self.configure(backup_swift_object_size=6 << 30)
        self.assert_refused('backup_swift_object_size', str(6 << 30))

    def test_missing_credentials(self):
        self.configure(backup_swift_auth='single_user')
        self.assert_refused('backup_swift_user')
        self.configure(backup_swift_user='somebody')
        self.assert_refused('backup_swift_key')
        self.configure(backup_swift_key='secret',
                       backup_swift_auth_version='3',
                       backup_swift_auth_url=self.cloud.auth_url)
        self.assert_refused('backup_swift_project')

    def test_wrong_password(self):
        user = self.cloud.demo
        self.configure(backup_swift_auth='single_user',
                       backup_swift_auth_version='3',
                       backup_swift_auth_url=self.cloud.auth_url,
                       backup_swift_user=user.username,
                       backup_swift_project=user.project_name,
                       backup_swift_key='wrong')
        self.assert_refused('identity service refused')


class AuthenticationTestCase(cinder_side.CinderSideTestCase):
    """Both modes, all versions that a real server here understands."""

    modes = selection.Modes.BOTH

    def check_round_trip(self):
        volume, path = self.make_volume(_DATA)
        backup = self.back_up(OURS, volume, path)
        self.assert_content(self.restore_new(OURS, backup), _DATA)
        OURS(self.context).delete_backup(backup)
        return backup

    def test_per_user_by_url(self):
        self.need('swift_url')
        self.configure(
            backup_swift_url=f'{self.cloud.swift_url}/v1/AUTH_')
        self.context.service_catalog = []
        self.check_round_trip()

    def test_per_user_wrong_region(self):
        self.configure(backup_swift_region_name='Nowhere')
        error = self.assertRaises(
            cinder_exception.BackupDriverException, self.check_round_trip)
        self.assertIn('Nowhere', str(error))

    def use_version_3(self):
        self.need('other')
        self.configure(backup_swift_auth='single_user',
                       **cinder_side.version_3_options(self.cloud,
                                                       self.cloud.other))

    def test_single_user_version_3(self):
        self.use_version_3()
        OURS(cinder_context.get_admin_context()).check_for_setup_error()
        self.check_round_trip()
        # Nothing was made in the account of the user who asked.
        self.assertRaises(exceptions.ContainerNotFound,
                          self.object_names, self.container)
        self.store.ensure_container(self.container, create=True)

    def test_single_user_version_1(self):
        self.need('v1')
        self._use_version_1(self.cloud.v1)

    def test_single_user_version_1_beyond_ascii(self):
        self.need('v1_unicode')
        self._use_version_1(self.cloud.v1_unicode)

    def _use_version_1(self, user):
        self.configure(backup_swift_auth='single_user',
                       backup_swift_auth_version='1',
                       backup_swift_auth_url=user.auth_url,
                       backup_swift_user=user.username,
                       backup_swift_key=user.password)
        OURS(cinder_context.get_admin_context()).check_for_setup_error()
        self.check_round_trip()

    def test_service_token_is_accepted(self):
        self.need('cinder')
        self.configure(backup_swift_service_auth=True)
        self.check_round_trip()


class RenewalTestCase(base.FunctionalTestCase):
    """A token that is refused in mid-backup is replaced."""

    modes = selection.Modes.BOTH

    def test_revoked_token(self):
        container = f'test-{uuid.uuid4().hex[:8]}'
        self.store.ensure_container(container, create=True)
        # A token that Swift has not seen: it remembers good ones a while.
        credentials = base.swift_credentials(self.cloud.demo)
        store = base.swift_store(credentials=credentials)
        self.addCleanup(store.close)
        token = credentials.access().token
        base.keystone_session(self.cloud.demo).delete(
            f'{self.cloud.auth_url}/auth/tokens',
            headers={'X-Subject-Token': token})
        blobs.put(store, container, 'object', b'data')
        self.assertNotEqual(token, credentials.access().token)
        store.delete(container, 'object')

# SPDX-License-Identifier: Apache-2.0

"""What is said of a configuration that cannot work."""

import logging
import tempfile
import traceback
from unittest import mock

from cinder import exception as cinder_exception
import fixtures
from oslo_config import cfg
import requests

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import driver
from cinder_swift_backup.driver import settings
from cinder_swift_backup.driver import setup_check
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import memory
from tests.fakes import answers
from tests.fakes import container_names
from tests.unit.driver import base

_INFO = 'http://swift.test/info'
_LOGIN = 'http://swift.test/auth/v1.0'
_OWN = 'http://swift.test/v1/AUTH_own'
# How somebody else answers for the cluster.
_DOORS = (
    answers.PAGE, {'text': ''}, {'text': '{"swift": {"max_file'},
    {'json': []}, {'json': {}}, {'json': {'swift': {'max_file_size': 'x'}}},
    {'content': b'\xff\xfe'},
    {'text': '{}', 'headers': {'Content-Encoding': 'gzip'}},
    {'status_code': 302, 'headers': {'Location': 'http://swift.test/login'}},
    {'status_code': 307, 'headers': {'Location': '/info/'}},
    {'status_code': 302}, {'status_code': 300}, {'status_code': 204},
    *({'status_code': status, 'text': '<html>See our privacy policy</html>'}
      for status in (400, 401, 403, 404, 405, 406, 410, 418)))


class CheckTest(base.HttpTestCase):
    """At the start of the service."""

    def _check(self):
        setup_check.check(self.context(token=None))

    def _refused(self, *words):
        err = self.assertRaises(exceptions.ConfigurationError, self._check)
        for word in words:
            self.assertIn(word, str(err))
        self.assertNotIn('\n', str(err))

    def _serve_info(self, **swift):
        return self.http.get(_INFO, json={'swift': swift})

    def test_defaults_ask_nobody(self):
        self._check()
        self.assertEqual(0, self.http.call_count)

    def test_object_size_and_block_size(self):
        self.config(backup_swift_object_size=1000)
        self._refused('chunks of 1000 ', 'blocks of 32768', 'multiple')
        self.config(backup_swift_object_size=0)
        self._refused('positive')
        self.config(backup_swift_object_size=32768,
                    backup_swift_block_size=256)
        self._refused('backup_swift_block_size is 256', '512')
        self.config(backup_swift_object_size=32768,
                    backup_swift_block_size=-1)
        self._refused('positive')

    def test_copies(self):
        self.config(backup_swift_container_sync_to='//realm/b')
        self._refused('backup_swift_container_sync_key')
        self.config(backup_swift_container_sync_key='secret')
        self._check()
        for wrong in ('realm/b', '//realm', '//realm/b/a/c', 'http://x/y'):
            self.config(backup_swift_container_sync_to=wrong)
            self._refused(repr(wrong), '//REALM/CLUSTER')
        self.config(backup_swift_container_sync_to='//realm/b')
        for wrong in (' k-secret', 'k-\nsecret', 'k-secret\r'):
            self.config(backup_swift_container_sync_key=wrong)
            self._refused('backup_swift_container_sync_key cannot go')
            err = self.assertRaises(exceptions.ConfigurationError,
                                    self._check)
            self.assertNotIn('secret', str(err))

    def test_container_that_exists(self):
        wanted = store_base.NewContainers(
            sync=store_base.Sync('//realm/b', 'secret'))
        store = memory.MemoryStore()
        setup_check.check_sync(store, 'c', wanted)
        store.ensure_container('c', create=True)
        for there, words in (
                (None, 'expected //realm/b/memory/c'),
                (store_base.Sync(None, 'secret'),
                 'is not set up to be copied to'),
                (store_base.Sync('//realm/x', 'secret'), '//realm/x'),
                (store_base.Sync('//realm/b/memory/c', 'other'),
                 'X-Container-Sync-Key differs')):
            store.syncs.pop('c', None)
            if there is not None:
                store.syncs['c'] = there
            err = self.assertRaises(
                exceptions.ConfigurationError, setup_check.check_sync, store,
                'c', wanted)
            self.assertIn(words, str(err))
            self.assertNotIn('secret', str(err))
            setup_check.check_sync(store, 'c', store_base.NewContainers())
        store.syncs['c'] = store_base.Sync('//REALM/B/memory/c', 'secret')
        setup_check.check_sync(store, 'c', wanted)
        store.ensure_container('c_segments', create=True)
        err = self.assertRaises(exceptions.ConfigurationError,
                                setup_check.check_sync, store, 'c', wanted)
        self.assertIn('c_segments', str(err))

    def test_container(self):
        for wrong in (*container_names.UNASKABLE,
                      *container_names.UNWANTED):
            self.config(backup_swift_container=wrong)
            self._refused('backup_swift_container is not a usable')
        for good in container_names.GOOD:
            self.config(backup_swift_container=good)
            self._check()

    def test_compression(self):
        for word in ('none', 'off', 'no', 'zlib', 'gzip', 'bz2', 'bzip2',
                     'zstd', 'ZSTD'):
            self.config(backup_compression_algorithm=word)
            self._check()

    def test_single_user_without_user_or_key(self):
        self.config(backup_swift_auth='single_user')
        self._refused('backup_swift_user is not set')
        self.config(backup_swift_user='u')
        self._refused('backup_swift_key is not set')

    def test_single_user_without_auth_url(self):
        self.config(backup_swift_auth='single_user', backup_swift_user='u',
                    backup_swift_key='k')
        with mock.patch.object(setup_check.LOG, 'warning') as warned:
            self._check()
        self.assertIn('backup_swift_auth_url', warned.call_args.args[0])

    def _single_user(self, **answer):
        self.config(backup_swift_auth='single_user', backup_swift_user='u',
                    backup_swift_key='k', backup_swift_retry_attempts=0,
                    backup_swift_auth_url=_LOGIN)
        self.http.get(_LOGIN, **answer)

    def _logged_in(self):
        self._single_user(headers={'X-Storage-Url': _OWN, 'X-Auth-Token': 't'})

    def test_single_user_that_is_refused(self):
        self._single_user(status_code=401)
        self._serve_info()
        self.assertRaises(exceptions.AccessDenied, self._check)

    def test_single_user_without_identity_service(self):
        self._single_user(status_code=503)
        self._passes_with_an_error()

    def test_single_user_checks_the_cluster(self):
        self._logged_in()
        self._serve_info(max_file_size=1000)
        self._refused('accepts objects of at most 1000 bytes')

    def test_object_size_above_the_limit(self):
        self.config(backup_swift_url=base.SWIFT)
        self._serve_info(max_file_size=52428799)
        self._refused('backup_swift_object_size is 52428800', '52428799')
        self._serve_info(max_file_size=52428800)
        self._check()

    def test_unknown_policy(self):
        self.config(backup_swift_url=base.SWIFT,
                    backup_swift_create_storage_policy='gold')
        self._serve_info(policies=[{'name': 'tin'}, {
            'name': 'steel', 'aliases': 'steel, iron'}])
        self._refused('backup_swift_create_storage_policy', "'gold'", 'tin',
                      'steel')
        for known in ('tin', 'iron'):
            self.config(backup_swift_create_storage_policy=known)
            self._check()

    def test_hidden_info_is_no_error(self):
        self.config(backup_swift_url=base.SWIFT,
                    backup_swift_create_storage_policy='gold')
        for status in (401, 403, 404):
            self.http.get(_INFO, status_code=status)
            self._check()

    def test_cluster_not_there(self):
        self.config(backup_swift_url=base.SWIFT,
                    backup_swift_retry_attempts=0)
        self.http.get(_INFO, status_code=503)
        self.http.get(base.SWIFT, status_code=503)
        self._passes_with_an_error()

    def _passes_with_an_error(self):
        """Start while Swift is away; returns what is said of it."""
        with mock.patch.object(setup_check.LOG, 'error') as told:
            self._check()
        (message, why), _ = told.call_args
        self.assertIn('The service starts anyway', message)
        return str(why)

    def _passes_with_a_warning(self, door):
        with mock.patch.object(setup_check.LOG, 'warning') as warned:
            self._check()
        self.assertEqual(1, warned.call_count, door)
        self.assertIn('limits of the cluster are not known',
                      warned.call_args.args[0])

    def test_info_behind_somebody_elses_door(self):
        self.config(backup_swift_url=base.SWIFT, backup_swift_retry_attempts=0,
                    backup_swift_create_storage_policy='gold')
        for door in _DOORS:
            self.http.get(_INFO, **door)
            self._passes_with_a_warning(door)

    def test_info_behind_somebody_elses_door_of_a_login(self):
        self._logged_in()
        self.http.get(_OWN, **answers.listed())
        for door in _DOORS:
            self.http.get(_INFO, **door)
            self._passes_with_a_warning(door)

    def test_gateway_that_has_no_place_for_info(self):
        self.config(backup_swift_url=base.SWIFT, backup_swift_retry_attempts=0)
        for status in (429, 500, 501, 502, 503, 504):
            self.http.get(_INFO, status_code=status)
            for account in (401, 403):
                self.http.get(base.SWIFT, status_code=account)
                self._passes_with_a_warning((status, account))
        for account in ({'status_code': 404}, {'status_code': 503},
                        answers.PAGE):
            self.http.get(base.SWIFT, **account)
            self.assertIn('504', self._passes_with_an_error())

    def test_gateway_that_drops_what_is_not_of_an_account(self):
        self.config(backup_swift_url=base.SWIFT, backup_swift_retry_attempts=0)
        self.http.get(_INFO, exc=requests.ReadTimeout)
        self.http.get(base.SWIFT, status_code=401)
        self._check()
        self.http.get(base.SWIFT, exc=requests.ReadTimeout)
        self._passes_with_an_error()

    def test_wrong_login_behind_somebody_elses_door(self):
        self.http.get(_INFO, **answers.PAGE)
        self._single_user(status_code=401)
        self.assertRaises(exceptions.AccessDenied, self._check)
        self._single_user(status_code=503)
        self._passes_with_an_error()

    def test_malformed_catalog_info_that_is_not_used(self):
        self._serve_info()
        self.config(backup_swift_url=base.SWIFT, swift_catalog_info='x',
                    keystone_catalog_info='x')
        self._check()
        self.assertIsNone(settings.read().account.swift)

    def test_spool_directory(self):
        self.config(backup_swift_spool_directory='/nonexistent')
        err = self.assertRaises(exceptions.SpoolError, self._check)
        self.assertIn('/nonexistent', str(err))

    def test_malformed_catalog_info(self):
        self.config(backup_swift_auth='single_user', backup_swift_user='u',
                    backup_swift_key='k', swift_catalog_info='x',
                    backup_swift_auth_url='http://swift.test/auth/v1.0')
        self._refused('swift_catalog_info')

    def test_name_that_is_no_option(self):
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
            file.write('[DEFAULT]\nbackup_swift_worker = 5\n')
            file.flush()
            self.config(backup_swift_spool_directory=tempfile.gettempdir())
            with mock.patch.object(cfg.CONF, 'config_file', [file.name]):
                log = self.useFixture(fixtures.FakeLogger())
                self._check()
        self.assertIn(
            f'backup_swift_worker, in {file.name}: Unknown option. Did you '
            'mean backup_swift_workers?\n', log.output)

    def test_the_driver_says_it_in_one_line(self):
        self.config(backup_swift_object_size=1000)
        log = self.useFixture(fixtures.FakeLogger(level=logging.INFO))
        err = self.assertRaises(
            cinder_exception.BackupDriverException,
            driver.SwiftBackupDriver(self.context()).check_for_setup_error)
        (line,) = log.output.splitlines()
        self.assertIn('chunks of 1000 ', line)
        self.assertIn('check-config', line)
        # Which is what Cinder logs behind it.
        self.assertNotIn('ConfigurationError', ''.join(
            traceback.format_exception(err)))

    def test_the_driver_says_it_in_cinders_way(self):
        self.config(backup_swift_object_size=1000)
        err = self.assertRaises(
            cinder_exception.BackupDriverException,
            driver.SwiftBackupDriver(self.context()).check_for_setup_error)
        self.assertIn('chunks of 1000 ', str(err))
        self.assertIn('backup_swift_object_size', str(err))

# SPDX-License-Identifier: Apache-2.0

"""What is said of a configuration file."""

import os
import pathlib
import socket
import tempfile
from unittest import mock

from oslo_config import cfg
import requests
import requests_mock
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import compat
from cinder_swift_backup.driver import config_report
from tests.fakes import answers
from tests.unit.driver import base

_SWIFT = 'http://swift.test/v1/AUTH_own'
_LOGIN = '''
backup_swift_auth = single_user
backup_swift_auth_version = 1
backup_swift_auth_url = http://swift.test/auth/v1.0
backup_swift_user = u
backup_swift_key = very-secret
backup_swift_retry_attempts = 0
'''


class ReportTest(base.HttpTestCase):
    """All that is wrong is said, and what would be done."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        cfg.CONF.clear_override('backup_swift_spool_directory')

    def _check(self, text='', driver=compat.OURS, more=()):
        path = self.directory / 'cinder.conf'
        path.write_text(f'[DEFAULT]\nbackup_driver = {driver}\n'
                        f'state_path = {self.directory}\n{text}')
        answers = config_report.check([f'--config-file={path}', *more])
        for each in answers:
            self.assertNotIn('very-secret', f'{each.text}{each.problem}')
            self.assertNotIn('\n', f'{each.text}{each.problem}')
            for internal in ('LocationInfo', 'Locations', 'base 10'):
                self.assertNotIn(internal, each.problem)
        problems = [each.problem for each in answers if each.problem]
        self.assertEqual(sorted(set(problems)), sorted(problems))
        return answers

    def _problems(self, *args, **options):
        found = {}
        for each in self._check(*args, **options):
            if each.problem:
                found.setdefault(each.subject, []).append(each.problem)
        return {subject: ' '.join(problems)
                for subject, problems in found.items()}

    def _texts(self, *args, **options):
        return {each.subject: each.text
                for each in self._check(*args, **options)
                if not each.problem}

    def _file(self, name, text):
        """Write a file of options; returns its path."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'[DEFAULT]\n{text}\n')
        return path

    def _serve(self, *, exists=True, **swift):
        self.http.get('http://swift.test/auth/v1.0', headers={
            'X-Storage-Url': _SWIFT, 'X-Auth-Token': 'token'})
        self.http.get('http://swift.test/info', json={
            'swift': {'max_file_size': 5 << 30, **swift}})
        self.http.head(_SWIFT, **answers.ACCOUNT)
        self.http.get(_SWIFT, **answers.listed())
        self.http.head(f'{_SWIFT}/volumebackups', **(
            answers.CONTAINER if exists else {'status_code': 404}))
        self.http.head(f'{_SWIFT}/volumebackups_segments', status_code=404)

    def test_defaults(self):
        found = self._texts()
        self.assertIn('catalog of each request', found['Account'])
        self.assertIn('52428800', found['Objects'])
        self.assertEqual('zlib, balanced', found['Compression'])
        self.assertEqual('chunks', found['Form'])
        self.assertEqual('none', found['Encryption'])
        self.assertEqual('4; a backup takes up to 304 MiB', found['Workers'])
        self.assertIn('not contacted', found['Cluster'])
        self.assertEqual({}, self._problems())
        self.assertEqual(0, self.http.call_count)

    def test_encryption(self):
        keys = self.directory / 'keys'
        keys.mkdir()
        (keys / 'known').write_text('5a' * 32)
        options = ('backup_swift_form = packs\n'
                   'backup_swift_encryption_key_id = {}\n'
                   '[key_manager]\n'
                   'backend = tests.cloud.key_manager.FileKeyManager\n'
                   f'keys_directory = {keys}\n')
        self.assertIn('each user must be able to read',
                      self._texts(options.format('other'))['Encryption'])
        options += 'auth_type = password\nusername = u\npassword = p\n'
        self.assertEqual('with key known, which the key manager has',
                         self._texts(options.format('known'))['Encryption'])
        problem = self._problems(options.format('other'))['Encryption']
        self.assertIn('the key manager has no key other', problem)
        self.assertIn('Correct backup_swift_encryption_key_id', problem)
        self.assertIn('has no key lost', self._problems(
            options.format('known, known, lost'))['Encryption'])

    def test_another_driver(self):
        self.assertIn(f'backup_driver = {compat.OURS}', self._problems(
            driver=compat.STOCK)['Driver'])

    def test_names_that_are_no_options(self):
        found = self._problems('backup_swift_objects_size = 1\n'
                               'backup_compresion_algorithm = zstd\n'
                               'backup_swift_wings = 2\n'
                               'backup_ceph_user = u\n'
                               'backup_enable_progress_timer = true\n'
                               'backup_s3_enable_progress_timer = true\n'
                               'backup_gcs_enable_progress_timer = true\n'
                               'backup_swfit_block_size = 32768\n'
                               'verbose = true\n')
        self.assertEqual(
            {'backup_swift_objects_size', 'backup_compresion_algorithm',
             'backup_swfit_block_size', 'backup_swift_wings'}, set(found))
        self.assertEqual(
            'Unknown option. Did you mean backup_swift_object_size?',
            found['backup_swift_objects_size'])
        self.assertIn('mean backup_compression_algorithm?',
                      found['backup_compresion_algorithm'])
        self.assertEqual('Unknown option. Remove it.',
                         found['backup_swift_wings'])
        for wrong, right in (('worker', 'workers'), ('retries', None),
                             ('compresion', 'compression_level'),
                             ('rbd_ctb', 'rbd_cbt'), ('passwd', None),
                             ('verify', 'verify_restore'),
                             ('spool_dir', 'spool_directory'),
                             ('auth_insecur', 'auth_insecure')):
            said = self._problems(f'backup_swift_{wrong} = 1\n')[
                f'backup_swift_{wrong}']
            self.assertEqual(
                'Unknown option. ' + (
                    f'Did you mean backup_swift_{right}?' if right
                    else 'Remove it.'), said)

    def test_all_problems_at_once(self):
        found = self._problems(
            'backup_swift_auth = single_user\n'
            'backup_swift_auth_version = 3\n'
            'backup_swift_auth_url = keystone:5000/v3\n'
            'backup_swift_url = swift.test/v1/AUTH_\n'
            'swift_catalog_info = x\n'
            'backup_swift_block_size = 100\n'
            'backup_swift_object_size = 1030\n'
            'backup_swift_container = a/b\n'
            'backup_swift_container_sync_to = //realm/b\n'
            'backup_swift_verify_restore = false\n'
            f'backup_swift_spool_directory = {self.directory}/none\n')
        for text in ('backup_swift_user is not set',
                     'backup_swift_key is not set',
                     'backup_swift_project is not set',
                     'swift_catalog_info'):
            self.assertIn(text, found['Account'])
        for name in ('backup_swift_url', 'backup_swift_auth_url'):
            self.assertIn('begins with http:// or https://', found[name])
        for text in ('backup_swift_block_size is 100', 'multiple', 'slash',
                     'backup_swift_container_sync_key'):
            self.assertIn(text, found['Backups'])
        self.assertEqual({'Account', 'Backups', 'Temporary files',
                          'Restores', 'backup_swift_url',
                          'backup_swift_auth_url'}, set(found))
        self.assertEqual(0, self.http.call_count)

    def test_smallest_objects(self):
        found = self._problems('backup_swift_block_size = 100\n'
                               'backup_swift_object_size = 200\n')
        self.assertIn('backup_swift_block_size is 100', found['Backups'])
        self.assertIn('backup_swift_object_size is 200', found['Backups'])

    def test_version_that_is_not_that_of_the_url(self):
        text = _LOGIN.replace('http://swift.test/auth/v1.0', '{}').replace(
            'version = 1', 'version = {}') + 'backup_swift_project = p\n'
        for version, url, other in (
                (1, 'http://k.test:5000/v3', 3),
                (1, 'http://k.test/identity/v3/', 3),
                (1, 'https://k.test/v2.0', 2), ('1.0', 'http://k.test/v3', 3),
                (2, 'http://k.test/v3', 3), (3, 'http://k.test/v2.0', 2),
                (3, 'http://swift.test/auth/v1.0', 1)):
            found = self._problems(
                f'{text.format(version, url)}backup_swift_tenant = t\n')
            self.assertIn(f'backup_swift_auth_version is {str(version)[0]}, '
                          f'but backup_swift_auth_url ends in',
                          found['Account'])
            self.assertIn(f'needs version {other}. Correct it.',
                          found['Account'])
        # Nobody had to be asked.
        self.assertEqual(0, self.http.call_count)

    def test_urls_that_are_none_of_http(self):
        for name in ('backup_swift_url', 'backup_swift_auth_url'):
            found = self._problems(
                f'{_LOGIN}{name} = ftp://swift.test/v1/AUTH_\n')
            self.assertIn(f'{name} has to be a URL that begins with http',
                          found['Account'])

    def test_what_is_not_asked_is_said(self):
        self.assertIn('not contacted', self._texts(
            'backup_swift_auth = single_user\n')['Cluster'])

    def test_value_of_another_type(self):
        found = self._problems('backup_swift_workers = many\n'
                               'backup_swift_block_size = x\n'
                               'backup_swift_auth = single_user\n')
        self.assertEqual({'backup_swift_workers', 'backup_swift_block_size',
                          'Account'}, set(found))
        path = self.directory / 'cinder.conf'
        self.assertEqual(
            f"backup_swift_workers is 'many': it has to be a whole number of "
            f"at least 1. Correct it. [in {path}]",
            found['backup_swift_workers'])
        self.assertIn('backup_swift_user', found['Account'])
        for name, value, right in (
                ('backup_swift_workers', '0', 'whole number of at least 1'),
                ('backup_swift_block_size', '32k', 'a whole number.'),
                ('backup_swift_auth', 'both', 'one of per_user, single_user'),
                ('backup_swift_auth_insecure', 'maybe', 'true or false'),
                ('backup_compression_algorithm', 'lzo', 'one of none, off, '),
                ('backup_swift_url', '::', 'a URL'),
                ('backup_swift_url', 'swift.test/v1/AUTH_', 'http://'),
                ('backup_swift_spool_directory', '$nowhere/x',
                 'refers to an option that does not exist')):
            found = self._problems(f'{name} = {value}\n')
            self.assertEqual([name], list(found))
            self.assertIn(f"{name} is '{value}': it ", found[name])
            self.assertIn(right, found[name])

    def test_value_of_the_last_file_counts(self):
        other = self._file('other.conf', 'backup_swift_workers = few')
        found = self._problems('backup_swift_workers = many\n',
                               more=[f'--config-file={other}'])
        self.assertIn("is 'few'", found['backup_swift_workers'])
        self.assertIn(str(other), found['backup_swift_workers'])

    def test_certificates_that_are_not_there(self):
        self._serve()
        self.http.get('http://swift.test/auth/v1.0',
                      exc=OSError('no suitable TLS CA certificate bundle'))
        self.assertIn('certificate', self._problems(_LOGIN)['Cluster'])

    def test_directory_that_is_not_there(self):
        found = self._problems(
            f'backup_swift_spool_directory = {self.directory}/none\n')
        self.assertIn('does not exist', found['Temporary files'])
        self.assertIn(f'{self.directory}/none', found['Temporary files'])
        self.assertIn('state_path', found['Temporary files'])

    def test_container_that_exists(self):
        self._serve()
        found = self._texts(_LOGIN)
        self.assertIn('user u', found['Account'])
        self.assertEqual('volumebackups, which exists', found['Container'])
        self.assertIn(str(5 << 30), found['Cluster'])

    def test_container_to_be_made(self):
        self._serve(exists=False, policies=[{'name': 'gold'}])
        self.assertIn('creates it', self._texts(
            f'{_LOGIN}backup_swift_create_storage_policy = gold\n',
        )['Container'])
        self.assertIn('backup_create_containers', self._problems(
            f'{_LOGIN}backup_create_containers = false\n')['Container'])

    def test_limits_of_the_cluster(self):
        self._serve(max_file_size=1000)
        self.assertIn('at most 1000', self._problems(_LOGIN)['Cluster'])

    def test_cluster_that_does_not_tell(self):
        self._serve()
        self.http.get('http://swift.test/info', **answers.PAGE)
        found = self._texts(_LOGIN)
        self.assertIn('not reported', found['Cluster'])
        self.assertEqual('volumebackups, which exists', found['Container'])
        self.assertEqual({}, self._problems(_LOGIN))

    def test_copy(self):
        text = (f'{_LOGIN}backup_swift_container_sync_to = //realm/b\n'
                f'backup_swift_container_sync_key = k\n')
        self._serve(exists=False)
        self.assertEqual('//realm/b/AUTH_own/volumebackups',
                         self._texts(text)['Copy'])
        self._serve()
        self.assertIn('X-Container-Sync-To', self._problems(text)['Copy'])

    def test_cluster_that_refuses(self):
        self.http.get('http://swift.test/auth/v1.0', status_code=401)
        (refused,) = [each for each in self._check(_LOGIN) if each.problem]
        self.assertIn('backup_swift_key', refused.problem)
        self.assertIsInstance(refused.error, exceptions.AccessDenied)

    def test_nobody_to_log_in_at(self):
        url = 'http://swift.test/auth/v1.0'
        self.http.get(url, exc=requests.ConnectionError(
            socket.gaierror(-2, 'Name or service not known')))
        (refused,) = [each for each in self._check(_LOGIN) if each.problem]
        self.assertEqual(
            f'the identity service cannot be reached (name or service not '
            f'known). Check backup_swift_auth_url. [{url}]', refused.problem)
        self.assertIsInstance(refused.error, exceptions.StoreUnavailable)
        self.assertEqual(1, self.http.call_count)

    def test_no_swift_at_the_url(self):
        self.http.get(requests_mock.ANY, exc=requests.ConnectionError(
            urllib3.exceptions.MaxRetryError(
                urllib3.HTTPConnectionPool('swift.test'), '/info',
                ConnectionRefusedError(111, 'refused'))))
        (refused,) = [each for each in self._check(
            'backup_swift_url = http://swift.test/v1/AUTH_\n'
            'backup_swift_retry_attempts = 0\n') if each.problem]
        self.assertIn('(connection refused). Check backup_swift_url, or',
                      refused.problem)
        self.assertNotIn('Pool', refused.problem)

    def test_file_that_is_none(self):
        path = self.directory / 'cinder.conf'
        path.write_text('this is no configuration')
        for wrong in (f'file={self.directory}/none', f'file={self.directory}',
                      f'file={path}', f'dir={self.directory}/none',
                      # In which it is.
                      f'dir={self.directory}'):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    config_report.check, [f'--config-{wrong}'])
            self.assertIn(str(self.directory), str(err), wrong)

    def test_value_that_is_also_an_argument(self):
        path = self._file('cinder.conf', 'debug = perhaps')
        err = self.assertRaises(
            exceptions.ConfigurationError, config_report.check,
            [f'--config-file={path}'])
        self.assertIn('perhaps', str(err))
        self.assertNotIn('Location', str(err))

    def test_several_files(self):
        other = self._file('secrets.conf', 'backup_swift_key = very-secret\n'
                           'backup_swift_workers = 7\n'
                           'backup_swift_wings = 2')
        more = [f'--config-file={other}']
        answers = {each.subject: each for each in self._check(
            'backup_swift_workers = 5\nbackup_swift_auth = single_user\n'
            'backup_swift_user = u\nbackup_swift_wings = 1\n', more=more)}
        first = self.directory / 'cinder.conf'
        self.assertEqual(f'{first}, {other}', answers['Configuration'].text)
        self.assertIn('user u', answers['Account'].text)
        self.assertIn('7;', answers['Workers'].text)
        self.assertEqual(f'in {first}, {other}',
                         answers['backup_swift_wings'].text)

    def test_directories(self):
        for name, workers in (('a.d/20-b.conf', 6), ('a.d/10-a.conf', 5),
                              ('a.d/30.conf.old', 9), ('b.d/00.conf', 7)):
            self._file(name, f'backup_swift_workers = {workers}')
        for names, workers in (
                ('a.d', 6), ('a.d b.d', 7), ('b.d a.d', 6)):
            found = self._texts('backup_swift_workers = 1\n', more=[
                f'--config-dir={self.directory}/{name}'
                for name in names.split()])
            self.assertIn(f'{workers};', found['Workers'], names)
        self.assertEqual(
            [str(self.directory / name) for name in (
                'cinder.conf', 'b.d/00.conf', 'a.d/10-a.conf',
                'a.d/20-b.conf')], found['Configuration'].split(', '))

    def test_option_of_no_name_in_a_directory(self):
        path = self._file('a.d/1.conf', 'backup_swift_wings = 2')
        (found,) = [each for each in self._check(
            more=[f'--config-dir={path.parent}']) if each.problem]
        self.assertEqual(('backup_swift_wings', f'in {path}'),
                         (found.subject, found.text))

    def test_directory_that_may_not_be_read(self):
        (self.directory / 'a.d').mkdir()

        def refuse(path, mode):
            return not str(path).endswith('a.d')
        with mock.patch.object(os, 'access', refuse):
            found = self._problems(
                more=[f'--config-dir={self.directory}/a.d'])
        self.assertEqual(['Configuration'], list(found))

    def test_what_cinder_finds_by_itself(self):
        self.enterContext(mock.patch.dict(os.environ,
                                          HOME=str(self.directory)))
        self._file('.cinder/cinder.conf',
                   f'backup_driver = {compat.OURS}\n'
                   f'state_path = {self.directory}\n'
                   f'backup_swift_workers = 5')
        self._file('.cinder/cinder-backup.conf', 'backup_swift_workers = 6')
        # So that nobody looks for them in the host's /etc.
        for name in ('cinder', 'cinder-backup'):
            (self.directory / f'.cinder/{name}.conf.d').mkdir()
        found = self._found()
        self.assertIn('6;', found['Workers'])
        self._file('.cinder/cinder.conf.d/1.conf', 'backup_swift_workers = 7')
        self.assertIn('7;', self._found()['Workers'])
        self._file('.cinder/cinder-backup.conf.d/1.conf',
                   'backup_swift_workers = 8')
        self.assertIn('8;', self._found()['Workers'])

    def _found(self):
        """What is said of the files that nobody has named."""
        answers = config_report.check()
        self.assertEqual([], [each.problem for each in answers
                              if each.problem])
        return {each.subject: each.text for each in answers}

    def test_nothing_that_cinder_finds(self):
        with mock.patch.object(cfg, 'find_config_files', return_value=[]):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    config_report.check)
        self.assertIn('--config-file', str(err))

    def test_what_should_not_be_so(self):
        self._serve()
        found = self._problems(f'{_LOGIN}backup_swift_auth_insecure = true\n'
                               f'backup_swift_verify_restore = false\n')
        self.assertIn('TLS', found)
        self.assertIn('Restores', found)

# SPDX-License-Identifier: Apache-2.0

"""What is said of a configuration file."""

import os
import pathlib
import tempfile
from unittest import mock

from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import checkup
from cinder_swift_backup.driver import compat
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


class CheckupTest(base.HttpTestCase):
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
        answers = checkup.check([f'--config-file={path}', *more])
        for each in answers:
            self.assertNotIn('very-secret', f'{each.text}{each.problem}')
            self.assertNotIn('\n', f'{each.text}{each.problem}')
        return answers

    def _problems(self, *args, **options):
        return {each.subject: each.problem
                for each in self._check(*args, **options) if each.problem}

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
        self.assertEqual('4; a backup takes up to 280 MiB', found['Workers'])
        self.assertIn('not asked', found['Cluster'])
        self.assertEqual({}, self._problems())
        self.assertEqual(0, self.http.call_count)

    def test_another_driver(self):
        self.assertIn(f'backup_driver = {compat.OURS}', self._problems(
            driver=compat.STOCK)['Driver'])

    def test_names_that_are_no_options(self):
        found = self._problems('backup_swift_objects_size = 1\n'
                               'backup_compresion_algorithm = zstd\n'
                               'backup_swift_wings = 2\n'
                               'backup_ceph_user = u\n'
                               'verbose = true\n')
        self.assertEqual(
            {'backup_swift_objects_size', 'backup_compresion_algorithm',
             'backup_swift_wings'}, set(found))
        self.assertIn('backup_swift_object_size',
                      found['backup_swift_objects_size'])
        self.assertIn('Remove', found['backup_swift_wings'])

    def test_all_problems_at_once(self):
        found = self._problems(
            'backup_swift_auth = single_user\n'
            'backup_swift_object_size = 1000\n')
        self.assertIn('backup_swift_user is not set', found['Account'])
        self.assertIn('multiple', found['Backups'])

    def test_value_of_another_type(self):
        found = self._problems('backup_swift_workers = many\n'
                               'backup_swift_block_size = x\n'
                               'backup_swift_auth = single_user\n')
        self.assertEqual({'backup_swift_workers', 'backup_swift_block_size',
                          'Account'}, set(found))
        self.assertIn('many', found['backup_swift_workers'])
        self.assertIn('backup_swift_user', found['Account'])

    def test_certificates_that_are_not_there(self):
        self._serve()
        self.http.get('http://swift.test/auth/v1.0',
                      exc=OSError('no suitable TLS CA certificate bundle'))
        self.assertIn('certificate', self._problems(_LOGIN)['Cluster'])

    def test_directory_that_is_not_there(self):
        found = self._problems(
            f'backup_swift_spool_directory = {self.directory}/none\n')
        self.assertIn('backup_swift_spool_directory',
                      found['Temporary files'])

    def test_container_that_exists(self):
        self._serve()
        found = self._texts(_LOGIN)
        self.assertIn('user u', found['Account'])
        self.assertEqual('volumebackups, which exists', found['Container'])
        self.assertIn(str(5 << 30), found['Cluster'])

    def test_container_to_be_made(self):
        self._serve(exists=False, policies=[{'name': 'gold'}])
        self.assertIn('will be made', self._texts(
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
        self.assertIn('it does not say', found['Cluster'])
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

    def test_file_that_is_none(self):
        path = self.directory / 'cinder.conf'
        path.write_text('this is no configuration')
        for wrong in (f'file={self.directory}/none', f'file={self.directory}',
                      f'file={path}', f'dir={self.directory}/none',
                      # In which it is.
                      f'dir={self.directory}'):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    checkup.check, [f'--config-{wrong}'])
            self.assertIn(str(self.directory), str(err), wrong)

    def test_value_that_is_also_an_argument(self):
        path = self._file('cinder.conf', 'debug = perhaps')
        err = self.assertRaises(exceptions.ConfigurationError, checkup.check,
                                [f'--config-file={path}'])
        self.assertIn('perhaps', str(err))

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
        answers = checkup.check()
        self.assertEqual([], [each.problem for each in answers
                              if each.problem])
        return {each.subject: each.text for each in answers}

    def test_nothing_that_cinder_finds(self):
        with mock.patch.object(cfg, 'find_config_files', return_value=[]):
            err = self.assertRaises(exceptions.ConfigurationError,
                                    checkup.check)
        self.assertIn('--config-file', str(err))

    def test_what_should_not_be_so(self):
        self._serve()
        found = self._problems(f'{_LOGIN}backup_swift_auth_insecure = true\n'
                               f'backup_swift_verify_restore = false\n')
        self.assertIn('TLS', found)
        self.assertIn('Restores', found)

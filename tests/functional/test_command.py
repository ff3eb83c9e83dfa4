# SPDX-License-Identifier: Apache-2.0

"""The command for backups without Cinder, on backups that Cinder made."""

import base64
import filecmp
import json
import random
import signal
import time

import testscenarios

from tests import selection
from tests.cloud import config_files
from tests.fakes import blobs
from tests.functional import api
from tests.functional import cinder_side
from tests.functional import command
from tests.functional import content
from tests.functional.api import MIB
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

STOCK_SERVICE = 'cinder.backup.drivers.swift.SwiftBackupDriver'


class AnyDriverTestCase(testscenarios.WithScenarios,
                        cinder_side.CinderSideTestCase):
    """What either driver wrote is found, verified and restored."""

    # Which codec it is, the command does not know.
    scenarios = selection.scenarios(
        [('ours', {'writer': OURS, 'compression': 'zstd'})],
        [('of the stock driver', {'writer': STOCK, 'compression': 'zlib'})])

    name = 'nightly'

    def setUp(self):
        super().setUp()
        self.configure(backup_compression_algorithm=self.compression)
        self.command = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        self.where = ('--container', self.container)

    def make_backup(self, volume, parent=None):
        """See the base; with the name that a user has given."""
        backup = super().make_backup(volume, parent)
        backup.display_name = self.name
        backup.save()
        return backup

    def _same(self, path, expected):
        self.assertEqual(bytes(expected), path.read_bytes())

    def test_chain(self):
        image = content.make_image()
        volume, path = self.make_volume(image)
        full = self.back_up(self.writer, volume, path)
        first = bytes(image)
        content.change(image, seed=1)
        path.write_bytes(image)
        tip = self.back_up(self.writer, volume, path, parent=full)

        done = self.command.run('list', '-f', 'json', *self.where)
        # What is usual, as a container that was never made, is not told.
        self.assertEqual(2, done.stderr.count('\n'), done.stderr)
        self.assertIn('2 backups in account ', done.stderr)
        rows = json.loads(done.stdout)
        self.assertEqual(
            [(full.id, volume.id, 'full', 0, 'complete', len(first)),
             (tip.id, volume.id, 'incremental', 1, 'complete', len(image))],
            [tuple(row[name] for name in (
                'Backup', 'Volume', 'Kind', 'Depth', 'State', 'Size'))
             for row in rows])
        self.assertEqual(
            ['verified'] * 2,
            [row['State'] for row in self.command.json(
                'verify', '--all', '--deep', *self.where)])
        found = self.command.json('show', tip.id, *self.where)
        self.assertEqual(
            'this package' if self.writer is OURS else "Cinder's own driver",
            found['Written by'])
        self.assertEqual({'A', 'B'}, set(found['Map']))
        for backup, expected in ((full, first), (tip, image)):
            self._same(self.command.restored(backup.id[:20], *self.where),
                       expected)

        self.command.run('delete', full.id, *self.where, code=3)
        for backup in (tip, full):
            self.command.run('delete', backup.id, *self.where)
        self.assertEqual([], self.object_names(self.container))

    def test_names(self):
        # As long and as odd as Cinder's records take them.
        volume, path = self.make_volume(b'x' * BLOCK)
        for name, shown in (
                ('\U0001f4be' * 255, '\U0001f4be' * 255),
                ('a\x1b[2J\t\x00\r\nb', '| a\\x1b[2J\\t\\x00\\r\\nb ')):
            self.name = name
            backup = self.back_up(self.writer, volume, path)
            where = (backup.id, *self.where)
            done = self.command.run('show', *where)
            self.assertIn(shown, done.stdout)
            self.assertEqual(name, self.command.json('show', *where)['Name'])
            (row,) = self.command.json('export-record', *where)
            self.assertEqual(name, json.loads(base64.b64decode(
                row['backup_url']))['display_name'])
        done = self.command.run('list', '-f', 'value', *self.where)
        self.assertEqual(2, done.stdout.count('\n'))

    def test_damage(self):
        volume, path = self.make_volume(content.make_image())
        backup = self.back_up(self.writer, volume, path)
        name = self.object_names(self.container)[1]
        self.store.delete(self.container, name)
        (row,) = self.command.json('verify', backup.id, *self.where, code=7)
        self.assertEqual((backup.id, 'damaged', name), tuple(
            row[field] for field in ('Backup', 'State', 'Object')))
        done = self.command.run('restore', backup.id,
                                self.directory / 'target', *self.where,
                                code=7)
        self.assertIn(name, done.stderr)
        self.assertFalse((self.directory / 'target').exists())


class UnverifiedTestCase(testscenarios.WithScenarios,
                         cinder_side.CinderSideTestCase):
    """A backup that was refused as damaged, restored as it is."""

    scenarios = selection.scenarios(
        [('of the stock driver', {'writer': STOCK})],
        [('ours', {'writer': OURS})])

    def test_overwritten_object(self):
        self.configure(backup_compression_algorithm='none')
        data = random.Random(6).randbytes(4 * BLOCK)
        volume, path = self.make_volume(data)
        backup = self.back_up(self.writer, volume, path)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        name = next(each for each in self.object_names(self.container)
                    if each[-6:] in ('-00000', '-00001'))
        stored = bytearray(blobs.get(self.store, self.container, name))
        stored[BLOCK + 1] ^= 1
        blobs.put(self.store, self.container, name, bytes(stored))
        target = self.directory / 'target'
        where = (backup.id, target, '--force', '--container', self.container)
        program.run('restore', *where, code=7)
        done = program.run('restore', *where, '--unverified', code=7)
        self.assertIn(f'Bytes {BLOCK} to {2 * BLOCK}: object {name} does not '
                      f'match.', done.stderr)
        self.assertIn(f', but {BLOCK} bytes of 1 object do not match',
                      done.stderr)
        damaged = bytearray(data)
        damaged[BLOCK + 1] ^= 1
        self.assertEqual(bytes(damaged), target.read_bytes()[:len(data)])


class InterruptedTestCase(cinder_side.CinderSideTestCase):
    """Ctrl-C, as a terminal sends it."""

    def setUp(self):
        super().setUp()
        volume, path = self.make_volume(random.Random(3).randbytes(8 * MIB))
        self.backup = self.back_up(OURS, volume, path)
        self.command = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))

    def _interrupt(self, process):
        process.send_signal(signal.SIGINT)
        text = process.stderr.read().decode()
        self.assertEqual(130, process.wait(60), text)
        self.assertNotIn('Traceback', text)
        return text

    def test_restore_to_a_pipe(self):
        process = self.command.start('restore', self.backup.id, '-',
                                     '--container', self.container)
        # Nobody reads the rest, so it waits.
        self.assertTrue(process.stdout.read(1))
        self.assertIn('The output is incomplete', self._interrupt(process))

    def test_restore_to_a_file(self):
        target = self.directory / 'target'
        process = self.command.start('restore', self.backup.id, target,
                                     '--container', self.container)
        while process.poll() is None and not (
                target.exists() and target.stat().st_size):
            time.sleep(0.001)
        process.send_signal(signal.SIGSTOP)
        if process.poll() is not None:
            self.skipTest('it was faster than this test')
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        text = process.stderr.read().decode()
        if process.wait(60) == 0:
            self.skipTest('it was faster than this test')
        self.assertEqual(130, process.returncode, text)
        self.assertIn('repeat the command with --resume', text)
        self.command.run('restore', self.backup.id, target, '--resume',
                         '--container', self.container)
        self.assertEqual(random.Random(3).randbytes(8 * MIB),
                         target.read_bytes())


class LoginTestCase(cinder_side.CinderSideTestCase):
    """Who may look, and how one logs in."""

    def test_wrong_password(self):
        login = self.cloud.os_environment(self.cloud.demo)
        done = command.Command(self, {**login, 'OS_PASSWORD': 'x'}).run(
            'list', code=4)
        self.assertEqual(1, done.stderr.count('\n'), done.stderr)

    def test_no_login(self):
        done = command.Command(self, {'HOME': str(self.directory)}).run(
            'list', code=4)
        self.assertEqual(1, done.stderr.count('\n'), done.stderr)

    def test_cloud_of_a_file(self):
        user = self.cloud.demo
        clouds = self.directory / 'clouds.yaml'
        clouds.write_text(f'''
clouds:
  site:
    region_name: {self.cloud.region}
    auth:
      auth_url: {self.cloud.auth_url}
      username: {user.username}
      password: {user.password}
      project_name: {user.project_name}
      user_domain_name: {user.user_domain_name}
      project_domain_name: {user.project_domain_name}
''')
        program = command.Command(
            self, {'OS_CLIENT_CONFIG_FILE': str(clouds)})
        volume, path = self.make_volume(b'some data')
        backup = self.back_up(OURS, volume, path)
        (row,) = program.json('--os-cloud', 'site', 'list', '--container',
                              self.container)
        self.assertEqual(backup.id, row['Backup'])

    def test_version_1(self):
        self.need('v1')
        self._use_version_1(self.cloud.v1)

    def test_version_1_beyond_ascii(self):
        self.need('v1_unicode')
        self._use_version_1(self.cloud.v1_unicode)

    def _use_version_1(self, user):
        program = command.Command(self, {
            'ST_AUTH': user.auth_url, 'ST_USER': user.username,
            'ST_KEY': user.password})
        self.configure(
            backup_swift_auth='single_user', backup_swift_auth_version='1',
            backup_swift_auth_url=user.auth_url,
            backup_swift_user=user.username, backup_swift_key=user.password)
        volume, path = self.make_volume(b'some data')
        backup = self.back_up(OURS, volume, path)
        self.assertEqual(b'some data', program.restored(
            backup.id).read_bytes())
        program.run('delete', backup.id)


class OpenStackTestCase(cinder_side.CinderSideTestCase):
    """The commands are those of "openstack", too."""

    def test_list_and_verify(self):
        volume, path = self.make_volume(random.Random(1).randbytes(3 * BLOCK))
        backup = self.back_up(OURS, volume, path)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        for words, column, value in (
                ('list', 'State', 'complete'),
                ('verify --all --deep', 'State', 'verified'),
                ('list --long', 'Volume', volume.id)):
            row, = program.openstack('backup', 'store', *words.split(),
                                     '--container', self.container)
            self.assertEqual((backup.id, value), (row['Backup'], row[column]))


class CheckConfigTestCase(cinder_side.CinderSideTestCase):
    """What the driver would do with the configuration of a real Cinder."""

    def setUp(self):
        super().setUp()
        self.need('directory', 'v1')
        self.conf = self.directory / 'cinder.conf'

    def _check(self, code=0, **options):
        text = (self.cloud.directory / 'cinder' / 'cinder.conf').read_text()
        lines = ''.join(f'{name} = {value}\n'
                        for name, value in options.items())
        self.conf.write_text(
            text.replace('[DEFAULT]\n', f'[DEFAULT]\n{lines}', 1))
        return {row['Subject']: row['Value'] or row['Problem']
                for row in command.Command(self, {}).json(
                    'check-config', '--config-file', self.conf, code=code)}

    def test_as_it_runs(self):
        self.assertIn('catalog', self._check()['Account'])

    def _login(self):
        user = self.cloud.v1
        return {
            'backup_swift_auth': 'single_user',
            'backup_swift_auth_version': '1',
            'backup_swift_auth_url': user.auth_url,
            'backup_swift_user': user.username,
            'backup_swift_key': user.password,
            'backup_swift_container': 'not-yet',
        }

    def test_files_and_a_directory(self):
        login = self._login()
        self._check(4, **{**login, 'backup_swift_key': 'wrong'})
        drop_ins = self.directory / 'conf.d'
        drop_ins.mkdir()
        key = drop_ins / '50-key.conf'
        config_files.write(key, {'DEFAULT': {
            'backup_swift_key': login['backup_swift_key']}})
        workers = self.directory / 'workers.conf'
        config_files.write(workers, {'DEFAULT': {'backup_swift_workers': 3}})
        found = {row['Subject']: row['Value']
                 for row in command.Command(self, {}).json(
                     'check-config', '--config-file', self.conf,
                     '--config-file', workers, '--config-dir', drop_ins)}
        self.assertIn('largest object', found['Cluster'])
        self.assertIn('3;', found['Workers'])
        self.assertEqual(f'{self.conf}, {workers}, {key}',
                         found['Configuration'])

    def test_own_account(self):
        login = {**self._login(),
                 'backup_swift_create_storage_policy': 'silver'}
        found = self._check(**login)
        self.assertIn('standard, silver', found['Cluster'])
        self.assertIn('silver', found['Container'])
        found = self._check(4, **{
            **login, 'backup_swift_create_storage_policy': 'gold',
            'backup_swift_object_size': '52428801'})
        self.assertIn('multiple', found['Backups'])
        found = self._check(4, **{
            **login, 'backup_swift_create_storage_policy': 'gold'})
        self.assertIn('standard, silver', found['Cluster'])
        found = self._check(4, **{**login, 'backup_swift_key': 'wrong'})
        self.assertIn('backup_swift_key', found['Cluster'])

    def test_everything_wrong_at_once(self):
        self._check(4, **{
            **self._login(), 'backup_swift_auth_url': self.cloud.auth_url,
            'backup_swift_workers': '0', 'backup_swift_worker': '4',
            'backup_swift_block_size': '32k',
            'backup_swift_spool_directory': self.directory / 'none'})
        done = command.Command(self, {}).run(
            'check-config', '--config-file', self.conf, '-f', 'value',
            code=4)
        for text in ('Did you mean backup_swift_workers?',
                     "backup_swift_workers is '0': it has to be a whole "
                     "number of at least 1",
                     "backup_swift_block_size is '32k'",
                     'backup_swift_auth_version is 1, but '
                     'backup_swift_auth_url ends in /v3, which needs '
                     'version 3',
                     'the directory for temporary files does not exist'):
            self.assertIn(text, done.stdout)
        for text in ('LocationInfo', 'base 10'):
            self.assertNotIn(text, done.stdout)
        self.assertEqual('NOT OK: 5 problems',
                         done.stderr.splitlines()[-1])


class NothingTestCase(cinder_side.CinderSideTestCase):
    """A login of another project than the one that has the backups."""

    @selection.modes(selection.Modes.EVERYTHING)
    def test_nothing_is_not_well(self):
        self.need('admin')
        volume, path = self.make_volume(b'x' * BLOCK)
        backup = self.back_up(OURS, volume, path)
        where = ('--container', self.container)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        expected = ('verify', '--all', '--expect-volume', volume.id,
                    '--expect-at-least', 1)
        account = self.store.account()
        self.assertIn(f'1 backup in account {account}',
                      program.run(*expected, *where).stderr)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.admin))
        for arguments, code in (
                (('verify', '--all'), 3), (('verify', '--all', '--deep'), 3),
                (('export-record', '--all'), 3), (('list',), 0),
                (('list', '--expect-at-least', 1), 3), (('orphans',), 0)):
            done = program.run(*arguments, code=code)
            self.assertIn('in account AUTH_', done.stderr, arguments)
            self.assertNotIn(account, done.stderr)
            self.assertNotIn(backup.id, done.stdout)
        done = program.run(*expected, code=3)
        self.assertIn(f'Found no complete backup of volume {volume.id}',
                      done.stderr)


class OrphansTestCase(api.ApiTestCase):
    """What was never finished, and what Cinder knows of it."""

    @selection.modes(selection.Modes.EVERYTHING)
    def test_records(self):
        volume = self.make_volume(1)
        lost, kept = (self.back_up(volume) for _ in range(2))
        prefix = f'volume_{volume.id}'
        self.lose_record(lost, [
            name for name in self.object_names(self.container, prefix)
            if lost.id in name])
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        arguments = ('orphans', '--grace', '0', '--container',
                     self.container, '-f', 'json')
        done = program.run(*arguments)
        self.assertEqual([], json.loads(done.stdout))
        self.assertIn(f'no record that matches {lost.id}', done.stderr)
        done = program.run('delete', kept.id, '--container', self.container,
                           code=3)
        self.assertIn('backup-delete', done.stderr)
        for name in self.object_names(self.container, prefix):
            if name.endswith('_metadata'):
                self.store.delete(self.container, name)
        self.assertEqual(
            {(lost.id, None), (kept.id, 'available')},
            {(row['Backup'], row['In Cinder'])
             for row in json.loads(program.run(*arguments).stdout)})
        program.run(*arguments, '--delete')
        left = self.object_names(self.container, prefix)
        self.assertTrue(left)
        self.assertEqual([], [name for name in left if kept.id not in name])


class LostDatabaseTestCase(api.ApiTestCase):
    """Cinder has forgotten everything, and learns it from Swift again."""

    def test_records_of_a_chain(self):
        volume = self.make_volume(10)
        full = self.back_up(volume)
        self.write(volume, 5 * MIB, b'new')
        expected = self.sha256(volume)
        tip = self.back_up(volume, incremental=True)
        for backup in (tip, full):
            self.lose_record(backup, self.object_names(
                self.container, f'volume_{volume.id}'))
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        rows = program.json('export-record', tip.id, '--container',
                            self.container)
        self.assertEqual([full.id, tip.id], [row['backup'] for row in rows])
        self.import_records((row['backup_service'], row['backup_url'])
                            for row in rows)
        found = self.cinder.backups.get(tip.id)
        self.assertTrue(found.is_incremental)
        self.assertEqual((1, volume.id), (found.size, found.volume_id))
        self.assertEqual(expected, self.sha256(self.restore(found)))
        # The volume's next incremental builds on what was imported.
        self.write(volume, 7 * MIB, b'newer')
        newer = self.back_up(volume, incremental=True)
        self.assertEqual(self.sha256(volume), self.sha256(
            self.restore(newer)))
        path = program.restored(newer.id, '--container', self.container)
        self.assertTrue(filecmp.cmp(path, self.volume_path(volume),
                                    shallow=False))
        for backup in (newer, tip, full):
            self.delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

# SPDX-License-Identifier: Apache-2.0

"""``--key-file``."""

import datetime
import json
from unittest import mock

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import key_files
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import key_ring
from tests.unit.cli import base


class KeyFileTest(base.CommandTestCase):
    """An encrypted backup, and the key in a file."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, base.DATA, form=chains.Form.PACKS,
                           encryption=key_ring.new('the-key'))
        self.path = self.directory / 'keys'
        self.write(f'# of this year\n\nthe-key {key_ring.key("the-key").hex()}'
                   f'\nother {key_ring.key("other").hex()}\n')

    def write(self, text, mode=0o600):
        self.path.write_text(text)
        self.path.chmod(mode)

    def restore(self, *options):
        self.target = self.directory / 'volume'
        return self.run_command('restore', 'bak-3', self.target, *options)

    def test_with_the_key(self):
        answer = self.restore('--key-file', self.path)
        self.assertEqual(0, answer.code, answer.err)
        self.assertEqual(base.DATA, self.target.read_bytes())
        self.assertEqual(0, self.run_command(
            'verify', 'bak-3', '--deep', '--key-file', self.path).code)
        convert = ('convert', 'bak-3', '--to', 'chunks', '-f', 'value', '-c',
                   'Result')
        for options, said in (
                (['--dry-run'], 'would be converted, without encryption'),
                (['--key-file', self.path], 'converted, without encryption'),
                (['--dry-run'], 'is converted, without encryption')):
            answer = self.run_command(*convert, *options)
            self.assertEqual((0, said), (answer.code, answer.out.strip()))

    def test_some_without_it(self):
        # What can be done for the others is done.
        self.bench.archive(4, base.DATA, form=chains.Form.PACKS)
        for command in (('verify', '--all', '--deep'),
                        ('verify', '--all', '--deep', '--older-than', '1d')):
            answer = self.run_command(*command, '-f', 'json')
            self.assertEqual(errors.ExitCode.STORE, answer.code)
            rows = {row['Backup']: row for row in json.loads(answer.out)}
            self.assertEqual('unknown', rows['bak-3']['State'])
            self.assertIn('not all of it could be checked: the backup is '
                          'encrypted, and no file has its key the-key',
                          rows['bak-3']['Finding'])
            self.assertNotEqual('unknown', rows['bak-4']['State'])
        answer = self.run_command(
            'convert', 'bak-3', 'bak-4', '--to', 'chunks', '-f', 'json')
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        rows = {row['Backup']: row['Result'] for row in json.loads(answer.out)}
        self.assertEqual('converted', rows['bak-4'])
        self.assertIn('not converted: the backup is encrypted, and no file '
                      'has its key the-key', rows['bak-3'])

    def test_without_it(self):
        answer = self.restore()
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        self.assertIn('the backup is encrypted, and no file has its key '
                      'the-key. Give a file that has it with --key-file.',
                      answer.err)
        self.assertFalse(self.target.exists())
        self.write(f'other {key_ring.key("other").hex()}\n')
        answer = self.restore('--key-file', self.path)
        self.assertIn('no file has its key the-key', answer.err)
        self.write(f'the-key {key_ring.key("other").hex()}\n')
        answer = self.restore('--key-file', self.path)
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        self.assertIn('key the-key is not the one that encrypted the backup',
                      answer.err)
        self.assertFalse(self.target.exists())

    def test_commands_that_need_none(self):
        self.assertEqual(0, self.run_command('list').code)
        self.assertEqual(0, self.run_command('verify', 'bak-3').code)
        found = self.run_json('show', 'bak-3')
        self.assertEqual('the-key', found['Encrypted by'])
        self.assertEqual(1, len(self.run_json('export-record', 'bak-3')))
        with mock.patch.object(cinder_api, 'read', return_value=None):
            self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
                base.ref(3).prefix))
            self.bench.memory.ahead += datetime.timedelta(days=2)
            answer = self.run_command('recover', '--volume', 'vol-1')
            self.assertIn('rebuilt; the pages that are left prove it',
                          answer.out)
            self.assertEqual(0, self.run_command('delete', 'bak-3').code)
            self.bench.memory.ahead += datetime.timedelta(days=2)
            self.assertEqual(0, self.run_command('sweep').code)
        self.assertEqual([], [name for name in self.bench.names()
                              if 'bak-3' in name])

    def test_what_is_no_file_of_keys(self):
        for text in ('x', 'the-key 00', f'the-key {"0" * 63}g', '\x00',
                     f'{"0" * 64}'):
            self.write(text)
            answer = self.restore('--key-file', self.path)
            self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
            self.assertIn(f'line 1 of {self.path} is not', answer.err)
            self.assertNotIn('0' * 63, answer.err)
        self.write(f'the-key {"0" * 64}\nthe-key {"1" * 64}\n')
        self.assertIn('has a second, different key the-key',
                      self.restore('--key-file', self.path).err)
        self.write('the-key 00', 0o640)
        self.assertIn('others can read', self.restore(
            '--key-file', self.path).err)
        answer = self.restore('--key-file', self.directory / 'none')
        self.assertIn('cannot be read', answer.err)
        self.path.write_bytes(b'\xff')
        self.path.chmod(0o600)
        self.assertIn('is not a key file', self.restore(
            '--key-file', self.path).err)
        self.assertEqual({}, key_files.KeyFiles([])._keys)

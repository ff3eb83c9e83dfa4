# SPDX-License-Identifier: Apache-2.0

"""What the user may name backups by."""

from cinder_swift_backup.cli import errors
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_ONE = ('show', 'delete', 'export-record')


class LatestTest(base.RecordsTestCase):
    """The newest complete backup of a volume, and those before it."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, base.NOW)
        # Nobody can restore the fourth.
        self.bench.archive(4, base.DATA)
        self.bench.memory.delete(base.CONTAINER, next(
            name for name in self.bench.names()
            if name.startswith(base.ref(4).prefix)
            and engine_base.is_chunk(name)))

    def test_each(self):
        for number, text in ((3, 'latest'), (3, 'latest~0'), (2, 'latest~1'),
                             (1, 'latest~2')):
            self.assertEqual(
                f'bak-{number}',
                self.run_json('show', text, '--volume', 'vol')['Backup'])

    def test_several(self):
        rows = self.run_json('verify', 'latest', 'latest~2', '--volume',
                             'vol-1')
        self.assertEqual(['bak-1', 'bak-3'], [row['Backup'] for row in rows])

    def test_every_command(self):
        target = self.directory / 'volume'
        for arguments in (('restore', 'latest~1', target),
                          ('export-record', 'latest~1'),
                          ('convert', 'latest~1', '--to', 'packs',
                           '--dry-run'),
                          ('delete', 'latest')):
            answer = self.run_command(*arguments, '--volume', 'vol-1')
            self.assertEqual(0, answer.code, answer.err)
        self.assertEqual(base.NOW, target.read_bytes())
        self.assertEqual(['bak-1', 'bak-2', 'bak-4'], [
            row['Backup'] for row in self.run_json('list')])

    def test_too_far_back(self):
        answer = self.run_command('show', 'latest~3', '--volume', 'vol-1')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('volume vol-1 has 3 complete backups, so there is no '
                      'latest~3', answer.err)

    def test_no_such_volume(self):
        answer = self.run_command('show', 'latest', '--volume', 'none')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)


class UsageTest(base.CommandTestCase):
    """What does not go together is said before anything is done."""

    def _refused(self, words, *arguments):
        self.store.calls.clear()
        answer = self.run_command(*arguments)
        self.assertEqual(errors.ExitCode.USAGE, answer.code, answer.err)
        self.assertIn(words, answer.err)
        self.assertEqual([], self.store.calls)

    def test_latest_of_what(self):
        for name in (*_ONE, 'verify'):
            self._refused('"latest~1" of which volume? Add --volume ID.',
                          name, 'latest~1')

    def test_a_backup_and_a_volume(self):
        for name in (*_ONE, 'verify'):
            self._refused('With --volume, name only', name, 'bak-1',
                          '--volume', 'vol-1')
        self._refused('With --volume, name only', 'verify', 'latest', 'bak-1',
                      '--volume', 'vol-1')

    def test_all_and_others(self):
        for name in ('verify', 'export-record'):
            for others in (['bak-1'], ['--volume', 'vol-1'],
                           ['latest', '--volume', 'vol-1']):
                self._refused('--all is all backups', name, '--all',
                              *others)

    def test_nothing(self):
        self._refused('Name backups, or use --volume or --all.', 'verify')
        self._refused('Name backups, or use', 'convert', '--to', 'packs')
        self._refused('Name a backup, or use --all.', 'export-record')
        self._refused('Name a backup, or use --all.', 'export-record',
                      '--volume', 'vol-1')

# SPDX-License-Identifier: Apache-2.0

"""``recover``."""

import datetime
from unittest import mock

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.unit.cli import base

_LATER = base.DATA[:200] + b'later' + base.DATA[205:]


class RecoverTest(base.CommandTestCase):
    """Two recovery points, of which the newer has lost its manifest."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, base.DATA, form=chains.Form.PACKS)
        self.bench.archive(4, _LATER, parent=3, form=chains.Form.PACKS)
        self._lose(4)
        self.records = self.enterContext(mock.patch.object(
            cinder_api, 'read', return_value=None))
        # Longer ago than a backup may take.
        self.bench.memory.ahead += datetime.timedelta(days=2)

    def _lose(self, number):
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(number).prefix))

    def _recover(self, *arguments, code=0):
        answer = self.run_command('recover', *arguments, '-f', 'json')
        self.assertEqual(code, answer.code, answer.err)
        return base.json.loads(answer.out) if not code else answer.err

    def _check(self, number, data):
        path = self.directory / f'{number}'
        self.assertEqual(0, self.run_command(
            'restore', f'bak-{number}', path).code)
        self.assertEqual(data, path.read_bytes())

    def test_the_newest(self):
        before = self.bench.names()
        (row,) = self._recover('--volume', 'VOL', '--dry-run')
        self.assertEqual(
            ('bak-4', 'vol-1', 1, base.CONTAINER, 'has no manifest', None),
            tuple(row[name] for name in (
                'Backup', 'Volume', 'Packs', 'Container', 'Result', 'Size')))
        self.assertGreater(row['Stored'], 0)
        self.assertEqual(before, self.bench.names())
        (row,) = self._recover('--volume', 'vol-1')
        self.assertEqual('rebuilt; the pages that are left prove it',
                         row['Result'])
        self.assertEqual(512, row['Size'])
        self._check(4, _LATER)
        self.assertEqual(0, self.run_command('verify', '--all',
                                             '--deep').code)
        shown = self.run_command('show', 'bak-4', '-f', 'json').out
        self.assertIn('rebuilt from packs', shown)

    def test_one_that_may_be_in_the_making(self):
        self.bench.memory.ahead -= datetime.timedelta(days=2)
        code = errors.ExitCode.SELECTION
        self.assertIn('may still be in progress',
                      self._recover('--volume', 'vol', code=code))
        self.records.return_value = {'bak-4': deletion.Record(
            'bak-4', 'vol-1', 'creating', is_in_the_making=True)}
        for options in ((), ('bak-4',)):
            self.assertIn('Cinder is making the backup', self._recover(
                *options, '--volume', 'vol', code=code))
        self.records.return_value = {}
        self._recover('bak-4', '--volume', 'vol')
        self._check(4, _LATER)

    def test_another(self):
        self._lose(3)
        rows = self._recover('--volume', 'vol', '--dry-run')
        self.assertEqual(['bak-3', 'bak-4'], [row['Backup'] for row in rows])
        (row,) = self._recover('bak-3', '--volume', 'vol')
        self.assertEqual('bak-3', row['Backup'])
        self._check(3, base.DATA)

    def test_without_pages(self):
        for name in self.bench.names():
            if name.startswith(base.ref(4).prefix):
                self.bench.memory.delete(base.CONTAINER, name)
        (row,) = self._recover('--volume', 'vol')
        self.assertIn('not all pages are left to prove it', row['Result'])
        self._check(4, _LATER)

    def test_nothing_to_choose(self):
        code = errors.ExitCode.SELECTION
        self.assertIn('no volumes with packs have an id that begins with',
                      self._recover('--volume', 'x', code=code))
        self.assertIn(
            'no backups with packs and without a manifest',
            self._recover('bak-3', '--volume', 'vol', code=code))
        self._recover('--volume', 'vol')
        self.assertIn(
            'every backup that has put packs of volume vol-1 has its '
            'manifest', self._recover('--volume', 'vol', code=code))
        self.assertEqual([], self._recover('--volume', 'vol', '--dry-run'))

    def test_a_damaged_pack(self):
        name = next(name for name in self.bench.names()
                    if naming.maker(name) == ('vol-1', 'bak-3'))
        self.bench.damage(name, lambda old: old[:-1])
        self.assertIn(name, self._recover('--volume', 'vol',
                                          code=errors.ExitCode.DAMAGED))

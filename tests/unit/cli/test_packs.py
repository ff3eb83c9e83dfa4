# SPDX-License-Identifier: Apache-2.0

"""Commands on backups in the form of packs."""

import json
import random
import sys
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import errors
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.fakes import points
from tests.unit.cli import base

_DATA = random.Random(11).randbytes(512)
_NOW = _DATA[:96] + bytes(96) + _DATA[192:]


class PacksTest(base.CommandTestCase):
    """Two that share packs, beside a chain of the other form."""

    def setUp(self):
        super().setUp()
        self.writer = points.Writer(self.bench.memory, word='zlib')
        first = self.writer.write(base.ref(3), _DATA)
        self.second = self.writer.write(base.ref(4), _NOW, first)
        self.target = self.directory / 'volume'
        self.store.heal()

    def _done(self, *arguments):
        answer = self.run_command(*arguments)
        self.assertEqual(0, answer.code, answer.err)
        return answer

    def test_restore(self):
        for backup, data in (('bak-3', _DATA), ('bak-4', _NOW)):
            answer = self._done('restore', backup, self.target, '--force')
            self.assertEqual(data, self.target.read_bytes())
            self.assertIn('every block is verified', answer.err)

    def test_restore_to_a_pipe(self):
        with open(self.target, 'w+') as output, \
                mock.patch.object(sys, 'stdout', output):
            self._done('restore', 'bak-4', '-')
        self.assertEqual(_NOW, self.target.read_bytes())

    def test_resume(self):
        self.have_volumes_of_any_size()
        name = self.second.packs[0].name
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('down'), nth=2,
            matching=lambda read: read == name))
        self.assertEqual(
            errors.ExitCode.STORE,
            self.run_command('restore', 'bak-4', self.target).code)
        self.store.heal()
        self._done('restore', 'bak-4', self.target, '--resume')
        self.assertEqual(_NOW, self.target.read_bytes())
        self.store.heal()
        self._done('restore', 'bak-4', self.target, '--resume')
        # One index for each.
        self.assertEqual(
            len(self.second.packs),
            len([name for name in self.store.names('read')
                 if naming.is_pack(name)]))

    def test_list(self):
        rows = self.run_json('list')
        self.assertEqual(
            [('bak-3', 'packs', 'complete'), ('bak-4', 'packs', 'complete')],
            [(row['Backup'], row['Kind'], row['State'])
             for row in rows[2:]])

    def test_verify(self):
        for how, word in (((), 'complete'), (('--deep',), 'verified')):
            answer = self._done('verify', '--all', *how, '-f', 'json')
            self.assertEqual([word] * 4, [row['State'] for row
                                          in json.loads(answer.out)])
        name = self.second.packs[0].name
        self.bench.damage(name, lambda data: b'#' + data[1:])
        for how in ((), ('--deep',)):
            answer = self.run_command('verify', '--all', *how, '-f', 'json')
            self.assertEqual(errors.ExitCode.DAMAGED, answer.code)
            rows = json.loads(answer.out)
            self.assertEqual(['damaged'] * 2,
                             [row['State'] for row in rows[2:]])
            self.assertIn(name, str(rows[2]))

    def test_the_other_is_deleted(self):
        self.bench.delete(base.ref(3))
        self._done('verify', 'bak-4', '--deep')
        self._done('restore', 'bak-4', self.target)
        self.assertEqual(_NOW, self.target.read_bytes())

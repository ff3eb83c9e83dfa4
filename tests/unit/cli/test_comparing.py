# SPDX-License-Identifier: Apache-2.0

"""``diff`` and ``estimate``."""

import json

from cinder_swift_backup.cli import errors
from cinder_swift_backup.format import naming
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_BLOCK = engine_base.GEOMETRY.block_size
# Seven bytes from 100 on, in whole blocks.
_CHANGED = [{'offset': 96, 'length': _BLOCK}]


class DiffTest(base.CommandTestCase):
    """A full backup, and an incremental in which one block differs."""

    def test_values(self):
        self.assertEqual(
            {'From': 'bak-1', 'To': 'bak-2', 'Volume': 'vol-1', 'Size': 512,
             'Differs': _BLOCK, 'Share': '3.12 %', 'Extents': _CHANGED,
             'Map': '.' * 12 + '##' + '.' * 50},
            self.run_json('diff', 'bak-1', 'bak-2'))
        self.assertEqual(
            _CHANGED, self.run_json('diff', 'latest~1', 'latest',
                                    '--volume', 'vol-1')['Extents'])

    def test_nothing(self):
        found = self.run_json('diff', 'bak-1', 'bak-1')
        self.assertEqual((0, [], '.' * 64), (
            found['Differs'], found['Extents'], found['Map']))

    def test_for_people(self):
        answer = self.run_command('diff', 'bak-1', 'bak-2')
        self.assertIn('96 + 16', answer.out)
        self.bench.archive(3, bytes(
            byte if number // _BLOCK % 2 else 0
            for number, byte in enumerate(base.DATA)))
        answer = self.run_command('diff', 'bak-1', 'bak-3')
        self.assertIn('and 6 more', answer.out)

    def test_two_volumes(self):
        for name in self.bench.names():
            if name.startswith(base.ref(1).prefix):
                self.bench.put(name.replace('vol-1', 'vol-2').replace(
                    'bak-1', 'bak-9'), self.bench.get(name).replace(
                        b'vol-1', b'vol-2').replace(b'bak-1', b'bak-9'))
        answer = self.run_command('diff', 'bak-1', 'bak-9')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('backups of two volumes', answer.err)

    def test_damaged(self):
        self.bench.memory.delete(base.CONTAINER, naming.digest_file_name(
            base.ref(2).prefix))
        answer = self.run_command('diff', 'bak-1', 'bak-2')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code)

    def test_digests_that_cannot_be_compared(self):
        self.bench.archive(3, base.DATA, geometry=engine_base.types.Geometry(
            chunk_size=64, block_size=32))
        answer = self.run_command('diff', 'bak-1', 'bak-3')
        self.assertEqual(errors.ExitCode.DAMAGED, answer.code)
        self.assertIn('blocks of different sizes', answer.err)


class EstimateTest(base.CommandTestCase):
    """A volume that is as the first backup."""

    def setUp(self):
        super().setUp()
        self.file = self.directory / 'volume'
        self.file.write_bytes(base.DATA)

    def estimate(self):
        answer = self.run_command('estimate', self.file, '--volume', 'vol-1',
                                  '-f', 'json')
        self.assertEqual(0, answer.code, answer.err)
        return json.loads(answer.out)

    def test_values(self):
        found = self.estimate()
        self.assertEqual(
            {'File': str(self.file), 'Backup': 'bak-2', 'Volume': 'vol-1',
             'Size': 512, 'Differs': _BLOCK, 'Share': '3.12 %',
             'Extents': _CHANGED, 'Map': '.' * 12 + '##' + '.' * 50}, found)

    def test_a_volume_that_has_grown(self):
        self.file.write_bytes(base.NOW + bytes(100))
        found = self.estimate()
        self.assertEqual(
            (612, [{'offset': 512, 'length': 100}]),
            (found['Size'], found['Extents']))

    def test_what_cannot_be_read(self):
        for path in (self.directory / 'none', self.directory):
            answer = self.run_command('estimate', path, '--volume', 'vol-1')
            self.assertEqual(errors.ExitCode.TARGET, answer.code, answer.err)
            self.assertIn(str(path), answer.err)

    def test_no_such_volume(self):
        answer = self.run_command('estimate', self.file, '--volume', 'none')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)

# SPDX-License-Identifier: Apache-2.0

"""``show``."""

import json
import tempfile
import threading

from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests.fakes import images
from tests.fakes import points
from tests.unit.cli import base


class ShowTest(base.CommandTestCase):
    """All that is known of a backup."""

    def test_incremental(self):
        found = self.run_json('show', 'bak-2')
        self.assertEqual(
            ('bak-2', 'vol-1', 'complete', '', 512, 'this package', '',
             'nightly', []),
            tuple(found[name] for name in (
                'Backup', 'Volume', 'State', 'Problem', 'Size', 'Written by',
                'Inferred', 'Name', 'Needed by')))
        first, second = found['Chain']
        self.assertEqual(('A', 'bak-1', 'B', 'bak-2'), (
            first['letter'], first['backup'],
            second['letter'], second['backup']))
        # One block of 16 bytes, from 96, in cells of 8 bytes.
        self.assertEqual('3.1 %', second['provides'])
        self.assertEqual('A' * 12 + 'BB' + 'A' * 50, found['Map'])

    def test_full(self):
        found = self.run_json('show', 'bak-1')
        self.assertEqual(('A' * 64, ['bak-2']),
                         (found['Map'], found['Needed by']))
        (codec,) = found['Codecs']
        self.assertEqual((8, 512), (codec['chunks'], codec['bytes']))

    def test_packs(self):
        points.Writer(self.bench.memory).write(
            base.ref(4), base.NOW, points.Writer(self.bench.memory).write(
                base.ref(3), base.DATA))
        self.bench.delete(base.ref(3))
        found = self.run_json('show', 'bak-4')
        self.assertEqual(('packs', 'complete', 512), tuple(
            found[name] for name in ('Stored format', 'State', 'Size')))
        self.assertEqual(
            [('bak-3', 'deleted', '96.9 %'), ('bak-4', '3.1 %')],
            [tuple(layer[name] for name in ('backup', 'created', 'provides')
                   if name != 'created' or layer[name] == 'deleted')
             for layer in found['Chain']])
        self.assertEqual('A' * 12 + 'BB' + 'A' * 50, found['Map'])
        answer = self.run_command('show', 'bak-4')
        self.assertRegex(answer.out, r' none: 528 B stored as 528 B in 9 '
                                     r'chunks ')

    def test_what_packs_are_shared(self):
        first = points.Writer(self.bench.memory).write(
            base.ref(3), base.DATA)
        second = points.Writer(self.bench.memory).write(
            base.ref(4), base.NOW, first)
        found = self.run_json('show', 'bak-4')
        needed = {pack.name: pack.length for pack in second.packs}
        ours = {name for name in needed if 'bak-4' in name}
        self.assertEqual([{'packs': len(needed),
                           'stored': sum(needed.values())}], found['Needs'])
        own = [{'packs': len(ours),
                'stored': sum(map(needed.__getitem__, ours))}]
        self.assertEqual(own, found['Own packs'])
        self.assertEqual(own, found['Deleting frees'])
        (shared,) = found['Shares with']
        self.assertEqual(('bak-3', len(needed) - len(ours)),
                         (shared['backup'], shared['packs']))
        answer = self.run_command('show', 'bak-4')
        self.assertRegex(answer.out, r'Shares with +\| bak-3: [\d.]+ \w+ in '
                                     r'\d+ packs? ')
        self.bench.damage(naming.manifest_name(base.ref(3).prefix),
                          lambda old: old[:-9])
        self.assertEqual([], self.run_json('show', 'bak-4')[
            'Deleting frees'])

    def test_for_people(self):
        answer = self.run_command('show', 'bak-2')
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('letter B, backup bak-2', answer.out)
        self.assertRegex(answer.out, r'\| Codecs +\| none: 16 B stored as 16 '
                                     r'B in 1 object ')
        self.assertRegex(self.run_command('show', 'bak-1').out,
                         r' none: 512 B stored as 512 B in 8 objects ')

    def test_what_is_empty_is_not_shown_to_people(self):
        out = self.run_command('show', 'bak-2').out
        for name in ('Problem', 'Inferred', 'Needed by', 'Description'):
            self.assertNotIn(f'| {name}', out)
        out = self.run_command('show', 'bak-2', '-c', 'Problem').out
        self.assertIn('| Problem', out)
        self.assertIn('Problem', self.run_json('show', 'bak-2'))

    def test_of_the_stock_driver(self):
        name = naming.manifest_name(base.ref(1).prefix)

        def strip(data):
            fields = json.loads(data)
            del fields['csb_volume_size']
            return json.dumps(fields).encode()

        self.bench.damage(name, strip)
        found = self.run_json('show', 'bak-1')
        self.assertEqual(("Cinder's own driver", 512),
                         (found['Written by'], found['Size']))
        self.assertIn('inferred', found['Inferred'])

    def test_file_in_a_format_of_its_own(self):
        self.assertEqual('raw',
                         self.run_json('show', 'bak-1')['File format'])
        with tempfile.TemporaryFile() as handle:
            handle.write(images.load('qcow2'))
            handle.flush()
            self.bench.archive(3, volumes.open_volume(
                handle, threading.Lock()), geometry=types.Geometry(
                    chunk_size=65536, block_size=4096))
        self.assertEqual('qcow2',
                         self.run_json('show', 'bak-3')['File format'])

    def test_encrypted_volume(self):
        self.bench.archive(
            3, base.DATA, key_id='key', volume_meta=json.dumps(
                {'volume-base-metadata': {
                    'encryption_key_id': 'key-of-the-volume',
                    'volume_type_id': 'luks'}}))
        names = ('Encryption key', 'Key of the volume', 'Volume type')
        found = self.run_json('show', 'bak-3')
        self.assertEqual(['key', 'key-of-the-volume', 'luks'],
                         [found[name] for name in names])
        found = self.run_json('show', 'bak-1')
        self.assertEqual(set(), set(names) & set(found))

    def test_damaged_ones(self):
        gone = naming.chunk_name(base.ref(1).prefix, 4)
        self.bench.memory.delete(base.CONTAINER, gone)
        found = self.run_json('show', 'bak-2')
        self.assertEqual('damaged', found['State'])
        self.assertIn(gone, found['Problem'])
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        found = self.run_json('show', 'bak-2')
        self.assertEqual('arriving', found['State'])
        self.assertNotIn('Map', found)

    def test_no_such_backup(self):
        self.assertEqual(errors.ExitCode.SELECTION,
                         self.run_command('show', 'none').code)

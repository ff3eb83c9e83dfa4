# SPDX-License-Identifier: Apache-2.0

"""``export-record``."""

import base64
import json
from unittest import mock

from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import exporting
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import points
from tests.unit.cli import base

# What Cinder's manager refuses a record without.
_REQUIRED = {'display_name', 'display_description', 'container', 'size',
             'service_metadata', 'object_count', 'id'}


class ExportRecordTest(base.CommandTestCase):
    """A whole chain, in the order in which it is imported."""

    def _records(self, *options):
        rows = self.run_json('export-record', 'bak-2', *options)
        return rows, [json.loads(base64.b64decode(row['backup_url']))
                      for row in rows]

    def test_chain(self):
        rows, (first, second) = self._records()
        self.assertEqual(['bak-1', 'bak-2'], [row['backup'] for row in rows])
        self.assertEqual({'cinder_swift_backup.driver.SwiftBackupDriver'},
                         {row['backup_service'] for row in rows})
        self.assertLessEqual(_REQUIRED, set(first))
        self.assertEqual(
            ('bak-1', 'vol-1', 'nightly', base.CONTAINER, 1,
             base.ref(1).prefix, 8, None, 1),
            tuple(first[name] for name in (
                'id', 'volume_id', 'display_name', 'container', 'size',
                'service_metadata', 'object_count', 'parent_id',
                'num_dependent_backups')))
        self.assertEqual(('bak-2', 'bak-1', 0), tuple(
            second[name] for name in ('id', 'parent_id',
                                      'num_dependent_backups')))
        self.assertLess(first['created_at'], second['created_at'])

    def test_all(self):
        self.bench.archive(3, base.DATA)
        self.bench.memory.delete(base.CONTAINER, naming.digest_file_name(
            base.ref(2).prefix))
        answer = self.run_command('export-record', '--all', '-f', 'value',
                                  '-c', 'backup')
        self.assertEqual(['bak-1', 'bak-3'], answer.out.split())
        self.assertIn('Skipped backup bak-2, which is damaged',
                      answer.err)
        self.assertEqual(2, self.run_command('export-record').code)

    def test_packs(self):
        points.Writer(self.bench.memory).write(base.ref(3), base.DATA)
        (row,) = self.run_json('export-record', 'bak-3')
        record = json.loads(base64.b64decode(row['backup_url']))
        # An object of pages, and its packs, as the driver counts.
        self.assertEqual((None, 5, 1), tuple(record[name] for name in (
            'parent_id', 'object_count', 'size')))
        answer = self.run_command('export-record', 'bak-3', '--service',
                                  'stock')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn("Skipped backup bak-3, because Cinder's own driver "
                      'cannot read packs.', answer.err)
        answer = self.run_command('export-record', '--all', '--service',
                                  'stock', '-f', 'value', '-c', 'backup')
        self.assertEqual((0, ['bak-1', 'bak-2']),
                         (answer.code, answer.out.split()))

    def test_parents_come_first(self):
        self.bench.archive(3, base.DATA)
        self.bench.archive(0, base.NOW, parent=3)
        self.assertEqual(['bak-3', 'bak-0', 'bak-1', 'bak-2'], [
            row['backup'] for row in self.run_json('export-record', '--all')])

    def test_size_that_cinder_noted(self):
        # A file in a format of its own is smaller than its volume.
        self.bench.archive(3, base.DATA, volume_meta=json.dumps(
            {'version': 2, 'volume-base-metadata': {'size': 7}}))
        (row,) = self.run_json('export-record', 'bak-3')
        self.assertEqual(7, json.loads(base64.b64decode(
            row['backup_url']))['size'])

    def test_device_that_is_larger_than_cinder_noted(self):
        # As storage rounds up. Cinder lets nobody restore it to a volume of
        # the same size if the record says more.
        self.enterContext(mock.patch.object(exporting, '_GIB', len(base.DATA)))
        for number, meta, size in (
                (3, {'size': 1}, 1), (4, {'size': 3}, 3), (5, {}, 2),
                (6, {'size': 0}, 2)):
            self.bench.archive(
                number, base.DATA + bytes(8), volume_meta=json.dumps(
                    {'version': 2, 'volume-base-metadata': meta}))
            (row,) = self.run_json('export-record', f'bak-{number}')
            self.assertEqual(size, json.loads(base64.b64decode(
                row['backup_url']))['size'])

    def test_key_of_an_encrypted_volume(self):
        # Cinder deletes the key of the record with the backup, so it is the
        # backup's own and never that of the volume.
        meta = json.dumps({'volume-base-metadata': {
            'encryption_key_id': 'key-of-the-volume'}})
        self.bench.archive(3, base.DATA, volume_meta=meta, key_id='key')
        self.bench.archive(4, base.DATA, volume_meta=meta)
        for number, key, told in ((1, None, False), (3, 'key', False),
                                  (4, None, True)):
            answer = self.run_command('export-record', f'bak-{number}',
                                      '-f', 'json')
            (row,) = json.loads(answer.out)
            self.assertEqual(key, json.loads(base64.b64decode(
                row['backup_url']))['encryption_key_id'])
            self.assertEqual(told, f'bak-{number} names no key' in answer.err)

    def test_for_the_stock_driver(self):
        rows, records = self._records('--service', 'stock')
        self.assertEqual({'cinder.backup.drivers.swift.SwiftBackupDriver'},
                         {row['backup_service'] for row in rows}
                         | {record['service'] for record in records})

    def test_each_backup_in_one_form(self):
        self.run_command('convert', 'bak-1', '--to', 'packs')
        # The incremental still needs the old one.
        self.assertEqual([base.ref(1).prefix, base.ref(2).prefix],
                         self._prefixes())
        self.run_command('convert', 'bak-2', '--to', 'packs')
        self.assertEqual(
            [conversion.target(base.ref(number), chains.Form.PACKS).prefix
             for number in (1, 2)], self._prefixes())
        answer = self.run_command('export-record', '--all', '--service',
                                  'stock', '-f', 'json')
        self.assertEqual([base.ref(1).prefix, base.ref(2).prefix],
                         self._decoded(answer.out))

    def test_record_of_what_was_converted_to_chunks(self):
        self.bench.archive(3, base.DATA, form=chains.Form.PACKS)
        self.run_command('convert', 'bak-3', '--to', 'chunks')
        (row,) = self.run_json('export-record', 'bak-3', '--service', 'stock')
        record = json.loads(base64.b64decode(row['backup_url']))
        self.assertEqual(
            (conversion.target(base.ref(3), chains.Form.CHUNKS).prefix, None),
            (record['service_metadata'], record['parent_id']))

    def _prefixes(self):
        answer = self.run_command('export-record', '--all', '-f', 'json')
        return self._decoded(answer.out)

    @staticmethod
    def _decoded(text):
        return [json.loads(base64.b64decode(row['backup_url']))[
            'service_metadata'] for row in json.loads(text)]

    def test_what_cannot_be_restored(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.chunk_name(base.ref(1).prefix, 4))
        answer = self.run_command('export-record', 'bak-2')
        self.assertEqual((errors.ExitCode.DAMAGED, ''),
                         (answer.code, answer.out))

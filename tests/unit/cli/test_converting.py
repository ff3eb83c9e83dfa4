# SPDX-License-Identifier: Apache-2.0

"""``convert``."""

import contextlib
import dataclasses
import pathlib
import sqlite3
import tempfile
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import key_ring
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_CHUNKS, _PACKS = chains.Form


def _record(number, **fields):
    where = base.ref(number)
    return deletion.Record(where.backup_id, where.volume_id, 'available',
                           where.container, is_available=True, **fields)


class ConvertTestCase(base.CommandTestCase):
    """A full backup and an incremental, in chunks, and maybe a Cinder."""

    def setUp(self):
        super().setUp()
        self.records = self.enterContext(mock.patch.object(
            cinder_api, 'read', return_value=None))
        self.prefixes = self.enterContext(mock.patch.object(
            cinder_api, 'prefixes', return_value={}))

    def convert(self, *arguments, code=0):
        answer = self.run_command('convert', *arguments, '-f', 'json')
        self.assertEqual(code, answer.code, answer.err)
        return {row['Backup']: row for row in self.rows_of(answer)}

    def rows_of(self, answer):
        return base.json.loads(answer.out)

    def manifests(self):
        return {name.removesuffix('_metadata') for name in self.bench.names()
                if name.endswith('_metadata')}

    def target(self, number, form):
        return conversion.target(base.ref(number), form).prefix


class ToPacksTest(ConvertTestCase):
    """A chain becomes recovery points that stand alone."""

    def test_a_chain(self):
        rows = self.convert('--all', '--to', 'packs')
        self.assertEqual({'bak-1': 'converted', 'bak-2': 'converted'},
                         {name: row['Result'] for name, row in rows.items()})
        for row in rows.values():
            self.assertEqual(('vol-1', 512, base.CONTAINER), (
                row['Volume'], row['Size'], row['Container']))
            self.assertGreater(row['Converted'], 0)
            self.assertGreater(row['Stored'], 0)
        # What both have is stored once.
        self.assertLess(rows['bak-2']['Converted'],
                        rows['bak-1']['Converted'])
        for number, data in ((1, base.DATA), (2, base.NOW)):
            path = pathlib.Path(self.enterContext(
                tempfile.TemporaryDirectory())) / 'volume'
            # Which of the two it takes does not matter.
            self.assertEqual(0, self.run_command(
                'restore', f'bak-{number}', path).code)
            self.assertEqual(data, path.read_bytes())
        self.assertEqual(0, self.run_command('verify', '--all',
                                             '--deep').code)
        again = self.convert('--all', '--to', 'packs')
        self.assertEqual(['was converted'] * 2,
                         [row['Result'] for row in again.values()])
        # Also by name, though other commands take the new one.
        (again,) = self.convert('bak-2', '--to', 'packs').values()
        self.assertEqual('was converted', again['Result'])

    def test_one_of_them(self):
        rows = self.convert('bak-2', '--to', 'packs')
        self.assertEqual(['bak-2'], list(rows))
        self.assertIn(self.target(2, _PACKS), self.manifests())
        self.assertNotIn(self.target(1, _PACKS), self.manifests())

    def test_nothing_to_do(self):
        answer = self.run_command('convert', '--all', '--to', 'chunks')
        self.assertEqual(0, answer.code)
        self.assertIn('No backup in account memory has to be converted: all '
                      'are in chunks.', answer.err)
        for name in self.bench.names():
            self.bench.memory.delete(base.CONTAINER, name)
        answer = self.run_command('convert', '--all', '--to', 'chunks')
        self.assertIn('There are no backups', answer.err)
        self.assertEqual(errors.ExitCode.SELECTION, self.run_command(
            'convert', 'bak-7', '--to', 'chunks').code)

    def test_dry_run(self):
        before = self.bench.names()
        rows = self.convert('--all', '--to', 'packs', '--dry-run',
                            '--delete-source')
        self.assertEqual(before, self.bench.names())
        self.assertEqual({'would be converted'},
                         {row['Result'] for row in rows.values()})

    def test_damage_of_one(self):
        name = next(name for name in self.bench.names()
                    if name.startswith(base.ref(2).prefix)
                    and name[-5:].isdigit())
        self.bench.damage(name, lambda old: bytes(len(old)))
        rows = self.convert('--all', '--to', 'packs',
                            code=errors.ExitCode.DAMAGED)
        self.assertEqual('converted', rows['bak-1']['Result'])
        self.assertIn(name, rows['bak-2']['Result'])
        self.bench.memory.delete(base.CONTAINER, name)
        rows = self.convert('--volume', 'vol-1', '--to', 'packs',
                            code=errors.ExitCode.DAMAGED)
        self.assertEqual('was converted', rows['bak-1']['Result'])
        self.assertIn('the backup is damaged', rows['bak-2']['Result'])


class DeleteSourceTest(ConvertTestCase):
    """An old backup goes when nobody needs it, and not before."""

    def delete(self, *arguments, code=0):
        return self.convert(*(arguments or ('--all',)), '--to', 'packs',
                            '--delete-source', code=code)

    def test_without_cinder(self):
        rows = self.delete()
        self.assertEqual({'converted; deleted the old one'},
                         {row['Result'] for row in rows.values()})
        self.assertEqual({self.target(1, _PACKS), self.target(2, _PACKS)},
                         self.manifests())

    def test_what_incrementals_need_stays(self):
        rows = self.delete('bak-1')
        self.assertEqual('converted; kept the old one: needed by bak-2',
                         rows['bak-1']['Result'])

    def test_what_a_record_points_to_stays(self):
        self.records.return_value = {
            f'bak-{number}': _record(number) for number in (1, 2)}
        rows = self.delete()
        self.assertIn('Cinder does not say where its record points to',
                      rows['bak-2']['Result'])
        self.prefixes.return_value = {'bak-2': base.ref(2).prefix}
        rows = self.delete()
        self.assertIn("Cinder's record points to it",
                      rows['bak-2']['Result'])
        self.prefixes.return_value = {'bak-2': self.target(2, _PACKS),
                                      'bak-1': base.ref(1).prefix}
        rows = self.delete()
        self.assertEqual('was converted; deleted the old one',
                         rows['bak-2']['Result'])
        self.assertIn("Cinder's record points to it",
                      rows['bak-1']['Result'])

    def test_what_this_login_sees_no_record_of_stays(self):
        self.records.return_value = {}
        rows = self.delete()
        self.assertIn('Cinder shows this login no record of it',
                      rows['bak-2']['Result'])
        rows = self.delete('--all', '--container', base.CONTAINER)
        self.assertIn('deleted the old one', rows['bak-1']['Result'])

    def test_other_data_in_the_new_form(self):
        self.convert('--all', '--to', 'packs')
        target = conversion.target(base.ref(2), _PACKS)
        for name in self.bench.names():
            if name.startswith(target.prefix):
                self.bench.memory.delete(base.CONTAINER, name)
        self.bench.archiver.archive(
            jobs.ArchiveJob(
                ref=target, header=engine_base.header(base.ref(2)),
                geometry=engine_base.GEOMETRY, compression='none',
                form=_PACKS, maker='bak-2.0badc0de'),
            volumes.RamVolume(base.DATA), observers.Recorder())
        before = self.manifests()
        rows = self.delete(code=errors.ExitCode.DAMAGED)
        self.assertIn('other data in its new form', rows['bak-2']['Result'])
        self.assertIn('needed by bak-2', rows['bak-1']['Result'])
        self.assertEqual(before, self.manifests())

    def test_a_backup_that_was_made_meanwhile(self):
        self.convert('--all', '--to', 'packs')
        verify = conversion.Converter.verify

        def make(*arguments):
            if base.ref(3).prefix not in self.manifests():
                self.bench.archive(3, base.DATA, parent=2)
            verify(*arguments)

        with mock.patch.object(conversion.Converter, 'verify', make):
            rows = self.delete()
        self.assertIn('needed by bak-3', rows['bak-2']['Result'])
        self.assertIn('needed by bak-2', rows['bak-1']['Result'])
        self.assertEqual(0, self.run_command('verify', 'bak-3',
                                             '--deep').code)

    def test_a_volume_in_use(self):
        self.records.return_value = {'new': deletion.Record(
            'new', 'vol-1', 'creating', is_in_the_making=True)}
        rows = self.delete()
        self.assertIn('Cinder is backing up the volume',
                      rows['bak-2']['Result'])
        # Wherever the record of the old one points to.
        for number in (1, 2):
            self.records.return_value[f'bak-{number}'] = _record(number)
            self.prefixes.return_value[f'bak-{number}'] = self.target(
                number, _PACKS)
        rows = self.delete()
        self.assertIn('Cinder is backing up the volume',
                      rows['bak-2']['Result'])

    def test_it_is_verified_first(self):
        self.convert('--all', '--to', 'packs')
        before = self.manifests()
        with mock.patch.object(
                conversion.Converter, 'verify',
                side_effect=exceptions.DigestMismatch('a pack is damaged')):
            rows = self.delete(code=errors.ExitCode.DAMAGED)
        self.assertIn('kept the old one: a pack is damaged',
                      rows['bak-2']['Result'])
        self.assertIn('kept the old one', rows['bak-1']['Result'])
        self.assertEqual(before, self.manifests())

    def test_what_stays_after_all_keeps_what_it_needs(self):
        self.convert('--all', '--to', 'packs')
        fault = exceptions.DigestMismatch('a pack is damaged')
        with mock.patch.object(conversion.Converter, 'verify',
                               side_effect=[fault, None]):
            rows = self.delete(code=errors.ExitCode.DAMAGED)
        self.assertEqual('was converted; kept the old one: needed by bak-2',
                         rows['bak-1']['Result'])
        self.assertIn(base.ref(1).prefix, self.manifests())

    def test_a_damaged_conversion_is_made_anew(self):
        self.convert('--all', '--to', 'packs')
        name = next(filter(naming.is_pack, self.bench.names()))
        self.bench.damage(name, lambda old: bytes([old[0] ^ 1]) + old[1:])
        self.delete()
        self.assertEqual({self.target(1, _PACKS), self.target(2, _PACKS)},
                         self.manifests())
        self.assertEqual(0, self.run_command('verify', '--all',
                                             '--deep').code)

    def test_only_convert_deletes_one_of_two_forms(self):
        self.convert('bak-2', '--to', 'packs')
        answer = self.run_command('delete', 'bak-2')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('in two forms', answer.err)

    def test_a_zone_that_is_called_like_a_form(self):
        for name in self.bench.names():
            self.bench.memory.delete(base.CONTAINER, name)
        ref = dataclasses.replace(
            base.ref(1), prefix=base.ref(1).prefix.replace(
                'nova', 'x-in-packs'))
        self.bench.archiver.archive(
            jobs.ArchiveJob(
                ref=ref, header=engine_base.header(ref),
                geometry=engine_base.GEOMETRY, compression='none'),
            volumes.RamVolume(base.DATA), observers.Recorder())
        (row,) = self.delete().values()
        self.assertEqual('converted; deleted the old one', row['Result'])
        path = self.directory / 'volume'
        self.run_command('restore', 'bak-1', path)
        self.assertEqual(base.DATA, path.read_bytes())

    def test_encrypted_backups_stay_without_the_key(self):
        self.bench.archive(3, base.DATA, form=_PACKS,
                           encryption=key_ring.new('lost'))
        self.bench.archive(4, base.DATA, form=_PACKS)
        path = self.directory / 'keys'
        path.write_text(f'lost {key_ring.key("lost").hex()}')
        path.chmod(0o600)
        convert = ('--all', '--to', 'chunks')
        self.convert(*convert, '--key-file', path)
        rows = self.convert(*convert, '--delete-source',
                            code=errors.ExitCode.CONFIGURATION)
        self.assertIn('kept the old one: the backup is encrypted',
                      rows['bak-3']['Result'])
        self.assertEqual('was converted; deleted the old one',
                         rows['bak-4']['Result'])

    def test_damage_is_worse_than_a_missing_key(self):
        for number in (3, 4, 5):
            self.bench.archive(number, base.DATA, form=_PACKS, encryption=None
                               if number == 4 else key_ring.new('lost'))
        self.bench.damage(
            self.bench.repository.load(base.ref(4)).point.packs.name(0),
            lambda old: bytes([old[0] ^ 1]) + old[1:])
        rows = self.convert('--all', '--to', 'chunks',
                            code=errors.ExitCode.DAMAGED)
        self.assertEqual(
            {'bak-3': True, 'bak-4': False, 'bak-5': True},
            {name: 'is encrypted' in row['Result']
             for name, row in rows.items()})

    def test_asks_where_somebody_can_answer(self):
        answer = self.run_command('convert', '--all', '--to', 'packs',
                                  '--delete-source', said='n\n')
        self.assertIn('Delete 2 backups in the old form? [y/N]', answer.err)
        self.assertEqual(4, len(self.manifests()))
        self.run_command('convert', '--all', '--to', 'packs',
                         '--delete-source', said='y\n')
        self.assertEqual(2, len(self.manifests()))

    def test_back_to_chunks(self):
        self.delete()
        rows = self.convert('--all', '--to', 'chunks', '--delete-source')
        self.assertEqual({'converted; deleted the old one'},
                         {row['Result'] for row in rows.values()})
        for number, data in ((1, base.DATA), (2, base.NOW)):
            chain = self.bench.repository.resolve(
                [conversion.target(base.ref(number), _CHUNKS)])
            self.assertEqual(data, bytes(self.bench.restore(
                chain, bytes(512)).data))


class StatementsTest(ConvertTestCase):
    """What the database is like when the SQL was run."""

    def setUp(self):
        super().setUp()
        self.base = self.enterContext(contextlib.closing(
            sqlite3.connect(':memory:')))
        self.base.execute(
            'CREATE TABLE backups (id, service_metadata, object_count, '
            'parent_id, num_dependent_backups, status, deleted)')
        for number, parent, dependents in ((1, None, 1), (2, 'bak-1', 0)):
            where = base.ref(number)
            self.base.execute(
                'INSERT INTO backups VALUES (?, ?, ?, ?, ?, ?, ?)', (
                    where.backup_id, where.prefix, 9, parent, dependents,
                    'available', 0))
        self.path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory())) / 'records.sql'

    def rows(self, *arguments, code=0):
        answer = self.run_command('convert', *arguments, '--to', 'packs',
                                  '--sql', self.path)
        self.assertEqual(code, answer.code, answer.err)
        self.said = answer.err
        self.base.executescript(self.path.read_text())
        return self._rows()

    def _rows(self):
        return self.base.execute(
            'SELECT id, service_metadata, object_count, parent_id, '
            'num_dependent_backups FROM backups ORDER BY id').fetchall()

    def test_all(self):
        first, second = self.rows('--all')
        self.assertIn('has the SQL for 2 records', self.said)
        self.assertEqual(('bak-1', self.target(1, _PACKS), None, 0),
                         (*first[:2], *first[3:]))
        self.assertEqual(('bak-2', self.target(2, _PACKS), None, 0),
                         (*second[:2], *second[3:]))
        for number, row in enumerate((first, second), 1):
            manifest = self.bench.repository.load(
                conversion.target(base.ref(number), _PACKS))
            self.assertEqual(manifest.own_objects, row[2])
        self.assertEqual([first, second], self.rows('--all'))

    def test_the_tip_only(self):
        first, second = self.rows('bak-2')
        self.assertEqual((base.ref(1).prefix, 9, None, 0), first[1:])
        self.assertEqual(self.target(2, _PACKS), second[1])

    def test_the_base_only(self):
        first, second = self.rows('bak-1')
        self.assertEqual((base.ref(1).prefix, 9, None, 1), first[1:])
        self.assertEqual((base.ref(2).prefix, 9, 'bak-1', 0), second[1:])
        self.assertIn('The records of bak-1 stay as they are, because '
                      'backups build on them', self.said)

    def test_backups_that_were_made_since(self):
        self.rows('--all')
        self.base.execute('DELETE FROM backups')
        for row in ((1, None, 1, 'available'), (2, 'bak-1', 1, 'available'),
                    (7, 'bak-2', 0, 'creating')):
            number, parent, count, status = row
            self.base.execute(
                'INSERT INTO backups VALUES (?, ?, ?, ?, ?, ?, ?)', (
                    f'bak-{number}', base.ref(number).prefix, 9, parent,
                    count, status, 0))
        before = self._rows()
        self.base.executescript(self.path.read_text())
        # The new one needs the second, and that the first.
        self.assertEqual(before, self._rows())
        self.base.execute("UPDATE backups SET deleted = 1 WHERE id = 'bak-7'")
        self.base.executescript(self.path.read_text())
        self.assertEqual(
            [self.target(1, _PACKS), self.target(2, _PACKS)],
            [row[1] for row in self._rows()[:2]])

    def test_a_second_run_does_not_lose_the_file(self):
        self.rows('--all')
        before = self.path.read_text()
        self.rows('--all')
        self.assertEqual(before, self.path.read_text())
        self.convert('--all', '--to', 'packs', '--delete-source')
        answer = self.run_command('convert', '--all', '--to', 'packs',
                                  '--sql', self.path)
        self.assertEqual(0, answer.code)
        self.assertEqual(before, self.path.read_text())

    def test_a_record_that_points_elsewhere(self):
        self.base.execute("UPDATE backups SET service_metadata = 'x'")
        self.assertEqual(['x', 'x'], [row[1] for row in self.rows('--all')])

    def test_where_it_cannot_be_written(self):
        answer = self.run_command('convert', '--all', '--to', 'packs',
                                  '--sql', self.path.parent)
        self.assertEqual(errors.ExitCode.TARGET, answer.code)
        self.assertIn('cannot be written', answer.err)

# SPDX-License-Identifier: Apache-2.0

"""``delete`` and ``orphans``."""

import datetime
import io
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import app
from cinder_swift_backup.cli import errors
from cinder_swift_backup.engine.survey import survey as surveys
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import blobs
from tests.fakes import faulty
from tests.unit.cli import base


class DeleteTest(base.RecordsTestCase):
    """Only what no other needs."""

    def _refused(self, text):
        before = self.bench.names()
        answer = self.run_command('delete', 'bak-2')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn(text, answer.err)
        self.assertEqual(before, self.bench.names())

    def test_what_cinder_knows_is_left_to_it(self):
        self._has_record('bak-2', 'available')
        self._refused('cinder backup-delete')

    def test_copy_of_what_cinder_knows(self):
        self._has_record('bak-2', 'available', 'elsewhere')
        self.assertEqual(0, self.run_command('delete', 'bak-2').code)

    def test_backup_of_the_volume_that_is_being_made(self):
        # It has stored nothing yet.
        self._has_record('bak-4', 'creating', None, 'vol-2')
        self._has_record('bak-5', 'error', None)
        self._has_record('bak-3', 'creating', None)
        self._refused('in progress: bak-3')
        del self.records.return_value['bak-3']
        self.assertEqual(0, self.run_command('delete', 'bak-2').code)

    def test_cinder_that_does_not_answer(self):
        before = self.bench.names()
        self.records.side_effect = exceptions.ConfigurationError(
            'the records of Cinder cannot be read')
        answer = self.run_command('delete', 'bak-2')
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        self.assertEqual(before, self.bench.names())

    def test_without_cinder(self):
        self.records.return_value = None
        self.assertEqual(0, self.run_command('delete', 'bak-2').code)

    def test_newest_first(self):
        before = self.bench.names()
        answer = self.run_command('delete', 'bak-1')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('needed by bak-2', answer.err)
        self.assertEqual(before, self.bench.names())
        for backup in ('bak-2', 'bak-1'):
            answer = self.run_command('delete', backup)
            self.assertEqual(0, answer.code, answer.err)
            self.assertIn(f'Deleted backup {backup}', answer.err)
        self.assertEqual([], self.bench.names())

    def test_needed_in_another_container(self):
        self.bench.memory.ensure_container('other', create=True)
        for info in list(self.bench.memory.list(base.CONTAINER,
                                                base.ref(2).prefix)):
            self.bench.put(info.name, self.bench.get(info.name), 'other')
            self.bench.memory.delete(base.CONTAINER, info.name)
        answer = self.run_command('delete', 'bak-1', '--container',
                                  base.CONTAINER)
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('needed by bak-2', answer.err)

    def test_perhaps_needed(self):
        before = self.bench.names()
        name = naming.manifest_name(base.ref(2).prefix)
        for change, state in (
                (lambda: self.bench.damage(name, lambda data: data[:-9]),
                 'damaged'),
                (lambda: self.bench.memory.delete(base.CONTAINER, name),
                 'arriving'),
                (lambda: None, 'orphaned')):
            change()
            answer = self.run_command('delete', 'bak-1', *(
                ('--grace', '0') if state == 'orphaned' else ()))
            self.assertEqual(errors.ExitCode.SELECTION, answer.code)
            self.assertIn(f'bak-2 ({state})', answer.err)
        self.assertEqual(sorted({*before} - {name}), self.bench.names())
        # It may be in the making itself.
        answer = self.run_command('delete', 'bak-2')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('in progress', answer.err)
        for backup in ('bak-2', 'bak-1'):
            self.assertEqual(0, self.run_command(
                'delete', backup, '--grace', '0').code)

    def test_nothing_of_a_copy(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        answer = self.run_command('delete', 'bak-2')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('is a copy', answer.err)
        self.bench.memory.syncs.clear()
        self.assertEqual('complete', self.run_json('list')[1]['State'])

    def test_what_remains_is_said(self):
        self.store.script(faulty.fail(
            'delete', exceptions.StoreUnavailable('down'), nth=2))
        answer = self.run_command('delete', 'bak-2')
        self.assertEqual(errors.ExitCode.STORE, answer.code)
        self.assertIn('The same command deletes the rest', answer.err)
        self.assertEqual(0, self.run_command('delete', 'bak-2').code)

    def test_one_without_a_manifest(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        self.assertEqual(0, self.run_command('delete', 'bak-2', '--grace',
                                             '0').code)
        self.assertEqual(0, self.run_command('verify', '--all').code)

    def test_dry_run(self):
        before = self.bench.names()
        answer = self.run_command('delete', 'bak-2', '--dry-run')
        count = sum(name.startswith(base.ref(2).prefix) for name in before)
        self.assertEqual(
            (0, f'Backup bak-2 would be deleted: {count} objects.\n'),
            (answer.code, answer.err))
        self.assertEqual(before, self.bench.names())
        # What would be refused is refused.
        self.assertEqual(
            errors.ExitCode.SELECTION,
            self.run_command('delete', 'bak-1', '--dry-run').code)

    def test_question(self):
        before = self.bench.names()
        answer = self.run_command('delete', 'bak-2', said='n\n')
        self.assertEqual(0, answer.code)
        self.assertRegex(
            answer.err, r'Delete backup bak-2 of volume vol-1, made at '
                        r'2026-08-01T12:00:02Z: \d objects\? \[y/N\] '
                        r'Nothing was deleted\.\n\Z')
        self.assertEqual(before, self.bench.names())
        self.assertNotIn('[y/N]', self.run_command(
            'delete', 'bak-2', '--yes', said='').err)
        self.assertIn('Deleted backup', self.run_command(
            'delete', 'bak-1', said='yes\n').err)

    def test_what_happens_before_the_answer(self):
        terminal = base.Terminal('y\n')

        def answer():
            self.bench.archive(3, base.DATA, parent=2)
            return 'y\n'

        with mock.patch.object(terminal, 'readline', answer):
            answer = self.run_command('delete', 'bak-2', terminal=terminal)
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('needed by bak-3', answer.err)

    def test_nothing_is_no_id(self):
        self.assertEqual(errors.ExitCode.SELECTION,
                         self.run_command('delete', '').code)


class OrphansTest(base.RecordsTestCase):
    """What was never finished, after a while."""

    def setUp(self):
        super().setUp()
        name = naming.manifest_name(base.ref(2).prefix)
        self.manifest = self.bench.get(name)
        self.bench.memory.delete(base.CONTAINER, name)
        self.before = self.bench.names()
        self.count = sum(name.startswith(base.ref(2).prefix)
                         for name in self.before)
        self._has_record('bak-1', 'available')

    def test_what_cinder_knows_is_left_to_it(self):
        self._has_record('bak-2', 'creating')
        (row,) = self.run_json('orphans', '--grace', '0', '--delete')
        self.assertEqual(('creating', False),
                         (row['In Cinder'], row['Deleted']))
        self.assertEqual(self.before, self.bench.names())

    def test_ids_are_whole_on_a_narrow_terminal(self):
        identifier = '4f2b7c1e-0d3a-4b68-9a55-c0ffee000000'
        self.bench.put(f'volume_{identifier}/20260801120001/'
                       f'az_nova_backup_{identifier}-00001', b'x')
        for width in (100, 80):
            for options in ((), ('--delete', '--dry-run')):
                lines = self.run_command(
                    'orphans', '--grace', '0', '--max-width', str(width),
                    *options).out.splitlines()
                self.assertEqual({len(lines[0])}, set(map(len, lines)))
                self.assertLessEqual(len(lines[0]), width)
                self.assertTrue(any(identifier in line for line in lines))

    def test_what_only_one_of_them_has(self):
        del self.records.return_value['bak-1']
        self._has_record('bak-3', 'available')
        self._has_record('bak-4', 'error')
        self._has_record('bak-5', 'available', 'of another driver')
        answer = self.run_command('orphans', '--grace', '0')
        self.assertEqual(
            ['Cinder shows this login no record that matches bak-1: see '
             '"export-record" and "delete".',
             'The account has no objects of bak-3, though their status in '
             'Cinder is available.'],
            answer.err.splitlines())

    def test_login_that_does_not_see_all_records(self):
        # Or a Cinder of another cloud, which cannot know.
        del self.records.return_value['bak-1']
        stray = naming.chunk_name(base.ref(1).prefix, 99999)
        self.bench.put(stray, b'x')
        answer = self.run_command('orphans', '--grace', '0', '--delete')
        self.assertEqual(0, answer.code)
        self.assertIn('Kept bak-2', answer.err)
        self.assertEqual(self.before, self.bench.names())
        answer = self.run_command('orphans', '--grace', '0', '--delete',
                                  '--container', base.CONTAINER)
        self.assertEqual(0, answer.code)
        self.assertNotIn('is left', answer.err)
        self.assertNotEqual(self.before, self.bench.names())

    def test_without_cinder(self):
        self.records.return_value = None
        answer = self.run_command('orphans', '--grace', '0', '--delete')
        self.assertEqual(0, answer.code)
        self.assertIn('no Cinder', answer.err)
        self.assertNotEqual(self.before, self.bench.names())

    def test_cinder_that_does_not_answer(self):
        self.records.side_effect = exceptions.ConfigurationError(
            'the records of Cinder cannot be read')
        answer = self.run_command('orphans', '--grace', '0')
        self.assertEqual(0, answer.code)
        self.assertEqual('the records of Cinder cannot be read.\n',
                         answer.err)
        self.assertIn('bak-2', answer.out)
        answer = self.run_command('orphans', '--grace', '0', '--delete')
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        self.assertEqual(self.before, self.bench.names())

    def test_young_ones_are_kept(self):
        self.assertEqual([], self.run_json('orphans', '--delete'))
        self.assertEqual(self.before, self.bench.names())

    def test_nothing_is_deleted_unless_told(self):
        (row,) = self.run_json('orphans', '--grace', '0')
        self.assertEqual(('bak-2', 'vol-1', base.CONTAINER), tuple(
            row[name] for name in ('Backup', 'Volume', 'Container')))
        self.assertNotIn('Deleted', row)
        (row,) = self.run_json('orphans', '--grace', '0', '--delete',
                               '--dry-run')
        self.assertTrue(row['Would be deleted'])
        self.assertEqual(self.before, self.bench.names())

    def test_what_is_not_known(self):
        line = self.run_command('orphans', '--grace', '0').out.splitlines()[3]
        self.assertTrue(line.endswith(' | -         |'), line)

    def test_no_orphans(self):
        answer = self.run_command('orphans')
        self.assertEqual(0, answer.code)
        self.assertEqual(
            'There are no orphans among 2 backups in account memory.\n',
            answer.err)
        for info in list(self.bench.memory.list(base.CONTAINER, '')):
            self.bench.memory.delete(base.CONTAINER, info.name)
        self.assertIn('There are no backups in account memory.\n',
                      self.run_command('orphans').err)

    def test_question(self):
        arguments = ('orphans', '--grace', '0', '--delete')
        question = (f'bak-2 of volume vol-1: {self.count} objects\n'
                    f'Delete these objects of 1 backup? [y/N] ')
        for said in ('n\n', '\n', '', 'yess\n'):
            answer = self.run_command(*arguments, said=said)
            self.assertEqual(0, answer.code)
            self.assertIn(f'{question}Nothing was deleted.\n', answer.err)
            self.assertIn('False', answer.out)
            self.assertEqual(self.before, self.bench.names())
        answer = self.run_command(*arguments, said='Y\n')
        self.assertIn(question, answer.err)
        self.assertIn('True', answer.out)
        self.assertNotEqual(self.before, self.bench.names())

    def test_columns(self):
        for options, good, bad in (
                ((), (), ('Deleted', 'Would be deleted')),
                (('--delete', '--dry-run'), ('Would be deleted',),
                 ('Deleted',)),
                (('--dry-run',), ('Would be deleted',), ('Deleted',)),
                (('--delete',), ('Deleted',), ('Would be deleted',))):
            for column in bad:
                answer = self.run_command('orphans', '--grace', '0', *options,
                                          '-c', column)
                self.assertEqual(errors.ExitCode.USAGE, answer.code)
                self.assertEqual(self.before, self.bench.names())
            for column in good:
                answer = self.run_command('orphans', '--grace', '0', *options,
                                          '-c', column)
                self.assertEqual(0, answer.code, answer.err)
                self.assertIn('True', answer.out)

    def test_closed_input(self):
        with mock.patch('sys.stdin', None):
            self.assertEqual(0, app.Shell(
                stdout=io.StringIO(), stderr=base.Terminal()).run(
                    ['orphans', '--delete', '--grace', '0']))
        self.assertNotEqual(self.before, self.bench.names())

    def test_nothing_to_ask(self):
        for more in ('--yes', '--dry-run'):
            self.assertNotIn('[y/N]', self.run_command(
                'orphans', '--delete', '--grace', '0', more, said='').err)
        self.assertNotIn('[y/N]', self.run_command(
            'orphans', '--delete', said='').err)

    def test_container_that_is_copied_elsewhere(self):
        # What is there may have come from the other site.
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(
            '//realm/b/account/container', 'k')
        answer = self.run_command('orphans', '--grace', '0', '--delete')
        self.assertIn('Kept bak-2', answer.err)
        self.assertEqual(self.before, self.bench.names())
        (row,) = self.run_json('orphans', '--grace', '0', '--delete',
                               '--container', base.CONTAINER)
        self.assertTrue(row['Deleted'])

    def test_who_does_not_see_what_is_a_copy(self):
        self.store.script(faulty.fail(
            'containers', exceptions.AccessDenied('not the owner')))
        arguments = ('orphans', '--grace', '0', '--container', base.CONTAINER)
        self.assertEqual(1, len(self.run_json(*arguments)))
        answer = self.run_command(*arguments, '--delete')
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        self.assertEqual(self.before, self.bench.names())

    def test_object_that_no_manifest_names(self):
        self.run_json('orphans', '--grace', '0', '--delete')
        before = self.bench.names()
        name = naming.chunk_name(base.ref(1).prefix, 99999)
        self.bench.put(name, b'x')
        self.assertEqual([], self.run_json('orphans'))
        for deleted in (False, True):
            (row,) = self.run_json('orphans', '--grace', '0',
                                   *['--delete'] * deleted)
            self.assertEqual(
                ('bak-1', 1, 'available', deleted),
                (row['Backup'], row['Objects'], row['In Cinder'],
                 row.get('Deleted', False)))
        self.assertEqual(before, self.bench.names())

    def test_nothing_of_a_copy_is_an_orphan(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        self.assertEqual([], self.run_json('orphans', '--grace', '0',
                                           '--delete'))
        self.assertEqual(self.before, self.bench.names())

    def test_segments_are_no_backups(self):
        name = naming.digest_segment_name(base.ref(1).prefix, 1)
        container = naming.segments_container(base.CONTAINER)
        self.bench.memory.ensure_container(container, create=True)
        self.bench.put(name, b'x', container=container)
        self.assertEqual([], self.run_json(
            'orphans', '--grace', '0', '--delete', '--container', container))
        self.assertEqual(b'x', blobs.get(self.bench.memory, container, name))

    def test_one_that_is_finished_meanwhile(self):
        name = naming.manifest_name(base.ref(2).prefix)
        look = surveys.Survey.look_again

        def finish(survey, orphan):
            self.bench.put(name, self.manifest)
            return look(survey, orphan)

        with mock.patch.object(surveys.Survey, 'look_again', finish):
            self.assertEqual([], self.run_json('orphans', '--grace', '0',
                                               '--delete'))
        self.assertEqual(sorted([*self.before, name]), self.bench.names())

    def test_delete(self):
        (row,) = self.run_json('orphans', '--grace', '0', '--delete')
        self.assertTrue(row['Deleted'])
        self.assertEqual(
            {name for name in self.before
             if name.startswith(base.ref(1).prefix)}, set(self.bench.names()))
        self.assertEqual([], self.run_json('orphans', '--grace', '0'))


class ClockTest(base.RecordsTestCase):
    """The time is that of the store, whatever this host's clock says."""

    def setUp(self):
        super().setUp()
        self.records.return_value = None
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))

    def _store_again(self, days):
        """Have the store's clock be so far ahead, and write all anew."""
        self.bench.memory.ahead = datetime.timedelta(days=days)
        for name in self.bench.names():
            self.bench.put(name, self.bench.get(name))
        return self.bench.names()

    def test_host_whose_clock_is_wrong(self):
        for days, text in ((-2, '2 d 0 h ahead of'), (2, '2 d 0 h behind')):
            before = self._store_again(days)
            answer = self.run_command('orphans', '--delete')
            self.assertEqual(0, answer.code, answer.err)
            self.assertNotIn('bak-2', answer.out)
            self.assertEqual(1, answer.err.count(text), answer.err)
            self.assertEqual(before, self.bench.names())

    def test_clock_of_the_store_goes_on(self):
        self._store_again(0)
        self.bench.memory.ahead = datetime.timedelta(days=2)
        answer = self.run_command('orphans', '--delete')
        self.assertIn('bak-2', answer.out)
        self.assertIn('behind', answer.err)

    def test_said_once(self):
        # The command looks again before it deletes.
        self._store_again(-2)
        answer = self.run_command('orphans', '--delete', '--grace', '0')
        self.assertIn('bak-2', answer.out)
        self.assertEqual(1, answer.err.count('ahead of'), answer.err)

    def test_clocks_that_hardly_differ(self):
        for seconds in (-50, 50):
            self.bench.memory.ahead = datetime.timedelta(seconds=seconds)
            self.assertNotIn('clock', self.run_command('orphans').err)

    def test_store_that_does_not_tell(self):
        with mock.patch.object(self.bench.memory, 'now', return_value=None):
            answer = self.run_command('orphans')
        self.assertEqual(0, answer.code)
        self.assertIn("uses this host's clock", answer.err)

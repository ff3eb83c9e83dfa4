# SPDX-License-Identifier: Apache-2.0

"""``list``."""

import io
import json
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import accounts
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.unit.cli import base


class ListTest(base.CommandTestCase):
    """Each backup is a row."""

    def test_for_programs(self):
        first, second = self.run_json('list')
        stored = sum(info.size for info in self.bench.memory.list(
            base.CONTAINER, base.ref(1).prefix))
        self.assertEqual(
            {'Backup': 'bak-1', 'Volume': 'vol-1',
             'Created': '2026-08-01T12:00:01Z', 'Size': 512,
             'Stored': stored, 'Kind': 'full', 'Depth': 0,
             'State': 'complete', 'Container': base.CONTAINER}, first)
        self.assertEqual(
            ('bak-2', 'incremental', 1, 'complete'),
            tuple(second[name] for name in ('Backup', 'Kind', 'Depth',
                                            'State')))

    def test_for_people(self):
        answer = self.run_command('list')
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('| bak-1', answer.out)
        self.assertIn('512 B', answer.out)

    def test_what_a_listing_cannot_tell(self):
        # It stands beside the output, whatever form that has.
        for form in ('table', 'json', 'csv', 'value', 'yaml'):
            for command in (('list',), ('show', 'bak-1')):
                if (form, command[0]) == ('csv', 'show'):
                    continue
                answer = self.run_command(*command, '-f', form)
                self.assertEqual(0, answer.code)
                self.assertTrue(
                    answer.err.endswith(f'{commands.BY_LISTINGS}\n'))
                self.assertNotIn(commands.BY_LISTINGS, answer.out)

    def test_nothing_that_is_complete(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.chunk_name(base.ref(1).prefix, 4))
        for command in (('list',), ('list', '--state', 'complete'),
                        ('show', 'bak-2')):
            self.assertNotIn(commands.BY_LISTINGS,
                             self.run_command(*command).err)

    def test_container_that_is_gone_already(self):
        # A listing of the account may lag.
        with mock.patch.object(
                type(self.bench.memory), 'containers',
                lambda store: iter([base.CONTAINER, 'gone'])):
            self.assertEqual(2, len(self.run_json('list')))
        answer = self.run_command('list', '--container', 'gone')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)

    def test_container_that_cannot_be(self):
        for command in (('list',), ('verify', '--all'), ('delete', 'bak-1'),
                        ('orphans', '--delete'), ('restore', 'bak-1', '-')):
            for name in ('foo/bar', '', '..', 'a\udcff'):
                with mock.patch('sys.stderr', io.StringIO()) as told:
                    answer = self.run_command(*command, '--container', name)
                self.assertEqual(errors.ExitCode.USAGE, answer.code)
                self.assertIn('cannot be a container', told.getvalue())

    def test_backup_from_before_digests(self):
        def change(data):
            fields = json.loads(data)
            del fields['parent_id'], fields['csb_volume_size']
            return json.dumps(fields).encode()

        prefix = base.ref(1).prefix
        self.bench.damage(naming.manifest_name(prefix), change)
        self.bench.memory.delete(base.CONTAINER,
                                 naming.digest_file_name(prefix))
        first = self.run_json('list')[0]
        self.assertEqual((512, 'full', 'complete'), tuple(
            first[field] for field in ('Size', 'Kind', 'State')))
        self.assertIn('~512 B', self.run_command('list').out)
        found = self.run_json('show', 'bak-1')
        self.assertEqual(
            ("Cinder's own driver", 'that of Cinder before 2015.1'),
            (found['Written by'], found['Stored format']))
        self.assertIn('size is inferred', found['Inferred'])
        self.assertEqual(0, self.run_command('verify', 'bak-1',
                                             '--deep').code)
        target = self.directory / 'old'
        answer = self.run_command('restore', 'bak-1', target)
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('every object matches its MD5', answer.err)
        self.assertEqual(base.DATA, target.read_bytes())

    def test_names_do_nothing_to_a_terminal(self):
        self.bench.put('volume_v\x1b[2J/20260801120009/'
                       'az_nova_backup_x\x07_metadata', b'{}')
        answer = self.run_command('list')
        self.assertNotIn('\x1b', answer.out)
        self.assertIn('v\\x1b[2J', answer.out)
        answer = self.run_command('show', 'x\x1b')
        self.assertNotIn('\x1b', answer.err)

    def test_states(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        self.assertEqual(['complete', 'arriving'],
                         [row['State'] for row in self.run_json('list')])
        _, second = self.run_json('list', '--grace', '0')
        self.assertEqual(('orphaned', '-', None),
                         (second['State'], second['Kind'], second['Depth']))
        self.bench.memory.delete(base.CONTAINER,
                                 naming.chunk_name(base.ref(1).prefix, 4))
        self.assertEqual('damaged', self.run_json('list')[0]['State'])

    def test_copy_of_another_site(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.chunk_name(base.ref(1).prefix, 4))
        for sync, state in (
                (store_base.Sync(None, 'k'), 'arriving'),
                (store_base.Sync('//r/b/a/c', 'k'), 'damaged')):
            self.bench.memory.syncs[base.CONTAINER] = sync
            answer = self.run_command('list', '-f', 'value', '-c', 'State')
            self.assertEqual([state] * 2, answer.out.split())
            self.assertEqual(state == 'arriving', 'is a copy' in answer.err)

    def test_how_far_a_copy_is_behind(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        self.assertIn(' 0 of 1 volume lags behind.\n',
                      self.run_command('list').err)
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        self.assertIn(' 1 of 1 volume lags behind, by up to 0 min 1 s.\n',
                      self.run_command('list').err)

    def test_filters(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        for options, expected in (
                (('--volume', 'vol'), ['bak-1', 'bak-2']),
                (('--volume', 'VOL'), ['bak-1', 'bak-2']),
                (('--volume', 'x'), []),
                (('--since', '2026-08-01T12:00:02'), ['bak-2']),
                (('--since', '2026-08-01T14:00:02+02:00'), ['bak-2']),
                (('--until', '2026-08-01T12:00:02'), ['bak-1']),
                (('--since', '2026-08-02'), []),
                (('--state', 'complete'), ['bak-1']),
                (('--state', 'complete', '--state', 'arriving'),
                 ['bak-1', 'bak-2']),
                (('--container', base.CONTAINER), ['bak-1', 'bak-2'])):
            self.assertEqual(
                expected, [row['Backup'] for row
                           in self.run_json('list', *options)], options)

    def test_nothing(self):
        self.bench.memory.ensure_container('empty', create=True)
        self.assertEqual([], self.run_json('list', '--container', 'empty'))

    def _said(self, *options):
        """The exit code, and what stands below the table."""
        answer = self.run_command('list', *options)
        return answer.code, answer.err.splitlines()

    def test_summary(self):
        _, (line, _) = self._said()
        self.assertRegex(
            line, r'\A2 backups in account memory: 2 complete; '
                  r'[\d.]+ KiB stored\.\Z')

    def test_region(self):
        with mock.patch.object(
                accounts, 'open_account',
                return_value=accounts.Account(self.store, 'north')):
            _, (line, _) = self._said()
        self.assertIn(' in account memory of region north: ', line)

    def test_where_there_is_nothing(self):
        self.assertEqual(
            (0, ['No backups match these options (searched 2 backups in '
                 'account memory).']), self._said('--volume', 'vol-2'))
        self.bench.memory.ensure_container('empty', create=True)
        self.assertEqual(
            (0, ['There are no backups in account memory, container empty.']),
            self._said('--container', 'empty'))

    def test_expectations(self):
        self.assertEqual(0, self._said('--expect-at-least', '2')[0])
        code, (_, line) = self._said('--volume', 'vol-2', '--expect-volume',
                                     'vol-2')
        self.assertEqual(errors.ExitCode.SELECTION, code)
        self.assertIn('no complete backup of volume vol-2', line)

    def test_names(self):
        self.bench.archive(3, base.DATA, volume_meta=json.dumps(
            {'volume-base-metadata': {'display_name': 'disk',
                                      'project_id': 'p-1'}}))
        rows = self.run_json('list', '--long')
        self.assertEqual(
            [('', ''), ('', ''), ('disk', 'p-1')],
            [(row['Volume name'], row['Project']) for row in rows])
        self.assertEqual('nightly', rows[2]['Name'])
        self.assertNotIn('Project', self.run_json('list')[2])

    def test_no_such_container(self):
        answer = self.run_command('list', '--container', 'none')
        self.assertEqual(
            (errors.ExitCode.SELECTION, '',
             'there is no such container. Check its name, and that the login '
             'is for the account it is in. [container none]\n'),
            (answer.code, answer.out, answer.err))

    def test_store_that_fails(self):
        for error, code in (
                (exceptions.StoreUnavailable('down'), 'STORE'),
                (exceptions.AccessDenied(
                    'who?', remedy=exceptions.Remedy.LOGIN),
                 'CONFIGURATION')):
            self.store.heal()
            self.store.script(faulty.fail('containers', error))
            answer = self.run_command('list')
            self.assertEqual((errors.ExitCode[code], 1),
                             (answer.code, answer.err.count('\n')))
        self.assertIn('who?. Check the login.', answer.err)

    def test_interrupted(self):
        self.store.script(faulty.fail('containers', KeyboardInterrupt()))
        answer = self.run_command('list')
        self.assertEqual((130, 'Interrupted. Nothing was changed.\n'),
                         (answer.code, answer.err))

    def test_wrong_options(self):
        for options in (('--state', 'x'), ('--since', 'yesterday'),
                        ('--nothing',)):
            answer = self.run_command('list', *options)
            self.assertEqual(errors.ExitCode.USAGE, answer.code)

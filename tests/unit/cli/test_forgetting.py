# SPDX-License-Identifier: Apache-2.0

"""``forget``."""

import contextlib
import dataclasses
import io
import json
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_deletion
from cinder_swift_backup.cli import errors
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.unit.cli import base

_PACKS = chains.Form.PACKS


class ForgetTestCase(base.RecordsTestCase):
    """A chain of two, and two full backups."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, base.DATA)
        self.bench.archive(4, base.DATA)
        self.records.return_value = None
        self.before = self.bench.names()

    def forget(self, *arguments, code=0, **terminal):
        """What becomes of each backup, and why."""
        answer = self.run_command(
            'forget', *(arguments or ('--all', '--keep-last', '1')), '-f',
            'json', **terminal)
        self.assertEqual(code, answer.code, answer.err)
        self.said = answer.err
        return {row['Backup']: (row['Result'], *row['Because'])
                for row in json.loads(answer.out or '[]')}

    def assert_left(self, *numbers):
        """The objects of these backups are there, and no others."""
        self.assertEqual(
            [name for name in self.before if any(
                name.startswith(base.ref(number).prefix)
                for number in numbers)], self.bench.names())


class OwnTest(ForgetTestCase):
    """Where there is no Cinder, the command deletes backups itself."""

    def test_dry_run(self):
        self.assertEqual(
            {'bak-1': ('would be deleted',), 'bak-2': ('would be deleted',),
             'bak-3': ('kept', 'last 2'), 'bak-4': ('kept', 'last 1')},
            self.forget('--all', '--keep-last', '2', '--dry-run'))
        self.assertIn('2 kept, 2 would be deleted', self.said)
        self.assert_left(1, 2, 3, 4)

    def test_for_real(self):
        self.assertEqual(
            {'bak-1': ('deleted',), 'bak-2': ('deleted',),
             'bak-3': ('deleted',),
             'bak-4': ('kept', 'last 1', 'daily 1')},
            self.forget('--volume', 'vol', '--keep-last', '1',
                        '--keep-daily', '1'))
        self.assert_left(4)
        self.assertEqual({'bak-4': ('kept', 'within')},
                         self.forget('--all', '--keep-within', '1y6m'))

    def test_chain(self):
        self.bench.archive(5, base.NOW, parent=3)
        self.before = self.bench.names()
        self.assertEqual(
            {'bak-1': ('deleted',), 'bak-2': ('deleted',),
             'bak-3': ('kept', 'needed by bak-5'), 'bak-4': ('deleted',),
             'bak-5': ('kept', 'last 1')}, self.forget())
        self.assert_left(3, 5)

    def test_oldest(self):
        found = self.forget('--all', '--keep-monthly', 'unlimited',
                            '--dry-run')
        self.assertEqual(('kept', 'oldest (monthly)'), found['bak-1'])

    def test_packs(self):
        self.bench.archive(5, base.DATA, form=_PACKS)
        self.bench.archive(6, base.DATA[::-1], parent=5, form=_PACKS)
        self.assertEqual(
            {f'bak-{number}': ('deleted',) for number in range(1, 6)}
            | {'bak-6': ('kept', 'last 1')}, self.forget())
        self.assertIn('will go with a "sweep"', self.said)
        self.assertNotIn(naming.manifest_name(base.ref(5).prefix),
                         self.bench.names())
        answer = self.run_command('verify', '--all', '--deep')
        self.assertEqual(0, answer.code, answer.err)

    def test_what_fails_is_told_and_the_rest_goes(self):
        name = naming.manifest_name(base.ref(2).prefix)
        self.store.script(faulty.fail(
            'delete', exceptions.StoreUnavailable('down'),
            matching=name.__eq__))
        self.assertEqual(
            {'bak-1': ('not deleted',), 'bak-2': ('not deleted',),
             'bak-3': ('deleted',), 'bak-4': ('kept', 'last 1')},
            self.forget(code=errors.ExitCode.STORE))
        self.assertIn('down', self.said)
        self.assertIn('Delete the rest with ', self.said)
        # What it builds on was not touched.
        self.assertTrue({name for name in self.before if name.startswith(
            base.ref(1).prefix)} <= set(self.bench.names()))
        self.store.heal()
        self.assertEqual(0, self.run_command('delete', 'bak-2').code)
        self.assertEqual(('deleted',), self.forget()['bak-1'])
        self.assert_left(4)

    def test_copies(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'k')
        self.assertEqual({('kept', 'copy')}, set(self.forget().values()))
        self.assert_left(1, 2, 3, 4)

    def test_a_container_that_is_copied_both_ways(self):
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(
            '//realm/b/account/c', 'k')
        self.assertEqual(('kept', 'perhaps of another site'),
                         self.forget()['bak-2'])
        self.assertEqual(('deleted',), self.forget(
            '--all', '--keep-last', '1', '--container',
            base.CONTAINER)['bak-2'])

    def test_damaged(self):
        self._remove_manifest(3)
        found = self.forget('--all', '--keep-last', '1', '--dry-run')
        self.assertEqual(('kept', 'arriving'), found['bak-3'])
        self.assertEqual(('kept', 'in use'), found['bak-2'])

    def _remove_manifest(self, number):
        self.bench.memory.delete(base.CONTAINER, naming.manifest_name(
            base.ref(number).prefix))

    def test_tags_need_cinder(self):
        answer = self.run_command('forget', '--all', '--keep-tag', 'a=b')
        self.assertEqual(errors.ExitCode.CONFIGURATION, answer.code)
        self.assertIn('--keep-tag needs Cinder', answer.err)

    def test_question(self):
        answer = self.run_command('forget', '--all', '--keep-last', '1',
                                  said='n\n')
        self.assertIn('Delete 3 backups of 1 volume', answer.err)
        self.assertIn('Nothing was deleted', answer.err)
        self.assertEqual(0, answer.code)
        self.assert_left(1, 2, 3, 4)
        answer = self.run_command('forget', '--all', '--keep-last', '1',
                                  said='y\n')
        self.assertEqual(0, answer.code)
        self.assert_left(4)

    def test_what_happens_until_the_answer(self):
        test = self

        class Slow(base.Terminal):
            def readline(self):
                test.bench.archive(5, base.NOW, parent=3)
                return 'y\n'

        answer = self.run_command('forget', '--all', '--keep-last', '1',
                                  terminal=Slow())
        self.assertEqual(0, answer.code, answer.err)
        self.assertNotIn(naming.manifest_name(base.ref(2).prefix),
                         self.bench.names())
        self.assertIn(naming.manifest_name(base.ref(3).prefix),
                      self.bench.names())


class CinderTest(ForgetTestCase):
    """Cinder deletes what it has records of."""

    def setUp(self):
        super().setUp()
        self.records.return_value = {}
        for number in range(1, 5):
            self._has_record(f'bak-{number}', 'available')
        self.deleter = self.enterContext(mock.patch.object(
            cinder_deletion, 'Deleter')).return_value
        self.volumes = self.enterContext(mock.patch.object(
            cinder_api, 'volumes', return_value={}))

    def _has_policy(self, name):
        self.volumes.return_value = {'vol-1': cinder_api.Volume(
            'vol-1', '', 'available', '', None, {'backup_policy': name})}

    def _deleted(self):
        return [call.args[0] for call in self.deleter.delete.mock_calls]

    def test_newest_first(self):
        self.assertEqual(
            {'bak-1': ('deleted',), 'bak-2': ('deleted',),
             'bak-3': ('deleted',), 'bak-4': ('kept', 'last 1')},
            self.forget())
        self.assertEqual(['bak-3', 'bak-2', 'bak-1'], self._deleted())
        # Nothing but Cinder deletes.
        self.assert_left(1, 2, 3, 4)

    def test_what_cinder_refuses(self):
        self.deleter.delete.side_effect = lambda backup: (
            self._refuse() if backup == 'bak-2' else None)
        self.assertEqual(
            {'bak-1': ('not deleted',), 'bak-2': ('not deleted',),
             'bak-3': ('deleted',), 'bak-4': ('kept', 'last 1')},
            self.forget(code=errors.ExitCode.STORE))
        self.assertEqual(['bak-3', 'bak-2'], self._deleted())
        self.assertIn('Cinder did not', self.said)

    def _refuse(self):
        raise cinder_api.CinderError('Cinder did not delete the backup')

    def test_what_it_has_no_record_of(self):
        del self.records.return_value['bak-3']
        self.assertEqual(('kept', 'not in Cinder'), self.forget()['bak-3'])
        self.assertEqual(['bak-2', 'bak-1'], self._deleted())

    def test_pinned(self):
        self._has_record('bak-2', 'available', tags={'keep': 'yes'})
        found = self.forget('--all', '--keep-last', '1', '--keep-tag',
                            'keep=yes')
        self.assertEqual(('kept', 'pinned'), found['bak-2'])
        self.assertEqual(('kept', 'needed by bak-2'), found['bak-1'])

    def test_properties_that_cinder_does_not_tell(self):
        self.records.return_value['bak-2'] = dataclasses.replace(
            self.records.return_value['bak-2'], tags=None)
        self.assertEqual({}, self.forget(
            '--all', '--keep-last', '1', '--keep-tag', 'keep=yes',
            code=errors.ExitCode.CONFIGURATION))
        self.assertIn('microversion 3.43', self.said)
        self.assertEqual([], self._deleted())

    def test_a_delete_that_failed_before(self):
        self._has_record('bak-2', 'error')
        self.bench.memory.delete(base.CONTAINER, naming.digest_file_name(
            base.ref(2).prefix))
        found = self.forget(code=errors.ExitCode.STORE)
        self.assertEqual([('kept', 'needed by bak-2'), ('kept', 'damaged')],
                         [found['bak-1'], found['bak-2']])
        self.assertIn('Delete bak-2 with "cinder backup-delete"', self.said)

    def test_a_cinder_that_takes_too_long(self):
        self.deleter.delete.side_effect = cinder_deletion.TooLong('too long')
        found = self.forget(code=errors.ExitCode.STORE)
        self.assertEqual(['bak-3'], self._deleted())
        self.assertEqual(('not deleted',), found['bak-1'])

    def test_policy(self):
        arguments = ('--policy', 'gold', '--keep-last', '1')
        answer = self.run_command('forget', *arguments)
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('no volume has the property backup_policy=gold',
                      answer.err)
        self._has_policy('gold')
        self.assertEqual(4, len(self.forget(*arguments, '--dry-run')))

    def test_policy_of_a_volume_that_is_gone(self):
        self.bench.archive(5, base.DATA, volume_meta=json.dumps({
            'version': 2, 'volume-base-metadata': {},
            'volume-metadata': {'backup_policy': 'gold'}}))
        arguments = ('--policy', 'gold', '--keep-last', '1', '--dry-run')
        self.assertEqual(5, len(self.forget(*arguments)))
        # As it is now counts.
        self._has_policy('silver')
        self.assertEqual({}, self.forget(
            *arguments, code=errors.ExitCode.SELECTION))


class UsageTest(ForgetTestCase):
    """What is wrong is said before anything is done."""

    def _refused(self, *arguments):
        self.store.calls.clear()
        with contextlib.redirect_stderr(io.StringIO()) as told:
            answer = self.run_command('forget', *arguments)
        self.assertEqual(errors.ExitCode.USAGE, answer.code)
        self.assertEqual([], self.store.calls)
        return answer.err + told.getvalue()

    def test_no_policy(self):
        for arguments in (('--all',), ('--all', '--keep-last', '0'),
                          ('--volume', 'vol-1', '--yes')):
            self.assertIn('Say what to keep', self._refused(*arguments))

    def test_no_volumes(self):
        self.assertIn('--all', self._refused('--keep-last', '1'))

    def test_values(self):
        for option, value, words in (
                ('--volume', '', 'the id is empty'),
                ('--policy', '', 'the id is empty'),
                ('--keep-last', '-1', 'neither a whole'),
                ('--keep-last', 'all', "'all' is neither a whole number nor"),
                ('--keep-daily', '1.5', 'whole number'),
                ('--keep-daily', '', 'whole number'),
                ('--keep-within', '30', "'30' is not a span"),
                ('--keep-within', '', 'not a span'),
                ('--keep-within', '0d', 'not a span'),
                ('--keep-within', '1h2d', 'not a span'),
                ('--keep-tag', 'keep', 'not of the form NAME=VALUE'),
                ('--keep-tag', '=x', 'not of the form NAME=VALUE')):
            which = () if option in ('--volume', '--policy') else ('--all',)
            self.assertIn(words, self._refused(*which, option, value))

    def test_no_such_container(self):
        answer = self.run_command('forget', '--all', '--keep-last', '1',
                                  '--container', 'none')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertIn('none', answer.err)

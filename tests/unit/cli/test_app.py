# SPDX-License-Identifier: Apache-2.0

"""The program as a whole: its help, and its exit codes."""

import argparse
import contextlib
import io
import json
import pathlib
import re
import tomllib
import types
from unittest import mock

from cliff import lister

import cinder_swift_backup
from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import accounts
from cinder_swift_backup.cli import app
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import openstack_plugin
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.unit.cli import base

_ROOT = pathlib.Path(cinder_swift_backup.__file__).resolve().parents[1]
_PAGE = _ROOT / 'doc/source/admin/disaster-recovery.rst'


def _subclasses(kind):
    yield kind
    for each in kind.__subclasses__():
        yield from _subclasses(each)


class HelpTest(base.CommandTestCase):
    """Every command says what it does, and every option what it is for."""

    def _actions(self, name):
        """What a command takes, without what cliff hides."""
        parser = app._COMMANDS[name](app.Shell(), None).get_parser(name)
        return [action for action in parser._actions
                if action.help != argparse.SUPPRESS]

    def test_list_of_commands(self):
        answer = self.run_command('help')
        self.assertEqual(0, answer.code)
        for name in app._COMMANDS:
            self.assertRegex(answer.out, rf'(?m)^  {name} +[A-Z].*[.a-z]$')
        self.assertEqual(answer.out, self.run_command('--help').out)

    def test_each_command(self):
        for name, kind in app._COMMANDS.items():
            answer = self.run_command('help', name)
            self.assertEqual(0, answer.code)
            self.assertIn(kind.__doc__.splitlines()[0].split()[0], answer.out)
            self.assertIn(f'usage: cinder-swift-backup {name}', answer.out)

    def test_each_option(self):
        for name in app._COMMANDS:
            text = self.run_command('help', name).out
            for action in self._actions(name):
                self.assertTrue(action.help, f'{name}: {action.dest}')
                for option in action.option_strings:
                    self.assertIn(option, text)

    def test_exit_codes(self):
        for name, kind in app._COMMANDS.items():
            *_, text = self.run_command('help', name).out.partition(
                '\nexit codes:\n')
            lines = text.splitlines()
            self.assertLess(max(map(len, lines)), 80)
            found = [int(line.split()[0]) for line in lines
                     if line[2:3].strip()]
            self.assertEqual(
                sorted({0, 1, 2, 4, 5, 130} | {code for code, _
                                               in kind.codes}), found, name)

    def test_completion_is_of_today(self):
        # In the file that the package installs; make it anew with the command.
        answer = self.run_command('complete')
        self.assertEqual(answer.out, (
            _ROOT / 'etc' / 'bash-completion' / 'cinder-swift-backup'
        ).read_text())

    def test_without_arguments(self):
        self.assertEqual(2, self.run_command('nonsense').code)


class ArgumentsTest(base.CommandTestCase):
    """What is wrong with the value of an option, and what is right."""

    def test_wrong_values(self):
        for arguments, text in (
                (('list', '--grace', '-1'), '-1 must not be negative'),
                (('sweep', '--grace', '0'), '0 must be at least 1'),
                (('list', '--grace', 'x'), "'x' is not a number of hours"),
                (('list', '--grace', 'nan'), "'nan' is not a number of hours"),
                (('list', '--patience', '1e9'), 'must be at most 1000000'),
                (('list', '--workers', '0'), 'at least 1'),
                (('list', '--limit', 'fast'), 'not a number of bytes'),
                (('list', '--limit', '10K'), 'use at least 512K'),
                (('list', '--workers', 'x'), 'at least 1'),
                (('list', '--since', 'yesterday'), 'such as 2026-'),
                (('verify', '--all', '--sample', '0'), 'at most 100'),
                (('verify', '--all', '--sample', '101'), 'at most 100')):
            output = io.StringIO()
            with contextlib.redirect_stderr(output):
                answer = self.run_command(*arguments)
            self.assertEqual(errors.ExitCode.USAGE, answer.code)
            self.assertIn(text, output.getvalue())


    def test_speed(self):
        for options, rate in (((), 0), (('--limit', '50M'), 50 << 20)):
            self.assertEqual(0, self.run_command('list', *options).code)
            self.assertEqual(rate, accounts.open_account.call_args.args[3])


class OpenStackTest(base.CommandTestCase):
    """All commands are those of "openstack" as well."""

    def test_entry_points(self):
        points = tomllib.loads((_ROOT / 'pyproject.toml').read_text())[
            'project']['entry-points']
        self.assertEqual([openstack_plugin.__name__],
                         [*points['openstack.cli.extension'].values()])
        self.assertEqual(
            {f'backup_store_{name.replace("-", "_")}':
             f'{kind.__module__}:{kind.__name__}'
             for name, kind in app._COMMANDS.items()},
            points[f'openstack.{openstack_plugin.API_NAME}.v'
                   f'{openstack_plugin.DEFAULT_API_VERSION}'])

    def test_login(self):
        # "openstack" has found the cloud, whatever other variables say.
        shell = app.Shell()
        shell.cloud = mock.Mock()
        shell.cloud.get_session.return_value.timeout = None
        login = app._COMMANDS['list'](shell, None).login
        self.assertFalse(accounts.is_version_1(login, {'ST_AUTH': 'http://'}))
        self.assertIs(shell.cloud, accounts.find_cloud(login, 40))
        self.assertEqual(10, shell.cloud.get_session().timeout)

    def test_plugin(self):
        parser = argparse.ArgumentParser()
        self.assertIs(parser, openstack_plugin.build_option_parser(parser))
        self.assertIsNone(openstack_plugin.make_client(None))
        self.assertIn(openstack_plugin.DEFAULT_API_VERSION,
                      openstack_plugin.API_VERSIONS)


class ColumnsTest(base.CommandTestCase):
    """A column that there is not is an error, before anything is done."""

    _ARGUMENTS = types.MappingProxyType({
        'check-config': (), 'convert': ('--all', '--to', 'packs'),
        'diff': ('bak-1', 'bak-2'),
        'estimate': (__file__, '--volume', 'vol-1'),
        'export-record': ('--all',),
        'forget': ('--all', '--keep-last', '1'), 'list': (),
        'orphans': (), 'recover': ('--volume', 'vol', '--dry-run'),
        'run': ('--all', '--dry-run'), 'show': ('bak-2',), 'sweep': (),
        'verify': ('--all',)})

    def test_all_commands_with_columns_are_here(self):
        self.assertEqual(set(self._ARGUMENTS), {
            name for name, kind in app._COMMANDS.items()
            if hasattr(kind, 'columns')})

    def test_unknown_column(self):
        for name, arguments in self._ARGUMENTS.items():
            kinds = [('-c', 'nonsense')]
            if issubclass(app._COMMANDS[name], lister.Lister):
                kinds.append(('--sort-column', 'nonsense'))
            for options in kinds:
                self.store.calls.clear()
                answer = self.run_command(name, *arguments, *options)
                self.assertEqual(errors.ExitCode.USAGE, answer.code, name)
                self.assertIn("Unknown column 'nonsense'", answer.err)
                self.assertIn('The columns are ', answer.err)
                self.assertEqual(1, answer.err.count('\n'))
                self.assertEqual('', answer.out)
                self.assertEqual([], self.store.calls)

    def test_what_is_called_id_elsewhere(self):
        for name in ('list', 'verify', 'orphans', 'export-record', 'show'):
            answer = self.run_command(name, *self._ARGUMENTS[name], '-c', 'ID')
            self.assertEqual(errors.ExitCode.USAGE, answer.code)
            self.assertRegex(answer.err, 'Did you mean [Bb]ackup?')

    def test_each_column_is_told_as_one(self):
        for name, arguments in self._ARGUMENTS.items():
            if name in ('check-config', 'forget', 'recover', 'run', 'sweep'):
                continue
            answer = self.run_command(name, *arguments, '-f', 'json')
            rows = json.loads(answer.out)
            for row in rows if isinstance(rows, list) else [rows]:
                self.assertLessEqual(set(row),
                                     set(app._COMMANDS[name].columns))

    def test_as_one_may_write_it(self):
        answer = self.run_command('list', '-c', 'BACKUP', '-f', 'value',
                                  '--sort-column', 'created',
                                  '--sort-descending')
        self.assertEqual('bak-2\nbak-1\n', answer.out)
        answer = self.run_command('show', 'bak-1', '-c', 'written_by', '-f',
                                  'value')
        self.assertEqual('this package\n', answer.out)

    def test_field_that_one_thing_lacks(self):
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(2).prefix))
        answer = self.run_command('show', 'bak-2', '-c', 'Map', '-f', 'value')
        self.assertEqual((0, '\n'), (answer.code, answer.out))


class ExitCodeTest(base.CommandTestCase):
    """They are told apart, and told in the documentation."""

    def test_each_error_has_one(self):
        for kind in _subclasses(exceptions.BackupError):
            code = errors.code_of(kind('what'))
            self.assertNotEqual(errors.ExitCode.DONE, code)
            self.assertNotEqual(errors.ExitCode.USAGE, code)

    def test_for_programs(self):
        answer = self.run_command('show', 'none', '-f', 'json')
        self.assertEqual(errors.ExitCode.SELECTION, answer.code)
        self.assertEqual('', answer.out)
        self.assertEqual(
            {'error': "there is no backup whose id begins with 'none'",
             'remedy': 'Run "list --long" to see ids and names.', 'code': 3},
            json.loads(answer.err))
        for words in (('forget', '--all'), ('list', '-c', 'nonsense'),
                      ('verify', '--all', '--at-most', '1G'),
                      ('verify', '--all', '--volume', 'vol-1')):
            answer = self.run_command(*words, '-f', 'json')
            self.assertEqual(errors.ExitCode.USAGE, answer.code)
            self.assertEqual(2, json.loads(answer.err)['code'])
        for words in (('delete', 'none'), ('orphans', '--delete'),
                      ('restore', 'none', self.directory / 'volume'),
                      ('report', self.directory / 'no' / 'file'),
                      ('forget', '--volume', 'none', '--keep-last', '1')):
            answer = self.run_command(*words, '-f', 'json')
            if answer.code:
                self.assertEqual(answer.code, json.loads(
                    answer.err.splitlines()[-1])['code'])
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('away\x1b', container='c',
                                                name='n')))
        answer = self.run_command('list', '-f', 'json')
        found = json.loads(answer.err)
        self.assertEqual(('away\x1b', 'c', 'n', 5), tuple(
            found[name] for name in ('error', 'container', 'object', 'code')))
        self.assertTrue(answer.err.strip().isprintable())

    def test_tracebacks_change_nothing(self):
        arguments = ('restore', 'none', self.directory / 'volume')
        quiet = self.run_command(*arguments)
        answer = self.run_command('--debug', *arguments)
        self.assertEqual(quiet.code, answer.code)
        self.assertIn('Traceback', answer.err)
        self.assertEqual(quiet.err.splitlines()[-1],
                         answer.err.splitlines()[-1])
        self.assertNotIn('Traceback', quiet.err)

    def test_each_is_documented(self):
        rows = re.findall(r'^   \* - (\d+)\n     - \S', _PAGE.read_text(),
                          re.MULTILINE)
        self.assertEqual([code.value for code in errors.ExitCode],
                         list(map(int, rows)))

# SPDX-License-Identifier: Apache-2.0

"""The program as a whole: its help, and its exit codes."""

import argparse
import pathlib
import re

import cinder_swift_backup
from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import app
from cinder_swift_backup.cli import outcomes
from tests.unit.cli import base

_PAGE = pathlib.Path(
    cinder_swift_backup.__file__,
    '../../doc/source/disaster-recovery.rst').resolve()


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

    def test_without_arguments(self):
        self.assertEqual(2, self.run_command('nonsense').code)


class ExitCodeTest(base.CommandTestCase):
    """They are told apart, and told in the documentation."""

    def test_each_error_has_one(self):
        for kind in _subclasses(exceptions.BackupError):
            code = outcomes.code_of(kind('what'))
            self.assertNotEqual(outcomes.ExitCode.DONE, code)
            self.assertNotEqual(outcomes.ExitCode.USAGE, code)

    def test_each_is_documented(self):
        rows = re.findall(r'^   \* - (\d+)\n     - \S', _PAGE.read_text(),
                          re.MULTILINE)
        self.assertEqual([code.value for code in outcomes.ExitCode],
                         list(map(int, rows)))

# SPDX-License-Identifier: Apache-2.0

"""What pages tell to type exists: commands, options, settings and files."""

import argparse
from collections.abc import Iterator
import importlib.metadata
import io
import re
import shlex
from unittest import mock

from cinderclient import api_versions
from cinderclient import shell
from oslotest import base

from cinder_swift_backup.cli import app
from cinder_swift_backup.driver import options
from tests import pages

_OURS = 'cinder-swift-backup'
# What ends a command, or begins another.
_BETWEEN = re.compile(r'^(\|\|?|&&?|;|[<>]+)$')
_INLINE = re.compile(r'``([^`]+)``')
_SETTING = re.compile(r'\bbackup_swift_[a-z_]+\b(?!\*)')
_PATH = re.compile(r'^(?:cinder_swift_backup|tests|etc|doc|constraints'
                   r'|releasenotes|recipes|devstack)/[\w./-]+$')
# What commands write.
_MADE = ('doc/build/', 'releasenotes/build/')
# Settings of Cinder's own, and what stands for several of ours.
_OTHER_SETTINGS = {'backup_swift_'}


def _commands(text: str) -> Iterator[list[str]]:
    """The words of each command of a block or an inline literal."""
    for line in text.replace('\\\n', ' ').splitlines():
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            # Not one of a shell.
            continue
        command: list[str] = []
        for word in [*words, ';']:
            if _BETWEEN.match(word):
                yield command
                command = []
            else:
                command.append(word)


def _of(command: list[str], *name: str) -> list[str] | None:
    """The arguments of a command of that name, if it is one."""
    for at, _ in enumerate(command):
        if tuple(command[at:at + len(name)]) == name:
            return command[at + len(name):]
    return None


def _our_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parsers of our subcommands."""
    program = app.Shell(stdout=io.StringIO(), stderr=io.StringIO())
    found = {}
    for name, _ in program.command_manager:
        kind, _, _ = program.command_manager.find_command([name])
        found[name] = kind(program, None, cmd_name=name).get_parser(name)
    return found


def _openstack_parsers() -> dict[str, argparse.ArgumentParser]:
    """The parsers of python-openstackclient for backups."""
    return {
        ' '.join(point.name.split('_')[2:]):
        point.load()(mock.Mock(), None).get_parser('openstack')
        for point in importlib.metadata.entry_points(
            group='openstack.volume.v3')
        if point.name.startswith('volume_backup_')}


class CommandsTestCase(base.BaseTestCase):
    """Each command of a literal block can be parsed."""

    def each(self, *name):
        """The arguments of each command of that name, and where it is."""
        for page in pages.all_pages():
            for block in pages.blocks(page):
                for command in _commands('' if block.language else block.text):
                    arguments = _of(command, *name)
                    if arguments:
                        yield page.name, arguments

    def parse(self, parser, arguments, where):
        """Parse, or say where it stands."""
        try:
            with mock.patch('sys.stderr', io.StringIO()) as printed:
                parser.parse_args(arguments)
        except SystemExit as err:
            text = f'{where}: {arguments}: {printed.getvalue()}'
            self.assertEqual(0, err.code, text)

    def test_ours(self):
        parsers = _our_parsers()
        count = 0
        for where, (name, *arguments) in self.each(_OURS):
            if name.startswith('-'):
                continue
            self.assertIn(name, parsers, where)
            self.parse(parsers[name], arguments, where)
            count += 1
        self.assertGreater(count, 30)

    def test_cinder(self):
        parser = shell.OpenStackCinderShell().get_subcommand_parser(
            api_versions.APIVersion('3.70'), input_args=[])
        count = 0
        for where, arguments in self.each('cinder'):
            if arguments[0].startswith('backup-'):
                self.parse(parser, arguments, where)
                count += 1
        self.assertGreater(count, 10)

    def test_openstack(self):
        parsers = _openstack_parsers()
        count = 0
        for where, words in self.each('openstack', 'volume', 'backup'):
            (name,) = (each for each in parsers
                       if words[:each.count(' ') + 1] == each.split())
            self.parse(parsers[name], words[name.count(' ') + 1:], where)
            count += 1
        self.assertGreater(count, 8)


class NamesTestCase(base.BaseTestCase):
    """What is named in a sentence exists."""

    def each(self):
        """The literals of each page."""
        for page in pages.all_pages():
            for text in _INLINE.findall(page.read_text()):
                yield page.name, ' '.join(text.split())

    def test_subcommands_and_their_options(self):
        parsers = _our_parsers()
        for where, text in self.each():
            for words in _commands(text):
                name, *rest = _of(words, _OURS) or ['']
                if not name or name.startswith('-'):
                    continue
                self.assertIn(name, parsers, where)
                known = parsers[name]._option_string_actions
                for word in rest:
                    if word.startswith('-'):
                        self.assertIn(word, known, f'{where}: {text}')

    def test_settings(self):
        known = {option.name for listed in (
            options.list_opts(), options.list_stock_opts())
            for _, group in listed for option in group} | _OTHER_SETTINGS
        for page in pages.all_pages():
            for name in _SETTING.findall(page.read_text()):
                self.assertIn(name, known, page.name)

    def test_files(self):
        for where, text in self.each():
            if _PATH.match(text) and not text.startswith(_MADE):
                self.assertTrue((pages.ROOT / text).exists(),
                                f'{where}: {text}')

# SPDX-License-Identifier: Apache-2.0

"""Names of backups and containers may hold anything."""

import base64
import csv
import dataclasses
import io
import json
from unittest import mock

import testscenarios
import wcwidth

from cinder_swift_backup.cli import cinder_api
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_EVIL = ('\x1b[2J\x07\x00\r\n| bak-9 | fake\t\x9b31m\u202e"\u2028x\x85')
_LONG = '\U0001f4be' * 255
_MIXED = ('a\u0301\U0001f469\u200d\U0001f4bb\u3000' * 51)[:255]


class NamesTest(testscenarios.WithScenarios, base.CommandTestCase):
    """One backup with a name and a description."""

    scenarios = (
        ('control characters', {'name': _EVIL}),
        ('four bytes each', {'name': _LONG}),
        ('several scripts', {'name': _MIXED}),
        ('nothing', {'name': ''}),
    )

    def setUp(self):
        super().setUp()
        header = engine_base.header
        with mock.patch.object(
                engine_base, 'header', lambda ref: dataclasses.replace(
                    header(ref), backup_name=self.name,
                    backup_description=self.name)):
            self.bench.archive(3, base.DATA)

    def _run(self, *arguments):
        answer = self.run_command(*arguments)
        self.assertEqual(0, answer.code, answer.err)
        for text in (answer.out, answer.err):
            for each in '\x1b\x07\x00\r\t\x9b\u202e\u2028\x85':
                self.assertNotIn(each, text)
        return answer.out

    def test_tables(self):
        # Nothing is shown of what is empty.
        fields = 21 if self.name else 19
        for arguments, count in ((('list',), 7), (('show', 'bak-3'), fields),
                                 (('verify', 'bak-3'), 5)):
            lines = self._run(*arguments).splitlines()
            self.assertEqual(count, len(lines), arguments)
            # All of them end in the same column.
            self.assertEqual(1, len({wcwidth.wcswidth(line)
                                     for line in lines}), arguments)

    def test_lines_of_values(self):
        for arguments, count in (
                (('list', '-f', 'value'), 3),
                (('show', 'bak-3', '-f', 'value'), 22),
                (('show', 'bak-3', '-f', 'shell'), 22)):
            self.assertEqual(count, self._run(*arguments).count('\n'))

    def test_for_programs(self):
        found = self.run_json('show', 'bak-3')
        self.assertEqual((self.name,) * 2,
                         (found['Name'], found['Description']))
        self.assertEqual(3, len(self.run_json('list')))

    def test_record(self):
        (row,) = self.run_json('export-record', 'bak-3')
        record = json.loads(base64.b64decode(row['backup_url']))
        self.assertEqual(
            (self.name,) * 2,
            (record['display_name'], record['display_description']))

    def test_restore(self):
        self._run('restore', 'bak-3', self.directory / 'volume')
        self.assertEqual(base.DATA, (self.directory / 'volume').read_bytes())


class OtherNamesTest(base.CommandTestCase):
    """What else has a name."""

    def setUp(self):
        super().setUp()
        self.container = 'all\n| bak-9\x1b[2J'
        self.bench.memory.ensure_container(self.container, create=True)
        for name in self.bench.names():
            if 'bak-1' in name:
                self.bench.put(name, self.bench.get(name), self.container)
        self.shown = 'all\\n| bak-9\\x1b[2J'

    def test_containers(self):
        for options in ((), ('-f', 'value')):
            answer = self.run_command('list', *options)
            self.assertEqual(3, sum('bak-' in line for line
                                    in answer.out.splitlines()))
            self.assertIn(self.shown, answer.out)
        answer = self.run_command('list', '-f', 'csv')
        self.assertEqual(4, len(list(csv.reader(io.StringIO(answer.out)))))

    def test_errors_are_a_line(self):
        answer = self.run_command('show', 'bak-1')
        self.assertEqual(1, answer.err.count('\n'), answer.err)
        self.assertIn(self.shown, answer.err)

    def test_messages_are_a_line(self):
        name = f'{base.ref(2).prefix}-\x1b[2J\n00001'
        self.bench.put(name, b'')
        with mock.patch.object(cinder_api, 'read', return_value={}):
            answer = self.run_command('delete', 'bak-2')
        self.assertEqual(0, answer.code, answer.err)
        self.assertIn('-\\x1b[2J\\n00001', answer.err)
        self.assertNotIn('\x1b', answer.err)

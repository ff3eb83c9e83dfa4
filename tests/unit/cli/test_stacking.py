# SPDX-License-Identifier: Apache-2.0

"""Tables on narrow terminals."""

import dataclasses
import json
from unittest import mock

from hypothesis import given
from hypothesis import strategies
from oslotest import base as oslo_base
from rich import cells

from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import stacking
from tests.unit.cli import base
from tests.unit.engine import base as engine_base

_ID = '4f2b7c1e-0d3a-4b68-9a55-c0ffee000000'


class StackingTest(oslo_base.BaseTestCase):
    """Which column goes where, and what is left of it."""

    def test_groups(self):
        table = ['A', 'B', 'C', 'D'], [['aa', None, 3, 'd' * 99]]
        groupings = (('A', 'C'), ('B', 'D', 'none'), ('none',)), (
            ('B',), ('A', 'C', 'D'))
        for width, names, cells_ in (
                (40, ['A/C', 'B/D'], ['aa\n3', f'None\n{"d" * 29}\u2026']),
                (18, ['A/C', 'B/D'], ['aa\n3', f'None\n{"d" * 7}\u2026']),
                (17, ['B', 'A/C/D'], ['None', f'aa\n3\n{"d" * 7}\u2026'])):
            self.assertEqual((names, [cells_]), stacking.narrowed(
                *table, groupings, width))

    def test_wide_enough(self):
        table = ['A', 'B'], [['a', 'b']]
        self.assertEqual(table, stacking.narrowed(*table, [[['A', 'B']]], 9))

    @given(strategies.text(), strategies.integers(1, 50))
    def test_shortened(self, text, width):
        text = formatting.line(text)
        found = stacking.shortened(text, width)
        self.assertLessEqual(cells.cell_len(found), width)
        if found != text:
            self.assertTrue(found.endswith('\u2026'))


class ListTest(base.CommandTestCase):
    """A table of 100 columns has all ids."""

    def setUp(self):
        super().setUp()
        header = engine_base.header
        with mock.patch.object(
                engine_base, 'header', lambda ref: dataclasses.replace(
                    header(ref), backup_name='name ' * 50)):
            self.bench.archive(3, base.DATA, volume_meta=json.dumps(
                {'volume-base-metadata': {'display_name': 'disk ' * 50,
                                          'project_id': _ID}}))

    def _lines(self, *options):
        answer = self.run_command('list', '--container', base.CONTAINER,
                                  *options)
        self.assertEqual(0, answer.code, answer.err)
        return answer.out.splitlines()

    def test_width(self):
        for options in ((), ('--long',)):
            lines = self._lines('--max-width', '100', *options)
            self.assertEqual({len(lines[0])}, set(map(len, lines)))
            self.assertLessEqual(len(lines[0]), 100)
            for text in ('bak-3', 'vol-1', 'complete', 'full'):
                self.assertTrue(any(text in line for line in lines), text)
        self.assertTrue(any(_ID in line for line in lines))
        self.assertTrue(any('name name' in line and '\u2026' in line
                            for line in lines))

    def test_terminal(self):
        with mock.patch('cliff.utils.terminal_width', return_value=80):
            self.assertLessEqual(len(self._lines()[0]), 80)
            # Who names columns wants these.
            self.assertEqual('| Backup | Volume |', self._lines(
                '-c', 'Backup', '-c', 'Volume')[1])

    def test_wide_enough(self):
        wide = self._lines('--long')
        self.assertEqual(
            wide, self._lines('--long', '--max-width', str(len(wide[0]))))
        self.assertEqual(7, len(wide))

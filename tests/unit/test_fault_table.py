# SPDX-License-Identifier: Apache-2.0

"""The table of faults."""

import pathlib
import re
from unittest import mock

from oslotest import base

from tests import selection
from tests.faults import cases
from tests.faults import rows
from tests.faults import table


class CasesTest(base.BaseTestCase):
    """What is in the table."""

    def test_names_differ(self):
        names = [case.name for case in cases.CASES]
        self.assertEqual(len(names), len(set(names)))

    def test_all_operations_are_in_the_quick_half(self):
        self.assertEqual({case.operation for case in cases.CASES},
                         {case.operation for case in cases.QUICK})
        self.assertLess(len(cases.QUICK), len(cases.CASES))

    def test_choice(self):
        with mock.patch.dict('os.environ', {rows.CASES: '^restore, .*404'}):
            self.assertEqual([True, False, False], [
                rows.wanted(name) for name in (
                    'restore, GET 404', 'restore, GET 503', 'backup, 404')])
        self.assertTrue(rows.wanted('anything'))


class SelectionTest(base.BaseTestCase):
    """What README's test command makes of the table."""

    def test_each_pattern_chooses_something(self):
        # Modules of deaths are for functional tests: they import Cinder.
        names = ['backup, object.1 killed for 3 s', *(
            case.name for case in (*cases.QUICK, *cases.QUICK_LOGINS))]
        for pattern in (*selection.IN_BOTH, *selection.IN_ONE):
            self.assertTrue(
                any(re.search(pattern, name) for name in names), pattern)


class TableTest(base.BaseTestCase):
    """What is printed."""

    def test_two_modes(self):
        row = rows.Row('t', 'PUT 404', 'backup', 'completed', 1.4, 0, 'works')
        other = rows.Row('t', 'PUT 404', 'backup', 'completed', 2.4, 0,
                         'works')
        failed = rows.Row('u', 'GET 404', 'restore')
        text = table.render({'green': [row, failed], 'native': [other]})
        self.assertTrue(text.startswith('Modes: green, native.'))
        self.assertTrue(text.endswith('''
   Fault,Operation,Outcome,Seconds,Objects left,Next backup
   GET 404,restore,?,0,?,?
   PUT 404,backup,completed,1 / 2,0,works
'''), text)

    def test_rows_are_in_order(self):
        faults = ('killed for 90 s', 'killed for 240 s', '64 KiB a second')
        text = table.render({'green': [
            rows.Row('t', fault, 'backup')
            for fault in (*faults, faults[0].replace('90', '3'))]})
        self.assertEqual(
            ['Fault', '64 KiB a second', 'killed for 3 s', 'killed for 90 s',
             'killed for 240 s'],
            [line.strip().partition(',')[0]
             for line in text.splitlines()[-5:]])

    def test_rows_in_a_file(self):
        path = pathlib.Path(self.create_tempfiles([('rows', '')], ext='')[0])
        row = rows.Row('t', 'PUT 404', 'backup', 'completed', 1.4, 0, 'works')
        rows.record(row)
        with mock.patch.dict('os.environ', {rows.VARIABLE: str(path)}):
            rows.record(row)
            rows.record(row)
        self.assertEqual([row, row], rows.read(path))

# SPDX-License-Identifier: Apache-2.0

"""Records that are wrong about what depends on them."""

from tests.unit.cli import base


class DependentsTest(base.RecordsTestCase):
    """Cinder counts what builds on a backup, and tells whether it is 0."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, base.DATA, parent=1)
        self._has_records()

    def _has_records(self, dependents=(True, False, False)):
        for number, has in enumerate(dependents, 1):
            self._has_record(f'bak-{number}', 'available',
                             is_incremental=number > 1, has_dependents=has)

    def _said(self):
        answer = self.run_command('orphans')
        self.assertEqual(0, answer.code, answer.err)
        return answer.err.removesuffix(
            'There are no orphans among 3 backups in account memory.\n')

    def test_all_as_it_is(self):
        self.assertEqual('', self._said())

    def test_number_that_is_too_low(self):
        self._has_records((False, False, False))
        self.assertEqual(
            'Cinder is wrong about whether other backups depend on bak-1. To '
            'correct that, run this in its database:\nUPDATE backups SET '
            'num_dependent_backups = 2 WHERE id IN '
            "('bak-1');\n", self._said())

    def test_numbers_that_are_too_high(self):
        self._has_records((False, True, True))
        self.assertEqual(
            ["UPDATE backups SET num_dependent_backups = 0 WHERE id IN "
             "('bak-2', 'bak-3');",
             "UPDATE backups SET num_dependent_backups = 2 WHERE id IN "
             "('bak-1');"], self._said().splitlines()[1:])

    def test_incremental_that_is_not_available(self):
        # It is counted when it is, and until it is gone.
        for status in ('creating', 'deleting', 'error'):
            self._has_records((False, True, True))
            self._has_record('bak-4', status, None, is_incremental=True)
            self.assertEqual('', self._said(), status)
            # A full backup counts for no other.
            self._has_record('bak-4', status, None)
            self.assertNotEqual('', self._said(), status)
            self._has_record('bak-3', status, is_incremental=True)
            self.assertEqual('', self._said(), status)

    def test_incremental_whose_parent_is_not_known(self):
        # It is in a container that was not looked at, or has no manifest.
        self._has_records((True, True, False))
        self.assertNotEqual('', self._said())
        self._has_record('bak-4', 'available', 'other', is_incremental=True)
        self.assertEqual('', self._said())

    def test_incremental_of_a_record_that_is_not_seen(self):
        del self.records.return_value['bak-3']
        del self.records.return_value['bak-2']
        for has in (False, True):
            self._has_records((has,))
            self.assertNotIn('UPDATE', self._said())

    def test_copy_is_not_what_cinder_counts(self):
        self._has_records((True, True, False))
        self._has_record('bak-2', 'available', 'elsewhere',
                         is_incremental=True, has_dependents=True)
        self.assertNotIn('UPDATE', self._said())

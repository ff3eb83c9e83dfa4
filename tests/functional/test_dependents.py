# SPDX-License-Identifier: Apache-2.0

"""Records that are wrong about what depends on their backups.

Cinder's numbers drift; here somebody writes wrong ones into its database.
"""

import contextlib
import re
import sqlite3

from tests.functional import command
from tests.functional import own_cinder


class DependentsTestCase(own_cinder.OwnCinderTestCase):
    """The command tells of them, and of what mends them."""

    def setUp(self):
        super().setUp()
        self.volume = self.make_volume(1)
        self.full = self.back_up(self.volume)
        self.write(self.volume, 0, b'changed')
        self.tip = self.back_up(self.volume, incremental=True)
        project = self.cinder.client.session.get_project_id()
        self.program = command.Command(self, {
            **self.cloud.os_environment(self.cloud.demo),
            'OS_BLOCK_STORAGE_ENDPOINT_OVERRIDE':
                f'{self.own.url}/{project}'})

    def _execute(self, *statements):
        with contextlib.closing(sqlite3.connect(self.own.database)) as base:
            for statement in statements:
                self.assertEqual(1, base.execute(statement).rowcount)
            base.commit()

    def _set(self, backup, number):
        self._execute(f'UPDATE backups SET num_dependent_backups = {number} '
                      f"WHERE id = '{backup.id}'")

    def _told(self):
        return ''.join(line for line in self.program.run(
            'orphans', '--container', self.container,
        ).stderr.splitlines(keepends=True)
            if not line.startswith('There are no orphans among '))

    def _have_dependents(self):
        return [self.cinder.backups.get(each.id).has_dependent_backups
                for each in (self.full, self.tip)]

    def test_mended_as_told(self):
        self.assertEqual('', self._told())
        self._set(self.full, 0)
        self._set(self.tip, 3)
        self.assertEqual([False, True], self._have_dependents())
        told = self._told()
        for backup in (self.full, self.tip):
            self.assertIn(backup.id, told.splitlines()[0])
        self._execute(*re.findall('^UPDATE .*;$', told, re.MULTILINE))
        self.assertEqual([True, False], self._have_dependents())
        self.assertEqual('', self._told())
        # And so it stays.
        self.delete_backup(self.tip)
        self.assertEqual('', self._told())
        self.delete_backup(self.full)

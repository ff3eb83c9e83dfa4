# SPDX-License-Identifier: Apache-2.0

"""Objects that listings show, and that are gone or not what was stored.

Swift no longer serves an object from the second on in which it expires, and
lists it until its expirer comes, which this cloud has none of.
"""

import random
import time

import fixtures
from swiftclient import client as swift_client

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import presence
from tests.fakes import blobs
from tests.functional import base
from tests.functional import cinder_side
from tests.functional import command
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

# Seconds that it may take until Swift serves it no longer.
_PATIENCE = 60


class ExpiredTestCase(cinder_side.CinderSideTestCase):
    """A full backup that has lost a chunk like this."""

    def setUp(self):
        super().setUp()
        if self.cloud.objects != 'swift':
            self.skipTest('only Swift lists what has expired')
        self.data = random.Random(3).randbytes(4 * CHUNK)
        self.volume, self.path = self.make_volume(self.data)
        self.backup = self.back_up(OURS, self.volume, self.path)
        self.gone = self.object_names(self.container)[1]
        self._let_expire(self.gone)
        self.assertIn(self.gone, self.object_names(self.container))

    def _let_expire(self, name):
        access = base.swift_credentials(self.cloud.demo).access()
        swift_client.post_object(
            access.storage_url, access.token, self.container, name,
            {'X-Delete-After': '1'})
        end = time.monotonic() + _PATIENCE
        while self._is_served(name):
            self.assertLess(time.monotonic(), end)
            time.sleep(0.5)

    def _is_served(self, name):
        try:
            self.store.stat(self.container, name)
        except exceptions.ObjectNotFound:
            return False
        return True

    def test_nothing_is_built_on_it(self):
        made = self.back_up(OURS, self.volume, self.path, self.backup)
        self.assertIsNone(made.parent_id)
        self.assert_content(self.restore_new(OURS, made), self.data)

    def test_command(self):
        found = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        where = ('--container', self.container)
        done = found.run('list', *where, '-f', 'json')
        self.assertIn('complete', done.stdout)
        self.assertIn('verify', done.stderr)
        (row,) = found.json('verify', self.backup.id, *where, code=7)
        self.assertEqual(('damaged', self.gone),
                         (row['State'], row['Object']))

    def test_delete(self):
        OURS(self.context).delete_backup(self.backup)
        # Swift answers 404, and lists it no longer all the same.
        self.assertEqual([], self.object_names(self.container))


class OverwrittenTestCase(cinder_side.CinderSideTestCase):
    """One object, which is not among those that are asked for at random."""

    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MockPatchObject(presence, 'SAMPLE', 0))
        self.data = random.Random(4).randbytes(4 * CHUNK)
        self.volume, self.path = self.make_volume(self.data)
        self.backup = self.back_up(OURS, self.volume, self.path)
        self.wrong = self.object_names(self.container)[1]

    def _build_on(self, data):
        """Overwrite the object, and make an incremental."""
        blobs.put(self.store, self.container, self.wrong, data)
        logs = self.useFixture(fixtures.FakeLogger())
        made = self.back_up(OURS, self.volume, self.path, self.backup)
        return made, logs.output

    def test_nothing_is_built_on_it(self):
        good = blobs.get(self.store, self.container, self.wrong)
        for wrong, why in ((good[:-1], 'length'), (good[::-1], 'MD5')):
            made, log = self._build_on(wrong)
            self.assertIsNone(made.parent_id, why)
            self.assertIn('A full backup is made instead', log)
            self.assertIn(f'the {why} of an object differs from', log)
            self.assertIn(self.wrong, log)
        self.assert_content(self.restore_new(OURS, made), self.data)
        self._verify(7)
        made, _ = self._build_on(good)
        self.assertEqual(self.backup.id, made.parent_id)
        self._verify(0)

    def _verify(self, code):
        """Have the command say the same of the backup."""
        command.Command(
            self, self.cloud.os_environment(self.cloud.demo)).run(
            'verify', self.backup.id, '--container', self.container,
            code=code)

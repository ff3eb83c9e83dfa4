# SPDX-License-Identifier: Apache-2.0

"""Containers that users name: what Cinder's API lets through."""

import random

from cinder import exception as cinder_exception
from cinderclient import exceptions as client_exceptions

from tests import selection
from tests.fakes import blobs
from tests.functional import api
from tests.functional import cinder_side
from tests.functional import command
from tests.functional.api import MIB
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK


class NamedTestCase(api.ApiTestCase):
    """With a volume, and a container of the test's own."""

    def setUp(self):
        super().setUp()
        self.volume = self.make_volume(1)
        self.store.ensure_container(self.container, create=True)

    def start_backup_in(self, name):
        """Begin a backup in a container of any name."""
        backup = self.cinder.backups.create(self.volume.id, container=name)
        self.forget_later(self.forget_backup, backup)
        return backup

    def test_that_cannot_be(self):
        for name, fault in (
                (f'{self.container}/bar', 'has a slash'),
                ('/', 'has a slash'), ('.', 'is a relative path to HTTP '
                                            'clients'),
                ('..', 'is a relative path to HTTP clients'),
                ('a\nb', 'has a control character'),
                ('\u65e5' * 86, 'has 258 bytes, more than 256'),
                ('\u00fc' * 255, 'has 510 bytes, more than 256'),
                ('a\0b', 'contains an invalid character or a NUL')):
            backup = self.start_backup_in(name)
            self.wait_until(self._has_failed, backup)
            backup = self.cinder.backups.get(backup.id)
            self.assertIn(
                f'the container cannot be used: its name {fault}. Name '
                f'another container. [', backup.fail_reason)
            self.assertTrue(backup.fail_reason.isprintable())
            self.wait(self.cinder.volumes, self.volume, 'available')
            self.delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

    def _has_failed(self, backup):
        return self.cinder.backups.get(backup.id).status == 'error'

    def test_that_no_request_can_have(self):
        for name in ('a' * 256, '\u65e5' * 256):
            self.assertRaises(client_exceptions.BadRequest,
                              self.start_backup_in, name)
        self.wait(self.cinder.volumes, self.volume, 'available')

    @selection.modes(selection.Modes.EVERYTHING)
    def test_odd_ones(self):
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        for name in (f' %2F?a=b&c;#"\' \\ {self.container}',
                     f'{self.container}' + '\u65e5' * 80,
                     # There is no room for "_segments".
                     self.container.ljust(255, 'x')):
            backup = self.wait(self.cinder.backups,
                               self.start_backup_in(name), 'available')
            self.assertEqual(name, backup.container)
            (row,) = program.json('verify', backup.id, '--container', name)
            self.assertEqual('complete', row['State'])
            restored = self.restore(backup)
            self.assertEqual(self.sha256(self.volume), self.sha256(restored))
            self.delete_backup(backup)
            self.assertEqual([], self.object_names(name))

    def test_none(self):
        # As forms say it that were left empty.
        backup = self.wait(self.cinder.backups, self.start_backup_in(''),
                           'available')
        self.assertNotEqual('', backup.container)
        self.delete_backup(backup)


class RecordTestCase(cinder_side.CinderSideTestCase):
    """A backup that the stock driver made in what can be no container."""

    def test_loses_nothing(self):
        self.store.ensure_container(self.container, create=True)
        data = random.Random(7).randbytes(MIB)
        volume, path = self.make_volume(data)
        self.configure(backup_swift_container=f'{self.container}/bar')
        full = self.back_up(STOCK, volume, path)
        self.configure(backup_swift_container=self.container)
        names = self.object_names(self.container)
        self.assertIn(f'bar/{full.service_metadata}_metadata', names)
        for call in (lambda: OURS(self.context).delete_backup(full),
                     lambda: self.restore_new(OURS, full)):
            err = str(self.assertRaises(cinder_exception.InvalidBackup, call))
            self.assertIn('its name has a slash. Nothing was changed.', err)
            self.assertIn(f'in container {self.container}, objects '
                          f'bar/{full.service_metadata}', err)
            self.assertEqual(names, self.object_names(self.container))
        tip = self.back_up(OURS, volume, path, parent=full)
        self.assertIsNone(tip.parent_id)
        self.assertEqual(data, self.restore_new(OURS, tip).read_bytes())
        OURS(self.context).delete_backup(tip)
        self.assertEqual(names, self.object_names(self.container))
        self._as_the_documentation_says(full, names, data)

    def _as_the_documentation_says(self, full, names, data):
        """Move the objects by hand; then delete what is left of them."""
        for name in names:
            blobs.put(self.store, self.container, name.removeprefix('bar/'),
                      blobs.get(self.store, self.container, name))
        wrong, full.container = full.container, self.container
        self.assertEqual(data, self.restore_new(OURS, full).read_bytes())
        OURS(self.context).delete_backup(full)
        self.assertEqual(names, self.object_names(self.container))
        full.container = wrong
        self.assertRaises(cinder_exception.InvalidBackup,
                          OURS(self.context).delete_backup, full)
        full.container = None
        OURS(self.context).delete_backup(full)

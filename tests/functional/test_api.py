# SPDX-License-Identifier: Apache-2.0

"""Everything users do with backups, through the real Cinder API."""

import contextlib
import functools
import os
import pathlib
import random
import re
import sqlite3
import tempfile
import time
from typing import ClassVar
import uuid

from cinderclient import exceptions as client_exceptions

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from tests import cloud as test_cloud
from tests.cloud import processes
from tests.cloud import volumes
from tests.fakes import blobs
from tests.fakes import eras
from tests.functional import api
from tests.functional import command
from tests.functional.api import MIB

STOCK_DRIVER = 'cinder.backup.drivers.swift.SwiftBackupDriver'


class BackupTestCase(api.ApiTestCase):
    """Backups that succeed."""

    def test_full_and_incremental(self):
        volume = self.make_volume(60)
        first = self.sha256(volume)
        full = self.back_up(volume)
        self.assertFalse(full.is_incremental)
        self.write(volume, 20 * MIB, bytes(MIB))
        self.write(volume, 1000 * MIB, b'new')
        second = self.sha256(volume)
        incremental = self.back_up(volume, incremental=True)
        self.assertTrue(incremental.is_incremental)
        self.assertLess(incremental.object_count, full.object_count)
        names = self.object_names(self.container)
        self.assertEqual(
            full.object_count + incremental.object_count + 4, len(names))

        self.assertEqual(first, self.sha256(self.restore(full)))
        self.assertEqual(second, self.sha256(self.restore(incremental)))
        existing = self.make_volume()
        self.fill(existing)
        self.assertEqual(
            second, self.sha256(self.restore(incremental, existing)))
        self.fill(existing)
        self.assertEqual(first, self.sha256(self.restore(full, existing)))

        self.assertRaises(client_exceptions.BadRequest,
                          self.cinder.backups.delete, full)
        for backup in (incremental, full):
            self.cinder.backups.delete(backup)
            self.wait_gone(self.cinder.backups, backup)
        self.assertEqual([], self.object_names(self.container))

    def test_snapshot(self):
        volume = self.make_volume(10)
        then = self.sha256(volume)
        snapshot = self.cinder.volume_snapshots.create(volume.id)
        self.wait(self.cinder.volume_snapshots, snapshot, 'available')
        self.addCleanup(self.forget_snapshot, snapshot)
        self.write(volume, 0, b'changed after the snapshot')
        backup = self.back_up(volume, snapshot_id=snapshot.id)
        self.assertEqual(then, self.sha256(self.restore(backup)))

    def forget_snapshot(self, snapshot):
        self.cinder.volume_snapshots.delete(snapshot)
        self.wait_gone(self.cinder.volume_snapshots, snapshot)

    def test_in_use(self):
        volume = self.make_volume(10)
        attachment = self.cinder.attachments.create(
            volume.id, {'host': 'somewhere'}, str(uuid.uuid4()))
        self.cinder.attachments.complete(attachment['id'])
        self.wait(self.cinder.volumes, volume, 'in-use')
        self.assertRaises(client_exceptions.BadRequest,
                          self.start_backup, volume)
        backup = self.back_up(volume, force=True)
        self.assertEqual('in-use', self.cinder.volumes.get(volume.id).status)
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(backup)))

    def test_metadata(self):
        volume = self.make_volume(1)
        self.cinder.volumes.set_metadata(volume, {'tier': 'gold'})
        restored = self.restore(self.back_up(volume))
        restored = self.cinder.volumes.get(restored.id)
        self.assertEqual('gold', restored.metadata['tier'])
        self.assertEqual(volume.name, restored.name)

    def test_export_and_import(self):
        volume = self.make_volume(10)
        backup = self.back_up(volume)
        admin = self.client(self.cloud.admin)
        record = admin.backups.export_record(backup.id)
        names = self.object_names(self.container)
        self.lose_record(backup, names)
        # The project of whoever imports a backup owns it from then on.
        demo_as_admin = self.client(self.demo_admin)
        imported = demo_as_admin.backups.import_record(
            record['backup_service'], record['backup_url'])
        self.assertEqual(backup.id, imported['id'])
        imported = self.wait(self.cinder.backups, backup, 'available')
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(imported)))

    def test_force_delete_of_an_errored_backup(self):
        backup = self.back_up(self.make_volume(1))
        admin = self.client(self.cloud.admin)
        admin.backups.reset_state(backup.id, 'error')
        self.client(self.demo_admin).backups.delete(
            backup, force=True)
        self.wait_gone(self.cinder.backups, backup)
        self.assertEqual([], self.object_names(self.container))


class OwnCinderTestCase(api.ApiTestCase):
    """A test with a Cinder of its own on the cloud's Keystone and Swift."""

    options: ClassVar[dict] = {}

    def setUp(self):
        super().setUp()
        if self.cloud.directory is None:
            self.skipTest('An external cloud: its Cinder cannot be set up '
                          'for this test.')
        directory = pathlib.Path(tempfile.mkdtemp(
            prefix='own-cinder-', dir=self.cloud.directory))
        self.own = test_cloud.Cinder(
            self.cloud, directory, concurrency=self.cloud.concurrency,
            extra_options=self.options)
        self.addCleanup(self.own.stop)
        self.endpoint = self.own.url
        self.volumes = volumes.FileVolumes(self.own.volumes_directory)
        self.start()

    def start(self):
        """Start it, again after a stop."""
        self.own.start()
        self.own.wait()
        self.cinder = self.client(self.cloud.demo)


class CancelTestCase(OwnCinderTestCase):
    """Cancelling, on a service slow enough to be caught in the act."""

    options: ClassVar[dict] = {
        'backup_swift_object_size': 4 * MIB,
        'backup_swift_workers': 1}

    def test_delete_while_creating(self):
        volume = self.make_volume(60)
        backup = self.start_backup(volume)
        self.wait_for_objects()
        self.assertEqual('creating',
                         self.cinder.backups.get(backup.id).status)
        started = time.monotonic()
        self.client(self.demo_admin).backups.delete(
            backup, force=True)
        self.wait_gone(self.cinder.backups, backup)
        self.wait(self.cinder.volumes, volume, 'available')
        self.assertLess(time.monotonic() - started, 15)
        self.assertEqual([], self.object_names(self.container))

    def wait_for_objects(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if self.object_names(self.container):
                    return
            except exceptions.ContainerNotFound:
                pass
            time.sleep(0.1)
        self.fail('no object appeared')

    def test_reset_status_while_restoring(self):
        # Long enough that the restore is still at it when it is noticed.
        volume = self.make_volume()
        noise = random.Random(1).randbytes(60 * MIB)
        for offset in range(0, 1020 * MIB, len(noise)):
            self.write(volume, offset, noise)
        backup = self.back_up(volume)
        answer = self.cinder.restores.restore(backup.id)
        target = self.cinder.volumes.get(answer.volume_id)
        self.addCleanup(self.forget_volume, target)
        path = self.volume_path(target)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
                path.exists() and path.stat().st_blocks):
            time.sleep(0.05)
        self.client(self.cloud.admin).backups.reset_state(
            backup.id, 'available')
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.cinder.volumes.get(target.id).status == 'error':
                break
            time.sleep(0.2)
        self.assertEqual('error', self.cinder.volumes.get(target.id).status)
        self.assertEqual('available',
                         self.cinder.backups.get(backup.id).status)


class SwitchTestCase(OwnCinderTestCase):
    """An operator switches ``backup_driver`` on a cloud with backups."""

    def restart_with(self, driver, between=lambda: None):
        self.own.stop()
        between()
        self.own.backup_driver = driver
        self.start()

    def make_chain(self):
        """A volume, a full backup and an incremental, with what it was."""
        volume = self.make_volume(10)
        chain = [(self.back_up(volume), self.sha256(volume))]
        # What was data is zeros now.
        self.write(volume, 5 * MIB, bytes(MIB))
        self.write(volume, 300 * MIB, b'new')
        return volume, self.continued(chain, volume)

    def continued(self, chain, volume):
        """The chain with another incremental."""
        backup = self.back_up(volume, incremental=True)
        self.assertTrue(self.cinder.backups.get(backup.id).is_incremental)
        return [*chain, (backup, self.sha256(volume))]

    def check_chain(self, chain):
        """All of it is restored, over something else, and deleted."""
        target = self.make_volume()
        for backup, expected in chain:
            self.fill(target)
            self.assertEqual(expected, self.sha256(
                self.restore(backup, target)))
            # Several releases of the stock driver cannot do this.
            if self.own.backup_driver != STOCK_DRIVER:
                self.assertEqual(expected, self.sha256(self.restore(backup)))
        for backup, _ in reversed(chain):
            self.cinder.backups.delete(backup)
            self.wait_gone(self.cinder.backups, backup)
        self.assertEqual([], self.object_names(self.container))

    def test_from_the_stock_driver(self):
        ours = self.own.backup_driver
        self.restart_with(STOCK_DRIVER)
        volume, chain = self.make_chain()
        self.restart_with(ours)
        self.write(volume, 400 * MIB, b'newest')
        self.check_chain(self.continued(chain, volume))

    def test_backups_of_old_releases(self):
        # One of each kind; all eras are in the tests of the engine.
        volume = self.make_volume(10)
        expected = self.sha256(volume)
        found = [self._write_as(era, volume) for era in eras.ERAS
                 if era.name in ('Grizzly', 'Juno', 'Kilo')]
        self.import_records(self._records('ours'))
        self.restart_with(self.own.backup_driver,
                          functools.partial(self._age_records, found))
        for backup_id, era, _ in found:
            backup = self.cinder.backups.get(backup_id)
            restored = self.restore(backup)
            self.assertEqual(expected, self.sha256(restored))
            if era.volume_meta:
                self.assertEqual(eras.NAME, restored.name)
                self.assertEqual('x', restored.metadata[era.name])
            self.cinder.backups.delete(backup)
            self.wait_gone(self.cinder.backups, backup)
        self.assertEqual([], self.object_names(self.container))

    def _write_as(self, era, volume):
        """Its backup as an era wrote it: id, era, number of objects."""
        backup_id = str(uuid.uuid4())
        self.store.ensure_container(self.container, create=True)
        prefix = (f'volume_{volume.id}/20141126{eras.ERAS.index(era):06d}/'
                  f'az_nova_backup_{backup_id}')
        with open(self.volume_path(volume), 'rb') as image:
            def read(extent):
                return os.pread(image.fileno(), extent.length, extent.offset)

            writer = eras.Writer(
                era, functools.partial(blobs.put, self.store, self.container),
                'zlib', chunk_size=52428800, metadata={era.name: 'x'})
            noted = writer.write(types.BackupRef(
                backup_id, volume.id, self.container, prefix), read,
                volume.size << 30)
        return backup_id, era, noted

    def _age_records(self, found):
        """Make the records what Cinder noted at the time."""
        with contextlib.closing(sqlite3.connect(self.own.database)) as base:
            for backup_id, era, noted in found:
                base.execute(
                    'UPDATE backups SET service = ?, object_count = ? '
                    'WHERE id = ?', (era.service, noted, backup_id))
            base.commit()

    def test_back_to_the_stock_driver(self):
        volume, chain = self.make_chain()
        self.restart_with(STOCK_DRIVER, self._run_sql_of_the_readme)
        self.write(volume, 400 * MIB, b'newest')
        self.check_chain(self.continued(chain, volume))

    def _run_sql_of_the_readme(self):
        text = (processes.ROOT / 'README.rst').read_text()
        (statement,) = re.findall(r'^    (UPDATE backups .*?;)$', text,
                                  re.MULTILINE | re.DOTALL)
        with contextlib.closing(sqlite3.connect(self.own.database)) as found:
            self.assertEqual(2, found.execute(statement).rowcount)
            found.commit()

    def test_to_a_stock_driver_that_knows_nothing(self):
        _, chain = self.make_chain()
        records = self._records('stock')
        self.restart_with(STOCK_DRIVER, self._lose_the_database)
        self.import_records(records)
        self.check_chain(chain)

    def _records(self, service):
        """What the command says of all backups of the test."""
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        return [(row['backup_service'], row['backup_url'])
                for row in program.json(
                    'export-record', '--all', '--service', service,
                    '--container', self.container)]

    def _lose_the_database(self):
        for path in self.own.database.parent.glob(
                f'{self.own.database.name}*'):
            path.unlink()

# SPDX-License-Identifier: Apache-2.0

"""The way in and the way out, through the real Cinder API."""

import contextlib
import dataclasses
import functools
import os
import re
import sqlite3
import tempfile
import uuid

from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests import selection
from tests.cloud import processes
from tests.fakes import blobs
from tests.fakes import eras
from tests.functional import command
from tests.functional import own_cinder
from tests.functional.api import MIB

STOCK_DRIVER = 'cinder.backup.drivers.swift.SwiftBackupDriver'


@dataclasses.dataclass(frozen=True)
class OldBackup:
    """A backup as an era wrote it, and the number of objects it noted."""

    id: str
    era: eras.Era
    noted: int


class SwitchTestCase(own_cinder.OwnCinderTestCase):
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
            if self.own.backup_driver != STOCK_DRIVER:
                self.assertEqual(expected, self.sha256(self.restore(backup)))
        if self.own.backup_driver == STOCK_DRIVER:
            self.check_new_by_stock(*chain[0])
        for backup, _ in reversed(chain):
            self.delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))

    def check_new_by_stock(self, full, expected):
        """It restores to a volume that Cinder makes for it."""
        restored = self.restore(full)
        # Cinder has cut the file to nothing, which it cannot do to a device,
        # and the stock driver passes over zeros at its end.
        os.truncate(self.volume_path(restored), restored.size << 30)
        self.assertEqual(expected, self.sha256(restored))

    def test_from_the_stock_driver(self):
        ours = self.own.backup_driver
        self.restart_with(STOCK_DRIVER)
        volume, chain = self.make_chain()
        self.restart_with(ours)
        self.write(volume, 400 * MIB, b'newest')
        self.check_chain(self.continued(chain, volume))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_backups_of_old_releases(self):
        volume = self.make_volume(10)
        (fulls, first), (tips, second) = self._write_as_all(volume)
        self.import_records(self._records('ours'))
        self.restart_with(self.own.backup_driver, functools.partial(
            self._age_records, fulls + tips))
        for old in fulls:
            self._check_old(old, first)
        for old in tips:
            self._check_old(old, second)
        # All but the newest chain, so that Cinder continues that one.
        last = (tips.pop(), fulls.pop())
        self._delete_old(tips + fulls)
        self.write(volume, 400 * MIB, b'newest')
        (continued,) = self.continued([], volume)
        self.assertEqual(continued[1], self.sha256(self.restore(continued[0])))
        self.delete_backup(continued[0])
        self._delete_old(last)
        self.assertEqual([], self.object_names(self.container))

    def _write_as_all(self, volume):
        """Full backups and incrementals of all eras, and what they hold."""
        fulls = [self._write_as(era, volume) for era in eras.ERAS]
        first = self.sha256(volume)
        self.write(volume, 5 * MIB, bytes(MIB))
        self.write(volume, 300 * MIB, b'new')
        changes = [types.Extent(5 * MIB, MIB),
                   types.Extent(300 * MIB, eras.BLOCK)]
        tips = [self._write_as(old.era, volume, old.id, changes)
                for old in fulls if old.era.incrementals]
        return (fulls, first), (tips, self.sha256(volume))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_old_releases_to_packs(self):
        volume = self.make_volume(10)
        (fulls, first), (tips, second) = self._write_as_all(volume)
        self.import_records(self._records('ours'))
        self._convert('cinder-swift-backup convert --all --to packs '
                      '--sql records.sql')
        self.assertEqual(
            ['was converted; deleted the old one'] * len(fulls + tips),
            self._delete_sources('packs'))
        for some, expected in ((fulls, first), (tips, second)):
            for old in some:
                restored = self.restore(self.cinder.backups.get(old.id))
                self.assertEqual(expected, self.sha256(restored))
            self._delete_old(some)
        self.assertEqual([], self._objects())

    def _write_as(self, era, volume, parent=None, changes=None):
        """Write a backup of a volume as an era did."""
        backup_id = str(uuid.uuid4())
        self.store.ensure_container(self.container, create=True)
        prefix = (f'volume_{volume.id}/2014112{6 if parent is None else 7}'
                  f'{eras.ERAS.index(era):06d}/az_nova_backup_{backup_id}')
        with open(self.volume_path(volume), 'rb') as image:
            def read(extent):
                return os.pread(image.fileno(), extent.length, extent.offset)

            writer = eras.Writer(
                era, functools.partial(blobs.put, self.store, self.container),
                'zlib', chunk_size=52428800, metadata={era.name: 'x'})
            noted = writer.write(types.BackupRef(
                backup_id, volume.id, self.container, prefix), read,
                volume.size << 30, parent, changes)
        return OldBackup(backup_id, era, noted)

    def _check_old(self, old, expected):
        """It is restored, with what its time noted of the volume."""
        restored = self.restore(self.cinder.backups.get(old.id))
        self.assertEqual(expected, self.sha256(restored))
        if old.era.volume_meta:
            self.assertEqual(eras.NAME, restored.name)
            self.assertEqual('x', restored.metadata[old.era.name])

    def _delete_old(self, backups):
        for old in backups:
            self.delete_backup(self.cinder.backups.get(old.id))

    def _age_records(self, found):
        """Make the records what Cinder noted at the time."""
        with contextlib.closing(sqlite3.connect(self.own.database)) as base:
            for old in found:
                base.execute(
                    'UPDATE backups SET service = ?, object_count = ? '
                    'WHERE id = ?', (old.era.service, old.noted, old.id))
            base.commit()

    def test_back_to_the_stock_driver(self):
        volume, chain = self.make_chain()
        self.restart_with(STOCK_DRIVER, self._run_sql_of_the_readme)
        self.write(volume, 400 * MIB, b'newest')
        self.check_chain(self.continued(chain, volume))

    def _run_sql_of_the_readme(self, count=2):
        text = (processes.ROOT / 'README.rst').read_text()
        (statement,) = re.findall(r'^    (UPDATE backups .*?;)$', text,
                                  re.MULTILINE | re.DOTALL)
        with contextlib.closing(sqlite3.connect(self.own.database)) as found:
            self.assertEqual(count, found.execute(statement).rowcount)
            found.commit()

    def _command(self):
        """The command, with an administrator's login to this Cinder."""
        project = self.cinder.client.session.get_project_id()
        return command.Command(self, {
            **self.cloud.os_environment(self.demo_admin),
            'OS_BLOCK_STORAGE_ENDPOINT_OVERRIDE':
                f'{self.own.url}/{project}'})

    def _convert(self, text):
        """Run a command of the documentation that converts, and its SQL.

        :param text: the command as it is there, but for the file
        """
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = os.path.join(directory.name, 'records.sql')
        self._command().run(*text.replace('records.sql', path).split()[1:],
                            '--container', self.container)
        with (contextlib.closing(sqlite3.connect(self.own.database)) as base,
              open(path) as statements):
            base.executescript(statements.read())

    def _delete_sources(self, form):
        """Delete what was converted; returns what became of each."""
        return [row['Result'] for row in self._command().json(
            'convert', '--all', '--to', form, '--delete-source',
            '--container', self.container)]

    def _objects(self):
        return [name for name in self.object_names(self.container)
                if not naming.is_pack(name)
                and not naming.volume_of_note(name)]

    def _restart_with_form(self, form):
        self.own.stop()
        self.own.extra_options['backup_swift_form'] = form
        self.start()

    def test_back_from_packs(self):
        self._restart_with_form('packs')
        volume = self.make_volume(10)
        chain = [(self.back_up(volume), self.sha256(volume))]
        self.write(volume, 5 * MIB, bytes(MIB))
        chain.append((self.back_up(volume, incremental=True),
                      self.sha256(volume)))
        text = (processes.ROOT / 'README.rst').read_text()
        (line,) = re.findall(r'^    (cinder-swift-backup convert .*)$', text,
                             re.MULTILINE)
        self._convert(line)
        del self.own.extra_options['backup_swift_form']
        self.restart_with(STOCK_DRIVER, self._run_sql_of_the_readme)
        target = self.make_volume()
        for backup, expected in chain:
            self.fill(target)
            self.assertEqual(expected, self.sha256(
                self.restore(backup, target)))
        self.write(volume, 400 * MIB, b'newest')
        chain = self.continued(chain, volume)
        self.assertEqual(
            ['was converted; deleted the old one'] * 2,
            self._delete_sources('chunks'))
        for backup, expected in reversed(chain):
            self.fill(target)
            self.assertEqual(expected, self.sha256(
                self.restore(backup, target)))
            self.delete_backup(backup)
        # A sweep deletes the packs when the grace is over.
        self.assertEqual([], self._objects())

    @selection.modes(selection.Modes.EVERYTHING)
    def test_from_chunks_to_packs(self):
        ours = self.own.backup_driver
        self.restart_with(STOCK_DRIVER)
        _, chain = self.make_chain()
        self.restart_with(ours, functools.partial(self._own_records, ours))
        self._convert('cinder-swift-backup convert --all --to packs '
                      '--sql records.sql')
        (base, expected), (tip, newest) = chain
        # They are full backups now, and any may go first.
        self.assertFalse(self.cinder.backups.get(tip.id).is_incremental)
        self.assertFalse(
            self.cinder.backups.get(base.id).has_dependent_backups)
        self.assertEqual(expected, self.sha256(self.restore(base)))
        self.assertEqual(
            ['was converted; deleted the old one'] * 2,
            self._delete_sources('packs'))
        self.delete_backup(base)
        self.assertEqual(newest, self.sha256(self.restore(tip)))
        self.delete_backup(tip)
        self.assertEqual([], self.object_names(self.container))

    def _own_records(self, service):
        """Have the records be of another driver."""
        with contextlib.closing(sqlite3.connect(self.own.database)) as base:
            base.execute('UPDATE backups SET service = ?', (service,))
            base.commit()

    def test_to_a_stock_driver_that_knows_nothing(self):
        _, chain = self.make_chain()
        records = self._records('stock')
        self.restart_with(STOCK_DRIVER, self.own.lose_database)
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

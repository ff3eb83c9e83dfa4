# SPDX-License-Identifier: Apache-2.0

"""Backups in the form of packs, on a real Swift, and through Cinder."""

import datetime
import hashlib
import json
import random
import time
from typing import ClassVar
from unittest import mock

from castellan import options as castellan_options
from cinder import exception as cinder_exception
from oslo_config import cfg
from oslo_messaging.notify import _impl_test as fake_notifier
import swiftclient
from swiftclient import exceptions as swift_exceptions
import testscenarios

from cinder_swift_backup import engine as engines
from cinder_swift_backup.driver import concurrency
from cinder_swift_backup.driver import records
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.format import naming
from tests import selection
from tests.cloud import key_manager
from tests.fakes import blobs
from tests.functional import base
from tests.functional import cinder_side
from tests.functional import command
from tests.functional import content
from tests.functional import own_cinder
from tests.functional.api import MIB
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

CONF = cfg.CONF


class HistoryTestCase(testscenarios.WithScenarios,
                      cinder_side.CinderSideTestCase):
    """Each backup restores, whichever of the others are deleted."""

    modes = selection.Modes.BOTH
    scenarios: ClassVar[list] = [
        (word, {'word': word}) for word in ('zlib', 'none')]

    def test_any_order(self):
        self.configure(backup_swift_form='packs',
                       backup_compression_algorithm=self.word)
        image = content.make_image()
        volume, path = self.make_volume(image)
        history, parent = [], None
        for seed in range(4):
            path.write_bytes(image)
            parent = self.back_up(OURS, volume, path, parent)
            self.assertIsNone(parent.parent_id)
            history.append((parent, bytes(image)))
            content.change(image, seed)
            image += content.TEXT * 1000
        full, *others = (backup.object_count for backup, _ in history)
        self.assertGreaterEqual(full, max(others))
        self.assertEqual([2] * 3, others)
        for backup, expected in history:
            self.assert_content(self.restore_new(OURS, backup), expected)
        kept, expected = history[2]
        for backup, _ in (history[0], history[3], history[1]):
            OURS(self.context).delete_backup(backup)
            self.assertEqual([], self.object_names(
                self.container, backup.service_metadata))
            self.assert_content(self.restore_existing(
                OURS, kept, len(expected)), expected)
            backup.destroy()
        # With the last backup, all packs go.
        self.assertNotEqual([], self.object_names(self.container))
        OURS(self.context).delete_backup(kept)
        self.assertEqual([], self.object_names(self.container))


class VersionsTestCase(HistoryTestCase):
    """The same where Swift keeps what is overwritten or deleted."""

    scenarios: ClassVar[list] = [('zlib', {'word': 'zlib'})]

    def setUp(self):
        super().setUp()
        self.swift = swiftclient.Connection(
            session=base.keystone_session(self.cloud.demo,
                                          self.cloud.auth_url))
        self.addCleanup(self.swift.close)
        self.swift.put_container(self.container,
                                 {'X-Versions-Enabled': 'true'})

    def test_any_order(self):
        super().test_any_order()
        _, versions = self.swift.get_container(self.container,
                                               query_string='versions')
        self.assertGreater(len(versions), 20)


class BothFormsTestCase(cinder_side.CinderSideTestCase):
    """Where the forms meet, and the drivers."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.image = content.make_image()
        self.volume, self.path = self.make_volume(self.image)

    def _back_up(self, form, parent=None, driver=OURS):
        self.configure(backup_swift_form=form)
        return self.back_up(driver, self.volume, self.path, parent)

    def test_a_change_of_the_form(self):
        first = self._back_up('chunks')
        packed = self._back_up('packs', first)
        second = self._back_up('chunks', packed)
        third = self._back_up('packs', second)
        for backup in (packed, second, third):
            self.assertIsNone(backup.parent_id)
        for backup in (first, packed, second, third):
            self.assert_content(self.restore_new(OURS, backup), self.image)
            OURS(self.context).delete_backup(backup)
            backup.destroy()
        # Whatever form the last one has.
        self.assertEqual([], self.object_names(self.container))

    def test_unchanged(self):
        full = self._back_up('packs')
        before = {info.name for info in self.store.list(self.container, '')}
        self._back_up('packs', full)
        new = [info for info in self.store.list(self.container, '')
               if info.name not in before]
        self.assertEqual(2, len(new))
        self.assertLess(sum(info.size for info in new), 10_000)

    def test_notifications(self):
        self.configure(backup_object_number_per_notification=1)
        full = self._back_up('packs')
        content.change(self.image, 7)
        self.path.write_bytes(self.image)
        fake_notifier.reset()
        backup = self._back_up('packs', full)
        told = cinder_side.progress_notifications()
        self.assertEqual(sorted(told), told)
        self.assertEqual(100, told[-1])
        payload = fake_notifier.NOTIFICATIONS[-1][1]['payload']
        # What it builds on is known until it is complete.
        self.assertEqual((backup.id, full.id), (payload['backup_id'],
                                                payload['parent_id']))
        self.assertIsNone(backup.parent_id)
        # What the record counts is the backup's own.
        own = self.object_names(self.container, backup.service_metadata)
        packs = [name for name in self.object_names(self.container)
                 if backup.id in name and naming.is_pack(name)]
        self.assertEqual(len(own) - 1 + len(packs), backup.object_count)

    def test_the_stock_driver_refuses(self):
        packed = self._back_up('packs')
        err = self.assertRaises(
            cinder_exception.InvalidBackup, self.restore_new, STOCK, packed)
        self.assertIn('2.0.0', str(err))
        # It misses the digests of the parent.
        self.assertRaises(swift_exceptions.ClientException, self._back_up,
                          'packs', packed, STOCK)
        self.assert_content(self.restore_new(OURS, packed), self.image)
        # It deletes what is the backup's own, and leaves packs.
        STOCK(self.context).delete_backup(packed)
        self.assertEqual({naming.packs(packed.service_metadata)}, {
            f'{name.rpartition("/")[0]}/'
            for name in self.object_names(self.container)})

    def test_encrypted(self):
        castellan_options.set_defaults(CONF)
        CONF.register_opts(key_manager.OPTIONS, 'key_manager')
        self.config.config(
            group='key_manager', keys_directory=str(self.directory / 'keys'),
            backend='tests.cloud.key_manager.FileKeyManager')
        self.configure(
            backup_swift_encryption_key_id=[key_manager.FileKeyManager(
                CONF).create_key(None, 'AES', 256)])
        full = self._back_up('packs')
        content.change(self.image, 7)
        self.path.write_bytes(self.image)
        tip = self._back_up('packs', full)
        self.assert_content(self.restore_new(OURS, tip), self.image)
        err = self.assertRaises(
            cinder_exception.InvalidBackup, self.restore_new, STOCK, tip)
        self.assertIn('2.1.0', str(err))

    def test_a_backup_that_is_deleted_meanwhile_leaves_nothing(self):
        full = self._back_up('packs')
        before = self.object_names(self.container)
        content.change(self.image, 7)
        self.path.write_bytes(self.image)
        backup = self.make_backup(self.volume, full)
        backup.status = 'deleting'
        backup.save()
        with self.opened(self.path, 'rb') as handle:
            OURS(self.context).backup(backup, handle, True)
        self.assertEqual(before, self.object_names(self.container))


class SweepTestCase(cinder_side.CinderSideTestCase):
    """Packs that nobody needs go after a grace, which is short here."""

    modes = selection.Modes.BOTH
    grace = datetime.timedelta(seconds=2)

    def setUp(self):
        super().setUp()
        self.enterContext(mock.patch.object(packer, 'FULL', MIB))
        self.configure(backup_swift_form='packs')

    def _sweep(self, ref):
        time.sleep(self.grace.total_seconds() + 1)
        engine = engines.Engine(self.store, concurrency.runtime(), 2)
        return sweeping.Sweeper(engine.repository, self.grace).sweep(
            sweeping.Volume(ref.container, ref.prefix))

    def _packs(self):
        return set(filter(naming.is_pack,
                          self.object_names(self.container)))

    def test_after_a_grace(self):
        image = content.make_image()
        volume, path = self.make_volume(image)
        full = self.back_up(OURS, volume, path)
        # All of the first packs is replaced.
        image[:3 * MIB] = random.Random(3).randbytes(3 * MIB)
        path.write_bytes(image)
        kept = self.back_up(OURS, volume, path, full)
        ref = records.backup_ref(kept)
        every = self._packs()
        self.assertEqual((0, 0), self._counts(self._sweep(ref)))
        OURS(self.context).delete_backup(full)
        waiting, deleted = self._counts(self._sweep(ref))
        self.assertEqual(0, deleted)
        self.assertGreaterEqual(waiting, 1)
        self.assertEqual(every, self._packs())
        self.assertEqual((0, waiting), self._counts(self._sweep(ref)))
        self.assertEqual(waiting, len(every - self._packs()))
        self.assert_content(self.restore_new(OURS, kept), image)
        self.assertEqual((0, 0), self._counts(self._sweep(ref)))

    @staticmethod
    def _counts(swept):
        return swept.waiting, len(swept.deleted)


class ApiTestCase(own_cinder.OwnCinderTestCase):
    """As users see it."""

    options: ClassVar[dict] = {'backup_swift_form': 'packs'}

    def start(self):
        """Have notifications logged, too."""
        self.own.extra_sections['oslo_messaging_notifications'] = {
            'driver': 'log'}
        super().start()

    def _notified(self, event, backup):
        """The payloads about a backup."""
        for line in self.own.log.read_text().splitlines():
            _, found, rest = line.partition(f'oslo.messaging.notification.'
                                            f'{event} [')
            if found:
                # Some versions of the log have more after it.
                message, _ = json.JSONDecoder().raw_decode(
                    rest, rest.index('{'))
                payload = message['payload']
                if payload['backup_id'] == backup.id:
                    yield payload

    def test_any_backup_may_be_deleted(self):
        volume = self.make_volume(60)
        first = self.sha256(volume)
        full = self.back_up(volume)
        self.write(volume, 20 * MIB, bytes(MIB))
        self.write(volume, 1000 * MIB, b'new')
        second = self.sha256(volume)
        incremental = self.back_up(volume, incremental=True)
        self.assertLess(incremental.object_count, full.object_count)
        # What Cinder calls incremental needs another backup.
        self.assertFalse(incremental.is_incremental)
        (payload,) = self._notified('backup.create.end', incremental)
        self.assertEqual(('available', 1, None), tuple(
            payload[name] for name in ('status', 'size', 'parent_id')))
        # The quota counts volumes, not what is stored.
        project_id = base.keystone_session(self.cloud.demo).get_project_id()
        usage = self.cinder.quotas.get(project_id, usage=True)
        self.assertEqual(2, usage.backup_gigabytes['in_use'])
        full = self.cinder.backups.get(full.id)
        self.assertFalse(full.has_dependent_backups)
        self.assertEqual(first, self.sha256(self.restore(full)))
        self.delete_backup(full)
        self.assertEqual(second, self.sha256(self.restore(incremental)))
        third = self.back_up(volume, incremental=True)
        self.delete_backup(incremental)
        self.assertEqual(second, self.sha256(self.restore(third)))
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        listed = program.run('list', '--container', self.container,
                             '-f', 'value', '-c', 'Kind', '-c', 'State')
        self.assertEqual('packs complete', listed.stdout.strip())
        program.run('verify', third.id, '--deep')
        packs = self._packs()
        (row,) = json.loads(program.run(
            'sweep', '--container', self.container, '-f', 'json').stdout)
        # Its own pack is too young to go, whoever needs it.
        self.assertEqual((volume.id, len(packs), 0, ''), tuple(
            row[name] for name in ('Volume', 'Packs', 'Unneeded',
                                   'Kept because')))
        self.assertEqual(packs, self._packs())
        self.delete_backup(third)
        self.assertEqual([], self.object_names(self.container))

    def _packs(self):
        return set(filter(naming.is_pack,
                          self.object_names(self.container)))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_disasters(self):
        volume = self.make_volume(60)
        first = self.sha256(volume)
        full = self.back_up(volume)
        self.write(volume, 20 * MIB, b'new' * MIB)
        second = self.sha256(volume)
        tip = self.back_up(volume, incremental=True)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        # Its manifest is lost, but Cinder still has its record.
        (manifest,) = [name for name in self.object_names(self.container)
                       if tip.id in name and name.endswith('_metadata')]
        self.store.delete(self.container, manifest)
        where = ('--container', self.container)
        # This login leads to another Cinder, which has no record of it.
        program.run('recover', '--volume', volume.id, *where, code=3)
        (row,) = program.json('recover', tip.id, '--volume', volume.id,
                              *where)
        self.assertEqual('rebuilt; the pages that are left prove it',
                         row['Result'])
        self.assertEqual(second, self.sha256(self.restore(tip)))
        self._lose_a_pack(program, full, tip)
        # Cinder's database is lost.
        records = [(row['backup_service'], row['backup_url']) for row
                   in program.json('export-record', '--all', *where)]
        self.own.stop()
        self.own.lose_database()
        self.start()
        self.import_records(records)
        for backup, expected in ((full, first), (tip, second)):
            self.assertEqual(expected, self.sha256(self.restore(
                self.cinder.backups.get(backup.id))))
        # Cinder is lost. A restore is interrupted, and goes on.
        path = program.restored(tip.id, *where)
        with open(path, 'r+b') as handle:
            handle.seek(30 * MIB)
            handle.write(b'?' * MIB)
        program.run('restore', tip.id, path, '--resume', *where)
        self.assertEqual(second, hashlib.sha256(
            path.read_bytes()).hexdigest())
        # What was verified once is not due.
        nightly = ('verify', '--all', '--deep', '--older-than', '30d',
                   '--at-most', '1G', *where)
        count = len(self._packs())
        self.assertRegex(program.run(*nightly).stderr,
                         rf'verified {count} packs? and 0 backups')
        self.assertIn('verified 0 packs and 0 backups',
                      program.run(*nightly).stderr)

    def _lose_a_pack(self, program, full, tip):
        """All that need it are named, and the next backup is whole."""
        name = min(name for name in self._packs() if full.id in name)
        saved = blobs.get(self.store, self.container, name)
        self.store.delete(self.container, name)
        rows = program.json('verify', '--all', '--container', self.container,
                            code=7)
        self.assertEqual([(full.id, name), (tip.id, name)],
                         [(row['Backup'], row['Object']) for row in rows])
        volume = self.cinder.volumes.get(tip.volume_id)
        third = self.back_up(volume, incremental=True)
        self.assertEqual(self.sha256(volume),
                         self.sha256(self.restore(third)))
        # It shares the others.
        self.assertIn(full.id, program.run('show', third.id).stdout)
        blobs.put(self.store, self.container, name, saved)

# SPDX-License-Identifier: Apache-2.0

"""Options: the stock driver's keep their meaning, ours join them."""

import itertools
import subprocess
import sys

from cinder.backup import chunkeddriver
from cinder.backup import driver as cinder_driver
from cinder.backup.drivers import swift as stock
from oslo_config import cfg

from cinder_swift_backup.driver import compat
from cinder_swift_backup.driver import driver
from cinder_swift_backup.driver import options
from cinder_swift_backup.driver import settings
from tests.unit.driver import base


class OptionsTest(base.DriverTestCase):
    """What there is to set."""

    def test_every_option_of_the_stock_driver(self):
        ((group, listed),) = options.list_stock_opts()
        self.assertEqual('DEFAULT', group)
        for option in itertools.chain(
                stock.swiftbackup_service_opts, chunkeddriver.backup_opts,
                cinder_driver.backup_opts):
            self.assertTrue(any(option is other for other in listed),
                            option.name)

    def test_the_sample_has_each_option_once(self):
        ((group, ours),) = options.list_opts()
        ((_, stocks),) = options.list_stock_opts()
        self.assertEqual('DEFAULT', group)
        names = [option.name for option in (*ours, *stocks)]
        self.assertEqual(sorted(set(names)), sorted(names))
        self.assertEqual(
            sorted(option.name for option in options.all_opts()),
            sorted(names))

    def test_each_has_help_and_is_registered(self):
        for option in options.all_opts():
            self.assertTrue(option.help, option.name)
            self.assertIn(option.name, cfg.CONF)

    def test_list_is_the_callers(self):
        ((_, listed),) = options.list_opts()
        listed.clear()
        ((_, again),) = options.list_opts()
        self.assertNotEqual([], again)

    def test_ours(self):
        self.assertEqual(
            {'backup_swift_container_sync_key', 'backup_swift_form',
             'backup_swift_encryption_key_id',
             'backup_swift_full_after', 'backup_swift_sweep_grace',
             'backup_swift_memory', 'backup_swift_bandwidth',
             'backup_swift_container_sync_to',
             'backup_swift_patience', 'backup_swift_rbd_cbt',
             'backup_swift_read_all',
             'backup_swift_workers', 'backup_swift_compression_level',
             'backup_swift_spool_directory', 'backup_swift_verify_restore'},
            {option.name for _, listed in options.list_opts()
             for option in listed})
        self.assertEqual(options.OPTS,
                         driver.SwiftBackupDriver.get_driver_options())
        self.assertEqual(4, cfg.CONF.backup_swift_workers)
        cfg.CONF.clear_override('backup_swift_spool_directory')
        self.assertEqual(cfg.CONF.state_path,
                         cfg.CONF.backup_swift_spool_directory)
        self.assertTrue(cfg.CONF.backup_swift_verify_restore)
        self.assertEqual(
            ['backup_swift_container_sync_key'],
            [option.name for option in options.OPTS if option.secret])

    def test_older_releases_get_the_options_of_newer_ones(self):
        for option in compat.NEWER_OPTS:
            self.assertIn(option.name, cfg.CONF)
        self.assertEqual(compat.NEWER_OPTS, compat.newer_options([]))
        self.assertEqual([], compat.newer_options([
            cfg.StrOpt(option.name) for option in compat.NEWER_OPTS]))
        self.assertTrue(cfg.CONF.backup_create_containers)
        self.assertIsNone(cfg.CONF.backup_swift_region_name)

    def test_levels(self):
        self.assertEqual('balanced', cfg.CONF.backup_swift_compression_level)
        for word in ('fast', 'balanced', 'small'):
            self.config(backup_swift_compression_level=word)
            self.assertEqual(word, settings.read_for_backup().level.value)
        self.assertRaises(ValueError, self.config,
                          backup_swift_compression_level='best')

    def test_at_least_one_worker(self):
        self.assertRaises(ValueError, self.config, backup_swift_workers=0)


class ImportOrderTest(base.DriverTestCase):
    """Both drivers in one process, in either order."""

    def _import(self, *modules):
        code = '\n'.join(f'import {module}' for module in modules)
        answer = subprocess.run([sys.executable, '-W', 'ignore', '-c', code],
                                capture_output=True, text=True, timeout=120,
                                check=False)
        self.assertEqual((0, ''), (answer.returncode, answer.stderr))

    def test_stock_first(self):
        self._import('cinder.backup.drivers.swift',
                     'cinder_swift_backup.driver')

    def test_ours_first(self):
        self._import('cinder_swift_backup.driver',
                     'cinder.backup.drivers.swift')

    def test_entry_point_of_the_sample_configuration(self):
        self._import('cinder_swift_backup.driver.options')

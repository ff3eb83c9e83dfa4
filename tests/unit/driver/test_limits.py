# SPDX-License-Identifier: Apache-2.0

"""What all operations share, by the options of now."""

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import limits
from cinder_swift_backup.driver import settings
from tests.unit.driver import base


class LimitsTest(base.DriverTestCase):
    """One of each in the process."""

    def setUp(self):
        super().setUp()
        self.addCleanup(limits.speed)
        self.addCleanup(limits.memory)
        self.addCleanup(self.config, backup_swift_bandwidth=0)

    def test_defaults(self):
        general = settings.read()
        self.assertEqual(2 << 30, general.memory.limit)
        self.assertEqual(0, general.transport.bandwidth.up.rate)

    def test_new_values_hold_for_all(self):
        before = settings.read()
        self.config(backup_swift_memory=1 << 28,
                    backup_swift_bandwidth=1 << 20)
        now = settings.read()
        self.assertIs(before.memory, now.memory)
        self.assertEqual(1 << 28, before.memory.limit)
        for limit in (before.transport.bandwidth.up,
                      now.transport.bandwidth.down):
            self.assertEqual(1 << 20, limit.rate)

    def test_another_unit_by_mistake(self):
        for option, value, least in (
                ('backup_swift_memory', 512, '67108864 (64.0 MiB)'),
                ('backup_swift_bandwidth', 100, '524288 (512 KiB)')):
            self.config(**{option: value})
            err = self.assertRaises(exceptions.ConfigurationError,
                                    settings.read)
            self.assertIn(f'{option} is {value} bytes but must be at least '
                          f'{least}, or 0 for no limit', str(err))
            self.assertIn(option, ' '.join(
                map(str, settings.account_faults())))
            self.config(**{option: 0})
            settings.read()

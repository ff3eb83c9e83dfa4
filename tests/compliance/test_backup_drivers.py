# SPDX-License-Identifier: Apache-2.0

"""The test that Cinder has of its backup drivers, with ours among them.

It looks at all drivers that have registered themselves by the time its module
is loaded, so ours comes first.
"""

# isort: off
# Chooses green or native threads, so it comes before everything else.
import cinder.tests.unit  # noqa: F401
from cinder_swift_backup import driver
from cinder.tests.compliance import test_backup_drivers
# isort: on

from oslotest import base

# Found by its name here, and run as it is.
TestBackupDrivers = test_backup_drivers.TestBackupDrivers


class RegisteredTestCase(base.BaseTestCase):
    """What the test above was about."""

    def test_ours_is_among_them(self):
        self.assertIn(
            driver.SwiftBackupDriver,
            [found.cls for found in test_backup_drivers.BACKUP_DRIVERS])

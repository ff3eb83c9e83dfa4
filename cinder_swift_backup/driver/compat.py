# SPDX-License-Identifier: Apache-2.0

"""Where the driver leans on what is inside Cinder, which releases change.

Everything else goes through interfaces that Cinder keeps.
"""

import sys

STOCK = 'cinder.backup.drivers.swift.SwiftBackupDriver'
OURS = 'cinder_swift_backup.driver.SwiftBackupDriver'


def adopt_stock_records():
    """Have Cinder's manager pass us the backups of the stock driver.

    The manager refuses records of another driver unless its table of renamed
    drivers says that ours is the new name of theirs. Only a process that
    runs the manager has it loaded when it loads us, and only there it
    matters; importing it from here would need all of Cinder's objects.
    """
    manager = sys.modules.get('cinder.backup.manager')
    if manager is not None:
        manager.MAPPING.setdefault(STOCK, OURS)

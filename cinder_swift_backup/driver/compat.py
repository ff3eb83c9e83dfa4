# SPDX-License-Identifier: Apache-2.0

"""What depends on the internals of Cinder, which may change between releases.

The rest of the driver uses interfaces that Cinder keeps stable.
"""

import sys

STOCK = 'cinder.backup.drivers.swift.SwiftBackupDriver'
OURS = 'cinder_swift_backup.driver.SwiftBackupDriver'


def adopt_stock_records():
    """Make Cinder's manager give us the backups of the stock driver.

    The manager refuses records of another driver unless its table of renamed
    drivers maps their name to ours. In the process of the manager, its module
    is loaded before this one; elsewhere the table does not matter, and this
    function must not import it, which would need all of Cinder's objects.
    """
    manager = sys.modules.get('cinder.backup.manager')
    if manager is not None:
        manager.MAPPING.setdefault(STOCK, OURS)

# SPDX-License-Identifier: Apache-2.0

"""What differs between releases of Cinder, and what depends on its internals.

The rest of the driver uses interfaces that all supported releases have.
"""

import sys

from cinder import version
from oslo_config import cfg

STOCK = 'cinder.backup.drivers.swift.SwiftBackupDriver'
# Before its releases named classes, they named modules. The manager takes the
# beginning of a name for all of it, so this one is only for Grizzly's.
STOCK_OF_GRIZZLY = 'cinder.backup.services.swift'
OURS = 'cinder_swift_backup.driver.SwiftBackupDriver'

# Since 28 (2026.1) Cinder's drivers for files attach a volume in the format
# that its record says. Before, they looked at the file.
FORMATS_ARE_RECORDED = int(version.version_string().split('.')[0]) >= 28

# Options of the stock driver that older releases do not have. Ours follows
# them everywhere.
NEWER_OPTS = [
    cfg.StrOpt('backup_swift_region_name',
               help='The region whose Swift and Keystone are used; the first '
                    'that the catalog names if not set.'),
    cfg.BoolOpt('backup_create_containers',
                default=True,
                help='Create the container of a backup if it does not exist. '
                     'Otherwise, create it before the first backup.'),
]


def newer_options(known):
    """The options of newer releases that this release does not have.

    :param known: the options of this release
    """
    names = {option.name for option in known}
    return [option for option in NEWER_OPTS if option.name not in names]


def adopt_stock_records():
    """Make Cinder's manager give us the backups of the stock driver.

    The manager refuses records of another driver unless its table of renamed
    drivers maps their name to ours. In the process of the manager, its module
    is loaded before this one; elsewhere the table does not matter, and this
    function must not import it, which would need all of Cinder's objects.
    """
    manager = sys.modules.get('cinder.backup.manager')
    if manager is not None:
        for name in (STOCK, STOCK_OF_GRIZZLY):
            manager.MAPPING.setdefault(name, OURS)

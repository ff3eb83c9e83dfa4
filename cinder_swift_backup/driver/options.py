# SPDX-License-Identifier: Apache-2.0

"""The options of the driver.

Those of the stock driver are used by the very objects that define them in
Cinder, so that a configuration keeps its meaning and no option is ever
registered twice with another help text.
"""

import itertools

from cinder.backup import chunkeddriver
from cinder.backup import driver as base_driver
from cinder.backup.drivers import swift as stock
from oslo_config import cfg

OPTS = [
    cfg.IntOpt('backup_swift_workers',
               default=4,
               min=1,
               help='How many chunks of a volume are backed up or restored '
                    'at the same time. Each operation takes up to four times '
                    'backup_swift_object_size of memory for every worker, '
                    '800 MiB with the defaults.'),
    cfg.BoolOpt('backup_swift_verify_restore',
                default=True,
                help='Compare every restored block with the SHA-256 that '
                     'was recorded when it was backed up, before it is '
                     'written. Turn this off only to save what can be saved '
                     'of a backup that is known to be damaged.'),
]

CONF = cfg.CONF
CONF.register_opts(OPTS)


def list_opts():
    """All options the driver reads, for the sample configuration."""
    return [('DEFAULT', list(itertools.chain(
        stock.swiftbackup_service_opts, chunkeddriver.backup_opts,
        base_driver.backup_opts, OPTS)))]

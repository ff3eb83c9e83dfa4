# SPDX-License-Identifier: Apache-2.0

"""What all operations of a cinder-backup share: memory and bandwidth.

There is one of each in a process. The options are read for each operation, so
a new value holds from the next one on, also for those that run then.
"""

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.driver import option_values
from cinder_swift_backup.engine import budget
from cinder_swift_backup.stores import bandwidth

# Bytes: less would not hold one task, and is another unit by mistake.
_LEAST_MEMORY = 64 << 20
_MEMORY = budget.Budget()
_BANDWIDTH = bandwidth.Bandwidth()


def memory():
    """The budget, by the option of now.

    :raises ConfigurationError: when it is too small
    """
    _MEMORY.limit = _read('backup_swift_memory', _LEAST_MEMORY)
    return _MEMORY


def speed():
    """The bandwidth, by the option of now.

    :raises ConfigurationError: when it is too small
    """
    _BANDWIDTH.set(_read('backup_swift_bandwidth', bandwidth.LEAST))
    return _BANDWIDTH


def _read(option, least):
    value = option_values.read(option)
    if 0 < value < least:
        raise exceptions.ConfigurationError(
            f'{option} is {value} bytes but must be at least {least} '
            f'({quantities.size(least)}), or 0 for no limit')
    return value

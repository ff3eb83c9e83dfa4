# SPDX-License-Identifier: Apache-2.0

"""How much memory a restore takes."""

from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.restore import fetching

# Bytes: connections, threads, the plan.
_ALWAYS = 8 << 20
# Bytes: what blocks are usually; nothing is known of the backup yet.
_BLOCK = 32 << 10


def of_restore(size: int) -> budget.Need:
    """What a restore of a backup holds.

    :param size: of the volume, in bytes
    """
    return budget.Need(_ALWAYS + spool.in_memory(_BLOCK, size),
                       fetching.LARGEST)

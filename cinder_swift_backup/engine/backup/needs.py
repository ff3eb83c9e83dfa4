# SPDX-License-Identifier: Apache-2.0

"""How much memory a backup takes."""

from cinder_swift_backup.engine import budget
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.backup import pack_worklist
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.engine.backup import worklist
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

# Bytes: connections, threads, and what has no other name.
_ALWAYS = 8 << 20


def of_backup(form: chains.Form, geometry: types.Geometry,
              size: int, *, incremental: bool) -> budget.Need:
    """What a backup of a volume holds.

    :param size: of the volume, in bytes
    """
    digests = spool.in_memory(geometry.block_size, size)
    before = digests if incremental else 0
    if form is chains.Form.PACKS:
        # The pack that is being filled, and one that waits to be put.
        return budget.Need(_ALWAYS + before + 2 * min(packer.FULL, size),
                           pack_worklist.largest(geometry.block_size))
    return budget.Need(_ALWAYS + digests + before, worklist.memory(
        min(size, geometry.chunk_size), geometry.block_size))

# SPDX-License-Identifier: Apache-2.0

"""Tables of digests, wherever theirs are."""

from cinder_swift_backup.format import digests


def content(table: digests.DigestTable) -> tuple[int, bytes]:
    """The size of blocks, and all packed digests: what two may be equal in."""
    return table.block_size, table.run(0, len(table))

# SPDX-License-Identifier: Apache-2.0

"""Which parts of a volume may differ from the backup that it builds on.

Where that is known, only these are read, and all other digests are taken from
the parent.

1. The volume compares itself with the parent's mark, a window at a time. A
   mark is a snapshot that has exactly what the parent was read from, but for
   changes that are noted with it. Or somebody else has said what was written.
2. What differs is extended to whole blocks, for which there are digests.
3. If the volume has another size than the parent, so may its end: everything
   from the last block of the shorter one on.
"""

from collections.abc import Iterable

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types


def find(source: volumes.VolumeReader, parent: chains.Manifest,
         block_size: int, stop: pipelines.StopFlag) -> intervals.IntervalSet:
    """The parts of a volume that may differ from its parent.

    :param block_size: of digests, in bytes
    :raises VolumeError: when the volume does not know
    :raises Cancelled: when ``stop`` is set
    """
    mark = parent.mark
    if mark is None:
        raise exceptions.VolumeError('the parent has no mark')
    size = source.size
    written = take(mark.written_since, size, parent, block_size)
    # Four at a time: Ceph reads its map of all of an image for each answer.
    for window in types.Extent(0, size).parts(4 * volumes.WINDOW):
        stop.check()
        changed = source.changed_since(mark, window)
        if changed is None:
            raise exceptions.VolumeError(
                'the volume cannot report what was written to it')
        for extent in changed:
            written.claim(extent.whole_blocks(block_size, size))
    return written


def take(told: Iterable[types.Extent], size: int, parent: chains.Manifest,
         block_size: int) -> intervals.IntervalSet:
    """What may differ from a parent by what was told, and by its size.

    :param told: extents in any order
    :param size: of the volume in bytes
    :param block_size: of digests, in bytes
    :raises VolumeError: when the size of the parent is not known
    """
    before = parent.volume_size
    if before is None:
        raise exceptions.VolumeError(
            'the parent does not record the size of the volume')
    written = intervals.IntervalSet()
    for extent in told:
        written.claim(extent.whole_blocks(block_size, size))
    if size != before:
        start = min(size, before) // block_size * block_size
        written.claim(types.Extent(start, size - start))
    return written

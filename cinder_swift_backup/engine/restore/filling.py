# SPDX-License-Identifier: Apache-2.0

"""Writes a backup's data to a volume, and makes the rest of it zeros.

1. Ask the volume where it may read as anything but zeros, before anything is
   written. A sample tells whether that is true; see
   :mod:`cinder_swift_backup.engine.volumes.maps`.
2. Skip zeros everywhere else.
"""

from collections.abc import Callable
from collections.abc import Iterable
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zeros

LOG = logging.getLogger(__name__)


class Filler:
    """Fills one volume; may be used by several workers."""

    def __init__(self, writer: volumes.VolumeWriter,
                 data: intervals.IntervalSet,
                 count: Callable[[int], None]) -> None:
        """Prepare.

        :param data: where the volume may read as anything but zeros
        :param count: called with how many bytes were written
        """
        self._writer = writer
        self._count = count
        self._data = data

    def zero(self, extents: Iterable[types.Extent]) -> None:
        """Make extents zeros that nothing was written to yet."""
        for extent in extents:
            if self._data.overlaps(extent):
                self._writer.zero(extent)

    def write(self, offset: int, data: memoryview, *,
              repeated: bool) -> None:
        """See :class:`chunk_reader.Use`."""
        for is_zero, run in zeros.split(data):
            extent = types.Extent(offset + run.offset, run.length)
            if not is_zero:
                self._writer.write(extent.offset, data[run.offset:run.end])
                self._count(run.length)
            elif repeated or self._data.overlaps(extent):
                self._writer.zero(extent)


def make(writer: volumes.VolumeWriter, within: types.Extent,
         operation: operations.Operation) -> Filler:
    """A filler for the first bytes of a volume.

    :param within: from 0 on, what is going to be filled
    :raises VolumeError: when the volume does not answer
    """
    left = maps.Left(maps.GRAIN)
    data = operation.one(functools.partial(
        _data_extents, writer, within, left))
    if not _is_true(writer, left, operation):
        data.claim(within)
    return Filler(writer, data, operation.volume_traffic.add_written)


def _is_true(writer: volumes.VolumeWriter, left: maps.Left,
             operation: operations.Operation) -> bool:
    try:
        lie = maps.Checker(writer, maps.GRAIN).find_lie(left, operation)
    except exceptions.VolumeError as err:
        LOG.info('The restore writes every zero, because the target cannot '
                 'be read: %s', err)
        return False
    if lie is not None:
        LOG.error('The storage of the restore target is wrong about its '
                  'data: it says that %s, but they are not. The restore '
                  'skips no zeros and is right. Look for a known bug of the '
                  'file system, the NFS server or librbd: because of it, '
                  'backups may lack data.', lie)
    return lie is None


def _data_extents(writer: volumes.VolumeWriter, within: types.Extent,
                  left: maps.Left,
                  stop: pipelines.StopFlag) -> intervals.IntervalSet:
    """Where a volume says that it may have data.

    :param left: notes what it does not name
    """
    data = intervals.IntervalSet()
    for window in volumes.windows(within):
        stop.check()
        # What is behind the end of a file, nobody can read.
        there = types.Extent(
            window.offset, max(min(window.end, writer.size) - window.offset,
                               0))
        for extent in left.holes.between(writer.data_extents(window), there):
            data.claim(extent)
    return data

# SPDX-License-Identifier: Apache-2.0

"""Asks a volume what need not be read for a backup of it.

A sample tells whether its answers are true; see
:mod:`cinder_swift_backup.engine.volumes.maps`. If one is not, nothing that the
volume says is believed.
"""

import dataclasses
import functools

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import changes
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import layout
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Answers:
    """What is read, and what it may hold.

    ``may_differ`` is what may differ from the parent; None if nobody knows.
    ``states`` says for each chunk of the geometry what it may hold; see
    :mod:`.layout`.
    """

    source: volumes.VolumeReader
    may_differ: intervals.IntervalSet | None
    states: bytearray


class Asker:
    """Asks the volume of one backup."""

    def __init__(self, operation: operations.Operation, job: jobs.ArchiveJob,
                 geometry: types.Geometry) -> None:
        """Prepare.

        :param geometry: how the volume is cut
        """
        self._operation = operation
        self._job = job
        self._geometry = geometry

    def file_format(self, source: volumes.VolumeReader) -> str | None:
        """The format of a file, as the manifest records it.

        :raises VolumeError: when it is only part of a volume
        """
        if self._job.copy_of is not None:
            return self._job.copy_of.file_format
        try:
            return self._operation.one(lambda _: format_checks.source_format(
                source, self._job.recorded))
        except exceptions.VolumeError as err:
            err.about(backup_id=self._job.ref.backup_id)
            raise

    def ask(self, source: volumes.VolumeReader) -> Answers:
        """What need not be read, by the word of the volume.

        :raises VolumeError: when it does not answer
        """
        job = self._job
        if job.read_all:
            return self._unasked(source)
        may_differ = self._may_differ(source)
        left = maps.Left(self._geometry.block_size)
        states = self._operation.one(functools.partial(
            layout.chunks, source, self._geometry, may_differ, left))
        # Digests tell of what is copied, and are compared when it is read.
        lie = None if job.copy_of is not None else maps.Checker(
            source, self._geometry.block_size,
            job.parent.digests if job.parent else None,
        ).find_lie(left, self._operation)
        if lie is None:
            return Answers(source, may_differ, states)
        LOG.error('The storage of volume %s is wrong about its data: it says '
                  'that %s, but they are not. Backup %s now reads the whole '
                  'volume and is right, but older backups may lack data. '
                  'Look for a known bug of the file system, the NFS server '
                  'or librbd, and have backups read whole volumes until it '
                  'is fixed.', job.ref.volume_id, lie, job.ref.backup_id)
        return self._unasked(source)

    def _unasked(self, source: volumes.VolumeReader) -> Answers:
        source = volumes.UnmappedVolume(source)
        geometry = self._geometry
        return Answers(source, None, self._operation.one(functools.partial(
            layout.chunks, source, geometry, None,
            maps.Left(geometry.block_size))))

    def _may_differ(self, source: volumes.VolumeReader,
                    ) -> intervals.IntervalSet | None:
        """What may differ from the parent; None if that is not known."""
        job = self._job
        if job.parent is None or (job.told is None and not job.track):
            return None
        if job.parent.lost:
            # What it had there is unknown, and so is whether that changed.
            return None
        try:
            if job.told is not None:
                return self._operation.call(
                    changes.take, job.told, source.size, job.parent.manifest,
                    self._geometry.block_size)
            return self._operation.one(functools.partial(
                changes.find, source, job.parent.manifest,
                self._geometry.block_size))
        except exceptions.VolumeError as err:
            LOG.warning('Backup %s reads the whole volume, because the '
                        'changes since backup %s are not known: %s',
                        job.ref.backup_id, job.parent.ref.backup_id, err)
            return None

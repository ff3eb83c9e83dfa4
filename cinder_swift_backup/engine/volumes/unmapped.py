# SPDX-License-Identifier: Apache-2.0

"""A volume that nobody asks where it has data, or what was written to it."""

from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.format import types


class UnmappedVolume(base.WithoutMap):
    """Another volume, all of which is read."""

    def __init__(self, volume: base.VolumeReader) -> None:
        self._volume = volume
        self.size = volume.size
        self.is_device = base.is_device(volume)

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`."""
        return self._volume.read(extent, buffer)

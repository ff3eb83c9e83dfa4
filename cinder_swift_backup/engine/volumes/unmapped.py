# SPDX-License-Identifier: Apache-2.0

"""A volume that nobody asks where it has data, or what was written to it."""

from collections.abc import Iterator

from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.format import types


class UnmappedVolume:
    """Another volume, all of which is read."""

    tells_holes = False

    def __init__(self, volume: base.VolumeReader) -> None:
        self._volume = volume
        self.size = volume.size
        self.is_device = base.is_device(volume)

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`."""
        return self._volume.read(extent, buffer)

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`: it may have data everywhere."""
        yield within

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`base.VolumeReader`: it may have data everywhere."""
        return False

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> None:
        """See :class:`base.VolumeReader`: nothing is known of it."""

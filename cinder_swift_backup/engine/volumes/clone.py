# SPDX-License-Identifier: Apache-2.0

"""Clones of RBD images that nothing was written to.

A volume that is in use is backed up from one. It has what its origin had when
the snapshot was made that it is a clone of, so the origin tells what was
written since a mark of the origin's.
"""

from collections.abc import Iterator

from cinder_swift_backup.engine.volumes import image
from cinder_swift_backup.format import types


class ClonedVolume:
    """A clone that knows what its origin knows.

    :param clone: what is read
    :param origin: nobody else may use it meanwhile
    :param snapshot: of the origin, which is what the clone has
    """

    is_device = True

    def __init__(self, clone: image.ImageVolume, origin: image.ImageVolume,
                 snapshot: str) -> None:
        self._clone = clone
        self._origin = origin
        self._snapshot = snapshot
        self.size = clone.size
        self.tells_holes = clone.tells_holes
        origin.use(snapshot)

    def read(self, extent: types.Extent, buffer: bytearray) -> memoryview:
        """See :class:`base.VolumeReader`."""
        return self._clone.read(extent, buffer)

    def data_extents(self, within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`."""
        return self._clone.data_extents(within)

    def is_hole(self, extent: types.Extent) -> bool:
        """See :class:`base.VolumeReader`."""
        return self._clone.is_hole(extent)

    def changed_since(self, mark: types.Mark,
                      within: types.Extent) -> Iterator[types.Extent]:
        """See :class:`base.VolumeReader`: what the origin says."""
        self._origin.use(self._snapshot)
        return self._origin.changed_since(mark, within)

# SPDX-License-Identifier: Apache-2.0

"""Reading and writing volumes by offset, from several threads at once.

Cinder hands over one of three kinds of handle, tried in this order:

1. one with a file descriptor: a block device or a regular file;
2. os-brick's wrapper around an RBD image, whose image takes offsets;
3. anything else that can seek: used under a lock.

The handles run in offloaded functions and never log. What looks at volumes
from the outside (``format_checks``, ``maps``) is called by the coordinator.
"""

import io
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.engine.volumes import descriptor
from cinder_swift_backup.engine.volumes import rbd
from cinder_swift_backup.engine.volumes import seeking
from cinder_swift_backup.engine.volumes import unmapped

Volume = (descriptor.FileVolume | descriptor.DeviceVolume | rbd.RbdVolume
          | seeking.SeekingVolume)
ClonedVolume = rbd.ClonedVolume
RbdVolume = rbd.RbdVolume
until = base.until
windows = base.windows
WINDOW = base.WINDOW
UnmappedVolume = unmapped.UnmappedVolume
VolumeReader = base.VolumeReader
VolumeWriter = base.VolumeWriter


def open_volume(handle: Any, lock: base.Lock) -> Volume:
    """The volume behind a handle that Cinder attached.

    :param lock: for a handle that threads cannot share
    :raises VolumeError: when the handle is of no known kind
    """
    fd = _fileno(handle)
    if fd is not None:
        return descriptor.open_descriptor(fd)
    image = getattr(handle, 'rbd_image', None)
    if image is not None:
        return rbd.RbdVolume(image, lock)
    if hasattr(handle, 'seek') and hasattr(handle, 'tell'):
        return seeking.SeekingVolume(handle, lock)
    raise exceptions.VolumeError(
        "the volume's handle does not support reads and writes at an offset",
        detail=repr(handle), remedy=exceptions.Remedy.STORAGE)


def _fileno(handle: Any) -> int | None:
    try:
        fd = handle.fileno()
    except (AttributeError, io.UnsupportedOperation, OSError):
        return None
    return fd if isinstance(fd, int) else None

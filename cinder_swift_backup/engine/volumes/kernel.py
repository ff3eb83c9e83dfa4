# SPDX-License-Identifier: Apache-2.0

"""Calls of the Linux kernel that Python does not offer.

The numbers are from linux/falloc.h and linux/fs.h.
"""

import ctypes
import errno
import fcntl
import os
import struct

from cinder_swift_backup.format import types

_PUNCH_HOLE = 0x02 | 0x01  # which has to come with KEEP_SIZE
_BLKZEROOUT = 0x127f
# The kernel's answers where it does not support the call. EINVAL is for
# extents that are not whole sectors of a device, EBUSY for those that are not
# whole pages, from Linux 4.9 to 5.8.
_CANNOT = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY,
                     errno.EINVAL, errno.ENODEV, errno.EBUSY))

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = getattr(_libc, 'fallocate64', None) or _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64,
                       ctypes.c_int64)


def punch_hole(fd: int, extent: types.Extent) -> bool:
    """Make an extent read as zeros and free its space.

    :returns: False where the kernel does not support it
    :raises OSError: when it failed
    """
    if not _fallocate(fd, _PUNCH_HOLE, extent.offset, extent.length):
        return True
    code = ctypes.get_errno()
    if code in _CANNOT:
        return False
    raise OSError(code, os.strerror(code))


def zero_out(fd: int, extent: types.Extent) -> bool:
    """Make an extent of a block device read as zeros.

    :returns: False where the kernel does not support it, as for parts of
        sectors
    :raises OSError: when it failed
    """
    try:
        fcntl.ioctl(fd, _BLKZEROOUT,
                    struct.pack('QQ', extent.offset, extent.length))
    except OSError as err:
        if err.errno in _CANNOT:
            return False
        raise
    return True

# SPDX-License-Identifier: Apache-2.0

"""What the tests of all kinds of volumes have in common."""

import threading

from cinder_swift_backup.engine import volumes

DATA = bytes(range(256)) * 20


def open_volume(handle):
    """The volume behind a handle."""
    return volumes.open_volume(handle, threading.Lock())


def read(found, extent):
    """The bytes of an extent, through a buffer that is larger."""
    return bytes(found.read(extent, bytearray(extent.length + 10)))

# SPDX-License-Identifier: Apache-2.0

"""What the kernel is asked to do, and what it cannot."""

import errno
import os
import tempfile

from oslotest import base

from cinder_swift_backup.engine.volumes import kernel
from cinder_swift_backup.format import types

_EXTENT = types.Extent(4096, 8192)


class KernelTest(base.BaseTestCase):
    """On what is no block device; those have tests of their own."""

    def test_punch_hole(self):
        with tempfile.TemporaryFile() as handle:
            handle.write(b'x' * 16384)
            handle.flush()
            self.assertTrue(kernel.punch_hole(handle.fileno(), _EXTENT))
            handle.seek(0)
            self.assertEqual(b'x' * 4096 + bytes(8192) + b'x' * 4096,
                             handle.read())

    def test_what_cannot_have_holes(self):
        with open('/dev/null', 'wb') as handle:
            self.assertFalse(kernel.punch_hole(handle.fileno(), _EXTENT))

    def test_what_fails(self):
        with tempfile.NamedTemporaryFile() as handle:
            fd = os.open(handle.name, os.O_RDONLY)
            self.addCleanup(os.close, fd)
            err = self.assertRaises(OSError, kernel.punch_hole, fd, _EXTENT)
            self.assertEqual(errno.EBADF, err.errno)
        err = self.assertRaises(OSError, kernel.zero_out, 99999, _EXTENT)
        self.assertEqual(errno.EBADF, err.errno)

    def test_what_is_no_device(self):
        with tempfile.TemporaryFile() as handle:
            self.assertFalse(kernel.zero_out(handle.fileno(), _EXTENT))

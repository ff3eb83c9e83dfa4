# SPDX-License-Identifier: Apache-2.0

"""Digests in memory, and in a file."""

import errno
import glob
import os
import tempfile
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types

_ZEROS = digests.of_zeros(16)
_DIGESTS = st.lists(
    st.binary(min_size=32, max_size=32) | st.just(_ZEROS)
    | st.just(bytes(32)) | st.just(b'\1' * 32), max_size=8).map(b''.join)
# What is kept in memory: anything, some, or nothing.
_BOUNDS = st.sampled_from((1 << 20, 100, 0))


class SpoolTest(base.BaseTestCase):
    """It is like a bytearray, wherever the bytes are."""

    @mock.patch.object(spool, '_AREA', 96)
    @given(_BOUNDS, st.sampled_from((_ZEROS, b'')), st.integers(0, 5),
           st.lists(st.tuples(st.booleans(), st.integers(0, 20), _DIGESTS)))
    def test_against_a_bytearray(self, bound, zeros, count, steps):
        expected = bytearray((zeros or bytes(32)) * count)
        with mock.patch.object(spool, 'IN_MEMORY', bound):
            found = spool.Spool(None, zeros, count)
            self.addCleanup(found.close)
            for append, at, packed in steps:
                if append:
                    found += packed
                    expected += packed
                else:
                    start = min(at * 32, len(expected))
                    end = min(start + len(packed), len(expected))
                    found[start:end] = packed[:end - start]
                    expected[start:end] = packed[:end - start]
        self.assertEqual(len(expected), len(found))
        for start in range(0, len(expected) + 32, 32):
            for end in range(start, len(expected) + 64, 32):
                self.assertEqual(expected[start:end], found[start:end])
                self.assertEqual(
                    bytes(expected[start:end]) == (zeros or bytes(32)) * (
                        len(expected[start:end]) // 32),
                    found.repeats(zeros or bytes(32), start, end))
                self.assertEqual(
                    all(expected[at:at + 32] == b'\1' * 32
                        for at in range(start, min(end, len(expected)), 32)),
                    found.repeats(b'\1' * 32, start, end))

    def test_other_length(self):
        found = spool.Spool(None, _ZEROS, 4)
        with self.assertRaisesRegex(ValueError, '64 bytes instead of 32'):
            found[32:64] = bytes(64)

    def test_zeros_take_no_space(self):
        with tempfile.TemporaryDirectory() as directory:
            found = spool.Spool(directory, _ZEROS, 4 << 20)
            self.addCleanup(found.close)
            for start in range(0, len(found), 1 << 20):
                found[start:start + (1 << 20)] = _ZEROS * (1 << 15)
            found[1 << 25:(1 << 25) + 32] = b'x' * 32
            # There is no name that could stay behind.
            self.assertEqual([], os.listdir(directory))
            (used,) = (os.stat(path).st_blocks * 512
                       for path in glob.glob('/proc/self/fd/*')
                       if os.path.realpath(path).startswith(directory))
            self.assertLess(used, 1 << 20)

    def test_zeros_are_not_read(self):
        found = spool.Spool(None, _ZEROS, 4 << 20)
        self.addCleanup(found.close)
        found[1 << 25:(1 << 25) + 32] = b'x' * 32
        with mock.patch.object(os, 'pread', side_effect=AssertionError):
            self.assertTrue(found.repeats(_ZEROS, 0, 1 << 25))
            self.assertEqual(_ZEROS * 2, found[(1 << 26) - 64:1 << 26])
            found[:32] = _ZEROS
        self.assertFalse(found.repeats(_ZEROS, 0, (1 << 25) + 32))

    def test_disk_that_fails(self):
        with mock.patch.object(spool, 'IN_MEMORY', 0):
            err = self.assertRaises(exceptions.SpoolError, spool.Spool,
                                    '/nonexistent', _ZEROS, 1)
            self.assertIn('/nonexistent', str(err))
            self.assertIs(exceptions.Remedy.SPOOL_DIRECTORY, err.remedy)
            found = spool.Spool(None, _ZEROS, 4)
            self.addCleanup(found.close)
        with (mock.patch.object(os, 'pwrite', side_effect=OSError(
                28, 'No space left on device')),
              self.assertRaisesRegex(exceptions.SpoolError, 'No space')):
            found[0:32] = b'x' * 32

    def test_directory(self):
        with tempfile.NamedTemporaryFile() as file:
            for place in ('/nonexistent', file.name):
                err = self.assertRaises(exceptions.SpoolError, spool.check,
                                        place)
                self.assertIn('does not exist', err.what)
                self.assertIs(exceptions.Remedy.SPOOL_DIRECTORY, err.remedy)
                self.assertIn(place, str(err))
        for number in (errno.EACCES, errno.EROFS):
            with mock.patch.object(tempfile, 'TemporaryFile',
                                   side_effect=OSError(number, 'because')):
                err = self.assertRaises(exceptions.SpoolError, spool.check,
                                        '/somewhere')
            self.assertEqual(('no file can be created in the directory for '
                              'temporary files (because)', 'in /somewhere'),
                             (err.what, err.detail))
            self.assertIs(exceptions.Remedy.SPOOL_DIRECTORY, err.remedy)

    def test_no_directory_at_all(self):
        self.enterContext(mock.patch.object(tempfile, 'tempdir', None))
        self.enterContext(mock.patch.object(
            tempfile, '_get_default_tempdir', side_effect=FileNotFoundError(
                errno.ENOENT, 'No usable temporary directory found')))
        for ask in (lambda: spool.check(None),
                    lambda: spool.check_room(None, 1 << 60)):
            err = self.assertRaises(exceptions.SpoolError, ask)
            self.assertIs(exceptions.Remedy.SPOOL_DIRECTORY, err.remedy)

    def test_room(self):
        spool.check_room('/nonexistent', spool.IN_MEMORY)
        self.assertRaises(exceptions.SpoolError, spool.check_room,
                          '/nonexistent', spool.IN_MEMORY + 1)
        with tempfile.TemporaryDirectory() as directory:
            spool.check_room(directory, spool.IN_MEMORY + 1)
            err = self.assertRaises(exceptions.SpoolError, spool.check_room,
                                    directory, 1 << 60)
            self.assertEqual((1 << 60, exceptions.Remedy.SPOOL),
                             (err.expected, err.remedy))
            self.assertIn(directory, str(err))

    def test_closed(self):
        for bound in (0, 1 << 20):
            with mock.patch.object(spool, 'IN_MEMORY', bound):
                found = spool.Spool(None, _ZEROS, 4)
            found.close()
            found.close()
            self.assertEqual(0, len(found))

    def test_looking_for_zeros_can_be_ended(self):
        found = spool.Spool(None, _ZEROS, 8)
        table = digests.DigestTable(16, found)

        def end():
            raise exceptions.Cancelled('enough')

        with mock.patch.object(digests, 'STEP', 4):
            self.assertRaises(exceptions.Cancelled, table.are_zeros,
                              types.Extent(0, 128), end)
            self.assertRaises(exceptions.Cancelled, list,
                              table.zero_runs(end))
            self.assertTrue(table.are_zeros(types.Extent(0, 128)))
            self.assertEqual([(0, 8)], list(table.zero_runs()))

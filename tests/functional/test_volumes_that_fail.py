# SPDX-License-Identifier: Apache-2.0

"""Volumes that return errors, or less than they were asked for."""

from concurrent import futures
import json
import os
import random

from cinder import exception as cinder_exception

from cinder_swift_backup.format import naming
from tests import selection
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import rule
from tests.cloud.fault_proxy.rules import Stall
from tests.fakes import blobs
from tests.faults import base
from tests.functional import cinder_process
from tests.functional import cinder_side
from tests.functional import handles
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS

_DATA = random.Random(3).randbytes(4 * CHUNK) + b'the end'
_STORAGE = ('Look for the cause on the host and in the storage, then try '
            'again. [')
_ENDED = ': the volume ended early: it may have been resized or detached ('


class BrokenHandle(handles.Handle):
    """It cannot be read, or written, from the third chunk on."""

    def read(self, length):
        self._break()
        return super().read(length)

    def write(self, data):
        self._break()
        return super().write(data)

    def _break(self):
        if self.tell() >= 2 * CHUNK:
            raise OSError(5, 'Input/output error')


class BriefHandle(handles.Handle):
    """It reads and writes less at once than it is asked to."""

    def __init__(self, file):
        super().__init__(file)
        self._random = random.Random(7)

    def _some(self, length):
        return self._random.randint(1, max(1, length // 2))

    def read(self, length):
        return super().read(self._some(length))

    def write(self, data):
        data = data[:self._some(len(data))]
        super().write(data)
        return len(data)


class ShrinkingHandle(handles.Handle):
    """It loses its second half when the second chunk is read."""

    def read(self, length):
        if self.tell() >= CHUNK:
            os.truncate(self.file.fileno(), 2 * CHUNK)
        return super().read(length)


class HandleTestCase(cinder_side.CinderSideTestCase):
    """Volumes that Cinder hands over as objects."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.configure(backup_compression_algorithm='none')
        self.volume, self.path = self.make_volume(_DATA)

    def back_up_through(self, kind):
        """A backup of the volume, through a handle."""
        backup = self.make_backup(self.volume)
        with open(self.path, 'r+b') as file:
            OURS(self.context).backup(
                backup, cinder_process.passed_on(kind(file)), True)
        return backup

    def assert_fails(self, kind, *texts):
        """It does, says why, leaves nothing, and the next one works."""
        error = self.assertRaises(cinder_exception.InvalidVolume,
                                  self.back_up_through, kind)
        for text in texts:
            self.assertIn(text, str(error))
        self.assertEqual([], self.object_names(self.container))
        data = self.path.read_bytes()
        backup = self.back_up(OURS, self.volume, self.path)
        self.assert_content(self.restore_new(OURS, backup), data)

    def test_errors(self):
        self.assert_fails(BrokenHandle, 'Input/output error', _STORAGE,
                          'bytes ')

    def test_volume_that_shrinks(self):
        self.assert_fails(ShrinkingHandle, _ENDED, 'Repeat the operation.')

    def stored(self, backup):
        """What the chunks and the digests of a backup hold."""
        names = (naming.manifest_name(backup.service_metadata),
                 naming.digest_file_name(backup.service_metadata))
        manifest, digests = (json.loads(blobs.get(
            self.store, self.container, name)) for name in names)
        return (digests['sha256s'], [
            (values['offset'], values['length'],
             blobs.get(self.store, self.container, name))
            for entry in manifest['objects']
            for name, values in entry.items()])

    def test_short_reads(self):
        expected = self.back_up(OURS, self.volume, self.path)
        backup = self.back_up_through(BriefHandle)
        self.assertEqual(5, backup.object_count)
        self.assertEqual(self.stored(expected), self.stored(backup))

    def restore_through(self, kind, backup):
        """A restore to a volume of the same size, through a handle."""
        volume, path = self.make_volume(b'\xa5' * len(_DATA))
        with open(path, 'r+b') as file:
            self.restore_to(OURS, backup, volume, kind(file), False)
        return path

    def test_short_writes(self):
        backup = self.back_up(OURS, self.volume, self.path)
        self.assert_content(self.restore_through(BriefHandle, backup), _DATA)

    def test_errors_of_the_target(self):
        backup = self.back_up(OURS, self.volume, self.path)
        error = self.assertRaises(cinder_exception.InvalidVolume,
                                  self.restore_through, BrokenHandle, backup)
        for text in ('Input/output error', _STORAGE, backup.id):
            self.assertIn(text, str(error))
        self.assert_content(self.restore_new(OURS, backup), _DATA)


class FileTestCase(base.FaultTestCase):
    """A volume that Cinder hands over as a file."""

    modes = selection.Modes.BOTH

    def test_volume_that_shrinks(self):
        self.be_patient(60)
        self.configure(backup_swift_workers=1)
        volume, path = self.make_volume(_DATA)
        backup = self.make_backup(volume)
        # Nothing behind it is read meanwhile.
        self.proxy.apply(rule(Stall(3600), 'PUT', Kind.CHUNK, first=2))

        def work():
            with open(path, 'rb') as handle:
                OURS(self.context).backup(
                    backup, cinder_process.passed_on(handle), True)

        with futures.ThreadPoolExecutor(1) as executor:
            result = executor.submit(work)
            self.wait_soon(lambda: any(self.proxy.hits()), 'it never waits')
            os.truncate(path, 3 * CHUNK)
            # Now the chunk is sent again.
            self.proxy.refuse()
            self.proxy.accept()
            error = result.exception()
        self.assertIsInstance(error, cinder_exception.InvalidVolume)
        self.assertIn(_ENDED, str(error))
        self.assertEqual([], self.object_names(self.container))
        self.back_up(OURS, volume, path)

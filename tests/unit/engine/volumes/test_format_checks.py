# SPDX-License-Identifier: Apache-2.0

"""Which files are backed up, and what goes where in a restore."""

import io
import json
import os
import pathlib
import tempfile
import threading

import fixtures

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes as engine_volumes
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.restore import streamer
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests.fakes import images
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

_GEOMETRY = types.Geometry(chunk_size=65536, block_size=4096)
_OVERLAY = images.load('qcow2-overlay')
_WHOLE = images.load('qcow2')
_RAW = b'a disk with a guest on it' * 4000


def _image(data):
    return engine_volumes.open_volume(volumes.RbdHandle(volumes.Image(data)),
                                      threading.Lock())


class FormatTestCase(base.EngineTestCase):
    """Files in a directory of the test's."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())

    def open(self, data):
        """A file that has ``data``."""
        handle = self.enterContext(tempfile.TemporaryFile())
        handle.write(data)
        handle.flush()
        return handle

    def back_up(self, source, number=1, **options):
        """Back up what nobody knows the kind of, if it is bytes."""
        if isinstance(source, bytes):
            source = volumes.RamVolume(source)
            source.is_device = False
        return self.bench.archive(number, source, geometry=_GEOMETRY,
                                  **options)

    def restore(self, target, *, source_size, **options):
        """Restore the only backup."""
        self.bench.restore_to(target, self.bench.resolve(1),
                              source_size=source_size, **options)

    def restore_to_file(self, before, *, source_size, file_format=None):
        """Restore to what was ``before``; returns what it is then."""
        handle = self.open(before)
        target = restorer.RestoreTarget(
            engine_volumes.open_volume(handle, threading.Lock()),
            source_size, source_size, file_format=file_format)
        try:
            self.bench.restorer.restore(self.bench.resolve(1), target,
                                        observers.Recorder())
        finally:
            handle.seek(0)
            self.left = handle.read()
        return self.left

    def forget_format(self):
        """Have a manifest as other drivers write them."""
        def forget(data):
            fields = json.loads(data)
            fields.pop('csb_file_format', None)
            return json.dumps(fields).encode()

        self.bench.damage(naming.manifest_name(base.ref(1).prefix), forget)


class BackupTest(FormatTestCase):
    """What is refused, and what is noted."""

    def _assert_refused(self, handle, *words,
                        remedy=exceptions.Remedy.SNAPSHOT, **options):
        source = engine_volumes.open_volume(handle, threading.Lock())
        before = self.bench.names()
        err = self.assertRaises(exceptions.VolumeError, self.back_up, source,
                                **options)
        self.assertEqual(remedy, err.remedy)
        for word in words:
            self.assertIn(word, str(err))
        self.assertEqual(before, self.bench.names())

    def test_part_of_a_volume(self):
        for name, *words in (
                ('qcow2-overlay', 'qcow2', 'backing file qcow2'),
                ('vmdk-delta', 'VMDK', 'parent'),
                ('qed-overlay', 'QED', 'backing file')):
            self._assert_refused(self.open(images.load(name)), *words)
        for name, *words in (
                ('qcow2-data-file', 'qcow2', 'data file'),
                ('vmdk-descriptor', 'VMDK', 'other files')):
            self._assert_refused(self.open(images.load(name)), *words,
                                 remedy=exceptions.Remedy.WHOLE_SOURCE)

    def test_handle_without_a_descriptor(self):
        self._assert_refused(io.BytesIO(_OVERLAY), 'backing file')

    def test_incremental_after_a_snapshot(self):
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        self._assert_refused(self.open(_OVERLAY), 'backing file', number=2,
                             parent=1)

    def test_whole_files(self):
        for number, (name, file_format) in enumerate(
                (('qcow2', 'qcow2'), ('qcow2-extended', 'qcow2'),
                 ('vmdk', 'VMDK'), ('vmdk-stream', 'VMDK'), ('qed', 'QED'))):
            self.back_up(engine_volumes.open_volume(
                self.open(images.load(name)), None), number)
            self.assertEqual(file_format, self.bench.repository.load(
                base.ref(number)).file_format)

    def test_raw(self):
        manifest = self.back_up(engine_volumes.open_volume(
            self.open(_RAW), None))
        self.assertEqual('unknown', manifest.file_format)

    def test_device_whose_guest_wrote_a_header(self):
        self.assertEqual('raw', self.back_up(_image(_OVERLAY)).file_format)

    def test_raw_file_whose_guest_wrote_a_header(self):
        self.have_volumes_of_any_size()
        for data in (_OVERLAY, _WHOLE):
            recorded = format_checks.Recorded(len(data), is_raw=True)
            for handle in (self.open(data), io.BytesIO(data)):
                self.assertEqual('raw', self.back_up(
                    engine_volumes.open_volume(handle, threading.Lock()),
                    recorded=recorded).file_format)
            # Unless it is not as long as that, or Cinder is not sure.
            for wrong in (format_checks.Recorded(len(data)),
                          format_checks.Recorded(len(data) + 1, is_raw=True)):
                source = engine_volumes.open_volume(self.open(data), None)
                if data is _WHOLE:
                    self.assertEqual('qcow2', self.back_up(
                        source, recorded=wrong).file_format)
                else:
                    self.assertRaises(exceptions.VolumeError, self.back_up,
                                      source, recorded=wrong)


class RestoreTest(FormatTestCase):
    """Files to files, and the rest to anything."""

    def _assert_refused(self, remedy, call, *arguments, **options):
        err = self.assertRaises(exceptions.VolumeError, call, *arguments,
                                **options)
        self.assertEqual(remedy, err.remedy)

    def _assert_no_device(self, source_size):
        target = volumes.RamVolume(bytes(1 << 20))
        image = volumes.Image(bytes(1 << 20))
        for each in (target, engine_volumes.open_volume(
                volumes.RbdHandle(image), threading.Lock())):
            self._assert_refused(exceptions.Remedy.CONVERT, self.restore,
                                 each, source_size=source_size)
        self.assertEqual([], target.writes)
        self.assertEqual(bytes(1 << 20), bytes(image.data))

    def test_file_to_a_device(self):
        for name in ('qcow2', 'vmdk-stream', 'vdi'):
            head = images.load(name)
            self.back_up(engine_volumes.open_volume(self.open(head), None))
            for source_size in (1 << 30, len(head)):
                self._assert_no_device(source_size)
            self.bench.delete(base.ref(1))

    def test_file_to_a_device_that_is_too_small(self):
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        self._assert_refused(
            exceptions.Remedy.CONVERT, self.restore,
            volumes.RamVolume(bytes(4096)), source_size=4096)

    def test_file_that_is_as_long_as_a_volume(self):
        self.have_volumes_of_any_size()
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        self._assert_no_device(len(_WHOLE))

    def test_files_of_the_stock_driver_to_a_device(self):
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        self.forget_format()
        self._assert_no_device(1 << 30)

    def test_device_whose_guest_wrote_a_header(self):
        self.have_volumes_of_any_size()
        # The second is one of the stock driver, or from before this was noted.
        for source, sizes in ((_image(_WHOLE), (len(_WHOLE), 1 << 30, 5)),
                              (_WHOLE, (len(_WHOLE),))):
            self.back_up(source)
            for source_size in sizes:
                target = volumes.RamVolume(bytes(len(_WHOLE)))
                self.restore(target, source_size=source_size)
                self.assertEqual(_WHOLE, bytes(target.data))
            self.bench.delete(base.ref(1))

    def test_handle_without_a_descriptor_may_be_of_a_file(self):
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        handle = io.BytesIO(bytes(1 << 20))
        self.restore(engine_volumes.open_volume(handle, threading.Lock()),
                     source_size=1 << 30)
        self.assertEqual(_WHOLE, handle.getvalue()[:len(_WHOLE)])

    def test_going_on_where_a_restore_has_ended(self):
        self.back_up(_image(_OVERLAY))
        file = self.open(_OVERLAY[:65536])
        target = engine_volumes.open_volume(file, None)
        self.bench.restorer.restore(
            self.bench.resolve(1), restorer.RestoreTarget(
                target, 0, len(_OVERLAY), target), observers.Recorder())
        file.seek(0)
        self.assertEqual(_OVERLAY, file.read())

    def test_file_that_may_only_be_written(self):
        self.back_up(_RAW)
        path = pathlib.Path(self.enterContext(
            tempfile.TemporaryDirectory()), 'target')
        path.write_bytes(b'\xa5' * 100000 + bytes(1 << 20))
        with path.open('r+b') as reader, open(
                os.open(path, os.O_WRONLY), 'wb', closefd=True) as handle:
            self.restore(engine_volumes.open_volume(handle, None),
                         source_size=1 << 30)
            self.assertEqual(_RAW, reader.read())

    def test_device_that_is_not_as_large_as_its_record(self):
        self.back_up(_RAW)
        target = volumes.RamVolume(bytes(len(_RAW)))
        self.restore(target, source_size=1 << 30)
        self.assertEqual(_RAW, bytes(target.data))

    def test_what_was_looked_at_once_is_not_fetched_for_it(self):
        self.back_up(engine_volumes.open_volume(self.open(_RAW), None))
        self.store.heal()
        self.assertEqual(_RAW, self.restore_to_file(
            b'', source_size=1 << 30))
        gets = self.store.names('read')
        self.assertEqual(len(set(gets)), len(gets))

    def test_file_to_a_file(self):
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        for before in (b'', bytes(1 << 20), _WHOLE, _RAW):
            self.assertEqual(_WHOLE, self.restore_to_file(
                before, source_size=1 << 30))
        self.assertNotIn('only', self.log.output)

    def test_volume_onto_part_of_another(self):
        for source in (_RAW, engine_volumes.open_volume(
                self.open(_WHOLE), None)):
            self.back_up(source)
            for sizes in (1 << 30, len(_RAW)):
                self._assert_refused(
                    exceptions.Remedy.WHOLE_TARGET, self.restore_to_file,
                    _OVERLAY, source_size=sizes)
                self.assertEqual(_OVERLAY, self.left)
            self.bench.delete(base.ref(1))

    def test_format_that_the_volume_has_to_have(self):
        self.have_volumes_of_any_size()
        for source, right, wrong in (
                (_RAW, 'raw', 'qcow2'),
                (engine_volumes.open_volume(self.open(_WHOLE), None), 'qcow2',
                 'raw')):
            self.back_up(source)
            size = len(_RAW if right == 'raw' else _WHOLE)
            self._assert_refused(
                exceptions.Remedy.SAME_FORMAT, self.restore_to_file, b'',
                source_size=size, file_format=wrong)
            self.assertEqual(b'', self.left)
            self.assertEqual(size, len(self.restore_to_file(
                b'', source_size=size, file_format=right)))
            self.bench.delete(base.ref(1))

    def test_part_of_a_volume(self):
        # As they were backed up once.
        self.back_up(_OVERLAY)
        for before in (b'', _OVERLAY):
            self.assertEqual(_OVERLAY, self.restore_to_file(
                before, source_size=1 << 30))
        self.assertIn('only the qcow2 file', self.log.output)
        self.assertIn('backing file qcow2', self.log.output)
        self._assert_no_device(1 << 30)

    def test_stream_has_the_file(self):
        self.back_up(engine_volumes.open_volume(self.open(_WHOLE), None))
        written = []
        streamer.Streamer(self.bench.repository).stream(
            self.bench.resolve(1), lambda data: written.append(bytes(data)),
            observers.Recorder())
        self.assertEqual(_WHOLE, b''.join(written))

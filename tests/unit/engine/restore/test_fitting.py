# SPDX-License-Identifier: Apache-2.0

"""Backups of devices that are larger than their records."""

import json
import random
import tempfile
import threading
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes as engine_volumes
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import fitting
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.format import naming
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

_BLOCK = base.GEOMETRY.block_size
_RECORDED = 1024
_DATA = random.Random(25).randbytes(_RECORDED)


def _fits(data, room):
    """Whether all blocks that end behind the room are zeros."""
    return not any(data[room // _BLOCK * _BLOCK:])


def _mode(options):
    """The options of a restore, for a word of these tests."""
    verify = options.pop('verify', True)
    return {'doubts': None if verify else doubts.Doubts(), **options}


class FittingTestCase(base.EngineTestCase):
    """Restores to devices of some size."""

    def _restore(self, numbers, room, *, bench=None, resumed=None, **options):
        """What the device holds after a restore; it was full of rubbish."""
        bench = bench or self.bench
        before = b'\xa5' * room if resumed is None else resumed
        target = volumes.RamVolume(before, sparse=True)
        bench.restorer.restore(
            bench.resolve(*numbers), restorer.RestoreTarget(
                target, options.pop('recorded', _RECORDED), room,
                None if resumed is None else target),
            observers.Recorder(), **_mode(options))
        self.assertIsNotNone(target.finished)
        return bytes(target.data)

    def _refused(self, numbers, room, **options):
        target = volumes.RamVolume(b'\xa5' * room)
        err = self.assertRaises(
            exceptions.VolumeError, self.bench.restorer.restore,
            self.bench.resolve(*numbers), restorer.RestoreTarget(
                target, _RECORDED, room), observers.Recorder(),
            **_mode(options))
        self.assertEqual(b'\xa5' * room, bytes(target.data))
        self.assertEqual((f'bak-{numbers[-1]}', room,
                          exceptions.Remedy.LARGER_VOLUME),
                         (err.backup_id, err.actual, err.remedy))
        return err


class ExcessTest(FittingTestCase):
    """What is behind the end of the target."""

    @given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 400),
           st.booleans(), st.booleans())
    def test_any_room(self, length, zeros, room, verify, resume):
        data = random.Random(length).randbytes(length) + bytes(zeros)
        bench = base.Bench()
        bench.archive(1, data)
        options = {'bench': bench, 'verify': verify, 'recorded': 0}
        if resume:
            options['resumed'] = (data + bytes(room))[:room // 2].ljust(
                room, b'\xa5')
        if len(data) > room and not _fits(data, room):
            self.assertRaises(exceptions.VolumeError, self._restore, [1],
                              room, **options)
            return
        found = self._restore([1], room, **options)
        self.assertEqual(room, len(found))
        self.assertEqual(data[:room], found[:len(data)])

    def test_linstor(self):
        # 8 KiB for its own data, here in 8 bytes, half a block.
        self.bench.archive(1, _DATA + bytes(8))
        for verify in (True, False):
            self.assertEqual(
                _DATA, self._restore([1], _RECORDED, verify=verify))

    def test_powerflex(self):
        # A multiple of 8 GiB, whatever it was asked for.
        self.bench.archive(1, _DATA + bytes(7 * _RECORDED))
        self.assertEqual(_DATA, self._restore([1], _RECORDED))
        self.assertEqual(_DATA + bytes(200),
                         self._restore([1], _RECORDED + 200))

    def test_image_of_the_recorded_size(self):
        # Such as of Ceph, which takes nothing behind its end.
        self.bench.archive(1, _DATA + bytes(40))
        image = volumes.Image(b'\xa5' * _RECORDED)
        self.bench.restore_to(
            engine_volumes.open_volume(volumes.RbdHandle(image),
                                       threading.Lock()),
            self.bench.resolve(1), source_size=_RECORDED)
        self.assertEqual(_DATA, bytes(image.data))

    def test_file_is_as_long_as_its_volume(self):
        for rest, size, length in (
                (bytes(40), _RECORDED, _RECORDED),
                (bytes(40), 2 * _RECORDED, 2 * _RECORDED),
                # Rather too long than without something.
                (bytes(40) + b'x', _RECORDED, _RECORDED + 41)):
            self.bench.archive(1, engine_volumes.open_volume(
                volumes.RbdHandle(volumes.Image(_DATA + rest)),
                threading.Lock()))
            with tempfile.TemporaryFile() as handle:
                self.bench.restore_to(
                    engine_volumes.open_volume(handle, threading.Lock()),
                    self.bench.resolve(1), source_size=_RECORDED, size=size)
                handle.seek(0)
                found = handle.read()
            self.assertEqual(length, len(found))
            self.assertEqual((_DATA + rest).ljust(length, b'\0')[:length],
                             found)
            self.bench.delete(base.ref(1))

    def test_file_that_is_longer_than_its_volume(self):
        # Such as one of LUKS, whose header comes on top.
        data = b'LUKS\xba\xbe\0\1' + _DATA + bytes(40)
        with tempfile.TemporaryFile() as handle:
            handle.write(data)
            handle.flush()
            self.bench.archive(1, engine_volumes.open_volume(handle, None))
        for size in (_RECORDED, 2 * _RECORDED):
            with tempfile.TemporaryFile() as handle:
                self.bench.restore_to(
                    engine_volumes.open_volume(handle, threading.Lock()),
                    self.bench.resolve(1), source_size=_RECORDED, size=size)
                handle.seek(0)
                self.assertEqual(data, handle.read())

    def test_data_behind_the_end(self):
        for place in (_RECORDED, _RECORDED + 20, _RECORDED + 39):
            data = bytearray(_DATA + bytes(40))
            data[place] = 1
            self.bench.archive(1, bytes(data))
            for verify in (True, False):
                self._refused([1], _RECORDED, verify=verify)

    def test_less_than_the_record(self):
        # Such a device is not the volume that Cinder means.
        self.bench.archive(1, bytes(2 * _RECORDED))
        self._refused([1], _RECORDED - _BLOCK)
        self.assertEqual(bytes(_RECORDED), self._restore([1], _RECORDED))

    def test_nothing_fits_everything(self):
        self.bench.archive(1, bytes(_RECORDED))
        self.assertRaises(exceptions.VolumeError, self._restore, [1], 0,
                          recorded=0)

    def test_what_would_do(self):
        self.enterContext(mock.patch.object(fitting, '_GIB', _RECORDED))
        for end, needed in ((_RECORDED + 1, 2), (2 * _RECORDED, 2),
                            (2 * _RECORDED + 1, 3), (5 * _RECORDED, 5)):
            data = _DATA.ljust(end - 1, b'\0') + b'x'
            self.bench.archive(1, data + bytes(6 * _RECORDED - end))
            err = self._refused([1], _RECORDED)
            self.assertIn(f'needs at least {needed} GiB', err.what)
            self.assertEqual(needed * _RECORDED, err.expected)
            # Indeed.
            self._restore([1], needed * _RECORDED)

    def test_a_single_gib(self):
        self.bench.archive(1, b'x' * 2000)
        self.assertIn('needs at least 1 GiB',
                      self._refused([1], _RECORDED).what)


class ChainTest(FittingTestCase):
    """The tip decides what there is."""

    def test_device_that_grew(self):
        self.bench.archive(1, _DATA)
        now = _DATA[::-1]
        self.bench.archive(2, now + bytes(40), parent=1)
        self.assertEqual(now, self._restore([1, 2], _RECORDED))
        self.bench.archive(2, now + bytes(39) + b'x', parent=1)
        self._refused([1, 2], _RECORDED)

    def test_device_that_shrank(self):
        self.bench.archive(1, _DATA + b'x' * 40)
        self.bench.archive(2, _DATA[::-1], parent=1)
        self.assertEqual(_DATA[::-1], self._restore([1, 2], _RECORDED))
        self._refused([1], _RECORDED)

    def test_what_was_there_and_is_gone(self):
        self.bench.archive(1, _DATA + b'x' * 40)
        self.bench.archive(2, _DATA + bytes(40), parent=1)
        self.bench.archive(3, _DATA + bytes(39) + b'y', parent=2)
        self.assertEqual(_DATA, self._restore([1, 2], _RECORDED))
        self._refused([1, 2, 3], _RECORDED)

    def test_chunk_that_is_cut(self):
        # The last one begins in front of the end and has data there.
        self.bench.archive(1, _DATA + b'x' * 40)
        now = _DATA[:-20] + bytes(60)
        self.bench.archive(2, now, parent=1)
        self.assertEqual(now[:_RECORDED], self._restore([1, 2], _RECORDED))

    def test_stored_by_the_stock_driver(self):
        self.bench.archive(1, _DATA + bytes(40))
        self.bench.damage(
            naming.manifest_name(base.ref(1).prefix),
            lambda stored: stored.replace(b'csb_volume_size', b'unknown'))
        self.assertEqual(_DATA, self._restore([1], _RECORDED))


class UnknownTest(FittingTestCase):
    """Where no digests say that there are zeros."""

    def setUp(self):
        super().setUp()
        self.bench.archive(1, _DATA + bytes(40))
        self.digest_file = naming.digest_file_name(base.ref(1).prefix)

    def test_backup_from_before_digests(self):
        def before_2015(stored):
            fields = json.loads(stored)
            del fields['parent_id']
            for entry in fields['objects']:
                (chunk,) = entry.values()
                chunk['md5'] = chunk.pop('csb_stored_md5')
            return json.dumps(fields).encode()

        self.bench.damage(naming.manifest_name(base.ref(1).prefix),
                          before_2015)
        self.bench.memory.delete(base.CONTAINER, self.digest_file)
        for verify in (True, False):
            err = self._refused([1], _RECORDED, verify=verify)
            self.assertIn('needs at least 1 GiB', err.what)

    def test_digests_that_are_damaged_or_gone(self):
        log = self.useFixture(fixtures.FakeLogger())
        self.bench.damage(self.digest_file, lambda data: data[:-2])
        self._refused([1], _RECORDED, verify=False)
        self.assertIn(self.digest_file, log.output)
        self.bench.memory.delete(base.CONTAINER, self.digest_file)
        self._refused([1], _RECORDED, verify=False)

    def test_where_there_is_room_nobody_asks(self):
        self.bench.damage(self.digest_file, lambda data: data[:-2])
        self.assertEqual(_DATA + bytes(40), self._restore(
            [1], _RECORDED + 40, verify=False))

# SPDX-License-Identifier: Apache-2.0

"""Volumes that are block devices, full of what a former tenant left."""

import os
import random
import subprocess

from cinder import exception as cinder_exception
from oslo_utils import units

from tests import selection
from tests.fakes import file_systems
from tests.fakes import loop_device
from tests.functional import cinder_side
from tests.functional import command
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

_FORMER = 0xee
_NOISE = random.Random(8).randbytes(2 * CHUNK)
# Zeros in runs of every size, data that ends inside a block and a chunk.
_DATA = b''.join((
    bytes(CHUNK + BLOCK), _NOISE, bytes(3 * CHUNK), _NOISE[:BLOCK // 2],
    bytes(BLOCK * 7 + 512), _NOISE[:70000], bytes(100000), b'the end' * 512,
    bytes(4096)))
_SIZE = -(-len(_DATA) // 512) * 512
_FULL = _DATA + bytes(_SIZE - len(_DATA))


class DeviceTestCase(cinder_side.CinderSideTestCase):
    """Backup from and restore to loop devices."""

    def setUp(self):
        super().setUp()
        self.source = self._device(_SIZE)
        self.source.write(_FULL)
        self.volume, _ = self.make_volume(b'')

    def _device(self, size):
        return self.useFixture(loop_device.LoopDevice(size, _FORMER))

    def _restored(self, driver, backup, *, new, size=_SIZE):
        target = self._device(size)
        volume, _ = self.make_volume(b'')
        # Cinder opens devices for writing only.
        with open(target.path, 'wb') as handle:
            self.restore_to(driver, backup, volume, handle, new)
        return target.content()

    def test_round_trip(self):
        for word in ('zlib', 'none'):
            self.configure(backup_compression_algorithm=word)
            backup = self.back_up(OURS, self.volume, self.source.path)
            for new in (True, False):
                self.assertEqual(_FULL, self._restored(OURS, backup, new=new))
            self.assertEqual(_FULL, self._restored(STOCK, backup, new=False))

    def test_backup_of_the_stock_driver(self):
        backup = self.back_up(STOCK, self.volume, self.source.path)
        self.assertEqual(_FULL, self._restored(OURS, backup, new=True))

    def test_incremental(self):
        base = self.back_up(OURS, self.volume, self.source.path)
        now = bytearray(_FULL)
        now[CHUNK + BLOCK:2 * CHUNK + BLOCK] = bytes(CHUNK)
        now[100:200] = b'x' * 100
        self.source.write(now)
        backup = self.back_up(OURS, self.volume, self.source.path, base)
        for new in (True, False):
            self.assertEqual(now, self._restored(OURS, backup, new=new))

    def test_larger_device_keeps_its_rest(self):
        backup = self.back_up(OURS, self.volume, self.source.path)
        found = self._restored(OURS, backup, new=False, size=_SIZE + 8192)
        self.assertEqual(_FULL + bytes([_FORMER]) * 8192, found)

    def _mounted(self, device):
        subprocess.run(['mkfs.ext2', '-q', device.path], check=True)
        directory = self.directory / 'mounted'
        directory.mkdir()
        done = subprocess.run(['mount', device.path, directory],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            self.skipTest('SKIPPED FOR WANT OF MOUNTS: '
                          f'{done.stderr.strip()}')
        self.addCleanup(subprocess.run, ['umount', directory], check=True)
        return directory

    @selection.modes(selection.Modes.EVERYTHING)
    def test_without_cinder(self):
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        where = ('--container', self.container)
        for driver in (OURS, STOCK):
            backup = self.back_up(driver, self.volume, self.source.path)
            target = self._device(_SIZE)
            done = program.run('restore', backup.id, target.path, *where,
                               code=8)
            self.assertIn('--force', done.stderr)
            self.assertEqual({_FORMER}, set(target.content()))
            program.run('restore', backup.id, target.path, *where, '--force')
            self.assertEqual(_FULL, target.content())
            target.write(bytes([_FORMER]) * (CHUNK + 5))
            program.run('restore', backup.id, target.path, *where, '--resume')
            self.assertEqual(_FULL, target.content())
            larger = self._device(_SIZE + 8192)
            done = program.run('restore', backup.id, larger.path, *where,
                               '--force')
            self.assertIn('last 8192 bytes', done.stderr)
            self.assertEqual(_FULL + bytes([_FORMER]) * 8192,
                             larger.content())
            smaller = self._device(_SIZE - 512)
            program.run('restore', backup.id, smaller.path, *where,
                        '--force', code=8)
            self.assertEqual({_FORMER}, set(smaller.content()))

    def test_mounted_device_is_left_alone(self):
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        backup = self.back_up(OURS, self.volume, self.source.path)
        target = self._device(-(-_SIZE // 4096) * 4096)
        directory = self._mounted(target)
        done = program.run('restore', backup.id, target.path, '--force',
                           '--container', self.container, code=8)
        self.assertIn(f'mounted at {directory}', done.stderr)

    def test_full_file_system(self):
        small = self.useFixture(file_systems.SmallFileSystem(CHUNK))
        backup = self.back_up(OURS, self.volume, self.source.path)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        done = program.run('restore', backup.id, small.path / 'volume',
                           '--container', self.container, code=8)
        self.assertIn('No space left', done.stderr)
        self.assertIn('--resume', done.stderr)

    def test_smaller_device_is_left_alone(self):
        backup = self.back_up(OURS, self.volume, self.source.path)
        target = self._device(_SIZE - 512)
        volume, _ = self.make_volume(b'')
        with open(target.path, 'wb') as handle:
            self.assertRaises(cinder_exception.InvalidVolume,
                              self.restore_to, OURS, backup, volume, handle,
                              True)
        self.assertEqual({_FORMER}, set(target.content()))


class RoundedTestCase(cinder_side.CinderSideTestCase):
    """A volume of 1 GiB whose device is larger, as LINSTOR makes it."""

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_object_size=4096 * BLOCK)
        self.source = self.useFixture(
            loop_device.LoopDevice(units.Gi + 8192, 0))
        self._write(0, _NOISE)
        self._write(units.Gi - 512, b'the end.' * 64)
        self.volume, _ = self.make_volume(b'')

    def _write(self, offset, data):
        with open(self.source.path, 'r+b') as handle:
            handle.seek(offset)
            handle.write(data)
            os.fsync(handle.fileno())

    def _restore(self, backup):
        """Restore to a device of exactly 1 GiB, and look at its ends."""
        target = self.useFixture(loop_device.LoopDevice(units.Gi, 0))
        volume, _ = self.make_volume(b'')
        with open(target.path, 'wb') as handle:
            self.restore_to(OURS, backup, volume, handle, True)
        self._check(target)

    def _check(self, target):
        with open(target.path, 'rb') as handle:
            self.assertEqual(_NOISE, handle.read(len(_NOISE)))
            handle.seek(units.Gi - 1024)
            self.assertEqual(bytes(512) + b'the end.' * 64, handle.read())

    def test_to_the_recorded_size(self):
        for driver in (OURS, STOCK):
            self._restore(self.back_up(driver, self.volume,
                                       self.source.path))

    @selection.modes(selection.Modes.EVERYTHING)
    def test_without_verification(self):
        backup = self.back_up(OURS, self.volume, self.source.path)
        self.configure(backup_swift_verify_restore=False)
        self._restore(backup)

    @selection.modes(selection.Modes.EVERYTHING)
    def test_data_behind_the_recorded_size(self):
        base = self.back_up(OURS, self.volume, self.source.path)
        self._write(units.Gi + 4096, b'!')
        tip = self.back_up(OURS, self.volume, self.source.path, base)
        err = self.assertRaises(cinder_exception.InvalidVolume,
                                self._restore, tip)
        self.assertIn('needs at least 2 GiB', str(err))
        self._restore(base)

    def test_without_cinder(self):
        backup = self.back_up(OURS, self.volume, self.source.path)
        program = command.Command(
            self, self.cloud.os_environment(self.cloud.demo))
        where = ('--container', self.container)
        target = self.useFixture(loop_device.LoopDevice(units.Gi, 0))
        done = program.run('restore', backup.id, target.path, *where,
                           '--force')
        self.assertIn('8192 bytes of the backup, which are zeros', done.stderr)
        self._check(target)
        # What has no end gets everything.
        path = self.directory / 'image'
        program.run('restore', backup.id, path, *where)
        self.assertEqual(units.Gi + 8192, path.stat().st_size)
        os.truncate(path, units.Gi)
        target.path = path
        self._check(target)

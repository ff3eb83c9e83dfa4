# SPDX-License-Identifier: Apache-2.0

"""A disk that rots: one of three replicas of each object is damaged.

1. Back up to a Swift of three object servers, which all have each object.
2. Flip a bit of one replica of each, on the disk.
3. Restore again and again, as the proxy takes any of the three: what comes is
   right each time, and the object server puts the bad replica aside as soon
   as one restore has met it.
"""

import os
import random
import time

import fixtures

from tests.faults import operations
from tests.functional import cinder_side
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import STOCK

_SERVERS = 3
# Of the stock driver's backup.
_CHUNKS = 8
# By then each bad replica was met, but for one chance of a thousand million.
_ROUNDS = 60
# Seconds, for the last of three replicas to be written.
_PATIENCE = 60
_METADATA = 'user.swift.metadata'


class RotTestCase(cinder_side.CinderSideTestCase):
    """A test with a cloud of its own."""

    def find_cloud(self):
        """See the base class."""
        return self.start_cloud(with_cinder=False,
                                object_servers=_SERVERS).info

    def _empty_container(self):
        """It goes with the cloud."""

    def test(self):
        self.configure(backup_swift_retry_backoff=0.1)
        full = operations.Backup(self)
        first = bytes(full.data)
        backup = full.back_up()
        full.change()
        tip = full.back_up(backup)
        self.assertEqual(backup.id, tip.parent_id)
        rotten = self.rot(self.object_names(self.container))
        log = self.useFixture(fixtures.FakeLogger('cinder_swift_backup'))
        rounds = 0
        while self.aside() != set(rotten) and rounds < _ROUNDS:
            rounds += 1
            for each, data in ((backup, first), (tip, full.data)):
                target = operations.Target(self, each)
                target.restore()
                target.check(data)
        self.assertEqual(set(rotten), self.aside())
        # All have been met, so all have been healed.
        for name in rotten.values():
            self.assertIn(f'{name} in container {self.container} arrived '
                          f'damaged', log.output)

    def test_stock_driver(self):
        # Which writes what it gets. The proxy takes any of the replicas.
        self.configure(backup_compression_algorithm='none')
        data = random.Random(1).randbytes(_CHUNKS * CHUNK)
        backup = self.back_up(STOCK, *self.make_volume(data))
        self.rot([name for name in self.object_names(self.container)
                  if name.rpartition('-')[2].isdecimal()])
        self.assertTrue(any(
            self.restore_new(STOCK, backup).read_bytes() != data
            for _ in range(_ROUNDS)))

    def rot(self, names):
        """Damage one replica of each object.

        Returns their names, by where they would be put aside.
        """
        rotten = {}
        for number, name in enumerate(names):
            replicas = self.all_replicas(name)
            bad = replicas[number % _SERVERS]
            _flip(bad)
            rotten[_device(bad) / bad.parent.name] = name
        self.assertEqual(len(names), len(rotten))
        # Manifests and digest files, and more chunks than servers.
        self.assertLess(2 * 2 + _SERVERS, len(rotten))
        return rotten

    def all_replicas(self, name):
        """The files that are an object. Swift answers when two are there."""
        end = time.monotonic() + _PATIENCE
        while len(replicas := self.replicas(name)) < _SERVERS:
            self.assertLess(time.monotonic(), end, name)
            time.sleep(0.1)
        return replicas

    def replicas(self, name):
        """The files that are an object, one of each server."""
        return [path for path in sorted(self._devices('objects/*/*/*/*.data'))
                if os.getxattr(path, _METADATA).find(name.encode()) >= 0]

    def aside(self):
        """Where there are objects that were put aside."""
        return {_device(path) / path.name
                for path in self._devices('quarantined/objects/*')}

    def _devices(self, pattern):
        return self.cloud.directory.glob(
            f'swift/devices-object.*/d1/{pattern}')


def _device(path):
    """The device that a file is on."""
    return next(each for each in path.parents if each.name == 'd1')


def _flip(path):
    """Flip a bit in the middle of a file."""
    with open(path, 'r+b') as file:
        middle = path.stat().st_size // 2
        file.seek(middle)
        byte, = file.read(1)
        file.seek(middle)
        file.write(bytes([byte ^ 1]))

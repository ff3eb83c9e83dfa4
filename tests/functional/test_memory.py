# SPDX-License-Identifier: Apache-2.0

"""As many backups at once as Cinder makes, in little memory."""

import random
from typing import ClassVar

from tests.fakes import process_memory
from tests.functional import own_cinder
from tests.functional.api import MIB

# Which is Cinder's default for what is done at once.
_COUNT = 15
_MEMORY = 512 * MIB
# Seconds: on a busy machine, the last one waits for all others.
_PATIENCE = 900
# Bytes of data on each volume: altogether more than twice the memory.
_DATA = 80 * MIB


class MemoryTestCase(own_cinder.OwnCinderTestCase):
    """Objects are as large as they are by default."""

    options: ClassVar = {
        'backup_swift_memory': _MEMORY,
        'backup_swift_object_size': 52428800,
        'backup_swift_block_size': 32768,
        # The stored form is as large as what is stored.
        'backup_compression_algorithm': 'none'}

    def test_fifteen_backups_at_once(self):
        noise = random.Random(1).randbytes(_DATA)
        volumes = [self.make_volume(1) for _ in range(_COUNT)]
        for volume in volumes:
            self.write(volume, 0, noise)
        idle = process_memory.resident(self.own.pid)
        process_memory.reset_peak(self.own.pid)
        backups = [self.cinder.backups.create(volume.id)
                   for volume in volumes]
        for backup in backups:
            self.wait(self.cinder.backups, backup, 'available', _PATIENCE)
        taken = process_memory.peak(self.own.pid) - idle
        self.assertLess(taken, _MEMORY)
        # Or the test would show nothing.
        self.assertGreater(taken, _MEMORY // 4)
        self.assertEqual(self.sha256(volumes[-1]),
                         self.sha256(self.restore(backups[-1])))

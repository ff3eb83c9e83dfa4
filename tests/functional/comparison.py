# SPDX-License-Identifier: Apache-2.0

"""A test that does the same with both drivers, behind the fault proxy."""

import random

from tests.faults import base
from tests.functional.cinder_side import CHUNK


class ComparisonTestCase(base.FaultTestCase):
    """A volume of four chunks that no codec makes smaller."""

    def setUp(self):
        super().setUp()
        # A wrong bit of what is compressed shows in most cases.
        self.configure(backup_compression_algorithm='none')
        self.be_patient(0)
        self.data = random.Random(1).randbytes(4 * CHUNK)
        self.volume, self.path = self.make_volume(self.data)

    def chunks(self, backup):
        """The names of a backup's chunks."""
        return [name for name in self.object_names(self.container)
                if backup.id in name and name.rpartition('-')[2].isdecimal()]

    def requests(self, method, *kinds):
        """How many requests of some kinds there were."""
        return sum(each.method == method and each.kind in kinds
                   for each in self.proxy.requests())

    def content(self, driver, backup):
        """What a driver restores to a new volume."""
        return self.restore_new(driver, backup).read_bytes()

    def full(self, driver):
        """A full backup."""
        return self.back_up(driver, self.volume, self.path)

# SPDX-License-Identifier: Apache-2.0

"""A restore that goes on where another ended."""

import random

from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

_DATA = random.Random(7).randbytes(64 * 8) + bytes(64 * 4)


class ResumeTest(base.EngineTestCase):
    """What the target has is compared, not fetched."""

    def setUp(self):
        super().setUp()
        self.have_volumes_of_any_size()
        self.bench.archive(1, _DATA)

    def _resume(self, before, *, verify=True):
        volume = volumes.RamVolume(before, sparse=True)
        self.store.heal()
        self.bench.restorer.restore(
            self.bench.resolve(1),
            restorer.RestoreTarget(volume, len(_DATA), len(_DATA), volume),
            observers.Recorder(),
            doubts=None if verify else doubts.Doubts())
        self.assertEqual(_DATA, bytes(volume.data))
        return {name for name in self.store.names('read') if '-00' in name}

    def test_everything_is_there(self):
        self.assertEqual(set(), self._resume(_DATA))

    def test_something_is_there(self):
        self.assertEqual(
            {naming.chunk_name(base.ref(1).prefix, number)
             for number in (12, 16, 20, 24, 28)},
            self._resume(_DATA[:200] + bytes(len(_DATA) - 200)))

    @given(st.lists(st.tuples(st.integers(0, len(_DATA) - 1),
                              st.binary(min_size=1, max_size=100)),
                    max_size=5))
    def test_anything_is_there(self, changes):
        before = bytearray(_DATA)
        for offset, change in changes:
            piece = change[:len(before) - offset]
            before[offset:offset + len(piece)] = piece
        self._resume(bytes(before))

    def test_without_verification_everything_is_fetched(self):
        self.assertEqual(9, len(self._resume(_DATA, verify=False)))

    def test_after_a_failure(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('down'),
            matching=lambda name: name.endswith('-00024')))
        volume = volumes.RamVolume(bytes(len(_DATA)), sparse=True)
        self.assertRaises(
            exceptions.StoreUnavailable, self.bench.restore_to, volume,
            self.bench.resolve(1))
        self._resume(bytes(volume.data))

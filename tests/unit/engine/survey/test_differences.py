# SPDX-License-Identifier: Apache-2.0

"""What differs between backups, and from a backup."""

import os
import tempfile

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import keys
from cinder_swift_backup.engine.survey import differences
from cinder_swift_backup.engine.volumes import descriptor
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests.fakes import faulty
from tests.fakes import key_ring
from tests.fakes import observers
from tests.unit.engine import base

_BLOCK = base.GEOMETRY.block_size
_FORMS = (chains.Form.CHUNKS, chains.Form.PACKS)
_DATA = bytes(range(1, 256)) * 4


def _expected(one, other):
    """By looking at the bytes, in whole blocks."""
    size = max(len(one), len(other))
    found = []
    for start in range(0, size, _BLOCK):
        end = min(start + _BLOCK, size)
        if one[start:start + _BLOCK] == other[start:start + _BLOCK]:
            continue
        begun = (found.pop().offset if found and found[-1].end == start
                 else start)
        found.append(types.Extent(begun, end - begun))
    return tuple(found)


class DifferencesTest(base.EngineTestCase):
    """By digests, and by reading a volume."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def between(self, first=1, second=2):
        repo = self.bench.repository
        return differences.between(
            repo, repo.resolve([base.ref(first)]),
            repo.resolve([base.ref(second)]))

    def of_volume(self, data, number=1):
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            repo = self.bench.repository
            self.observer = observers.Recorder()
            return differences.of_volume(
                repo, repo.resolve([base.ref(number)]),
                descriptor.open_descriptor(os.dup(file.fileno())),
                self.observer)

    @settings(max_examples=40)
    @given(st.binary(max_size=40), st.integers(1, 12 * _BLOCK),
           st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=20)),
                    max_size=4), st.integers(1, 12 * _BLOCK),
           st.sampled_from(_FORMS))
    def test_any(self, seed, first, changes, second, form):
        self.bench = base.Bench()
        one = (seed * 30).ljust(first, b'\0')[:first]
        other = bytearray(one.ljust(second, b'\0')[:second])
        for offset, data in changes:
            other[offset:offset + len(data)] = data
        other = bytes(other[:second])
        self.bench.archive(1, one, form=form)
        self.bench.archive(2, other, form=form)
        expected = _expected(one, other)
        found = self.between()
        self.assertEqual((expected, max(len(one), len(other))),
                         (found.extents, found.size))
        self.assertEqual(expected, self.between(2, 1).extents)
        self.assertEqual(expected, self.of_volume(other).extents)
        self.assertEqual((), self.of_volume(one).extents)

    def test_no_chunk_is_fetched(self):
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _DATA[::-1])
        self.bench.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('no'),
            matching=base.is_chunk))
        self.assertEqual(len(_DATA), self.between().bytes)

    def test_both_forms(self):
        self.bench.archive(1, _DATA)
        self.bench.archive(2, bytes(_BLOCK) + _DATA[_BLOCK:],
                           form=chains.Form.PACKS)
        self.assertEqual((types.Extent(0, _BLOCK),), self.between().extents)

    def test_encrypted(self):
        ring = key_ring.KeyRing('one')
        for number, encryption in ((1, key_ring.new('one')),
                                   (3, key_ring.new('one', seed=3))):
            self.bench.archive(number, _DATA, form=chains.Form.PACKS,
                               encryption=encryption)
        self.bench.repository.operation.keys = keys.Unlocker(ring)
        self.assertEqual((), self.between(1, 1).extents)
        self.assertEqual((), self.of_volume(_DATA).extents)
        # Equal blocks do not show by the digests of another data key.
        err = self.assertRaises(exceptions.ChainError, self.between, 1, 3)
        self.assertIn('same data key', str(err))
        self.bench.repository.operation.keys = keys.Unlocker(keys.NoKeys())
        self.assertRaises(exceptions.KeyUnavailable, self.between, 1, 1)

    def test_blocks_of_other_sizes(self):
        self.bench.archive(1, _DATA)
        self.bench.archive(2, _DATA, geometry=types.Geometry(
            chunk_size=64, block_size=32))
        err = self.assertRaises(exceptions.ChainError, self.between)
        self.assertEqual((16, 32), (err.expected, err.actual))

    def test_damaged_digests(self):
        self.bench.archive(1, _DATA)
        self.bench.damage(naming.digest_file_name(base.ref(1).prefix),
                          lambda data: data[:-40])
        self.assertRaises(exceptions.FormatError, self.between, 1, 1)

    def test_progress(self):
        self.bench.archive(1, _DATA)
        self.of_volume(_DATA)
        self.assertEqual((len(_DATA), len(_DATA)), self.observer.progress[-1])

    def test_a_map(self):
        found = differences.Differences(1000, (
            types.Extent(0, 100), types.Extent(150, 50),
            types.Extent(999, 1)))
        self.assertEqual([1, 0.5, 0, 0, 0, 0, 0, 0, 0, 0.01],
                         found.parts(10))
        self.assertEqual(151, found.bytes)
        self.assertEqual([0.0] * 4, differences.Differences(2, ()).parts(4))
        self.assertEqual([0.0] * 4, differences.Differences(0, ()).parts(4))

# SPDX-License-Identifier: Apache-2.0

"""Volumes that do not know where they have data, or what was written."""

import collections
import random
import threading
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base as test_base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes as engine_volumes
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.volumes import maps
from cinder_swift_backup.format import types
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

_DATA = random.Random(9).randbytes(64 * 40)


class SampleTest(test_base.BaseTestCase):
    """Places in what is left out."""

    @given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)),
                    max_size=20), st.integers(1, 9), st.integers(1, 64))
    def test_only_between(self, runs, places, block_size):
        extents = []
        end = 0
        for gap, length in runs:
            extents.append(types.Extent(end + gap, length))
            end = extents[-1].end
        within = types.Extent(0, end + 7)
        sample = maps.Sample(places)
        self.assertEqual(extents, list(sample.between(iter(extents), within)))
        free = set(range(within.end)).difference(
            *(range(each.offset, each.end) for each in extents))
        found = sample.blocks(block_size)
        self.assertTrue(found)
        self.assertLessEqual(len(found), places)
        for block in found:
            self.assertLessEqual(block.length, block_size)
            self.assertTrue(free.issuperset(range(block.offset, block.end)))

    def test_nothing_is_left_out(self):
        sample = maps.Sample(3)
        whole = types.Extent(0, 100)
        list(sample.between([whole], whole))
        self.assertEqual(set(), sample.blocks(16))

    def test_each_byte_is_as_likely(self):
        # Gaps of 1, 4 and 5 bytes.
        extents = [types.Extent(1, 10), types.Extent(15, 100)]
        counts = collections.Counter()
        with mock.patch.object(maps, 'random', random.Random(4)):
            for _ in range(500):
                sample = maps.Sample(20)
                list(sample.between(extents, types.Extent(0, 120)))
                counts.update(offset for offset, _ in sample._found.values())
        self.assertEqual({0, *range(11, 15), *range(115, 120)}, set(counts))
        for count in counts.values():
            self.assertTrue(850 < count < 1150, counts)

    def test_large_blocks_are_fewer(self):
        for block_size, places in ((512, 64), (32 << 10, 64), (1 << 20, 4),
                                   (256 << 20, 1)):
            left = maps.Left(block_size)
            list(left.same.between([], types.Extent(0, 1 << 40)))
            self.assertTrue(
                1 <= len(left.same.blocks(block_size)) <= places)


class LyingVolume(volumes.RamVolume):
    """A sparse volume that does not name some of its data.

    :param hidden: the part that it says is a hole
    :param same: the part that it says has not changed
    """

    def __init__(self, data, hidden=None, same=None):
        super().__init__(data, sparse=True)
        self.hidden = hidden
        self.same = same
        self.asked = 0
        self.read_bytes = 0

    def read(self, extent, buffer):
        self.read_bytes += extent.length
        return super().read(extent, buffer)

    def _without(self, part, extents):
        for extent in extents:
            if part is None or extent.overlap(part) is None:
                yield extent

    def data_extents(self, within):
        self.asked += 1
        yield from self._without(self.hidden, super().data_extents(within))

    def changed_since(self, mark, within):
        if self.same is not None:
            yield from self._without(self.same, within.parts(16))


class LieTest(base.EngineTestCase):
    """Everything is read then, and everything comes back."""

    def setUp(self):
        super().setUp()
        self.log = self.useFixture(fixtures.FakeLogger())

    def _archive(self, source, number=1, **options):
        where = base.ref(number)
        parent = self.bench.find_parent(number - 1) if number > 1 else None
        self.bench.archiver.archive(
            jobs.ArchiveJob(
                ref=where, header=base.header(where), geometry=base.GEOMETRY,
                compression='none', mark=types.Mark('image', 'mark'),
                parent=parent, track=True, **options),
            source, observers.Recorder())

    def _assert_restored(self, data, *numbers):
        for before in (bytes(len(data)), b'\xa5' * len(data)):
            self.assertEqual(data, bytes(self.bench.restore(
                self.bench.resolve(*numbers), before, sparse=True).data))

    def _assert_noticed(self, *words):
        self.assertEqual(1, self.log.output.count('is wrong about its data'))
        for word in words:
            self.assertIn(word, self.log.output)

    def test_hole_that_is_none(self):
        self._archive(LyingVolume(_DATA, types.Extent(640, 1280)))
        self._assert_restored(_DATA, 1)
        self._assert_noticed('are zeros', 'vol-1', 'bak-1')

    def test_hole_in_an_incremental(self):
        self._archive(volumes.RamVolume(_DATA))
        now = b'now' + _DATA[3:]
        self._archive(LyingVolume(now, types.Extent(0, 1280),
                                  types.Extent(1280, 1280)), 2)
        self._assert_restored(now, 1, 2)
        self._assert_noticed()

    def test_change_that_is_not_named(self):
        self._archive(volumes.RamVolume(_DATA))
        now = bytes(range(256)) * 10
        self._archive(LyingVolume(now, same=types.Extent(320, 1280)), 2)
        self._assert_restored(now, 1, 2)
        self._assert_noticed('are the same as in the parent')

    def test_librbd_that_leaves_out_the_parent_of_a_clone(self):
        class Clone(volumes.Image):
            def diff_iterate(self, offset, length, mark, note, **options):
                note(0, 256, True)

        for handle in (Clone(_DATA), volumes.RbdHandle(Clone(_DATA))):
            source = engine_volumes.open_volume(
                volumes.RbdHandle(handle) if isinstance(handle, Clone)
                else handle, threading.Lock())
            self.bench = base.Bench()
            self._archive(source)
            self._assert_restored(_DATA, 1)
        self.assertIn('is wrong about its data', self.log.output)

    def test_hole_that_is_written_to_meanwhile(self):
        class Busy(LyingVolume):
            def data_extents(self, within):
                yield from super().data_extents(within)
                if self.asked == 1:
                    self.data[640:1920] = _DATA[:1280]

        now = bytearray(_DATA)
        now[640:1920] = bytes(1280)
        self._archive(Busy(bytes(now)))
        self.assertNotIn('is wrong about its data', self.log.output)

    def test_truth(self):
        now = bytes(64 * 2000) + _DATA
        source = LyingVolume(now)
        self._archive(source)
        self._assert_restored(now, 1)
        self.assertNotIn('is wrong about its data', self.log.output)
        # And it takes little.
        self.assertLessEqual(source.read_bytes, len(_DATA) + 64 * 16)
        source = LyingVolume(now, same=types.Extent(0, len(now)))
        self._archive(source, 2)
        self._assert_restored(now, 1, 2)
        self.assertNotIn('is wrong about its data', self.log.output)
        self.assertLessEqual(source.read_bytes, 64 * 16)

    def test_everything_is_read_on_request(self):
        # Too little to be found otherwise.
        data = bytes(64 * 4000) + _DATA
        hidden = types.Extent(64 * 2000, 1)
        for number in (1, 2):
            data = bytearray(data)
            data[hidden.offset] = number
            source = LyingVolume(bytes(data), hidden)
            self._archive(source, number, read_all=True)
            self.assertEqual(0, source.asked)
            self._assert_restored(data, *range(1, number + 1))
        self.assertEqual('', self.log.output)

    def test_volume_that_cannot_be_read_there(self):
        class Broken(LyingVolume):
            def read(self, extent, buffer):
                raise exceptions.VolumeError('it cannot be read')

        self.assertRaises(exceptions.VolumeError, self._archive,
                          Broken(bytes(1000)))
        self.assertEqual([], self.bench.names())

    def test_volume_to_restore_to(self):
        data = _DATA[:640] + bytes(1280) + _DATA[1920:]
        self._archive(volumes.RamVolume(data))
        target = LyingVolume(b'\xa5' * len(data), types.Extent(640, 1280))
        self.bench.restore_to(target, self.bench.resolve(1))
        self.assertEqual(data, bytes(target.data))
        self._assert_noticed('restore')

    def test_volume_to_restore_to_that_cannot_be_read(self):
        class WriteOnly(LyingVolume):
            def read(self, extent, buffer):
                raise exceptions.VolumeError('it cannot be read')

        data = _DATA[:640] + bytes(1280) + _DATA[1920:]
        self._archive(volumes.RamVolume(data))
        for target in (WriteOnly(bytes(len(data))), WriteOnly(
                b'\xa5' * len(data), types.Extent(640, 1280))):
            self.bench.restore_to(target, self.bench.resolve(1))
            self.assertEqual(data, bytes(target.data))

# SPDX-License-Identifier: Apache-2.0

"""Incrementals that read only what was written since their parent."""

import dataclasses

import fixtures
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import changes
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests import selection
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

# Bytes: not a whole number of blocks, and more than one.
_OBJECT = 40


class TrackedVolume(volumes.RamVolume):
    """A volume that knows what differs from its snapshots, by object.

    :param before: the same volume, when it was backed up
    """

    def __init__(self, data, before=None, *, sparse=True):
        super().__init__(data, sparse=sparse)
        self._before = before
        self.read_extents = []
        self.asked = []

    def read(self, extent, buffer):
        self.read_extents.append(extent)
        return super().read(extent, buffer)

    def data_extents(self, within):
        self.asked.append(within)
        yield from super().data_extents(within)

    def changed_since(self, mark, within):
        if self._before is None or mark.snapshot != 'mark':
            raise exceptions.VolumeError('it has no such snapshot')
        before = self._before[:self.size].ljust(self.size, b'\0')
        for offset in range(0, self.size, _OBJECT):
            extent = types.Extent(offset, min(_OBJECT, self.size - offset))
            part = extent.overlap(within)
            if part and (self.data[extent.offset:extent.end]
                         != before[extent.offset:extent.end]):
                yield part


def _pieces():
    return strategies.lists(
        strategies.sampled_from([b'\0', b'a', b'b', b'c']),
        min_size=1, max_size=40).map(lambda kinds: b''.join(
            kind * 17 for kind in kinds))


class TrackedTest(base.EngineTestCase):
    """The same backup, from less reading."""

    def _archive(self, bench, number, source, *, parent=None, mark='mark',
                 track=True):
        where = base.ref(number)
        above = None
        if parent is not None:
            above = bench.find_parent(*parent)
        return bench.archiver.archive(
            jobs.ArchiveJob(
                ref=where, header=base.header(where),
                geometry=base.GEOMETRY, compression='none', parent=above,
                mark=types.Mark('image', mark) if mark else None,
                track=track),
            source, observers.Recorder())

    def _objects(self, bench, number):
        prefix = base.ref(number).prefix
        return {name: bench.get(name) for name in bench.names()
                if name.startswith(prefix)
                and name != naming.manifest_name(prefix)}

    @settings(max_examples=selection.examples(150), deadline=None)
    @given(first=_pieces(), second=_pieces(), shared=strategies.integers(
        0, 40), sparse=strategies.booleans())
    def test_same_backup(self, first, second, shared, sparse):
        second = first[:shared * 17] + second
        benches = [base.Bench(), base.Bench()]
        for bench, mark in zip(benches, ('mark', None), strict=True):
            self._archive(bench, 1, volumes.RamVolume(first), mark=mark)
            source = TrackedVolume(second, first, sparse=sparse)
            self._archive(bench, 2, source, parent=[1], mark=mark,
                          track=mark is not None)
        tracked, read = (self._objects(bench, 2) for bench in benches)
        self.assertEqual(read, tracked)
        self.assertEqual(second, bytes(benches[0].restore(
            benches[0].resolve(1, 2), bytes(len(second))).data))

    def test_only_what_changed_is_read(self):
        self.have_volumes_believed()
        before = bytes(range(1, 255)) * 40
        now = bytearray(before)
        now[2000:2010] = b'x' * 10
        source = TrackedVolume(bytes(now), before)
        self._archive(self.bench, 1, TrackedVolume(before))
        self._archive(self.bench, 2, source, parent=[1])
        # Objects of 40 bytes, in whole blocks of 16.
        wanted = types.Extent(2000, 48)
        for extent in source.read_extents:
            self.assertEqual(extent, extent.overlap(wanted))
        # Nor is it asked where there is data elsewhere.
        self.assertEqual([1984], [extent.offset // 64 * 64
                                  for extent in source.asked[:1]])

    def test_unchanged_volume_is_not_read(self):
        self.have_volumes_believed()
        before = bytes(range(1, 255)) * 40
        source = TrackedVolume(before, before)
        self._archive(self.bench, 1, TrackedVolume(before))
        recorder = self._archive(self.bench, 2, source, parent=[1])
        self.assertEqual(([], []), (source.read_extents, source.asked))
        self.assertEqual(0, len(recorder.chunks))

    def test_progress_goes_to_the_end(self):
        before = bytes(range(1, 255)) * 40
        self._archive(self.bench, 1, TrackedVolume(before))
        observer = observers.Recorder()
        self.bench.archiver.archive(
            jobs.ArchiveJob(
                ref=base.ref(2), header=base.header(base.ref(2)),
                geometry=base.GEOMETRY, compression='none', track=True,
                parent=self.bench.find_parent(1)),
            TrackedVolume(before, before), observer)
        self.assertEqual((len(before), len(before)), observer.progress[-1])

    def _read_all(self, source, **options):
        self._archive(self.bench, 2, source, parent=[1], **options)
        self.assertEqual(len(source.data), sum(
            extent.length for extent in source.read_extents))

    def test_mark_that_is_gone(self):
        before = b'data' * 100
        self._archive(self.bench, 1, TrackedVolume(before))
        self._read_all(TrackedVolume(before))

    def test_mark_of_a_grandparent_is_not_enough(self):
        # What was written and discarded in between is not in it.
        before = b'data' * 100
        self._archive(self.bench, 1, TrackedVolume(before))
        self._archive(self.bench, 2, TrackedVolume(before, before),
                      parent=[1], mark=None)
        source = TrackedVolume(before, before)
        self._archive(self.bench, 3, source, parent=[1, 2])
        self.assertEqual(400, sum(extent.length
                                  for extent in source.read_extents))

    def test_volume_that_knows_nothing(self):
        before = b'data' * 100
        self._archive(self.bench, 1, volumes.RamVolume(before))
        source = volumes.RamVolume(before[:-4] + b'atad')
        self._archive(self.bench, 2, source, parent=[1])
        self.assertEqual(bytes(source.data), bytes(self.bench.restore(
            self.bench.resolve(1, 2), bytes(400)).data))

    def test_not_wanted(self):
        before = b'data' * 100
        self._archive(self.bench, 1, TrackedVolume(before))
        log = self.useFixture(fixtures.FakeLogger())
        self._read_all(TrackedVolume(before, before), track=False)
        self.assertNotIn('reads the whole volume', log.output)

    def test_parent_without_a_mark(self):
        before = b'data' * 100
        self._archive(self.bench, 1, TrackedVolume(before), mark=None)
        log = self.useFixture(fixtures.FakeLogger())
        self._read_all(TrackedVolume(before, before))
        self.assertIn('reads the whole volume', log.output)
        self.assertIn('the parent has no mark', log.output)

    def test_parent_of_the_stock_driver(self):
        before = b'data' * 100
        self._archive(self.bench, 1, TrackedVolume(before))
        manifest = dataclasses.replace(
            self.bench.repository.load(base.ref(1)), volume_size=None)
        self.assertRaises(
            exceptions.VolumeError, changes.find,
            TrackedVolume(before, before), manifest, 16, pipelines.StopFlag())

# SPDX-License-Identifier: Apache-2.0

"""Archive and restore: what was on the volume comes back.

The main property: any number of edits and growths of a volume, a backup
after each, and every one of those backups restores to what the volume held.
"""

import functools
import random
import threading
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.backup import block_reader
from cinder_swift_backup.engine.backup import merging
from cinder_swift_backup.engine.backup import worklist
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import streams
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zero_form
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

_WORDS = st.sampled_from(('none', 'zlib', 'gzip', 'bz2', 'bzip2', 'zstd'))


@st.composite
def _histories(draw):
    """What a volume held at each backup, oldest first."""
    content = bytearray(draw(st.binary(min_size=1, max_size=300)))
    history = [bytes(content)]
    for _ in range(draw(st.integers(0, 4))):
        content += bytes(draw(st.integers(0, 100)))
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, len(content) - 1))
            data = draw(st.binary(max_size=40) | st.builds(
                bytes, st.integers(0, 100)))
            content[start:start + len(data)] = data[:len(content) - start]
        history.append(bytes(content))
    return history


class HistoryTest(base.EngineTestCase):
    """A chain of backups of one volume."""

    @given(_histories(), _WORDS, st.integers(1, 4), st.integers(0, 40),
           st.integers(1, 3))
    def test_every_backup_restores(self, history, word, factor, gap,
                                   workers):
        bench = base.Bench(workers)
        geometry = types.Geometry(16 * factor, 16)
        merge = functools.partial(merging.merge_blocks, gap=gap)
        with mock.patch.object(merging, 'merge_blocks', merge):
            for number, content in enumerate(history):
                bench.archive(number, content, codec=word, geometry=geometry,
                              parent=number - 1 if number else None)
        for number, content in enumerate(history):
            chain = bench.resolve(*range(number + 1))
            self._check_restores(bench, chain, content)

    def _check_restores(self, bench, chain, content):
        size = len(content)
        mixed = (bytes(100) + b'\xa5' * 50) * (size // 150 + 1)
        for before, sparse in ((bytes(size), True), (bytes(size), False),
                               (b'\xa5' * size, False),
                               (mixed[:size], True)):
            target = bench.restore(chain, before, sparse=sparse)
            self.assertEqual(content, bytes(target.data))
            self.assertEqual(size, target.finished)
            written = [position
                       for extent in (*target.writes, *target.zeroed)
                       for position in range(extent.offset, extent.end)]
            self.assertEqual(len(written), len(set(written)),
                             'a byte was written twice')
            if not sparse:
                self.assertEqual(size, len(written))

    @given(_histories())
    def test_restore_to_a_larger_volume_keeps_its_rest(self, history):
        self.bench.archive(0, history[-1])
        target = self.bench.restore(self.bench.resolve(0), b'\xa5' * 1000)
        self.assertEqual(history[-1], bytes(target.data[:len(history[-1])]))
        self.assertEqual({0xa5}, set(target.data[len(history[-1]):]))

    @given(_histories())
    def test_manifests_say_what_they_should(self, history):
        bench = base.Bench()
        for number, content in enumerate(history):
            parent = number - 1 if number else None
            made = bench.archive(number, content, parent=parent)
            read = bench.repository.load(base.ref(number))
            self.assertEqual(made, read)
            self.assertEqual(len(content), read.volume_size)
            if number:
                self.assertEqual(base.ref(parent), read.parent)
                self.assertEqual(f'bak-{parent}', read.parent_id)
            else:
                self.assertIsNone(read.parent)
                self.assertIsNone(read.parent_id)
            table = bench.repository.digests.load(base.ref(number), 1 << 20)
            self.assertEqual(-(-len(content) // 16), len(table))
            offsets = [chunk.extent for chunk in read.chunks]
            self.assertEqual(sorted(offsets), offsets)


class DetailTest(base.EngineTestCase):
    """Single facts of the round trip."""

    def setUp(self):
        super().setUp()
        self.data = random.Random(1).randbytes(1000)

    def test_incremental_of_nothing_changed_has_no_chunks(self):
        self.bench.archive(1, self.data)
        manifest = self.bench.archive(2, self.data, parent=1)
        self.assertEqual(0, len(manifest.chunks))
        self.assertEqual(self.data, bytes(self.bench.restore(
            self.bench.resolve(1, 2), bytes(1000)).data))

    def test_zeros_after_data_are_restored_to_a_new_volume(self):
        # Skipping zeros of every layer would bring back stale data.
        self.bench.archive(1, self.data)
        now = self.data[:100] + bytes(500) + self.data[600:]
        self.bench.archive(2, now, parent=1)
        target = self.bench.restore(self.bench.resolve(1, 2), bytes(1000),
                                    sparse=True)
        self.assertEqual(now, bytes(target.data))

    def test_every_second_block_makes_few_objects(self):
        geometry = types.Geometry(1 << 20, 4096)
        size = 3 << 20
        before = bytes(size)
        self.bench.archive(1, before, geometry=geometry)
        now = bytearray(before)
        for start in range(0, size, 2 * 4096):
            now[start] = 1
        manifest = self.bench.archive(2, bytes(now), parent=1,
                                      geometry=geometry)
        self.assertEqual(3, len(manifest.chunks))
        self.assertEqual(bytes(now), bytes(self.bench.restore(
            self.bench.resolve(1, 2), bytes(size)).data))

    def test_far_apart_blocks_are_stored_apart(self):
        geometry = types.Geometry(1 << 20, 4096)
        size = 1 << 20
        self.bench.archive(1, bytes(size), geometry=geometry)
        now = bytearray(size)
        now[0] = now[-1] = 1
        manifest = self.bench.archive(2, bytes(now), parent=1,
                                      geometry=geometry)
        self.assertEqual(
            [types.Extent(0, 4096), types.Extent(size - 4096, 4096)],
            [chunk.extent for chunk in manifest.chunks])

    def test_incompressible_chunks_are_stored_as_they_are(self):
        manifest = self.bench.archive(1, self.data[:128] + bytes(128),
                                      codec='zlib')
        self.assertEqual(
            ['none', 'none', 'zlib'],
            [chunk.compression for chunk in manifest.chunks])
        for chunk in manifest.chunks:
            stored = self.bench.get(chunk.name)
            self.assertEqual(chunk.stored_length, len(stored))

    def test_records_have_the_md5_of_what_is_stored(self):
        for word, data in (('zlib', bytes(64)), ('zlib', self.data[:64]),
                           ('none', bytes(64))):
            (record,) = self.bench.archive(1, data, codec=word).chunks
            infos = {info.name: info for info
                     in self.bench.memory.list(base.CONTAINER, '')}
            self.assertEqual(infos[record.name].etag, record.stored_md5)

    def test_the_store_is_told_the_md5(self):
        told = []
        real = self.bench.memory.put

        def put(container, name, body):
            told.append(body.md5)
            real(container, name, body)

        with mock.patch.object(self.bench.memory, 'put', put):
            manifest = self.bench.archive(1, b'x' * 128, codec='zlib')
        self.assertEqual([chunk.stored_md5 for chunk in manifest.chunks],
                         told[:2])

    def test_names_tell_where_chunks_belong(self):
        self.bench.archive(1, self.data[:200])
        prefix = base.ref(1).prefix
        self.assertEqual(
            [f'{prefix}-{number:05d}' for number in (0, 4, 8, 12)]
            + [f'{prefix}_metadata', f'{prefix}_sha256file'],
            self.bench.names())

    def test_volume_meta_is_kept(self):
        self.bench.archive(1, self.data, volume_meta='{"a": 1}')
        self.assertEqual('{"a": 1}', self.bench.resolve(
            1).tip.manifest.volume_meta)

    @given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)),
                    max_size=5), st.integers(1, 1000), st.booleans(),
           st.sampled_from(('none', 'zlib', 'bz2')))
    def test_sparse_volumes(self, runs, size, sparse, codec):
        # A full backup of zeros and data, and an incremental of other data.
        bench = base.Bench()
        volumes_ = []
        for number in (1, 2):
            data = bytearray(size)
            for block, length in runs[number - 1:]:
                start = block * 16
                data[start:start + length] = random.Random(
                    number).randbytes(max(min(length, size - start), 0))
            volumes_.append(bytes(data))
            bench.archive(number, volumes.RamVolume(data, sparse=sparse),
                          parent=number - 1 or None, codec=codec)
        for chain, data in (((1,), volumes_[0]), ((1, 2), volumes_[1])):
            for before in (bytes(size), b'\xa5' * size):
                target = bench.restore(bench.resolve(*chain), before,
                                       sparse=sparse)
                self.assertEqual(data, bytes(target.data))

    def test_zeros_of_several_chunks_are_one_object(self):
        data = bytes(64 * 20) + b'x' * 64 + bytes(64 * 3 + 5)
        for sparse in (True, False):
            with mock.patch.object(worklist, 'MOST_ZEROS', 64 * 9):
                manifest = self.bench.archive(
                    1, volumes.RamVolume(data, sparse=sparse), codec='none')
            self.assertEqual(
                [(0, 9), (9, 9), (18, 2), (20, 1), (21, 3.078125)],
                [(chunk.extent.offset / 64, chunk.extent.length / 64)
                 for chunk in manifest.chunks])
            # They are compressed whatever the configuration says.
            self.assertLess(manifest.chunks[0].stored_length, 64)
            self.assertEqual(data, bytes(self.bench.restore(
                self.bench.resolve(1), bytes(len(data))).data))

    def test_holes_are_not_read(self):
        class Touchy(volumes.RamVolume):
            def read(self, extent, buffer):
                reads.append(extent)
                return super().read(extent, buffer)

        self.have_volumes_believed()
        reads = []
        # Holes inside a chunk are worth leaving out from some size.
        data = bytearray(64 * 100)
        data[640:660] = data[1000:1001] = b'x' * 20
        with mock.patch.object(block_reader, 'HOLE', 16):
            self.bench.archive(1, Touchy(data, sparse=True))
            self.assertEqual(
                [types.Extent(640, 32), types.Extent(992, 32)],
                sorted(reads))
            reads.clear()
            data[5000:5001] = b'y'
            manifest = self.bench.archive(2, Touchy(data, sparse=True),
                                          parent=1)
        self.assertEqual([types.Extent(4992, 16)],
                         [chunk.extent for chunk in manifest.chunks])
        self.assertEqual({640, 992, 4992}, {read.offset for read in reads})

    def test_large_holes_inside_chunks_are_left_out(self):
        data = bytearray(64 * 10)
        data[100:110] = data[200:210] = data[460:470] = b'x' * 10
        with mock.patch.object(worklist, 'LARGE_HOLE', 32):
            manifest = self.bench.archive(1, volumes.RamVolume(
                data, sparse=True), geometry=types.Geometry(320, 16))
        self.assertEqual(
            [(0, 96), (96, 16), (112, 80), (192, 32), (224, 224), (448, 32),
             (480, 160)],
            [(chunk.extent.offset, chunk.extent.length)
             for chunk in manifest.chunks])
        self.assertEqual(bytes(data), bytes(self.bench.restore(
            self.bench.resolve(1), b'\xa5' * 640).data))

    def test_zeros_of_several_objects(self):
        data = bytes(64 * 300) + b'x' + bytes(63)
        with mock.patch.object(worklist, 'MOST_ZEROS', 64 * 2):
            manifest = self.bench.archive(1, data)
        self.assertEqual(151, len(manifest.chunks))
        self.assertEqual(data, bytes(self.bench.restore(
            self.bench.resolve(1), b'\xa5' * len(data)).data))

    def test_unchanged_incremental_of_a_hole(self):
        data = bytes(64 * 100 + 5)
        self.bench.archive(1, data)
        for number, sparse in ((2, True), (3, False)):
            manifest = self.bench.archive(
                number, volumes.RamVolume(data, sparse=sparse), parent=1)
            self.assertEqual(0, len(manifest.chunks))

    def test_data_that_became_a_hole(self):
        self.bench.archive(1, b'x' * 640)
        manifest = self.bench.archive(
            2, volumes.RamVolume(bytes(640), sparse=True), parent=1)
        self.assertEqual([types.Extent(0, 640)],
                         [chunk.extent for chunk in manifest.chunks])
        self.assertEqual(bytes(640), bytes(self.bench.restore(
            self.bench.resolve(1, 2), b'\xa5' * 640).data))

    def test_hole_that_is_new(self):
        # The parent's digests do not reach so far.
        self.bench.archive(1, bytes(100))
        manifest = self.bench.archive(
            2, volumes.RamVolume(bytes(640), sparse=True), parent=1)
        self.assertEqual(640, manifest.end)
        self.assertEqual(bytes(640), bytes(self.bench.restore(
            self.bench.resolve(1, 2), b'\xa5' * 640).data))

    def test_changes_across_the_border_of_a_chunk(self):
        data = bytearray(self.data)
        self.bench.archive(1, bytes(data))
        data[60:70] = bytes(10)
        data[700:720] = bytes(20)
        with mock.patch.object(merging, 'MERGE_GAP', 0):
            manifest = self.bench.archive(2, bytes(data), parent=1)
        self.assertEqual([types.Extent(48, 32), types.Extent(688, 32)],
                         [chunk.extent for chunk in manifest.chunks])

    def test_no_object_is_larger_than_a_chunk(self):
        self.bench.archive(1, self.data)
        manifest = self.bench.archive(2, self.data[::-1], parent=1)
        self.assertEqual({64, 40},
                         {chunk.extent.length for chunk in manifest.chunks})

    def test_empty_volume(self):
        manifest = self.bench.archive(1, b'')
        self.assertEqual(0, len(manifest.chunks))
        target = self.bench.restore(self.bench.resolve(1), b'', sparse=True)
        self.assertEqual(b'', bytes(target.data))

    def _sparse_data(self):
        data = bytes(200000) + b'x' + bytes(200000)
        self.bench.archive(1, data, geometry=types.Geometry(1 << 18, 1 << 14))
        return data

    def test_nothing_is_done_where_there_are_zeros_already(self):
        data = self._sparse_data()
        target = self.bench.restore(self.bench.resolve(1), bytes(len(data)),
                                    sparse=True)
        self.assertEqual(data, bytes(target.data))
        self.assertLess(sum(extent.length for extent in target.writes),
                        100000)
        self.assertEqual([], target.zeroed)

    def test_zeros_are_made_and_not_written_where_there_was_data(self):
        # Also on a volume that Cinder created for the restore: it may have
        # the data of another tenant.
        data = self._sparse_data()
        before = b'\xee' * len(data)
        for sparse in (True, False):
            target = self.bench.restore(self.bench.resolve(1), before,
                                        sparse=sparse)
            self.assertEqual(data, bytes(target.data))
            self.assertLess(sum(extent.length for extent in target.writes),
                            100000)

    def test_zeros_are_made_when_a_chunk_is_read_again(self):
        # The store may break off and then send other data than at first,
        # which nothing tells apart where it is not verified.
        data = self._sparse_data()
        real = faulty.FaultyStore.read

        def other_data_first(store, container, name, use, *arguments,
                             **options):
            if name.endswith('-00000'):
                use(iter([b'\xee' * (1 << 18)]))
            return real(store, container, name, use, *arguments,
                        **options)

        chain = self.bench.resolve(1)
        with mock.patch.object(faulty.FaultyStore, 'read', other_data_first):
            target = self.bench.restore(chain, bytes(len(data)), sparse=True,
                                        verify=False)
        self.assertEqual(data, bytes(target.data))

    def test_each_large_chunk_is_made_durable(self):
        # Not all of it at the end, for which a user would wait.
        manifest = self.bench.archive(1, self.data)
        chain = self.bench.resolve(1)
        for least, times in ((64, len(manifest.chunks) - 1), (1 << 20, 0)):
            with mock.patch.object(restorer, 'WORTH_SYNCING', least):
                target = self.bench.restore(chain, bytes(1000))
            self.assertEqual(times, target.synced)
            self.assertEqual(1000, target.finished)

    def test_progress_rises_to_the_whole(self):
        for run in (
                lambda seen: self.bench.archive(1, self.data, observer=seen),
                lambda seen: self.bench.restore(
                    self.bench.resolve(1), bytes(1000), observer=seen)):
            seen = observers.Recorder()
            run(seen)
            done = [step for step, _ in seen.progress]
            self.assertEqual(sorted(done), done)
            self.assertGreater(done[0], 0)
            self.assertEqual((1000, 1000), seen.progress[-1])
            self.assertEqual({1000}, {total for _, total in seen.progress})

    def test_memory_is_bounded_by_the_workers(self):
        # A chunk counts from when it is read to when it is stored.
        bench = base.Bench(workers=3)
        reads, stored, most = [], [], []

        class Counting(volumes.RamVolume):
            def read(self, extent, buffer):
                reads.append(extent)
                most.append(len(reads) - len(stored))
                return super().read(extent, buffer)

        real = bench.memory.put

        def put(container, name, body):
            real(container, name, body)
            stored.append(name)

        with mock.patch.object(bench.memory, 'put', put):
            bench.archive(1, Counting(b'x' * 64 * 50))
        self.assertEqual(50, len(reads))
        self.assertLessEqual(max(most), 3)

    def test_work_is_offloaded(self):
        # What computes or waits for a disk leaves for other threads.
        away = threading.local()
        done = set()

        def call(function, *arguments, **options):
            away.now = True
            try:
                return function(*arguments, **options)
            finally:
                away.now = False

        def watched(owner, name):
            real = getattr(owner, name)

            def run(*arguments, **options):
                self.assertTrue(getattr(away, 'now', False), name)
                done.add(name)
                return real(*arguments, **options)
            self.enterContext(mock.patch.object(owner, name, run))

        for owner, names in (
                (digests, ('hash_blocks',)),
                (manifests, ('encoded_length',)),
                (manifest_format.Reader, ('feed', 'finish')),
                (volumes.RamVolume, ('read', 'write', 'zero', 'data_extents',
                                     'sync', 'finish')),
                (digest_file.Reader, ('feed', 'finish')),
                (planner, ('plan_restore',)),
                (verification.DigestCheck, ('check_plan',)),
                (stored_form.StoredFormMaker, ('feed', 'finish')),
                (zero_form, ('make',)),
                (digests.DigestTable, ('put', 'run', 'are_zeros',
                                       'zero_runs')),
                (spool.Spool, ('close',)),
                (streams.StreamDecoder, ('feed', 'finish'))):
            for name in names:
                watched(owner, name)
        self.enterContext(mock.patch.object(restorer, 'WORTH_SYNCING', 1))
        bench = base.Bench(
            runtime=pipelines.Runtime(call=call),
            capabilities=store_base.Capabilities(max_segments=100))
        bench.archive(1, bytes(1000), codec='zlib')
        bench.archive(2, self.data, parent=1, codec='zlib')
        bench.restore(bench.resolve(1, 2), bytes(1000))
        bench.restore(bench.resolve(1), bytes(1000))
        bench.find_parent(1)
        self.assertEqual({'hash_blocks', 'encoded_length', 'read', 'write',
                          'zero', 'data_extents', 'sync', 'feed', 'finish',
                          'plan_restore', 'check_plan', 'make', 'put', 'run',
                          'are_zeros', 'zero_runs', 'close'}, done)

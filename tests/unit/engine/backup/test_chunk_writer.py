# SPDX-License-Identifier: Apache-2.0

"""An extent of the volume in, stored objects out."""

import hashlib
import pickle
import random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import chunk_writer
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zero_form
from cinder_swift_backup.stores import memory
from tests.fakes import blobs
from tests.fakes import faulty
from tests.fakes import operations
from tests.fakes import process_memory
from tests.fakes import volumes

_NOISE = random.Random(7).randbytes(1000)
_WORDS = st.sampled_from(('none', 'zlib', 'gzip', 'bz2', 'zstd'))


class Bench:
    """A writer on a store in memory."""

    def __init__(self, data, word='zlib', block_size=16, source=None):
        self.store = memory.MemoryStore()
        self.store.ensure_container('c', create=True)
        self.announced = []
        self.stop = pipelines.StopFlag()
        self.data = data
        self.word = word
        self.block_size = block_size
        self.table = digests.DigestTable(block_size, bytearray(
            -(-len(data) // block_size) * digests.DIGEST_SIZE))
        self.writer = self.make(self.store, source)

    def make(self, store, source=None):
        """A writer to another store."""
        job = jobs.ArchiveJob(
            types.BackupRef('b', 'v', 'c', 'p'),
            types.BackupHeader('b', 'v', None, None, ''),
            types.Geometry(self.block_size, self.block_size), self.word)
        return chunk_writer.ChunkWriter(
            operations.on(store), job,
            source or volumes.RamVolume(self.data), self.table,
            self.announced.append)

    def write(self, extent=None):
        """Store an extent, by default everything."""
        return self.writer.write(
            extent or types.Extent(0, len(self.data)), self.stop)

    def changes(self, before):
        """What has changed since these were the digests."""
        return self.writer.compare(
            types.Extent(0, len(self.data)),
            digests.DigestTable(self.block_size, before), self.stop)

    def stored(self, record):
        """What an object decodes to."""
        stored = blobs.get(self.store, 'c', record.name)
        decoder = codecs.find(record.compression).decoder(
            record.extent.length)
        data = b''.join(decoder.feed(stored))
        decoder.finish()
        return data


def _hashes(data, block_size=16):
    return digests.hash_blocks(memoryview(data), block_size)


class FullTest(base.BaseTestCase):
    """An extent with no digests from before."""

    @given(_WORDS, st.binary(min_size=1, max_size=300), st.booleans())
    def test_what_is_stored_is_what_was_read(self, word, seed, repeated):
        data = seed * 50 if repeated else seed
        bench = Bench(data, word)
        record = bench.write()
        self.assertEqual(_hashes(data), bench.table.packed)
        self.assertEqual(any(data), record is not None)
        if record is None:
            return
        self.assertEqual('p-00000', record.name)
        self.assertEqual(types.Extent(0, len(data)), record.extent)
        self.assertEqual(data, bench.stored(record))
        stored = blobs.get(bench.store, 'c', record.name)
        self.assertEqual(len(stored), record.stored_length)
        self.assertEqual(hashlib.md5(stored).hexdigest(), record.stored_md5)
        self.assertLessEqual(len(stored), len(data))

    def test_several_pieces(self):
        data = random.Random(1).randbytes(3 << 20) + bytes((2 << 20) + 17)
        for word in ('none', 'zlib', 'zstd'):
            bench = Bench(data, word, 32768)
            record = bench.write()
            self.assertEqual(word, record.compression)
            self.assertEqual(data, bench.stored(record))

    def test_noise_is_stored_as_it_is(self):
        data = random.Random(1).randbytes((5 << 20) + 3)
        for word in ('zlib', 'zstd', 'bz2'):
            bench = Bench(data, word, 32768)
            record = bench.write()
            self.assertEqual('none', record.compression)
            self.assertEqual(
                data, blobs.get(bench.store, 'c', record.name))

    def test_zeros_are_left_to_the_caller(self):
        for sparse in (True, False):
            data = bytes((5 << 20) + 3)
            bench = Bench(data, 'none', 32768,
                          volumes.RamVolume(data, sparse=sparse))
            self.assertIsNone(bench.write())
            self.assertEqual([], bench.announced)
            self.assertEqual(_hashes(data, 32768), bench.table.packed)
            record = bench.writer.write_zeros(types.Extent(0, len(data)),
                                              bench.stop)
            self.assertEqual(('p-00000', 'zlib'),
                             (record.name, record.compression))
            self.assertEqual(data, bench.stored(record))
            self.assertLess(record.stored_length, 10000)

    def test_stored_form_of_zeros_is_made_once(self):
        bench = Bench(bytes(64 * 200), 'zstd')
        zero_form.make.cache_clear()
        with mock.patch.object(
                zero_form, '_zstd', wraps=zero_form._zstd) as made:
            for extent in types.Extent(0, 64 * 200).parts(64):
                record = bench.writer.write_zeros(extent, bench.stop)
                self.assertEqual(bytes(64), bench.stored(record))
        self.assertEqual(1, made.call_count)

    def test_zeros_before_data(self):
        data = bytes(5 << 20) + b'x' + bytes(100)
        for word in ('none', 'zlib', 'zstd', 'bz2'):
            bench = Bench(data, word, 32768)
            self.assertEqual(data, bench.stored(bench.write()))

    def test_noise_is_read_once(self):
        # A second look at a volume in use could see other data than the
        # one that was hashed.
        class Changing(volumes.RamVolume):
            def read(self, extent, buffer):
                view = super().read(extent, buffer)
                self.data[extent.offset:extent.end] = bytes(extent.length)
                return view

        data = random.Random(1).randbytes(3 << 20)
        bench = Bench(data, block_size=32768, source=Changing(data))
        self.assertEqual(data, bench.stored(bench.write()))
        self.assertEqual(_hashes(data, 32768), bench.table.packed)

    def test_extent_elsewhere(self):
        bench = Bench(_NOISE)
        record = bench.write(types.Extent(320, 100))
        self.assertEqual('p-00020', record.name)
        self.assertEqual(_NOISE[320:420], bench.stored(record))
        self.assertEqual(_hashes(_NOISE[320:420]), bench.table.run(20, 27))

    def test_blocks_larger_than_a_piece(self):
        data = bytes(7 << 20)
        bench = Bench(data, block_size=3 << 20)
        bench.write()
        self.assertEqual(_hashes(data, 3 << 20), bench.table.packed)


class ChangesTest(base.BaseTestCase):
    """An extent whose digests of before are known."""

    def _change(self, data, *blocks):
        now = bytearray(data)
        for block in blocks:
            now[block * 16] ^= 1
        return bytes(now)

    def test_nothing_changed(self):
        bench = Bench(_NOISE)
        self.assertEqual([], bench.changes(_hashes(_NOISE)))
        self.assertEqual(_hashes(_NOISE), bench.table.packed)
        self.assertEqual([], bench.announced)

    def test_only_what_changed_is_stored(self):
        data = random.Random(1).randbytes(1 << 20)
        now = bytearray(data)
        for start in (70000, 900000):
            now[start] ^= 1
        bench = Bench(bytes(now), 'none', 4096)
        changes = bench.changes(_hashes(data, 4096))
        self.assertEqual(
            [types.Extent(69632, 4096), types.Extent(897024, 4096)], changes)
        self.assertEqual(_hashes(now, 4096), bench.table.packed)
        for extent in changes:
            self.assertEqual(bytes(now[extent.offset:extent.end]),
                             bench.stored(bench.write(extent)))
        self.assertEqual([17, 219], bench.announced)
        self.assertEqual(_hashes(now, 4096), bench.table.packed)

    def test_grown_volume(self):
        self.assertEqual([types.Extent(960, 40)],
                         Bench(_NOISE).changes(_hashes(_NOISE[:960])))

    def test_digests_are_of_what_is_stored(self):
        # The volume changes between the look and the reading.
        class Moving(volumes.RamVolume):
            def read(self, extent, buffer):
                view = super().read(extent, buffer)
                self.data[16] ^= 1
                return view

        first = self._change(_NOISE, 1)
        bench = Bench(first, 'none', source=Moving(first))
        (extent,) = bench.changes(_hashes(_NOISE))
        self.assertEqual(_hashes(bench.stored(bench.write(extent))),
                         bench.table.run(1, 2))


class StopTest(base.BaseTestCase):
    """Errors and cancellation."""

    def test_names_are_announced_before_they_may_exist(self):
        bench = Bench(_NOISE)
        error = exceptions.StoreUnavailable('down')
        bench.writer = bench.make(faulty.FaultyStore(
            bench.store, faulty.lose_answer('put', error)))
        self.assertIs(error, self.assertRaises(
            exceptions.StoreUnavailable, bench.write))
        self.assertEqual([0], bench.announced)

    def test_store_is_told_when_nobody_waits(self):
        bench = Bench(_NOISE)
        store = mock.Mock(wraps=bench.store)
        bench.writer = bench.make(store)
        bench.write()
        store.until.assert_called_once_with(bench.stop)

    def test_stopped_before_the_first_read(self):
        bench = Bench(_NOISE)
        bench.stop.set()
        self.assertRaises(exceptions.Cancelled, bench.write)
        self.assertEqual([], bench.announced)

    def test_stopped_while_reading(self):
        class Stopping(volumes.RamVolume):
            def read(self, extent, buffer):
                reads.append(extent)
                bench.stop.set()
                return super().read(extent, buffer)

        reads = []
        data = bytes(9 << 20)
        bench = Bench(data, block_size=32768, source=Stopping(data))
        self.assertRaises(exceptions.Cancelled, bench.write)
        self.assertEqual(1, len(reads))
        self.assertEqual([], bench.announced)


_MEMORY = '''
import random
from cinder_swift_backup.engine.backup import chunk_writer
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from tests.fakes import operations
from tests.fakes import process_memory

MIB = 1 << 20

class Endless:
    """Noise or zeros without end."""
    def data_extents(self, within):
        yield within
    noise = random.Random(1).randbytes(2 * MIB)
    zeros = bytes(2 * MIB)
    kind = zeros
    def read(self, extent, buffer):
        return memoryview(self.kind)[:extent.length]

class Nowhere:
    """Takes what comes and keeps nothing."""
    def until(self, stop):
        return self
    def put(self, container, name, body):
        for piece in body.pieces():
            pass

source = Endless()
table = digests.DigestTable(32768, bytearray(32 * 6400))
before_table = digests.DigestTable(32768, bytes(32 * 3200))
writers = [chunk_writer.ChunkWriter(
    operations.on(Nowhere()), jobs.ArchiveJob(
        types.BackupRef('b', 'v', 'c', 'p'),
        types.BackupHeader('b', 'v', None, None, ''),
        types.Geometry(32768, 32768), word, level),
    source, table, lambda name: None) for word, level in (
        ('none', codecs.Level.BALANCED), ('zlib', codecs.Level.BALANCED),
        ('zlib', codecs.Level.SMALL), ('bz2', codecs.Level.BALANCED),
        ('zstd', codecs.Level.BALANCED), ('zstd', codecs.Level.SMALL))]
for writer in writers:
    writer.write(types.Extent(0, 2 * MIB), pipelines.StopFlag())
before = process_memory.peak()
for writer in writers[1:]:
    writer.write(types.Extent(0, 100 * MIB), pipelines.StopFlag())
    writer.compare(types.Extent(0, 100 * MIB), before_table,
                   pipelines.StopFlag())
zeros = process_memory.peak() - before
source.kind = source.noise
for writer in writers:
    writer.write(types.Extent(0, 200 * MIB), pipelines.StopFlag())
print(zeros // MIB, (process_memory.peak() - before) // MIB)
'''


class MemoryTest(base.BaseTestCase):
    """What a worker holds, in a process of its own."""

    def test_stored_form_and_a_few_mebibytes(self):
        zeros, noise = map(int, process_memory.printed(_MEMORY))
        self.assertLess(zeros, 16)
        self.assertGreater(noise, 190)
        self.assertLess(noise, 232)


class CrossingTest(base.BaseTestCase):
    """What goes to a worker and comes back could cross a process."""

    def test_values_can_be_pickled(self):
        record = types.ChunkRecord('p-00000', types.Extent(0, 64), 'zlib')
        for value in (
                planner.PlannedChunk('c', record, (record.extent,)),
                verification.DigestCheck(
                    digests.DigestTable(16, bytes(128)), 64)):
            self.assertEqual(value, pickle.loads(pickle.dumps(value)))

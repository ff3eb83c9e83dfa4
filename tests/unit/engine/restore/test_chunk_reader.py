# SPDX-License-Identifier: Apache-2.0

"""A planned chunk in, verified pieces out."""

import hashlib
import random
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import streams
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from cinder_swift_backup.stores import memory
from tests.fakes import blobs
from tests.fakes import operations
from tests.fakes import process_memory

_BLOCK = 16
_DATA = random.Random(4).randbytes(1000)
_WORDS = st.sampled_from(('none', 'zlib', 'bz2', 'zstd'))


def _encode(word, data):
    codec = codecs.find(word)
    encoder = codec.encoder(len(data), codecs.Level.FAST)
    return b''.join((encoder.feed(memoryview(data)), encoder.finish()))


def _check(data, block_size=_BLOCK):
    """The digests of a volume."""
    table = digests.DigestTable(
        block_size, digests.hash_blocks(memoryview(data), block_size))
    return verification.Check(verification.DigestCheck(table, len(data)))


# Compares nothing.
_NOTHING = verification.Check(None, stored=False)


class Bench:
    """One stored chunk of a volume that holds ``_DATA``."""

    def __init__(self, extent, stored, word='none', check=None, **fields):
        self.store = memory.MemoryStore()
        self.store.ensure_container('c', create=True)
        self.record = types.ChunkRecord('p-00001', extent, word, **fields)
        if stored is not None:
            blobs.put(self.store, 'c', 'p-00001', stored)
        self.stop = pipelines.StopFlag()
        self.check = check or _NOTHING
        self.handed = []
        self.repeated = []

    def read(self, *extents, store=None):
        """Read some extents of the chunk, by default all of it."""
        reader = chunk_reader.ChunkReader(
            operations.on(store or self.store), self.check)
        chunk = planner.PlannedChunk(
            'c', self.record, extents or (self.record.extent,))
        reader.read(groups.Group((chunk,)), self.use, self.stop)

    def use(self, offset, data, *, repeated):
        """Note what is handed on."""
        self.handed.append((offset, bytes(data)))
        self.repeated.append(repeated)

    def volume(self):
        """The volume after it was handed on, '?' where it was not."""
        found = bytearray(b'?' * len(_DATA))
        for offset, data in self.handed:
            found[offset:offset + len(data)] = data
        return bytes(found)


@st.composite
def _extents(draw, within, step=1):
    """Disjoint extents in ascending order, inside another, in steps."""
    points = sorted(draw(st.lists(
        st.integers(0, -(-within.length // step)).map(
            lambda point: min(within.offset + point * step, within.end)),
        max_size=10, unique=True)))
    return [types.Extent(one, other - one) for one, other
            in zip(points[::2], points[1::2], strict=False)]


class ReadTest(base.BaseTestCase):
    """What is handed on, and in which pieces."""

    @given(_WORDS, st.data(), st.integers(1, 70), st.booleans())
    def test_planned_extents_come_in_order(self, word, data, piece, verify):
        step = _BLOCK if verify else 1
        extent = data.draw(_extents(
            types.Extent(0, 1000), step).filter(len))[0]
        parts = data.draw(_extents(extent, step)) or [extent]
        stored = _encode(word, _DATA[extent.offset:extent.end])
        bench = Bench(extent, stored, word, _check(_DATA) if verify else None)
        with mock.patch.object(store_base, 'PIECE', piece), \
                mock.patch.object(streams, 'PIECE', piece):
            bench.read(*parts)
        expected = bytearray(b'?' * 1000)
        for part in parts:
            expected[part.offset:part.end] = _DATA[part.offset:part.end]
        self.assertEqual(bytes(expected), bench.volume())
        offsets = [offset for offset, _ in bench.handed]
        self.assertEqual(sorted(offsets), offsets)
        self.assertEqual(sum(part.length for part in parts),
                         sum(len(data) for _, data in bench.handed))

    @given(st.integers(0, 999), st.integers(1, 70), _WORDS)
    def test_damage_is_never_handed_on(self, position, piece, word):
        damaged = bytearray(_DATA)
        damaged[position] ^= 1
        bench = Bench(types.Extent(0, 1000), _encode(word, damaged), word,
                      _check(_DATA))
        with mock.patch.object(store_base, 'PIECE', piece), \
                mock.patch.object(streams, 'PIECE', piece):
            err = self.assertRaises(exceptions.DigestMismatch, bench.read)
        start = position // _BLOCK * _BLOCK
        found = bench.volume()
        end = len(found.rstrip(b'?'))
        self.assertLessEqual(end, start)
        self.assertEqual(_DATA[:end], found[:end])
        self.assertEqual(
            ('p-00001', start, min(start + _BLOCK, 1000)),
            (err.name, err.offset, err.end))
        self.assertNotEqual(err.expected, err.actual)

    @given(_WORDS, st.sampled_from((0, 992)), st.integers(1, 70))
    def test_what_nobody_needs_is_not_decoded(self, word, offset, piece):
        # Damage in it would be noticed otherwise, and a length that is wrong
        # by any measure would keep the reader busy for ever.
        bench = Bench(types.Extent(0, 1 << 62), _encode(word, _DATA * 9),
                      word, _check(_DATA))
        with mock.patch.object(store_base, 'PIECE', piece), \
                mock.patch.object(streams, 'PIECE', piece):
            bench.read(types.Extent(offset, 8 if offset else _BLOCK))
        self.assertEqual(_DATA[offset:offset + _BLOCK],
                         bench.volume()[offset:offset + _BLOCK])

    def test_what_is_not_decoded_still_has_an_md5(self):
        stored = _encode('none', _DATA)
        bench = Bench(types.Extent(0, 1000), stored, stored_md5='0' * 32,
                      check=verification.Check(None))
        self.assertRaises(exceptions.DigestMismatch, bench.read,
                          types.Extent(0, 10))

    def test_blocks_that_are_not_planned_are_not_compared(self):
        damaged = bytes(500) + _DATA[500:]
        bench = Bench(types.Extent(0, 1000), damaged, check=_check(_DATA))
        bench.read(types.Extent(512, 96))
        self.assertEqual([(512, _DATA[512:608])], bench.handed)

    def test_part_of_a_block_is_not_handed_on_unverified(self):
        bench = Bench(types.Extent(0, 1000), _DATA, check=_check(_DATA))
        for extent in (types.Extent(512, 100), types.Extent(520, 24),
                       types.Extent(992, 7)):
            err = self.assertRaises(exceptions.IntegrityError, bench.read,
                                    extent)
            self.assertEqual(('p-00001', extent.offset, extent.end),
                             (err.name, err.offset, err.end))
            self.assertEqual([], bench.handed)

    def test_last_block_may_be_short(self):
        bench = Bench(types.Extent(992, 8), _DATA[992:], check=_check(_DATA))
        bench.read()
        self.assertEqual([(992, _DATA[992:])], bench.handed)
        bench = Bench(types.Extent(992, 8), bytes(8), check=_check(_DATA))
        self.assertRaises(exceptions.DigestMismatch, bench.read)

    def test_volume_that_ends_inside_the_chunk(self):
        # As in the stock driver's last chunk of a volume that ends anywhere.
        bench = Bench(types.Extent(0, 1000), _DATA[:990] + b'x' * 10,
                      check=_check(_DATA[:990]))
        bench.read(types.Extent(0, 990))
        self.assertEqual(_DATA[:990], bench.volume()[:990])

    def test_only_views_of_large_pieces(self):
        # What is in the middle of a piece is not copied again.
        data = random.Random(1).randbytes(3 << 20)
        bench = Bench(types.Extent(0, len(data)), data,
                      check=_check(data, block_size=32768))
        bench.read()
        self.assertEqual([(n << 20, 1 << 20) for n in range(3)],
                         [(offset, len(data)) for offset, data
                          in bench.handed])


class FaultTest(base.BaseTestCase):
    """What may be wrong with an object."""

    def _fails(self, kind, stored, word='none'):
        bench = Bench(types.Extent(64, 96), stored, word, _check(_DATA))
        err = self.assertRaises(kind, bench.read)
        self.assertIn('p-00001', str(err))
        self.assertIn('bytes 64 to 160', str(err))
        return err

    def test_missing(self):
        err = self._fails(exceptions.ChunkMissing, None)
        self.assertEqual(('p-00001', 64, 160),
                         (err.name, err.offset, err.end))

    def test_too_short(self):
        for word in ('none', 'zlib', 'zstd'):
            err = self._fails(exceptions.LengthMismatch,
                              _encode(word, _DATA[64:154]), word)
            self.assertEqual((96, 90), (err.expected, err.actual))
            self.assertEqual(('p-00001', 64, 160),
                             (err.name, err.offset, err.end))

    def test_too_long(self):
        for word in ('none', 'zlib', 'zstd'):
            self._fails(exceptions.LengthMismatch,
                        _encode(word, _DATA[64:170]), word)

    def test_no_such_stream(self):
        for stored in (b'no stream', _encode('zlib', _DATA[64:160]) + b'x',
                       _encode('zlib', _DATA[64:160])[:-1]):
            err = self._fails(exceptions.FormatError, stored, 'zlib')
            self.assertEqual(('p-00001', 64, 160),
                             (err.name, err.offset, err.end))

    def test_stored_length(self):
        for check in (_check(_DATA), verification.Check(None)):
            bench = Bench(types.Extent(0, 1000), _DATA, check=check,
                          stored_length=999)
            err = self.assertRaises(exceptions.LengthMismatch, bench.read)
            self.assertEqual(('p-00001', 0, 1000, 999, 1000),
                             (err.name, err.offset, err.end, err.expected,
                              err.actual))
        # What can be saved is saved where nobody wants it verified.
        bench = Bench(types.Extent(0, 1000), _DATA, stored_length=999)
        bench.read()
        self.assertEqual(_DATA, bench.volume())

    def test_stored_md5_where_there_are_no_digests(self):
        md5 = hashlib.md5(_DATA).hexdigest()
        bench = Bench(types.Extent(0, 1000), _DATA, stored_md5=md5,
                      check=verification.Check(None))
        bench.read()
        self.assertEqual(_DATA, bench.volume())
        bench = Bench(types.Extent(0, 1000), _DATA[::-1], stored_md5=md5,
                      check=verification.Check(None))
        err = self.assertRaises(exceptions.DigestMismatch, bench.read)
        self.assertEqual(('p-00001', 0, 1000, md5),
                         (err.name, err.offset, err.end, err.expected))
        # Where there are, nothing would come of computing it.
        bench = Bench(types.Extent(0, 1000), _DATA, stored_md5='other',
                      check=_check(_DATA))
        bench.read()

    def test_unknown_codec(self):
        self._fails(exceptions.FormatError, b'', 'lzma')

    def test_what_the_use_raises_comes_out(self):
        error = exceptions.VolumeError('disk full')
        bench = Bench(types.Extent(0, 1000), _DATA)
        bench.use = mock.Mock(side_effect=error)
        self.assertIs(error, self.assertRaises(exceptions.VolumeError,
                                               bench.read))

    def test_begins_again_where_the_store_breaks_off(self):
        class Breaking:
            def until(self, stop):
                return self

            def read(self, container, name, use, extent=None):
                def broken():
                    yield _DATA[:100]
                    raise exceptions.StoreUnavailable('broken')

                try:
                    use(broken())
                except exceptions.StoreUnavailable:
                    return use(iter((_DATA[:300], _DATA[300:])))
                raise AssertionError('it was not passed on')

        bench = Bench(types.Extent(0, 1000), None, check=_check(_DATA))
        bench.read(store=Breaking())
        self.assertEqual(_DATA, bench.volume())
        self.assertEqual([0, 0], [offset for offset, _ in bench.handed
                                  if not offset])
        self.assertEqual([False, True, True, True],
                         [bench.repeated[0], *bench.repeated[-3:]])
        self.assertEqual(sorted(bench.repeated), bench.repeated)

    def test_store_is_told_when_nobody_waits(self):
        bench = Bench(types.Extent(0, 1000), _DATA)
        store = mock.Mock(wraps=bench.store)
        bench.read(store=store)
        store.until.assert_called_once_with(bench.stop)

    def test_stopped(self):
        bench = Bench(types.Extent(0, 1000), _DATA)
        bench.stop.set()
        self.assertRaises(exceptions.Cancelled, bench.read)
        self.assertEqual([], bench.handed)


_MEMORY = '''
import hashlib
import zlib
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from tests.fakes import operations
from tests.fakes import process_memory

MIB = 1 << 20
LENGTH = 400 * MIB

class Endless:
    """Gives a stored form again and again without having it whole."""
    def __init__(self, pieces):
        self.pieces = pieces
    def until(self, stop):
        return self
    def read(self, container, name, use, extent=None):
        return use(self.pieces())

def plain():
    piece = bytes(MIB)
    for _ in range(LENGTH // MIB):
        yield piece

def deflated():
    stream = zlib.compressobj(1)
    for piece in plain():
        yield stream.compress(piece)
    yield stream.flush()

def zstandard():
    encoder = codecs.find('zstd').encoder(LENGTH, codecs.Level.SMALL)
    for piece in plain():
        yield bytes(encoder.feed(memoryview(piece)))
    yield encoder.finish()

nothing = verification.Check(None, stored=False)


def read(word, pieces, check=nothing, end=LENGTH):
    extent = types.Extent(0, LENGTH)
    record = types.ChunkRecord('p-00000', extent, word)
    chunk_reader.ChunkReader(
        operations.on(Endless(pieces)), check).read(
        groups.Group((planner.PlannedChunk(
            'c', record, (types.Extent(0, end),)),)),
        lambda offset, data, repeated: None, pipelines.StopFlag())

bomb = b''.join(deflated())
check = verification.Check(verification.DigestCheck(digests.DigestTable(
    32768, hashlib.sha256(bytes(32768)).digest() * (LENGTH // 32768)),
    LENGTH))
before = process_memory.peak()
read('none', plain)
read('zlib', deflated)
read('zlib', deflated, check)
read('zlib', lambda: iter((bomb,)))
# A block as large as the volume, which ends early in a chunk that does not.
end = 2 * MIB
large = verification.Check(verification.DigestCheck(digests.DigestTable(
    LENGTH, hashlib.sha256(bytes(end)).digest()), end))
read('zlib', lambda: iter((bomb,)), large, end)
print((process_memory.peak() - before) // MIB)
frames = list(zstandard())
process_memory.reset_peak()
before = process_memory.resident()
read('zstd', lambda: iter(frames))
print((process_memory.peak() - before) // MIB)
'''


class MemoryTest(base.BaseTestCase):
    """What a worker holds, in a process of its own."""

    def test_a_few_mebibytes(self):
        stock, zstandard = map(int, process_memory.printed(_MEMORY))
        self.assertLess(stock, 16)
        self.assertLess(zstandard, 16)


class EncryptedTest(base.BaseTestCase):
    """A chunk that is said to be encrypted."""

    def read(self, length):
        store = memory.MemoryStore()
        store.ensure_container('c', create=True)
        name = 'volume_v/packs/b-000001'
        blobs.put(store, 'c', name, bytes(length))
        record = types.ChunkRecord(
            name, types.Extent(0, 64), 'zlib', place=types.Extent(0, length))
        chunk_reader.ChunkReader(
            operations.on(store), verification.Check(
                None, stored=False, key=encryption.DataKey(bytes(32)))).read(
            groups.Group((planner.PlannedChunk(
                'c', record, (record.extent,)),)), mock.Mock(),
            pipelines.StopFlag())

    def test_length_that_cannot_be(self):
        for length in (1, 12, 27):
            err = self.assertRaises(exceptions.FormatError, self.read, length)
            self.assertIn(f'{length} bytes are no encrypted chunk', str(err))
        for length in (28, 64, 1 << 20):
            self.assertRaises(
                (exceptions.FormatError, exceptions.LengthMismatch), self.read,
                length)

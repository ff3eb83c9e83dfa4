# SPDX-License-Identifier: Apache-2.0

"""Backups that are read here and there, in both forms."""

from concurrent import futures
import random

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import kept_pieces
from cinder_swift_backup.engine.restore import stored_volume
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests import selection
from tests.fakes import eras
from tests.unit.engine import base
from tests.unit.engine import strategies

_BLOCK = base.GEOMETRY.block_size
_FORMS = st.sampled_from(tuple(chains.Form))


def _extents(size):
    """Extents of whole blocks, but for the end of the volume."""
    count = -(-size // _BLOCK)
    return st.tuples(st.integers(0, max(count - 1, 0)),
                     st.integers(1, max(count, 1))).map(
        lambda pair: types.Extent(
            pair[0] * _BLOCK, min(pair[1] * _BLOCK,
                                  size - pair[0] * _BLOCK)))


def _read(volume, extent):
    return bytes(volume.read(extent, bytearray(extent.length + 3)))


class StoredVolumeTest(base.EngineTestCase):
    """Any extent of any backup is what the volume had."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def archive(self, bench, history, form):
        for number, (data, parent) in enumerate(history):
            bench.archive(number, data, parent=parent, form=form,
                          codec='zlib')

    @given(strategies.histories(), _FORMS, st.data())
    @settings(max_examples=selection.examples(80))
    def test_any_extent(self, history, form, drawn):
        bench = base.Bench()
        self.archive(bench, history, form)
        number = drawn.draw(st.integers(0, len(history) - 1))
        data, refs = history[number][0], [number]
        while history[refs[0]][1] is not None:
            refs.insert(0, history[refs[0]][1])
        with stored_volume.opened(bench.repository,
                                  bench.resolve(*refs)) as volume:
            self.assertEqual(len(data), volume.size)
            for extent in drawn.draw(st.lists(_extents(len(data)),
                                              max_size=6)) if data else ():
                self.assertEqual(data[extent.offset:extent.end],
                                 _read(volume, extent))
            self.assertEqual(
                data, b''.join(_read(volume, part) for part
                               in types.Extent(0, len(data)).parts(48)))

    @given(strategies.histories(), _FORMS)
    @settings(max_examples=40)
    def test_what_is_no_data_is_zeros(self, history, form):
        bench = base.Bench()
        self.archive(bench, history, form)
        data = history[0][0]
        with stored_volume.opened(bench.repository,
                                  bench.resolve(0)) as volume:
            rest = bytearray(data)
            for extent in volume.data_extents(types.Extent(0, len(data))):
                self.assertNotEqual(b'', data[extent.offset:extent.end])
                rest[extent.offset:extent.end] = bytes(extent.length)
            self.assertEqual(bytes(len(data)), bytes(rest))
            for extent in types.Extent(0, len(data)).parts(_BLOCK):
                if volume.is_hole(extent):
                    self.assertFalse(any(data[extent.offset:extent.end]))

    def test_several_readers_fetch_each_object_once(self):
        for form in chains.Form:
            data = random.Random(3).randbytes(1024)
            bench = base.Bench()
            bench.archive(1, data, form=form)
            bench.store.heal()
            with stored_volume.opened(
                    bench.repository, bench.resolve(1)) as volume, (
                    futures.ThreadPoolExecutor(4)) as pool:
                bench.store.heal()
                parts = list(types.Extent(0, len(data)).parts(_BLOCK))
                found = pool.map(lambda part, one=volume: _read(
                    one, part), parts)
                self.assertEqual(data, b''.join(found))
            asked = [call.name for call in bench.store.calls
                     if call.method == 'read' and not call.name.endswith(
                         '_metadata')]
            if form is chains.Form.CHUNKS:
                self.assertEqual(sorted(set(asked)), sorted(asked))

    def test_damage_is_told_to_each_reader_of_it(self):
        for form in chains.Form:
            data = random.Random(4).randbytes(512)
            bench = base.Bench()
            bench.archive(1, data, form=form, codec='none')
            name = next(name for name in bench.names() if bench.get(
                name)[:16] == data[:16])
            bench.damage(name, lambda old: b'x' + old[1:])
            with stored_volume.opened(bench.repository,
                                      bench.resolve(1)) as volume:
                for _ in range(2):
                    self.assertRaises(exceptions.DigestMismatch, _read,
                                      volume, types.Extent(0, 16))
                last = types.Extent(496, 16)
                self.assertEqual(data[496:], _read(volume, last))

    @given(st.sampled_from(eras.ERAS), st.data())
    @settings(max_examples=20)
    def test_backups_of_any_era(self, era, drawn):
        bench = base.Bench()
        data = random.Random(5).randbytes(200)
        eras.Writer(era, bench.put, 'zlib', 48, _BLOCK).write(
            base.ref(1), lambda extent: data[extent.offset:extent.end],
            len(data))
        extent = drawn.draw(_extents(len(data)))
        with stored_volume.opened(bench.repository,
                                  bench.resolve(1)) as volume:
            self.assertEqual(data[extent.offset:extent.end],
                             _read(volume, extent))
            self.assertEqual(era.incrementals, volume.tells_holes)

    def test_whoever_was_told_to_stop_ends(self):
        self.bench.archive(1, bytes(range(256)))
        stop = pipelines.StopFlag()
        stop.set()
        with stored_volume.opened(self.bench.repository,
                                  self.bench.resolve(1)) as volume:
            self.assertRaises(exceptions.Cancelled, _read,
                              volume.until(stop), types.Extent(0, 64))
            self.assertEqual(bytes(range(64)),
                             _read(volume, types.Extent(0, 64)))


class KeptPiecesTest(base.EngineTestCase):
    """What is used stays, and what failed is tried again."""

    def setUp(self):
        super().setUp()
        self.kept = kept_pieces.KeptPieces(2, pipelines.Runtime().lock)
        self.addCleanup(self.kept.close)

    @staticmethod
    def make(data):
        def make():
            pieces = kept_pieces.Pieces(None, [types.Extent(8, len(data))])
            pieces.write(8, memoryview(data))
            return pieces
        return make

    def content(self, pieces):
        target = bytearray(3)
        pieces.read(types.Extent(8, 3), memoryview(target))
        return bytes(target)

    def test_the_oldest_goes_but_not_while_it_is_used(self):
        with self.kept.holding(1, self.make(b'one')) as pieces:
            for key in (2, 3, 4):
                with self.kept.holding(key, self.make(b'new')):
                    pass
            self.assertFalse(self.kept.is_known(1))
            self.assertEqual(b'one', self.content(pieces))
        self.assertTrue(pieces._file.closed)

    def test_what_failed_is_made_anew(self):
        def fail():
            raise exceptions.SpoolError('no room')

        def hold(make):
            with self.kept.holding(1, make) as pieces:
                return self.content(pieces)

        self.assertRaises(exceptions.SpoolError, hold, fail)
        self.assertFalse(self.kept.is_known(1))
        self.assertEqual(b'two', hold(self.make(b'two')))
        self.assertEqual(b'two', hold(fail))

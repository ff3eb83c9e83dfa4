# SPDX-License-Identifier: Apache-2.0

"""Backups in the form of packs, from a volume to the store and back."""

import contextlib
import dataclasses
import datetime
import itertools
import random
import threading
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.backup import block_reader
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import pack_worklist
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import memory
from tests import selection
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base
from tests.unit.engine import strategies

_PACKS = chains.Form.PACKS
_WORDS = st.sampled_from(('none', 'zlib', 'zstd', 'bz2'))


def _check_point(case, bench, number):
    """What a manifest tells of packs is what pages and packs tell."""
    manifest = bench.repository.load(base.ref(number))
    point = manifest.point
    living, by_word = {}, {}
    block_size = point.block_size
    for part in point_objects.PointObjects(bench.repository.operation).parts(
            base.ref(number), point, manifest.end):
        records = list(part.chunks or ())
        owners = {offset: record for record in records
                  for offset in range(record.extent.offset, record.extent.end,
                                      block_size)}
        for record in records:
            chunks, needed = living.get(record.name, (0, 0))
            provided = sum(
                min(offset + block_size, part.extent.end) - offset
                for offset, owner in owners.items()
                if owner is record and offset < part.extent.end)
            case.assertGreater(provided, 0)
            living[record.name] = (chunks + 1, needed + (
                record.place.length * provided // record.extent.length))
            before = by_word.get(record.compression, (0, 0, 0))
            by_word[record.compression] = tuple(map(
                int.__add__, before, (1, record.extent.length,
                                      record.place.length)))
    case.assertEqual(living, {
        pack.name: (pack.living, pack.living_bytes) for pack in point.packs})
    case.assertEqual(by_word, {
        word: (stored.chunks, stored.bytes, stored.stored_bytes)
        for word, stored in point.stored.items()})
    for pack in point.packs:
        stored = bench.get(pack.name)
        case.assertEqual(len(stored), pack.length)
        index = packs.decode(pack, stored[-pack.index_length:])
        offsets = list(index.chunks.offsets)
        case.assertEqual(sorted(offsets), offsets)
    return manifest


class HistoryTest(base.EngineTestCase):
    """Any history comes back, whatever it is compared with."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    @given(strategies.histories(), _WORDS, st.booleans())
    @settings(max_examples=selection.examples(150))
    def test_each_backup(self, history, word, sparse):
        bench = base.Bench()
        for number, (data, parent) in enumerate(history):
            bench.archive(
                number, volumes.RamVolume(data, sparse=sparse),
                parent=parent, codec=word, form=_PACKS)
            _check_point(self, bench, number)
        checker = deep.Checker(bench.repository)
        for number, (data, _) in enumerate(history):
            chain = bench.resolve(number)
            target = bench.restore(chain, b'\xa5' * len(data))
            self.assertEqual(data, bytes(target.data))
            self.assertEqual([], checker.check(
                deep.Subject(chain.tip, len(data)), None,
                observers.Recorder()))
        # Each stands alone.
        kept = len(history) // 2
        for number in range(len(history)):
            if number != kept:
                bench.delete(base.ref(number))
        target = bench.restore(bench.resolve(kept),
                               b'\xa5' * len(history[kept][0]))
        self.assertEqual(history[kept][0], bytes(target.data))


class OddSizesTest(base.EngineTestCase):
    """Blocks, chunks, pieces, windows and pages that do not fit together."""

    @given(strategies.histories(), st.integers(1, 150),
           st.integers(1, 200), st.integers(1, 300), st.integers(1, 200),
           st.integers(1, 200), st.integers(1, 300), st.integers(1, 5),
           st.integers(1, 30), st.booleans())
    @settings(max_examples=selection.examples(200))
    def test_any_sizes(self, history, block, chunk, page, piece, window, holes,
                       most, in_pack, sparse):
        bench = base.Bench()
        with contextlib.ExitStack() as stack:
            for owner, name, value in (
                    (pages, '_CHUNK', chunk), (pages, '_SIZE', page),
                    (block_reader, 'PIECE', piece),
                    (pack_worklist, '_WINDOW', window),
                    (pack_worklist, '_HOLES', holes),
                    (packer, 'FULL', 50 * in_pack),
                    (page_writer, 'IN_OBJECT', most),
                    (digests, 'STEP', most)):
                stack.enter_context(mock.patch.object(owner, name, value))
            geometry = types.Geometry(block, block)
            for number, (data, parent) in enumerate(history):
                bench.archive(
                    number, volumes.RamVolume(data, sparse=sparse),
                    parent=parent, form=_PACKS, geometry=geometry)
                _check_point(self, bench, number)
            for number, (data, _) in enumerate(history):
                target = bench.restore(bench.resolve(number),
                                       b'\xa5' * len(data))
                self.assertEqual(data, bytes(target.data))

    def test_more_chunks_than_a_pack_can_have(self):
        self.have_small_packs()
        with mock.patch.object(packs, 'MOST', 5), \
                mock.patch.object(packer, 'FULL', 1 << 20):
            data = (b'?' * 16 + bytes(16)) * 40
            self.bench.archive(1, data, form=_PACKS)
            self.bench.archive(2, (bytes(16) + b'!' * 16) * 40, parent=1,
                               form=_PACKS)
            for number in (1, 2):
                manifest = _check_point(self, self.bench, number)
                self.assertGreaterEqual(len(manifest.point.packs), 8)
            target = self.bench.restore(self.bench.resolve(2), data)
            self.assertEqual((bytes(16) + b'!' * 16) * 40,
                             bytes(target.data))


    def test_blocks_that_are_too_small_for_the_volume(self):
        self.have_small_packs()
        with mock.patch.object(pages, 'MOST', 3):
            most = 3 * pages.size(16)
            self.bench.archive(1, b'?' * most, form=_PACKS)
            puts = self.store.names('put')
            err = self.assertRaises(
                exceptions.VolumeError, self.bench.archive, 2,
                b'?' * (most + 1), form=_PACKS)
        self.assertIs(exceptions.Remedy.LARGER_BLOCKS, err.remedy)
        self.assertEqual((most, most + 1), (err.expected, err.actual))
        self.assertEqual(puts, self.store.names('put'))


_FIRST = random.Random(12).randbytes(500) + bytes(100) + b'the end.' * 9
_SECOND = (_FIRST[:64] + bytes(64) + _FIRST[128:300] + b'!' * 100
           + _FIRST[400:] + b'more' * 50)


class FaultsTest(base.EngineTestCase):
    """A backup is all or nothing, and no other backup is hurt."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        self.bench.archive(1, _FIRST, form=_PACKS)
        self.before = self.bench.names()
        self.store.heal()

    def _archive(self, observer=None):
        self.bench.archive(2, _SECOND, parent=1, form=_PACKS, codec='zlib',
                           observer=observer)

    def _calls(self):
        self._archive()
        calls = [call.method for call in self.store.calls]
        self.bench.delete(base.ref(2))
        for name in set(self.bench.names()).difference(self.before):
            self.bench.memory.delete(base.CONTAINER, name)
        self.store.heal()
        return calls

    def _check_undone(self):
        self.store.heal()
        self.assertEqual(self.before, self.bench.names())
        target = self.bench.restore(self.bench.resolve(1),
                                    bytes(len(_FIRST)))
        self.assertEqual(_FIRST, bytes(target.data))

    def test_any_request_fails(self):
        calls = self._calls()
        self.assertGreater(calls.count('put'), 5)
        for method in ('put', 'read', 'stat', 'exists'):
            for nth in range(1, calls.count(method) + 1):
                self.store.script(faulty.fail(
                    method, exceptions.StoreUnavailable('no more'), nth=nth))
                self.assertRaises(exceptions.StoreUnavailable, self._archive)
                self._check_undone()

    def test_any_answer_to_a_put_is_lost(self):
        def lose(answer):
            raise exceptions.StoreUnavailable('the answer is lost')

        for nth in range(1, self._calls().count('put') + 1):
            self.store.script(faulty.Rule('put', after=lose, nth=nth))
            self.assertRaises(exceptions.StoreUnavailable, self._archive)
            self._check_undone()

    def test_any_put_is_not_done(self):
        # Confirmed, and never stored.
        for nth in range(1, self._calls().count('put') + 1):
            self.store.script(faulty.Rule('put', lost=True, nth=nth))
            self.assertRaises(exceptions.BackupError, self._archive)
            self._check_undone()

    def test_listings_that_lag_or_fail(self):
        for rule in (faulty.Rule('list', after=lambda found: ()),
                     faulty.fail('list', exceptions.StoreUnavailable('no'))):
            self.store.script(rule)
            self._archive()
            self.store.heal()
            target = self.bench.restore(self.bench.resolve(2),
                                        bytes(len(_SECOND)))
            self.assertEqual(_SECOND, bytes(target.data))

    def test_cancelled_at_any_checkpoint(self):
        observer = observers.Recorder()
        self._archive(observer)
        self._calls()
        for number in range(1, observer.checkpoints + 1):
            self.assertRaises(exceptions.Cancelled, self._archive,
                              observers.Recorder(cancel_at=number))
            self._check_undone()

    def test_result_that_cannot_be_recorded(self):
        class Observer(observers.Recorder):
            def stored(self, manifest):
                raise OSError('no database')

        self.assertRaises(OSError, self._archive, Observer())
        self._check_undone()

    def test_a_volume_that_cannot_be_read(self):
        class Failing(volumes.RamVolume):
            def read(self, extent, buffer):
                if extent.end > 500:
                    raise exceptions.VolumeError('it is on fire')
                return super().read(extent, buffer)

        self.assertRaises(exceptions.VolumeError, self.bench.archive, 2,
                          Failing(_SECOND), parent=1, form=_PACKS)
        self._check_undone()

    def test_packs_that_somebody_deletes_meanwhile(self):
        for name in filter(naming.is_pack, self.before):
            kept = self.bench.get(name)
            # Before the manifest is put, they are looked for.
            self.bench.memory.delete(base.CONTAINER, name)
            err = self.assertRaises(exceptions.ChunkMissing, self._archive)
            self.assertEqual(name, err.name)
            self.bench.put(name, kept)
            self._check_undone()


class ThreadsTest(base.EngineTestCase):
    """What computes does so offloaded, and nothing else does."""

    def test_where_functions_run(self):
        self.have_small_packs()
        self.have_volumes_of_any_size()
        away = threading.local()
        done = set()

        def call(function, *arguments, **options):
            away.now = True
            try:
                return function(*arguments, **options)
            finally:
                away.now = False

        def watched(owner, name, expected):
            real = getattr(owner, name)

            def run(*arguments, **options):
                self.assertEqual(expected, getattr(away, 'now', False), name)
                done.add(name)
                return real(*arguments, **options)
            self.enterContext(mock.patch.object(owner, name, run))

        bench = base.Bench(runtime=pipelines.Runtime(call=call))
        for owner, names in (
                (digests, ('hash_blocks', 'changed_blocks')),
                (packed_chunks, ('decode',)),
                (packs, ('encode', 'decode')), (pages, ('encode', 'decode')),
                (stored_form, ('encode',)), (planner, ('plan_page',)),
                (spool.Spool, ('close',)),
                (digests.DigestTable, ('put', 'run', 'are_zeros')),
                (volumes.RamVolume, ('read', 'write', 'zero', 'sync'))):
            for name in names:
                watched(owner, name, True)
        for name in ('put', 'read', 'list', 'stat'):
            watched(memory.MemoryStore, name, False)
        with mock.patch.object(restorer, 'WORTH_SYNCING', 1):
            bench.archive(1, _FIRST, form=_PACKS, codec='zlib')
            runtime = bench.repository.operation.runtime
            with runtime.closing(parents.find(
                    bench.repository, [base.ref(1)], 16, _PACKS)) as parent:
                bench.archiver.archive(jobs.ArchiveJob(
                    base.ref(2), base.header(base.ref(2)), base.GEOMETRY,
                    'zlib', parent=parent, form=_PACKS),
                    volumes.RamVolume(_SECOND), observers.Recorder())
            target = bench.restore(bench.resolve(2), bytes(len(_SECOND)))
        self.assertEqual(_SECOND, bytes(target.data))
        deep.Checker(bench.repository).check(
            deep.Subject(bench.resolve(2).tip, len(_SECOND)), None,
            observers.Recorder())
        self.assertLessEqual({
            'hash_blocks', 'changed_blocks', 'decode', 'encode', 'plan_page',
            'close', 'put', 'run', 'read', 'write', 'sync', 'list'}, done)


class ParentTest(base.EngineTestCase):
    """What an incremental builds on."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        self.bench.archive(1, _FIRST, form=_PACKS)

    def _find(self, **options):
        return parents.find(self.bench.repository, [base.ref(1)], 16,
                            options.pop('form', _PACKS), **options)

    def test_found(self):
        with contextlib.closing(self._find()) as found:
            self.assertEqual(base.ref(1), found.ref)
        self.assertIsNone(self._find(form=chains.Form.CHUNKS))
        self.assertIsNone(self._find(container='elsewhere'))
        self.assertIsNone(parents.find(self.bench.repository, [base.ref(1)],
                                       32, _PACKS))
        with mock.patch.object(pages, '_SIZE', 256):
            self.assertIsNone(self._find())
        self.bench.archive(2, _FIRST)
        self.assertIsNone(parents.find(self.bench.repository, [base.ref(2)],
                                       16, _PACKS))

    def test_what_is_missing_makes_a_full_backup_unless_it_is_a_pack(self):
        packs = {pack.name: pack.key for pack
                 in self.bench.repository.load(base.ref(1)).point.packs}
        for name in self.bench.names():
            kept = self.bench.get(name)
            for change in (None, lambda data: b'#' + data[1:]):
                self.bench.memory.delete(base.CONTAINER, name)
                if change is not None:
                    self.bench.put(name, change(kept))
                found = self._find()
                if name not in packs:
                    self.assertIsNone(found, name)
                    continue
                with contextlib.closing(found):
                    self.assertEqual({packs[name]}, found.lost)
            self.bench.put(name, kept)

    def test_packs_that_will_expire_are_lost(self):
        packs = self.bench.repository.load(base.ref(1)).point.packs
        self.store.script(faulty.alter(
            'stat', lambda stat: dataclasses.replace(
                stat, expires=datetime.datetime.now(datetime.UTC)),
            matching=packs.name(1).__eq__))
        with contextlib.closing(self._find()) as found:
            self.assertEqual({packs[1].key}, found.lost)

    def test_an_index_with_a_wrong_bit_that_nobody_has_told(self):
        for pack in self.bench.repository.load(base.ref(1)).point.packs:
            self.store.script(faulty.alter(
                'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
                matching=pack.name.__eq__))
            with contextlib.closing(self._find()) as found:
                self.assertEqual({pack.key}, found.lost)
            self.store.heal()

    def test_pages_with_a_wrong_bit_that_nobody_has_told(self):
        found = set()
        for page in self.bench.repository.load(base.ref(1)).point.pages:
            self.store.script(faulty.alter(
                'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
                matching=page.name.__eq__))
            found.add(self._find() is None)
            self.store.heal()
        self.assertEqual({True}, found)


class HealingTest(base.EngineTestCase):
    """What is lost is stored again by the next backup."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    @given(strategies.histories(), st.data())
    @settings(max_examples=selection.examples(60))
    def test_any_history(self, history, drawn):
        bench = base.Bench()
        for number, (data, parent) in enumerate(history):
            bench.archive(number, data, parent=parent, form=_PACKS)
        last = len(history) - 1
        point = bench.repository.load(base.ref(last)).point
        names = list(point.packs.names())
        lost = drawn.draw(st.sets(st.sampled_from(names))) if names else set()
        for name in lost:
            if drawn.draw(st.booleans()):
                bench.memory.delete(base.CONTAINER, name)
            else:
                bench.damage(name, lambda old: old[:-1] + b'?')
        data = drawn.draw(st.sampled_from([
            history[last][0], *(each for each, _ in history)]))
        volume = volumes.RamVolume(data, sparse=drawn.draw(st.booleans()))
        told = drawn.draw(st.none() | st.just((types.Extent(
            0, len(data)),)))
        with contextlib.closing(parents.find(
                bench.repository, [base.ref(last)], 16, _PACKS)) as parent:
            self.assertEqual(len(lost), len(parent.lost))
            where = base.ref(50)
            found = bench.archiver.archive(
                jobs.ArchiveJob(
                    ref=where, header=base.header(where),
                    geometry=base.GEOMETRY, compression='none', form=_PACKS,
                    parent=parent, told=told),
                volume, observers.Recorder())
        self.assertTrue(lost.isdisjoint(found.point.packs.names()))
        target = bench.restore(bench.resolve(50), b'\xa5' * len(data))
        self.assertEqual(data, bytes(target.data))

    def test_changes_that_are_told_do_not_hide_it(self):
        bench = self.bench
        bench.archive(1, _FIRST, form=_PACKS)
        name = bench.repository.load(base.ref(1)).point.packs.name(0)
        bench.memory.delete(base.CONTAINER, name)
        log = self.useFixture(fixtures.FakeLogger())
        with contextlib.closing(parents.find(
                bench.repository, [base.ref(1)], 16, _PACKS)) as parent:
            where = base.ref(2)
            bench.archiver.archive(
                jobs.ArchiveJob(
                    ref=where, header=base.header(where),
                    geometry=base.GEOMETRY, compression='none', form=_PACKS,
                    parent=parent, told=()),
                volumes.RamVolume(_FIRST), observers.Recorder())
        self.assertIn(name, log.output)
        self.assertNotIn('wrong about its data', log.output)
        target = bench.restore(bench.resolve(2), bytes(len(_FIRST)))
        self.assertEqual(_FIRST, bytes(target.data))
        # What the older one needs is lost.
        self.assertRaises(exceptions.ChunkMissing, lambda: bench.restore(
            bench.resolve(1), bytes(len(_FIRST))))


class CodecsTest(base.EngineTestCase):
    """Each codec at each level, and a history that has all of them."""

    def test_each(self):
        data = (b''.join(b'%d bottles of beer, ' % number
                         for number in range(30_000))
                + random.Random(7).randbytes(50_000) + bytes(70_000))
        geometry = types.Geometry(4096, 4096)
        stored = {}
        for number, (word, level) in enumerate(itertools.product(
                ('none', 'zlib', 'bz2', 'zstd'), codecs.Level)):
            for form in (_PACKS, chains.Form.CHUNKS):
                self.bench.archive(
                    number, data, codec=word, level=level, form=form,
                    geometry=geometry if form is _PACKS else types.Geometry(
                        1 << 20, 4096))
                stored[word, level, form] = sum(
                    info.size for info in self.bench.memory.list(
                        base.CONTAINER, '') if not info.name.endswith(
                            ('_sha256file', '_metadata')))
                target = self.bench.restore(self.bench.resolve(number),
                                            b'\xa5' * len(data))
                self.assertEqual(data, bytes(target.data))
                for name in self.bench.names():
                    self.bench.memory.delete(base.CONTAINER, name)
        # The same code stores both forms, and each level as it should.
        for (word, level, form), size in stored.items():
            if word == 'none':
                continue
            other = stored[word, level, chains.Form.CHUNKS]
            self.assertLess(abs(size - other), 12_000, (word, level))
            self.assertLess(size, stored['none', level, form] // 2)
        self.assertLess(stored['zlib', codecs.Level.SMALL, _PACKS],
                        stored['zlib', codecs.Level.FAST, _PACKS])

    def test_a_history_of_all(self):
        data, parent = bytearray(b'bottles of beer ' * 400), None
        for number, word in enumerate(('zstd', 'none', 'zlib', 'bz2')):
            data[800 * number:800 * number + 400] = b'%d' % number * 400
            self.bench.archive(number, bytes(data), parent=parent, codec=word,
                               form=_PACKS)
            parent = number
        self.assertEqual(
            {'zstd', 'none', 'zlib', 'bz2'}, set(
                self.bench.repository.load(base.ref(parent)).point.stored))
        target = self.bench.restore(self.bench.resolve(parent),
                                    bytes(len(data)))
        self.assertEqual(data, target.data)


class SpaceTest(base.EngineTestCase):
    """Nothing is stored twice, and zeros not at all."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()

    def _new(self, number, data, parent=None):
        before = set(self.bench.names())
        self.bench.archive(number, data, parent=parent, form=_PACKS)
        return set(self.bench.names()).difference(before)

    def test_zeros(self):
        self.assertEqual({naming.manifest_name(base.ref(1).prefix)},
                         self._new(1, bytes(5000)))

    def test_nothing_has_changed(self):
        self._new(1, _FIRST)
        new = self._new(2, _FIRST, 1)
        self.assertEqual([], list(filter(naming.is_pack, new)))
        for name in filter(base.is_chunk, new):
            self.assertEqual(
                self.bench.get(name.replace(base.ref(2).prefix,
                                            base.ref(1).prefix)),
                self.bench.get(name))

    def test_a_full_backup_shares_nothing(self):
        self._new(1, _FIRST)
        new = set(filter(naming.is_pack, self._new(2, _FIRST)))
        self.assertEqual(new, set(self.bench.repository.load(
            base.ref(2)).point.packs.names()))

    def test_only_what_has_changed(self):
        self._new(1, _FIRST)
        new = self._new(2, _FIRST[:32] + b'!' * 16 + _FIRST[48:], 1)
        (name,) = filter(naming.is_pack, new)
        *_, pack = self.bench.repository.load(base.ref(2)).point.packs
        self.assertEqual((name, 1, 16),
                         (pack.name, pack.living, pack.living_bytes))

    def test_packs_that_nothing_needs_are_not_named(self):
        self._new(1, _FIRST)
        first = list(self.bench.repository.load(base.ref(1)).point.packs)
        self._new(2, _FIRST[::-1], 1)
        second = list(self.bench.repository.load(base.ref(2)).point.packs)
        self.assertEqual(set(), {pack.name for pack in first}.intersection(
            pack.name for pack in second))
        self.assertGreater(second[0].key, first[-1].key)

    def test_each_block_is_read_once(self):
        extents = []

        class Watched(volumes.RamVolume):
            def read(self, extent, buffer):
                extents.append(extent)
                return super().read(extent, buffer)

        self.have_volumes_believed()
        self._new(1, Watched(_FIRST))
        del extents[:]
        self._new(2, Watched(_SECOND), 1)
        blocks = [block for extent in extents
                  for block in range(*extent.block_range(16))]
        self.assertEqual(sorted(set(blocks)), sorted(blocks))

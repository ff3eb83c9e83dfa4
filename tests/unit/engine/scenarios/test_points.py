# SPDX-License-Identifier: Apache-2.0

"""Backups in the form of packs, from the store to a volume."""

import dataclasses
import random

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.restore import doubts
from cinder_swift_backup.engine.restore import restorer
from cinder_swift_backup.engine.restore import streamer
from cinder_swift_backup.format import naming
from tests import selection
from tests.fakes import observers
from tests.fakes import points
from tests.fakes import tables
from tests.fakes import volumes
from tests.unit.engine import base
from tests.unit.engine import strategies

_BLOCK = 16
_SIZES = points.Sizes()


def _write(bench, history, word, sizes=_SIZES):
    writer = points.Writer(bench.memory, sizes, word)
    written = []
    for number, (data, parent) in enumerate(history):
        written.append(writer.write(
            base.ref(number), data,
            None if parent is None else written[parent]))
    return written


class HistoryTest(base.EngineTestCase):
    """Any history comes back byte for byte, whichever way."""

    @given(strategies.histories(),
           st.sampled_from(('none', 'zlib', 'zstd', 'bz2')), st.booleans())
    @settings(max_examples=selection.examples(60))
    def test_each_backup(self, history, word, sparse):
        bench = base.Bench()
        written = _write(bench, history, word)
        for one in written:
            chain = bench.resolve(int(one.ref.backup_id[-1]))
            self.assertEqual(1, len(chain.links))
            before = b'\xa5' * len(one.data) if not sparse else bytes(
                len(one.data))
            target = bench.restore(chain, before, sparse=sparse)
            self.assertEqual(one.data, bytes(target.data))
            target = bench.restore(chain, before, verify=False)
            self.assertEqual(one.data, bytes(target.data))
            found = bytearray()
            streamer.Streamer(bench.repository).stream(
                chain, found.extend, observers.Recorder())
            self.assertEqual(one.data, bytes(found))

    @given(strategies.histories())
    @settings(max_examples=30)
    def test_digests_are_those_of_a_full_backup(self, history):
        bench = base.Bench()
        for one in _write(bench, history, 'zlib'):
            number = int(one.ref.backup_id[-1])
            link = bench.resolve(number).tip
            found = bench.repository.load_digests(link, len(one.data))
            bench.archive(number + 50, one.data)
            expected = bench.repository.digests.load(
                base.ref(number + 50), len(one.data))
            self.assertEqual(tables.content(expected), tables.content(found))
            found.close()

    @given(strategies.histories(), st.integers(0, 100))
    @settings(max_examples=30)
    def test_a_restore_that_goes_on(self, history, some):
        bench = base.Bench()
        for one in _write(bench, history, 'none'):
            part = len(one.data) * some // 100
            target = volumes.RamVolume(
                one.data[:part] + b'\xa5' * (len(one.data) - part))
            chain = bench.resolve(int(one.ref.backup_id[-1]))
            bench.restorer.restore(
                chain, restorer.RestoreTarget(
                    target, 0, target.size, before=target),
                observers.Recorder())
            self.assertEqual(one.data, bytes(target.data))


_DATA = random.Random(6).randbytes(400) + bytes(200) + b'the end.' * 8


class DamageTest(base.EngineTestCase):
    """What is not as it was stored is noticed, and named."""

    def setUp(self):
        super().setUp()
        first = points.Writer(self.bench.memory).write(base.ref(1), _DATA)
        data = _DATA[:100] + bytes(60) + _DATA[160:]
        self.written = points.Writer(self.bench.memory).write(
            base.ref(2), data, first)
        self.target = volumes.RamVolume(b'\xa5' * len(_DATA))

    def _refused(self, kind, number=2):
        return self.assertRaises(
            kind, lambda: self.bench.restore_to(
                self.target, self.bench.resolve(number)))

    def _nothing_was_written(self):
        self.assertEqual({0xa5}, set(self.target.data))

    @selection.takes_long
    def test_bytes_of_every_object(self):
        some = random.Random(9)
        for name in self.bench.names():
            before = self.bench.get(name)
            for at in some.sample(range(len(before)), min(len(before), 80)):
                damaged = bytearray(before)
                damaged[at] ^= 1
                self.bench.put(name, bytes(damaged))
                for number, expected in ((1, _DATA), (2, self.written.data)):
                    target = volumes.RamVolume(b'\xa5' * len(_DATA))
                    try:
                        self.bench.restore_to(target,
                                              self.bench.resolve(number))
                    except (exceptions.FormatError,
                            exceptions.IntegrityError,
                            exceptions.ChainError):
                        continue
                    self.assertEqual(expected, bytes(target.data), name)
            self.bench.put(name, before)

    def test_each_object_that_is_missing(self):
        for name in self.bench.names():
            before = self.bench.get(name)
            self.bench.memory.delete(base.CONTAINER, name)
            manifest = naming.manifest_name(base.ref(2).prefix)
            needed = (name.startswith(base.ref(2).prefix)
                      or name in {pack.name for pack in self.written.packs})
            if needed:
                err = self._refused(
                    exceptions.ChainError if name == manifest
                    else exceptions.ChunkMissing)
                self.assertEqual((name, base.CONTAINER, 'bak-2'),
                                 (err.name, err.container, err.backup_id))
                self._nothing_was_written()
            self.bench.put(name, before)

    def test_zeros_that_digests_do_not_tell_of(self):
        # Somebody has removed a chunk from a page, and made the sums right.
        lost = dataclasses.replace(
            self.written, chunks=self.written.chunks[1:])
        points.Writer(self.bench.memory)._put_manifest(lost, {})
        err = self._refused(exceptions.IntegrityError)
        self.assertIn('zeros where its digests tell of data', str(err))
        noted = doubts.Doubts()
        self.bench.restorer.restore(
            self.bench.resolve(2),
            restorer.RestoreTarget(self.target, 0, self.target.size),
            observers.Recorder(), doubts=noted)
        self.assertTrue(noted.found())

    def test_without_indexes_nothing_is_verified(self):
        pack = self.written.packs[0]
        self.bench.damage(pack.name, lambda data: data[:-50] + b'#' * 50)
        self._refused(exceptions.FormatError)
        self._nothing_was_written()
        target = self.bench.restore(self.bench.resolve(2), bytes(len(_DATA)),
                                    verify=False)
        self.assertEqual(self.written.data, bytes(target.data))

    def test_damage_is_written_on_request(self):
        record = next(chunk for chunk in reversed(self.written.chunks)
                      if chunk.place.length)
        self.bench.damage(record.pack, lambda data: (
            data[:record.place.offset] + b'#' + data[record.place.offset + 1:]
        ))
        self._refused(exceptions.DigestMismatch)
        noted = doubts.Doubts()
        self.bench.restorer.restore(
            self.bench.resolve(2),
            restorer.RestoreTarget(self.target, 0, self.target.size),
            observers.Recorder(), doubts=noted)
        (doubt,) = noted.found()
        self.assertEqual(
            (record.pack, record.extent.offset, _BLOCK, True),
            (doubt.name, doubt.extent.offset, doubt.extent.length,
             doubt.is_wrong))


class LargeTest(base.EngineTestCase):
    """Neighbours come together, and what is not needed does not."""

    def test_requests(self):
        self.have_volumes_of_any_size()
        data = random.Random(8).randbytes(64 * _BLOCK)
        sizes = points.Sizes(page=64, pack=100)
        first = points.Writer(self.bench.memory, sizes).write(
            base.ref(1), data)
        self.assertEqual(16, len(first.chunks))
        self.store.heal()
        target = volumes.RamVolume(bytes(len(data)))
        self.bench.restore_to(target, self.bench.resolve(1),
                              source_size=len(data))
        self.assertEqual(data, bytes(target.data))
        # The manifest, the page before and during the restore, the index, and
        # once all chunks.
        self.assertEqual(5, len(self.store.names('read')))

    def test_zeros_of_the_whole_volume(self):
        points.Writer(self.bench.memory).write(base.ref(1), bytes(1000))
        self.assertEqual([naming.manifest_name(base.ref(1).prefix)],
                         self.bench.names())
        target = self.bench.restore(self.bench.resolve(1), b'\xa5' * 1000)
        self.assertEqual(bytes(1000), bytes(target.data))

    def test_a_volume_that_was_larger_before(self):
        # What a chunk has behind the end must not come back.
        history = [(_DATA, None), (_DATA[:120], 0),
                   (_DATA[:120] + bytes(len(_DATA) - 120), 1),
                   (_DATA[:120] + bytes(200) + b'!' * 100, 2)]
        for one in _write(self.bench, history, 'zlib'):
            target = self.bench.restore(
                self.bench.resolve(int(one.ref.backup_id[-1])),
                b'\xa5' * len(one.data))
            self.assertEqual(one.data, bytes(target.data))

    def test_nothing(self):
        points.Writer(self.bench.memory).write(base.ref(1), b'')
        self.assertEqual(0, self.bench.resolve(1).tip.manifest.end)
        self.bench.restore(self.bench.resolve(1), b'')

    def test_less_room_than_it_has_bytes(self):
        data = _DATA[:400] + bytes(600)
        points.Writer(self.bench.memory).write(base.ref(1), data)
        target = volumes.RamVolume(b'\xa5' * 500)
        self.bench.restore_to(target, self.bench.resolve(1))
        self.assertEqual(data[:500], bytes(target.data))
        target = volumes.RamVolume(b'\xa5' * 390)
        self.assertRaises(exceptions.VolumeError, self.bench.restore_to,
                          target, self.bench.resolve(1))

    def test_a_record_that_still_has_the_parent(self):
        # The record names it until the backup is complete.
        writer = points.Writer(self.bench.memory)
        first = writer.write(base.ref(1), _DATA)
        writer.write(base.ref(2), _DATA[::-1], first)
        chain = self.bench.resolve(1, 2)
        self.assertEqual(base.ref(2), chain.links[0].ref)
        self.bench.delete(base.ref(1))
        target = self.bench.restore(self.bench.resolve(1, 2),
                                    bytes(len(_DATA)))
        self.assertEqual(_DATA[::-1], bytes(target.data))

    def test_is_no_parent_of_the_other_form(self):
        points.Writer(self.bench.memory).write(base.ref(1), _DATA)
        self.assertIsNone(self.bench.find_parent(1))

    def test_a_delete_leaves_packs(self):
        writer = points.Writer(self.bench.memory)
        first = writer.write(base.ref(1), _DATA)
        writer.write(base.ref(2), _DATA[::-1], first)
        self.bench.delete(base.ref(1))
        self.assertEqual([], [name for name in self.bench.names()
                              if name.startswith(base.ref(1).prefix)])
        self.assertTrue(set(pack.name for pack in first.packs).issubset(
            self.bench.names()))

# SPDX-License-Identifier: Apache-2.0

"""Fetching packs to see whether they are what was stored."""

import contextlib
import dataclasses
import hashlib
import random

from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import point_objects
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import deep_packs
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from tests.fakes import faulty
from tests.fakes import key_ring
from tests.fakes import observers
from tests.fakes import points
from tests.unit.engine import base

_DATA = random.Random(4).randbytes(400) + bytes(200) + b'the end.' * 5
_NOW = _DATA[:100] + bytes(40) + _DATA[140:200] + b'!' * 30 + _DATA[230:]


def _rewrite_pages(bench, ref, change):
    """Write pages anew as a faulty program might, with sums that are right.

    :param change: a function that changes the chunks of the first page with
        any, or returns others
    :returns: whether that made any difference
    """
    manifest = bench.repository.load(ref)
    point = manifest.point
    objects = point_objects.PointObjects(bench.repository.operation)
    found, bodies, is_changed = [], {}, False
    for stored in list(objects.pages(ref, point.pages)):
        encoded, page = stored.encoded, stored.page
        if not is_changed:
            chunks = objects.chunks(ref, point, stored)
            chunks = change(chunks) or chunks
            encoded = pages.encode(chunks, point.block_size, page.extent)
            is_changed = True
        body = bodies.setdefault(page.name, bytearray())
        found.append(dataclasses.replace(
            page, place=types.Extent(len(body), len(encoded)),
            sha256=hashlib.sha256(encoded).digest()))
        body += encoded
    table = chunk_table.ChunkTable(ref.prefix)
    before = {name: bench.get(name) for name in bodies}
    for record in point.objects:
        body = bytes(bodies[record.name])
        bench.put(record.name, body)
        table.append(dataclasses.replace(
            record, stored_length=len(body),
            stored_md5=hashlib.md5(body, usedforsecurity=False).hexdigest()))
    bench.put(naming.manifest_name(ref.prefix), b''.join(manifests.encode(
        dataclasses.replace(manifest, point=dataclasses.replace(
            point, pages=tuple(found), objects=table)))))
    return before != {name: bench.get(name) for name in bodies}


class DeepPacksTest(base.EngineTestCase):
    """Two backups that share packs."""

    def setUp(self):
        super().setUp()
        self.first, self.second = self._write(self.bench)
        self.checker = deep.Checker(self.bench.repository)
        self.store.heal()

    def _write(self, bench, word='zlib'):
        writer = points.Writer(bench.memory, word=word)
        first = writer.write(base.ref(1), _DATA)
        return first, writer.write(base.ref(2), _NOW, first)

    def _check(self, number, *, observer=None, part=1.0):
        link = self.bench.resolve(number).tip
        return self.checker.check(
            deep.Subject(link, len(_DATA)), None,
            observer or observers.Recorder(), part=part)

    def test_each_pack_is_fetched_once(self):
        observer = observers.Recorder()
        for number in (1, 2):
            self.assertEqual([], self._check(number, observer=observer))
        done, total = observer.progress[-1]
        self.assertEqual(done, total)
        read = [name for name in self.store.names('read')
                if naming.is_pack(name)]
        packs = {pack.name for written in (self.first, self.second)
                 for pack in written.packs}
        self.assertEqual(packs, set(read))
        # The index of each, for each backup, and what is before it once.
        self.assertEqual(
            len(packs) + len(self.first.packs) + len(self.second.packs),
            len(read))

    def test_a_sample(self):
        self.assertEqual([], self._check(1, part=0.01))
        self.assertEqual(2, len([name for name in self.store.names('read')
                                 if naming.is_pack(name)]))
        self.assertEqual([], list(deep_packs.chosen(0, 0.5)))
        self.assertEqual(range(7), deep_packs.chosen(7, 1))

    @given(st.data())
    def test_every_byte_is_looked_at(self, data):
        bench = base.Bench()
        # What zlib adds behind the data is of no use to anybody who has
        # digests, and nobody looks at it.
        written = self._write(bench, 'none')
        packs = sorted({pack.name for one in written for pack in one.packs})
        name = data.draw(st.sampled_from(packs))
        at = data.draw(st.integers(0, len(bench.get(name)) - 1))
        bench.damage(name, lambda stored: (
            stored[:at] + bytes([stored[at] ^ 4]) + stored[at + 1:]))
        checker = deep.Checker(bench.repository)
        for one in written:
            link = bench.resolve(int(one.ref.backup_id[-1])).tip
            damage = checker.check(deep.Subject(link, len(_DATA)), None,
                                   observers.Recorder())
            named = name in {pack.name for pack in one.packs}
            # Behind the index, only who has no manifest would look.
            if at < len(bench.get(name)) - 44:
                self.assertEqual([name] if named else [],
                                 [err.name for err in damage])

    def test_all_damage_in_a_pack(self):
        (name,) = {chunk.pack for chunk in self.first.chunks[:3]}
        for chunk in self.first.chunks[:3:2]:
            self.bench.damage(name, lambda stored, at=chunk.place.offset: (
                stored[:at + 3] + b'#' + stored[at + 4:]))
        damage = self._check(1)
        self.assertEqual(
            [(name, chunk.extent.offset) for chunk in self.first.chunks[:3:2]],
            [(err.name, err.offset) for err in damage])
        # The others are told of it, too.
        self.assertEqual(damage, self._check(2))

    def test_a_pack_that_is_missing(self):
        name = self.first.packs[0].name
        self.bench.memory.delete(base.CONTAINER, name)
        for number in (1, 2):
            (err,) = self._check(number)
            self.assertIsInstance(err, exceptions.ChunkMissing)
            self.assertEqual(name, err.name)

    def test_a_page_that_is_damaged(self):
        name = naming.chunk_name(base.ref(2).prefix, 0)
        self.bench.damage(name, lambda data: data[:-1] + b'#')
        self.assertEqual([], self._check(1))
        (err,) = self._check(2)
        self.assertEqual(name, err.name)

    def test_an_index_that_is_gone_meanwhile(self):
        self.assertEqual([], self._check(1))
        link = self.bench.resolve(1).tip
        name = self.first.packs[0].name
        self.bench.memory.delete(base.CONTAINER, name)
        (err,) = self.checker.check(deep.Subject(link, len(_DATA)), None,
                                    observers.Recorder())
        self.assertEqual(name, err.name)

    @given(st.data())
    def test_pages_that_name_something_else(self, data):
        bench = base.Bench()
        self._write(bench)
        number = data.draw(st.sampled_from((1, 2)))
        columns = ('offsets', 'lengths', 'packs', '_places',
                   '_stored_lengths', '_codes')
        column = data.draw(st.sampled_from(columns))
        step = data.draw(st.sampled_from((-16, -1, 1, 2, 16)))

        def change(chunks):
            at = data.draw(st.integers(0, len(chunks) - 1))
            values = getattr(chunks, column)
            # All others are as they were, so it is another chunk.
            with contextlib.suppress(OverflowError):
                values[at] += step

        try:
            is_changed = _rewrite_pages(bench, base.ref(number), change)
        except (ValueError, OverflowError):
            # Nobody can write such a page.
            return
        if not is_changed:
            return
        link = bench.resolve(number).tip
        checker = deep.Checker(bench.repository)
        self.assertNotEqual([], checker.check(
            deep.Subject(link, len(_DATA)), None, observers.Recorder()))

    def test_pages_that_lack_a_chunk(self):
        self.assertTrue(_rewrite_pages(
            self.bench, base.ref(2),
            lambda chunks: chunks.select(range(1, len(chunks)))))
        self.assertIn('and the manifest says', str(self._check(2)[0]))

    def test_pages_that_name_a_chunk_twice(self):
        self.assertTrue(_rewrite_pages(
            self.bench, base.ref(2),
            lambda chunks: chunks.select((0, *range(len(chunks))))))
        self.assertIn('than the manifest says', str(self._check(2)[0]))

    def test_pages_that_mix_up_places(self):
        def swap(chunks):
            for column in (chunks._places, chunks._stored_lengths):
                column[0], column[1] = column[1], column[0]

        self.assertTrue(_rewrite_pages(self.bench, base.ref(1), swap))
        (err,) = self._check(1)
        self.assertIn('chunks that are not in its index', str(err))
        self.assertEqual(base.CONTAINER, err.container)
        # The packs are well.
        self.assertEqual([], self._check(2))
        self.assertRaises(exceptions.BackupError, self.bench.restore,
                          self.bench.resolve(1), bytes(len(_DATA)))

    def test_pages_that_name_one_chunk_twice_instead_of_another(self):
        self.assertTrue(_rewrite_pages(
            self.bench, base.ref(1),
            lambda chunks: chunks.select((0, 0, *range(2, len(chunks))))))
        self.assertIn('or one twice', str(self._check(1)[0]))

    def test_pages_in_which_older_packs_win(self):
        self.assertTrue(_rewrite_pages(
            self.bench, base.ref(2),
            lambda chunks: chunks.select(range(len(chunks) - 1, -1, -1))))
        self.assertIn('not in the order', str(self._check(2)[0]))

    def test_a_sample_counts_all_chunks_that_pages_name(self):
        self.assertTrue(_rewrite_pages(
            self.bench, base.ref(2),
            lambda chunks: chunks.select(range(1, len(chunks)))))
        self.assertNotEqual([], self._check(2, part=0.01))

    def test_pages_of_a_backup_whose_key_is_missing(self):
        manifest = self.bench.archive(3, _DATA, form=chains.Form.PACKS,
                                      encryption=key_ring.new('lost'))
        self.assertRaises(exceptions.KeyUnavailable, self._check, 3)
        # Nobody needs a key to see this.
        name = manifest.point.objects.name(0)
        self.bench.damage(name, lambda old: bytes([old[0] ^ 1]) + old[1:])
        (err,) = self._check(3)
        self.assertEqual(name, err.name)

    def test_a_store_that_fails(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('gone'),
            matching=naming.is_pack))
        self.assertRaises(exceptions.StoreUnavailable, self._check, 1)

    def test_cancelled(self):
        class Cancelling(observers.Recorder):
            def advanced(self, done, total):
                raise exceptions.Cancelled('no more')

        self.assertRaises(exceptions.Cancelled, self._check, 1,
                          observer=Cancelling())

# SPDX-License-Identifier: Apache-2.0

"""A restore writes what was backed up, or says what is wrong."""

import json
import random
import tempfile
from unittest import mock

import fixtures
from hypothesis import given
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes as engine_volumes
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.format import naming
from tests.fakes import documents
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import volumes
from tests.unit.engine import base

_DATA = random.Random(3).randbytes(64 * 4) + b'x' * 64
_DAMAGE = (exceptions.DigestMismatch, exceptions.FormatError,
           exceptions.LengthMismatch)


def _name(number, backup=1):
    return naming.chunk_name(base.ref(backup).prefix, number)


class RestoreTestCase(base.EngineTestCase):
    """One full backup, and a volume to restore it to."""

    codec = 'none'

    def setUp(self):
        super().setUp()
        self.manifest = self.bench.archive(1, _DATA, codec=self.codec)
        self.record = next(chunk for chunk in self.manifest.chunks
                           if chunk.extent.offset == 64)
        self.target = volumes.RamVolume(b'\xa5' * len(_DATA))

    def _restore(self, **options):
        self.bench.restore_to(self.target, self.bench.resolve(1), **options)

    def _check_blocks(self, start, end):
        """Each block is as it was or as it should be, never damaged."""
        for offset in range(start, end, 16):
            self.assertIn(bytes(self.target.data[offset:offset + 16]),
                          (b'\xa5' * 16, _DATA[offset:offset + 16]))

    def _refused(self, *kinds):
        """The error of a restore of a damaged second chunk."""
        try:
            self._restore()
        except kinds as err:
            self._check_blocks(64, 128)
            self.assertIsNone(self.target.finished)
            return str(err)
        return self.fail(f'none of {kinds} was raised')


class DamageTest(RestoreTestCase):
    """Chunks that are not what was stored."""

    def test_missing_chunk(self):
        self.bench.memory.delete(base.CONTAINER, self.record.name)
        text = self._refused(exceptions.ChunkMissing)
        for word in (self.record.name, base.CONTAINER, '64 to 128'):
            self.assertIn(word, text)

    def test_each_flipped_byte(self):
        for position in range(64):
            with self.subTest(position=position):
                self.bench.damage(self.record.name,
                                  lambda data, at=position: _flip(data, at))
                text = self._refused(exceptions.DigestMismatch)
                self.assertIn(self.record.name, text)
                start = 64 + position // 16 * 16
                self.assertIn(f'bytes {start} to {start + 16} ', text)
                self.bench.damage(self.record.name,
                                  lambda data, at=position: _flip(data, at))
        self._restore()
        self.assertEqual(_DATA, bytes(self.target.data))

    def test_cut_short(self):
        for length in (0, 1, 16, 63):
            self.bench.damage(self.record.name,
                              lambda data, end=length: data[:end])
            text = self._refused(exceptions.LengthMismatch)
            self.assertIn(self.record.name, text)
            self.assertIn(f'({length} instead of 64)', text)
            self.bench.damage(self.record.name,
                              lambda data: _DATA[64:128])

    def test_too_long(self):
        self.bench.damage(self.record.name, lambda data: data + b'x')
        self._refused(exceptions.LengthMismatch)

    def test_far_too_long_is_not_even_read(self):
        self.bench.damage(self.record.name, lambda data: bytes(1 << 20))
        text = self._refused(exceptions.LengthMismatch)
        self.assertIn('more bytes than the manifest says', text)

    def test_chunks_that_changed_places(self):
        first, second = _name(0), _name(4)
        one = self.bench.get(first)
        other = self.bench.get(second)
        self.bench.damage(first, lambda data: other)
        self.bench.damage(second, lambda data: one)
        self._refused(exceptions.DigestMismatch)

    def test_each_extent_of_a_chunk_is_checked_before_it_is_written(self):
        self.have_volumes_of_any_size()
        # An incremental replaces its middle, so two parts are left of it.
        now = _DATA[:80] + bytes(16) + _DATA[96:]
        self.bench.archive(2, now, parent=1)
        plan = planner.plan_restore(self.bench.resolve(1, 2))
        self.assertEqual([2], [len(chunk.extents) for chunk in plan.chunks
                               if chunk.record == self.record])
        self.bench.damage(self.record.name, lambda data: _flip(data, 60))
        self.assertRaises(exceptions.DigestMismatch, self.bench.restore_to,
                          self.target, self.bench.resolve(1, 2),
                          source_size=len(now))
        self.assertEqual(_DATA[64:80], bytes(self.target.data[64:80]))
        self.assertEqual(b'\xa5' * 32, bytes(self.target.data[96:128]))

    def test_damage_that_is_not_restored_does_not_matter(self):
        now = _DATA[:64] + bytes(64) + _DATA[128:]
        self.bench.archive(2, now, parent=1)
        self.bench.damage(self.record.name, lambda data: _flip(data, 0))
        target = self.bench.restore(self.bench.resolve(1, 2),
                                    bytes(len(now)))
        self.assertEqual(now, bytes(target.data))

    def test_zeros_are_not_fetched(self):
        # The digests say what they are, so their object is not needed.
        data = _DATA[:64] + bytes(150) + _DATA[214:] + bytes(7)
        self.bench.archive(1, data)
        self.store.heal()
        for before in (bytes(len(data)), b'\xa5' * len(data)):
            target = self.bench.restore(self.bench.resolve(1), before)
            self.assertEqual(data, bytes(target.data))
        self.assertNotIn(self.record.name, self.store.names('read'))
        self.bench.memory.delete(base.CONTAINER, self.record.name)
        self._restore_any(data)
        self.assertRaises(exceptions.ChunkMissing, self._restore_any, data,
                          verify=False)

    def _restore_any(self, data, **options):
        target = volumes.RamVolume(b'\xa5' * len(data))
        self.bench.restore_to(target, self.bench.resolve(1), **options)
        self.assertEqual(data, bytes(target.data))

    def test_damage_can_be_restored_on_request(self):
        self.bench.damage(self.record.name, lambda data: _flip(data, 3))
        self._restore(verify=False)
        self.assertEqual(_flip(_DATA, 67), bytes(self.target.data))

    def test_store_error_is_passed_on(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('gone'),
            matching=lambda name: name == self.record.name))
        self._refused(exceptions.StoreUnavailable)


def _flip(data, position):
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


class CompressedDamageTest(RestoreTestCase):
    """The same of compressed chunks."""

    codec = 'zlib'

    def setUp(self):
        super().setUp()
        self.record = self.manifest.chunks[-1]
        self.assertEqual('zlib', self.record.compression)

    def _refused_last(self, kinds):
        try:
            self._restore()
        except kinds as err:
            self.assertIn(self.record.name, str(err))
            self._check_blocks(256, 320)
            return
        self.fail(f'none of {kinds} was raised')

    def test_each_flipped_byte(self):
        for position in range(self.record.stored_length):
            with self.subTest(position=position):
                self.bench.damage(self.record.name,
                                  lambda data, at=position: _flip(data, at))
                try:
                    self._restore()
                except _DAMAGE as err:
                    self.assertIn(self.record.name, str(err))
                else:
                    # Such as a bit of zlib's header that means nothing.
                    self.assertEqual(_DATA, bytes(self.target.data))
                self.bench.damage(self.record.name,
                                  lambda data, at=position: _flip(data, at))

    def test_cut_short(self):
        for length in range(self.record.stored_length):
            whole = self.bench.get(self.record.name)
            self.bench.damage(self.record.name,
                              lambda data, end=length: data[:end])
            self._refused_last((exceptions.FormatError,
                                exceptions.LengthMismatch))
            self.bench.damage(self.record.name, lambda _, all_=whole: all_)

    def test_not_that_codec_at_all(self):
        self.bench.damage(self.record.name, lambda data: b'not zlib')
        self._refused_last(exceptions.FormatError)


class ManifestTest(RestoreTestCase):
    """What the manifest says counts."""

    def test_no_manifest(self):
        self.bench.memory.delete(
            base.CONTAINER, naming.manifest_name(base.ref(1).prefix))
        err = self.assertRaises(exceptions.ChainError, self._restore)
        self.assertIn('there is no manifest', str(err))
        self.assertEqual('bak-1', err.backup_id)
        self.assertEqual([], self.target.writes)

    def test_missing_ancestor(self):
        self.bench.archive(2, _DATA[::-1], parent=1)
        self.bench.delete(base.ref(1), complete=True)
        err = self.assertRaises(exceptions.ChainError, self.bench.resolve,
                                1, 2)
        self.assertIn('bak-1', str(err))

    def test_damaged_manifest(self):
        self.bench.damage(naming.manifest_name(base.ref(1).prefix),
                          lambda data: data[:-2])
        self.assertRaises(exceptions.FormatError, self._restore)
        self.assertEqual([], self.target.writes)

    def test_listing_is_not_needed(self):
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('no listing')))
        self._restore()
        self.assertEqual(_DATA, bytes(self.target.data))

    def test_each_object_is_fetched_once(self):
        self.have_volumes_of_any_size()
        self.store.heal()
        self._restore(source_size=len(_DATA))
        gets = self.store.names('read')
        self.assertEqual(len(set(gets)), len(gets))

    def test_incomplete_manifest_is_noticed_before_anything_is_written(self):
        prefix = base.ref(1).prefix
        for dropped in range(5):
            entries = [{_name(number): {
                'offset': (number - 1) * 64, 'length': 64,
                'compression': 'none', 'md5': None}}
                for number in range(1, 6) if number != dropped + 1]
            # The stock form: it does not say how large the volume was.
            self.bench.put(
                naming.manifest_name(prefix),
                documents.manifest(entries, parent_id=None).replace(
                    documents.PREFIX.encode(), prefix.encode()))
            err = self.assertRaises(exceptions.BackupError, self._restore)
            # Only the digests tell that the last one is missing.
            self.assertIsInstance(err, exceptions.ChainError if dropped < 4
                                  else exceptions.FormatError)
            self.assertEqual([], self.target.writes)


class DigestTableTest(RestoreTestCase):
    """The digests may be missing, too few or damaged."""

    def setUp(self):
        super().setUp()
        self.digest_file = naming.digest_file_name(base.ref(1).prefix)

    def _replace(self, count, block_size=16):
        self.bench.put(self.digest_file, documents.digest_file(
            ['0' * 64] * count, block_size))

    def test_missing(self):
        self.bench.memory.delete(base.CONTAINER, self.digest_file)
        err = self.assertRaises(exceptions.IntegrityError, self._restore)
        self.assertEqual(
            ('bak-1', self.digest_file, base.CONTAINER,
             exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED),
            (err.backup_id, err.name, err.container, err.remedy))
        self.assertEqual([], self.target.writes)
        self._restore(verify=False)
        self.assertEqual(_DATA, bytes(self.target.data))

    def _make_old(self, change=lambda entries: None):
        """Cinder before 2015.1 wrote neither digests nor parent_id."""
        def before_2015(stored):
            fields = json.loads(stored)
            del fields['parent_id']
            del fields['csb_volume_size']
            for entry in fields['objects']:
                (chunk,) = entry.values()
                chunk['md5'] = chunk.pop('csb_stored_md5')
                del chunk['csb_stored_length']
            change(fields['objects'])
            return json.dumps(fields).encode()

        self.bench.memory.delete(base.CONTAINER, self.digest_file)
        self.bench.damage(naming.manifest_name(base.ref(1).prefix),
                          before_2015)

    def test_old_backup_with_an_object_that_cannot_be_compared(self):
        def drop(entries):
            del entries[1][self.record.name]['md5']

        self._make_old(drop)
        err = self.assertRaises(exceptions.IntegrityError, self._restore)
        self.assertEqual(
            (self.record.name, base.CONTAINER, 64, 128,
             exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED),
            (err.name, err.container, err.offset, err.end, err.remedy))
        self.assertEqual([], self.target.writes)
        self._restore(verify=False)
        self.assertEqual(_DATA, bytes(self.target.data))

    def test_old_backup_that_ends_before_its_volume(self):
        self._make_old(lambda entries: entries.pop())
        err = self.assertRaises(exceptions.IntegrityError, self._restore,
                                source_size=len(_DATA))
        self.assertEqual(
            ('bak-1', naming.manifest_name(base.ref(1).prefix), 320, 256),
            (err.backup_id, err.name, err.expected, err.actual))
        self.assertEqual([], self.target.writes)
        log = self.useFixture(fixtures.FakeLogger())
        self._restore(source_size=len(_DATA), verify=False)
        self.assertEqual(_DATA[:256], bytes(self.target.data[:256]))
        self.assertIn('is shorter than its volume was', log.output)

    def test_manifest_and_digests_that_end_before_the_volume(self):
        # So does a backup of a snapshot from before the volume was extended.
        self._cut(_DATA[:256])
        log = self.useFixture(fixtures.FakeLogger())
        self._restore(source_size=len(_DATA))
        self.assertIn('256 instead of 320', log.output)
        self.assertEqual(_DATA[:256] + b'\xa5' * 64, bytes(self.target.data))

    def test_nothing_of_a_volume(self):
        self._cut(b'')
        self.assertRaises(exceptions.IntegrityError, self._restore,
                          source_size=len(_DATA))
        self.assertIsNone(self.target.finished)

    def _cut(self, data):
        self.bench.archive(1, data)
        self.bench.damage(
            naming.manifest_name(base.ref(1).prefix),
            lambda stored: stored.replace(b'csb_volume_size', b'unknown'))

    def test_none_in_old_backups(self):
        self._make_old()
        self._restore(source_size=len(_DATA))
        self.assertEqual(_DATA, bytes(self.target.data))
        self.target.finished = None
        # Its chunks have an MD5 each, of what is stored.
        self.bench.damage(self.record.name, lambda data: _flip(data, 0))
        err = self.assertRaises(exceptions.DigestMismatch, self._restore)
        self.assertEqual(self.record.name, err.name)
        self.assertIsNone(self.target.finished)
        self._restore(verify=False)
        self.assertEqual(_flip(_DATA, 64), bytes(self.target.data))

    def test_damaged(self):
        self.bench.damage(self.digest_file, lambda data: data[:-2])
        self.assertRaises(exceptions.FormatError, self._restore)
        self.assertEqual([], self.target.writes)

    def test_not_asked_for_when_not_verifying(self):
        self.bench.damage(self.digest_file, lambda data: data[:-2])
        self._restore(verify=False)
        self.assertEqual(_DATA, bytes(self.target.data))

    def test_other_number_than_blocks(self):
        for count, block_size in ((0, 16), (5, 16), (19, 16), (20, 8),
                                  (21, 16), (20, 32)):
            self._replace(count, block_size)
            self.store.heal()
            expected = 320 // block_size
            err = self.assertRaises(
                exceptions.IntegrityError if count < expected
                else exceptions.FormatError, self._restore)
            self.assertEqual(self.digest_file, err.name)
            if count < expected:
                self.assertEqual((expected, count),
                                 (err.expected, err.actual))
            self.assertEqual([], self.target.writes)
            self._restore(verify=False)
            self.assertEqual(_DATA, bytes(self.target.data))
            self.target.writes.clear()

    def test_manifest_that_cuts_through_a_block(self):
        # Two objects where there was one: neither has the whole block.
        self.bench.memory.ensure_container(base.CONTAINER, create=True)
        prefix = base.ref(1).prefix
        self.bench.put(_name(99), b'\xff' * 56)
        entries = [{chunk.name: {
            'offset': chunk.extent.offset, 'length': chunk.extent.length,
            'compression': 'none', 'md5': None}}
            for chunk in self.manifest.chunks if chunk != self.record]
        self.bench.damage(self.record.name, lambda data: data[:8])
        for name, offset, length in ((self.record.name, 64, 8),
                                     (_name(99), 72, 56)):
            entries.append({name: {'offset': offset, 'length': length,
                                   'compression': 'none', 'md5': None}})
        self.bench.put(
            naming.manifest_name(prefix),
            documents.manifest(entries, parent_id=None).replace(
                documents.PREFIX.encode(), prefix.encode()))
        err = self.assertRaises(exceptions.IntegrityError, self._restore)
        self.assertEqual((self.record.name, 64, 72),
                         (err.name, err.offset, err.end))
        self.assertEqual([], self.target.writes)

    @given(st.integers(1, 400), st.integers(0, 15))
    def test_every_byte_is_covered(self, size, where):
        data = random.Random(size).randbytes(size)
        bench = base.Bench()
        manifest = bench.archive(1, data)
        record = manifest.chunks[where % len(manifest.chunks)]
        at = where % record.extent.length
        bench.damage(record.name, lambda stored: _flip(stored, at))
        self.assertRaises(exceptions.DigestMismatch, bench.restore,
                          bench.resolve(1), bytes(size))


class TargetTest(RestoreTestCase):
    """Volumes that do not fit, and volumes in files."""

    def test_too_small(self):
        self.target = volumes.RamVolume(bytes(len(_DATA) - 1))
        err = self.assertRaises(exceptions.VolumeError, self._restore)
        for word in ('1 GiB', str(len(_DATA) - 1), 'bak-1'):
            self.assertIn(word, str(err))
        self.assertEqual([], self.target.writes)

    def _restore_to_file(self, before=b'', **sizes):
        with tempfile.TemporaryFile() as handle:
            handle.write(before)
            handle.flush()
            self.bench.restore_to(
                engine_volumes.open_volume(handle, None),
                self.bench.resolve(1), **sizes)
            handle.seek(0)
            return handle.read()

    def test_file_with_the_content_of_a_volume_gets_the_new_size(self):
        # What a larger volume held behind the backup stays, as on a device.
        for before in (b'', b'\xee' * 700, b'\xee' * 2000):
            rest = (before + bytes(1000))[len(_DATA):1000]
            self.assertEqual(_DATA + rest, self._restore_to_file(
                before, source_size=len(_DATA), size=1000))

    def test_file_in_a_format_of_its_own_keeps_its_length(self):
        # It ends in zeros, and is shorter or longer than its volume.
        for before in (b'', b'\xee' * 700, b'\xee' * 2000):
            for source_size in (len(_DATA) - 1, len(_DATA) + 1):
                self.assertEqual(_DATA, self._restore_to_file(
                    before, source_size=source_size, size=source_size))

    def test_file_has_room_for_the_volume_only(self):
        self.assertRaises(exceptions.VolumeError, self._restore_to_file,
                          source_size=len(_DATA), size=100)

    def test_write_error_is_passed_on(self):
        class Full(volumes.RamVolume):
            def write(self, offset, data):
                raise OSError(28, 'No space left on device')

        self.target = Full(bytes(len(_DATA)))
        self.assertRaises(OSError, self._restore)


class CancellationTest(RestoreTestCase):
    """Any checkpoint may be the last."""

    def test_before_anything(self):
        self.assertRaises(exceptions.Cancelled, self._restore,
                          observer=observers.Recorder(cancel_at=1))
        self.assertEqual([], self.target.writes)

    def test_on_the_way(self):
        with mock.patch.object(pipelines, 'POLL', 0):
            self.assertRaises(exceptions.Cancelled, self._restore,
                              observer=observers.Recorder(cancel_at=2))
        self.assertIsNone(self.target.finished)
        self.assertLess(len(self.target.writes), 5)

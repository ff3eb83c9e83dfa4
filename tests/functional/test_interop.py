# SPDX-License-Identifier: Apache-2.0

"""The way in and the way out: both drivers on the same backups."""

import base64
import json
import random
import sys
from unittest import mock

import testscenarios

from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from tests import independent_reader
from tests import selection
from tests.fakes import blobs
from tests.functional import cinder_side
from tests.functional import content
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK


class InteropTestCase(testscenarios.WithScenarios,
                      cinder_side.CinderSideTestCase):
    """Full and incremental backups by one driver, restored by the other."""

    modes = selection.Modes.BOTH

    scenarios = testscenarios.multiply_scenarios(
        [(word, {'compression': word})
         for word in ('zlib', 'bz2', 'zstd', 'none')],
        [('stock restores ours', {'writer': OURS, 'reader': STOCK}),
         ("we restore the stock driver's",
          {'writer': STOCK, 'reader': OURS}),
         ('we restore ours', {'writer': OURS, 'reader': OURS})])

    def setUp(self):
        super().setUp()
        self.configure(backup_compression_algorithm=self.compression)

    def test_restore(self):
        image = content.make_image()
        volume, path = self.make_volume(image)
        full = self.back_up(self.writer, volume, path)
        first = bytes(image)
        content.change(image, seed=1)
        path.write_bytes(image)
        incremental = self.back_up(self.writer, volume, path, parent=full)
        self.assertEqual(full.id, incremental.parent_id)
        stored = {name: blobs.get(self.store, self.container, name)
                  for name in self.object_names(self.container)}
        for backup, expected in ((full, first), (incremental, image)):
            self.assertEqual(expected, independent_reader.restore(
                {self.container: stored}, self.container,
                backup.service_metadata))
            self.assert_content(
                self.restore_new(self.reader, backup), expected)
            self.assert_content(
                self.restore_existing(self.reader, backup, len(image)),
                expected)

    def test_delete(self):
        volume, path = self.make_volume(content.make_image())
        backup = self.back_up(self.writer, volume, path)
        self.assertEqual(backup.object_count + 2,
                         len(self.object_names(self.container)))
        self.reader(self.context).delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))


class NewVolumeTestCase(cinder_side.CinderSideTestCase):
    """What Cinder does when it restores to a volume that it has made."""

    modes = selection.Modes.BOTH

    def _restored(self, writer, first, second):
        """What the stock driver makes of a chain, told that it is new."""
        volume, path = self.make_volume(first)
        full = self.back_up(writer, volume, path)
        path.write_bytes(second)
        backup = self.back_up(writer, volume, path, parent=full)
        target, path = self.make_volume(b'')
        with open(path, 'wb') as handle:
            self.restore_to(STOCK, backup, target, handle, True)
        return path.read_bytes()

    def test_stock_restores_ours_as_its_own(self):
        first = content.make_image()
        second = bytearray(first)
        content.change(second, seed=1)
        own = self._restored(STOCK, first, second)
        ours = self._restored(OURS, first, second)
        self.assertTrue(own == ours)
        self.assertEqual(cinder_side.LOSES_ZEROS, own != second)


class ChainTestCase(testscenarios.WithScenarios,
                    cinder_side.CinderSideTestCase):
    """Each driver continues a chain that the other began."""

    scenarios = testscenarios.multiply_scenarios(
        selection.scenarios(
            [('zlib', {'compression': 'zlib'})],
            [(word, {'compression': word})
             for word in ('bz2', 'zstd', 'none')]),
        [('stock first', {'drivers': (STOCK, OURS, STOCK, OURS)}),
         ('ours first', {'drivers': (OURS, STOCK, OURS, STOCK)})])

    def test_chain(self):
        self.configure(backup_compression_algorithm=self.compression)
        image = content.make_image()
        volume, path = self.make_volume(image)
        history = []
        parent = None
        for seed, driver in enumerate(self.drivers):
            path.write_bytes(image)
            parent = self.back_up(driver, volume, path, parent)
            self.assertEqual(bool(seed), parent.parent_id is not None)
            history.append((parent, bytes(image)))
            content.change(image, seed)
        for backup, expected in history:
            for reader in (OURS, STOCK):
                self.assert_content(
                    self.restore_new(reader, backup), expected)
                self.assert_content(
                    self.restore_existing(reader, backup, len(expected)),
                    expected)


class SegmentsTestCase(cinder_side.CinderSideTestCase):
    """Digests that are a large object, which the stock driver knows not."""

    modes = selection.Modes.BOTH

    def setUp(self):
        super().setUp()
        self.configure(backup_swift_block_size=512)
        # Segments that need no terabytes to be filled.
        for owner, name, value in (
                (digest_segments, 'LEAST', 200),
                (digest_segments, 'NORMAL', 2000),
                (digests, 'STEP', 500),
                (digest_objects, 'WORTH_SEGMENTS', 1)):
            self.enterContext(mock.patch.object(owner, name, value))

    def _segments(self):
        return self.object_names(naming.segments_container(self.container))

    def test_chain(self):
        noise = random.Random(5)
        image = bytearray(noise.randbytes(CHUNK // 4) + bytes(6 * CHUNK)
                          + noise.randbytes(CHUNK // 4 + 100))
        volume, path = self.make_volume(image)
        backups = []
        for driver in (OURS, STOCK, OURS):
            image[noise.randrange(len(image))] ^= 1
            path.write_bytes(image)
            backups.append((self.back_up(
                driver, volume, path, backups[-1][0] if backups else None),
                bytes(image)))
        self.assertEqual(2, len({name.rpartition('_')[0]
                                 for name in self._segments()}))
        for backup, expected in backups:
            self.assertLess(backup.object_count, 20)
            for reader in (STOCK, OURS):
                self.assert_content(self.restore_existing(
                    reader, backup, len(image)), expected)
        for backup, _ in reversed(backups):
            OURS(self.context).delete_backup(backup)
            backup.destroy()
        self.assertEqual([], self._segments())


def make_kinds():
    """Chunks of every kind of data that the encoders tell apart."""
    noise = random.Random(3)
    text = (content.TEXT * (CHUNK // len(content.TEXT) + 1))[:CHUNK]
    with open(sys.executable, 'rb') as program:
        code = program.read(2 * CHUNK)
    grain = 2 * BLOCK
    mix = b''.join(
        text[start:start + grain] + noise.randbytes(grain)
        for start in range(0, CHUNK // 2, grain))
    return b''.join((
        text, noise.randbytes(CHUNK), bytes(CHUNK), mix,
        code.ljust(2 * CHUNK, b'\0'),
        # Noise that turns to text late, text that turns to noise late.
        noise.randbytes(CHUNK - BLOCK), text[:BLOCK],
        text[:CHUNK - 100], noise.randbytes(100),
        # Noise a second time, within and across what a codec remembers.
        *[noise.randbytes(BLOCK // 2)] * (2 * CHUNK // BLOCK),
        base64.b64encode(noise.randbytes(CHUNK))[:CHUNK],
        noise.randbytes(3)))


class LevelTestCase(testscenarios.WithScenarios,
                    cinder_side.CinderSideTestCase):
    """The stock driver restores what any codec and level makes of any data."""

    scenarios = testscenarios.multiply_scenarios(
        [(word, {'compression': word})
         for word in ('zlib', 'gzip', 'bz2', 'zstd')],
        [(level.value, {'level': level.value}) for level in codecs.Level])

    def test_stock_restores(self):
        self.configure(backup_compression_algorithm=self.compression,
                       backup_swift_compression_level=self.level)
        image = make_kinds()
        volume, path = self.make_volume(image)
        backup = self.back_up(OURS, volume, path)
        for reader in (STOCK, OURS):
            self.assert_content(
                self.restore_existing(reader, backup, len(image)), image)
        used = {next(iter(entry.values()))['compression']
                for entry in self.manifest(backup)['objects']}
        # Zeros are by zlib, if not by zstd.
        self.assertEqual({self.compression, 'none', 'zlib'}, used | {'zlib'})

    def manifest(self, backup):
        """The manifest of a backup as it is stored."""
        return json.loads(blobs.get(
            self.store, backup.container,
            naming.manifest_name(backup.service_metadata)))

# SPDX-License-Identifier: Apache-2.0

"""The way in and the way out: both drivers on the same backups."""

import random

import testscenarios

from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

_TEXT = b'All the world is a stage, and all the men and women players. '


def make_image():
    """A volume with text, noise, holes, and an end that fits no block."""
    noise = random.Random(2)
    return bytearray(
        (_TEXT * (2 * CHUNK // len(_TEXT) + 1))[:2 * CHUNK]
        + noise.randbytes(2 * CHUNK)
        + bytes(2 * CHUNK)
        + noise.randbytes(CHUNK + 3 * BLOCK + 1000))


def change(image, seed):
    """Change blocks here and there, and turn data to zeros and back."""
    choice = random.Random(seed)
    for _ in range(8):
        start = choice.randrange(len(image) // BLOCK) * BLOCK
        end = min(start + choice.choice((1, 100, BLOCK)), len(image))
        image[start:end] = choice.randbytes(end - start)
    # What the stock driver of 23.0 to 28.x restores as stale data.
    start = choice.randrange(4) * CHUNK
    image[start:start + 3 * BLOCK] = bytes(3 * BLOCK)
    image[4 * CHUNK:4 * CHUNK + BLOCK] = choice.randbytes(BLOCK)


class InteropTestCase(testscenarios.WithScenarios,
                      cinder_side.CinderSideTestCase):
    """Full and incremental backups by one driver, restored by the other."""

    scenarios = testscenarios.multiply_scenarios(
        [(word, {'compression': word})
         for word in ('zlib', 'bz2', 'zstd', 'none')],
        [('stock restores ours', {'writer': OURS, 'reader': STOCK}),
         ('we restore the stock driver\'s',
          {'writer': STOCK, 'reader': OURS}),
         ('we restore ours', {'writer': OURS, 'reader': OURS})])

    def setUp(self):
        super().setUp()
        self.configure(backup_compression_algorithm=self.compression)

    def test_restore(self):
        image = make_image()
        volume, path = self.make_volume(image)
        full = self.back_up(self.writer, volume, path)
        first = bytes(image)
        change(image, seed=1)
        path.write_bytes(image)
        incremental = self.back_up(self.writer, volume, path, parent=full)
        self.assertEqual(full.id, incremental.parent_id)
        for backup, expected in ((full, first), (incremental, image)):
            self.assert_content(
                self.restore_new(self.reader, backup), expected)
            self.assert_content(
                self.restore_existing(self.reader, backup, len(image)),
                expected)

    def test_delete(self):
        volume, path = self.make_volume(make_image())
        backup = self.back_up(self.writer, volume, path)
        self.assertEqual(backup.object_count + 2,
                         len(self.object_names(self.container)))
        self.reader(self.context).delete_backup(backup)
        self.assertEqual([], self.object_names(self.container))


class ChainTestCase(testscenarios.WithScenarios,
                    cinder_side.CinderSideTestCase):
    """Each driver continues a chain that the other began."""

    scenarios = testscenarios.multiply_scenarios(
        [(word, {'compression': word})
         for word in ('zlib', 'bz2', 'zstd', 'none')],
        [('stock first', {'drivers': (STOCK, OURS, STOCK, OURS)}),
         ('ours first', {'drivers': (OURS, STOCK, OURS, STOCK)})])

    def test_chain(self):
        self.configure(backup_compression_algorithm=self.compression)
        image = make_image()
        volume, path = self.make_volume(image)
        history = []
        parent = None
        for seed, driver in enumerate(self.drivers):
            path.write_bytes(image)
            parent = self.back_up(driver, volume, path, parent)
            self.assertEqual(bool(seed), parent.parent_id is not None)
            history.append((parent, bytes(image)))
            change(image, seed)
        for backup, expected in history:
            for reader in (OURS, STOCK):
                self.assert_content(
                    self.restore_new(reader, backup), expected)
                self.assert_content(
                    self.restore_existing(reader, backup, len(expected)),
                    expected)

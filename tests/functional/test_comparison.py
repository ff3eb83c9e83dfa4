# SPDX-License-Identifier: Apache-2.0

"""The rows of the comparison with the stock driver, done by both.

Those of failures are in ``test_comparison_failures``. What only takes long,
or needs more than a Swift, is shown elsewhere: the page of the comparison
names the tests.
"""

import os
import pathlib
import zlib

from cinder import exception as cinder_exception
from oslo_messaging.notify import _impl_test as fake_notifier

from tests.cloud.fault_proxy.rules import Flip
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import rule
from tests.fakes import blobs
from tests.functional import cinder_side
from tests.functional import comparison
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

# Bytes of a volume that is nearly all hole.
_HOLE = 64 * CHUNK
# Bytes that a backup of it has beside the data: digests, and next to nothing
# for each chunk of zeros.
_BESIDE = CHUNK // 2


class ComparisonTestCase(comparison.ComparisonTestCase):
    """Each test does the same with both drivers."""

    def test_several_chunks_at_once(self):
        for driver in (STOCK, OURS):
            self.heal()
            self.content(driver, self.full(driver))
            for method in ('PUT', 'GET'):
                # A connection has one request at a time.
                connections = {
                    each.connection for each in self.proxy.requests()
                    if (each.method, each.kind) == (method, Kind.CHUNK)}
                self.assertEqual(driver is OURS, len(connections) > 1)

    def test_damaged_object(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            name = self.chunks(backup)[0]
            data = blobs.get(self.store, self.container, name)
            for other in (data[::-1], data[:BLOCK]):
                blobs.put(self.store, self.container, name, other)
                if driver is STOCK:
                    self.assertNotEqual(self.data,
                                        self.content(driver, backup))
                    continue
                error = self.assertRaises(cinder_exception.InvalidBackup,
                                          self.content, driver, backup)
                self.assertIn(name, str(error))

    def test_damaged_object_that_is_compressed(self):
        self.configure(backup_compression_algorithm='zlib')
        self.data = b'compressed' * (2 * CHUNK // 5)
        self.path.write_bytes(self.data)
        for driver, expected in ((STOCK, zlib.error),
                                 (OURS, cinder_exception.InvalidBackup)):
            backup = self.full(driver)
            name = self.chunks(backup)[0]
            blobs.put(self.store, self.container, name, b'damaged')
            error = self.assertRaises(expected, self.content, driver, backup)
            self.assertEqual(driver is OURS, name in str(error))

    def test_missing_object(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            name = self.chunks(backup)[0]
            self.store.delete(self.container, name)
            error = self.assertRaises(cinder_exception.InvalidBackup,
                                      self.content, driver, backup)
            self.assertEqual(driver is OURS, name in str(error))

    def test_wrong_bit_on_the_way(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            self.proxy.apply(rule(Flip(), 'GET', Kind.CHUNK))
            found = self.content(driver, backup)
            self.assertEqual([1], self.proxy.hits())
            self.assertEqual(driver is OURS, found == self.data)

    def test_restore_of_an_incremental(self):
        changed = b'changed!' * (CHUNK // 8) + self.data[CHUNK:]
        for driver in (STOCK, OURS):
            self.path.write_bytes(self.data)
            full = self.full(driver)
            self.path.write_bytes(changed)
            tip = self.back_up(driver, self.volume, self.path, full)
            self.heal()
            self.assertEqual(changed, self.content(driver, tip))
            fetched = self.requests('GET', Kind.CHUNK)
            listed = self.requests('GET', Kind.LISTING)
            if driver is STOCK:
                # The base with what was overwritten, too.
                self.assertEqual(4 + len(self.chunks(tip)), fetched)
                self.assertGreater(listed, 0)
            else:
                self.assertEqual(3 + len(self.chunks(tip)), fetched)
                self.assertEqual(0, listed)

    def test_holes(self):
        self.configure(backup_compression_algorithm='zlib')
        os.truncate(self.path, _HOLE)
        for driver in (STOCK, OURS):
            before = _bytes_read()
            backup = self.full(driver)
            read = _bytes_read() - before
            self.assertEqual(driver is STOCK, read > _HOLE)
            self.assertLess(self._stored(backup), len(self.data) + _BESIDE)

    def _stored(self, backup):
        """How many bytes a backup takes."""
        return sum(each.size for each in self.store.list(
            self.container, backup.service_metadata))

    def test_zeros(self):
        self.data = bytes(4 * CHUNK)
        self.path.write_bytes(self.data)
        for driver, fetched in ((STOCK, 4), (OURS, 0)):
            backup = self.full(driver)
            self.heal()
            volume, path = self.make_volume(b'')
            with open(path, 'wb') as handle:
                self.restore_to(driver, backup, volume, handle, False)
            self.assertEqual(self.data, path.read_bytes())
            self.assertEqual(fetched, self.requests('GET', Kind.CHUNK))
            # Ours stay holes of a new file.
            self.assertEqual(0, _stored_blocks(self.restore_new(OURS, backup)))

    def test_zeros_at_the_end_of_a_new_volume(self):
        self.data += bytes(CHUNK)
        self.path.write_bytes(self.data)
        for driver in (STOCK, OURS):
            found = self.content(driver, self.full(driver))
            self.assertEqual(self.data, found.ljust(len(self.data), b'\0'))
            is_short = driver is STOCK and cinder_side.RELEASE >= 23
            self.assertEqual(is_short, len(found) < len(self.data))

    def test_zeros_on_a_new_volume_that_is_not_empty(self):
        self.data += bytes(2 * CHUNK) + b'end'
        self.path.write_bytes(self.data)
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            volume, path = self.make_volume(b'\xa5' * len(self.data))
            with open(path, 'r+b') as handle:
                self.restore_to(driver, backup, volume, handle, True)
            # Cinder tells the stock driver so since 2023.2.
            is_right = driver is OURS or cinder_side.RELEASE < 23
            self.assertEqual(is_right, path.read_bytes() == self.data)

    def test_zeros_on_an_existing_volume(self):
        self.data += bytes(8 * CHUNK)
        self.path.write_bytes(self.data)
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            path = self.restore_existing(driver, backup, len(self.data))
            self.assertEqual(self.data, path.read_bytes())
            self.assertEqual(
                driver is OURS,
                path.stat().st_blocks * 512 < len(self.data) - 4 * CHUNK)

    def test_volume_that_has_grown(self):
        larger = self.data + b'more'
        for driver in (STOCK, OURS):
            volume, path = self.make_volume(self.data)
            full = self.back_up(driver, volume, path)
            volume.size = 2
            volume.save()
            path.write_bytes(larger)
            made = self._possible(driver, volume, path, full, larger)
            if made is not None:
                self.assertEqual(full.id, made.parent_id)
                # What is new.
                self.assertEqual(1, len(self.chunks(made)))

    def test_other_size_of_blocks(self):
        for driver in (STOCK, OURS):
            self.configure(backup_swift_block_size=BLOCK)
            full = self.full(driver)
            self.configure(backup_swift_block_size=2 * BLOCK)
            made = self._possible(driver, self.volume, self.path, full,
                                  self.data)
            self.assertTrue(made is None or made.parent_id is None)

    def _possible(self, driver, volume, path, parent, data):
        """The backup if it can be made, in whatever way; else None."""
        if driver is STOCK:
            self.assertRaises(cinder_exception.InvalidBackup, self.back_up,
                              driver, volume, path, parent)
            return None
        made = self.back_up(driver, volume, path, parent)
        self.assertEqual(data, self.content(driver, made))
        return made

    def test_broken_chain(self):
        for driver in (STOCK, OURS):
            full = self.full(driver)
            self.store.delete(self.container, self.chunks(full)[1])
            made = self.back_up(driver, self.volume, self.path, full)
            if driver is STOCK:
                self.assertEqual(full.id, made.parent_id)
                self.assertRaises(cinder_exception.InvalidBackup,
                                  self.content, driver, made)
                continue
            self.assertIsNone(made.parent_id)
            self.assertEqual(self.data, self.content(driver, made))

    def test_chain_with_an_object_that_is_another(self):
        for driver in (STOCK, OURS):
            for change in (lambda data: data[:BLOCK], lambda data: data[::-1]):
                full = self.full(driver)
                name = self.chunks(full)[1]
                data = blobs.get(self.store, self.container, name)
                blobs.put(self.store, self.container, name, change(data))
                made = self.back_up(driver, self.volume, self.path, full)
                self.assertEqual(driver is STOCK, made.parent_id == full.id)
                self.assertEqual(driver is OURS,
                                 self.data == self.content(driver, made))

    def test_many_small_changes(self):
        changed = bytearray(self.data)
        for at in range(0, CHUNK, 4 * BLOCK):
            changed[at] ^= 1
        objects = {}
        for driver in (STOCK, OURS):
            self.path.write_bytes(self.data)
            full = self.full(driver)
            self.path.write_bytes(changed)
            tip = self.back_up(driver, self.volume, self.path, full)
            objects[driver] = len(self.chunks(tip))
            self.assertEqual(changed, self.content(driver, tip))
        self.assertEqual(CHUNK // (4 * BLOCK), objects[STOCK])
        self.assertLess(objects[OURS], objects[STOCK] // 2)

    def test_notifications(self):
        self.configure(backup_object_number_per_notification=1)
        for driver in (STOCK, OURS):
            fake_notifier.reset()
            self.full(driver)
            found = cinder_side.progress_notifications()
            self.assertGreater(len(found), 1)
            self.assertEqual(driver is OURS,
                             all(percent <= 100 for percent in found)
                             and max(found[:-1]) > 1)
            # And with all objects so far, in each of them.
            self.assertEqual({driver is STOCK}, {
                'list' in note[1]['payload']
                for note in fake_notifier.NOTIFICATIONS
                if note[1]['event_type'] == 'backup.createprogress'})


def _bytes_read():
    """How many bytes this process has read from files."""
    counters = dict(line.split(': ') for line in pathlib.Path(
        '/proc/self/io').read_text().splitlines())
    return int(counters['rchar'])


def _stored_blocks(path):
    """How many blocks the file system has of a file."""
    return path.stat().st_blocks

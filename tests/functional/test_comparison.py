# SPDX-License-Identifier: Apache-2.0

"""The rows of the comparison with the stock driver, done by both.

What only takes long, or needs more than a Swift, is shown elsewhere: the page
of the comparison names the tests.
"""

import os
import pathlib
import random

from cinder import exception as cinder_exception
from cinder.objects import fields
from oslo_messaging.notify import _impl_test as fake_notifier

from tests.cloud.fault_proxy.rules import Answer
from tests.cloud.fault_proxy.rules import Flip
from tests.cloud.fault_proxy.rules import Kind
from tests.cloud.fault_proxy.rules import Refuse
from tests.cloud.fault_proxy.rules import rule
from tests.fakes import blobs
from tests.faults import base
from tests.functional import cinder_side
from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK
from tests.functional.cinder_side import OURS
from tests.functional.cinder_side import STOCK

# Seconds that Swift is away: more than all repeats of the stock driver take.
_AWAY = 6
_PATIENCE = 60
# Bytes of a volume that is nearly all hole.
_HOLE = 64 * CHUNK


class ComparisonTestCase(base.FaultTestCase):
    """Each test does the same with both drivers."""

    def setUp(self):
        super().setUp()
        # A wrong bit of what is compressed shows in most cases.
        self.configure(backup_compression_algorithm='none')
        self.be_patient(0)
        self.data = random.Random(1).randbytes(4 * CHUNK)
        self.volume, self.path = self.make_volume(self.data)

    def chunks(self, backup):
        """The names of a backup's chunks."""
        return [name for name in self.object_names(self.container)
                if backup.id in name and name.rpartition('-')[2].isdecimal()]

    def requests(self, method, *kinds):
        """How many requests of some kinds there were."""
        return sum(each.method == method and each.kind in kinds
                   for each in self.proxy.requests())

    def content(self, driver, backup):
        """What a driver restores to a new volume."""
        return self.restore_new(driver, backup).read_bytes()

    def full(self, driver):
        """A full backup."""
        return self.back_up(driver, self.volume, self.path)

    def test_several_chunks_at_once(self):
        for driver in (STOCK, OURS):
            self.heal()
            backup = self.full(driver)
            self.content(driver, backup)
            for method in ('PUT', 'GET'):
                connections = {
                    each.connection for each in self.proxy.requests()
                    if (each.method, each.kind) == (method, Kind.CHUNK)}
                self.assertEqual(driver is OURS, len(connections) > 1)

    def test_damaged_object(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            name = self.chunks(backup)[0]
            data = blobs.get(self.store, self.container, name)
            blobs.put(self.store, self.container, name, data[::-1])
            if driver is STOCK:
                self.assertNotEqual(self.data, self.content(driver, backup))
                continue
            error = self.assertRaises(cinder_exception.InvalidBackup,
                                      self.content, driver, backup)
            self.assertIn(name, str(error))

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
            self.assertLess(self._stored(backup), 2 * len(self.data))

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

    def test_backup_that_fails(self):
        for driver in (STOCK, OURS):
            self.proxy.apply(rule(Answer(507), 'PUT', Kind.CHUNK, first=3,
                                  count=None))
            self.assertRaises(Exception, self.full, driver)  # noqa: B017
            self.heal()
            self.assertEqual(driver is STOCK,
                             bool(self.object_names(self.container)))
            for name in self.object_names(self.container):
                self.store.delete(self.container, name)

    def test_swift_that_is_away(self):
        self.be_patient(_PATIENCE)
        for driver in (STOCK, OURS):
            self.proxy.apply(rule(Refuse(_AWAY), 'PUT', Kind.CHUNK, first=3))
            if driver is STOCK:
                self.assertRaises(Exception, self.full, driver)  # noqa: B017
                self.heal()
                continue
            self.assertEqual(self.data,
                             self.content(driver, self.full(driver)))
            self.assertEqual([1], self.proxy.hits())

    def test_delete_when_swift_cannot_be_asked(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            before = self.object_names(self.container)
            self.proxy.refuse()
            self._delete(driver, backup)
            self.heal()
            self.assertEqual(before, self.object_names(self.container))

    def test_delete_where_there_is_nothing(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            for name in self.object_names(self.container):
                self.store.delete(self.container, name)
            self._delete(driver, backup)

    def _delete(self, driver, backup):
        """Delete what cannot be deleted; who says nothing loses the record."""
        if driver is STOCK:
            driver(self.context).delete_backup(backup)
        else:
            self.assertRaises(cinder_exception.CinderException,
                              driver(self.context).delete_backup, backup)

    def test_delete_of_what_another_project_needs(self):
        for driver in (STOCK, OURS):
            full = self.full(driver)
            tip = self.back_up(driver, self.volume, self.path, full)
            tip.project_id = 'another'
            tip.save()
            if driver is STOCK:
                driver(self.context).delete_backup(full)
                self.assertEqual([], self.chunks(full))
                continue
            error = self.assertRaises(
                cinder_exception.CinderException,
                driver(self.context).delete_backup, full)
            self.assertIn(tip.id, str(error))
            self.assertEqual(4, len(self.chunks(full)))

    def test_delete_of_one_of_two_records(self):
        for driver in (STOCK, OURS):
            backup = self.full(driver)
            twin = self.make_backup(self.volume)
            for name in ('container', 'service', 'service_metadata'):
                setattr(twin, name, getattr(backup, name))
            twin.status = fields.BackupStatus.AVAILABLE
            twin.save()
            driver(self.context).delete_backup(twin)
            self.assertEqual(driver is OURS, bool(self.chunks(backup)))

    def test_volume_that_has_grown(self):
        larger = self.data + b'more'
        for driver in (STOCK, OURS):
            volume, path = self.make_volume(self.data)
            full = self.back_up(driver, volume, path)
            volume.size = 2
            volume.save()
            path.write_bytes(larger)
            self._is_possible(driver, volume, path, full, larger,
                              incremental=True)

    def test_other_size_of_blocks(self):
        for driver in (STOCK, OURS):
            self.configure(backup_swift_block_size=BLOCK)
            full = self.full(driver)
            self.configure(backup_swift_block_size=2 * BLOCK)
            self._is_possible(driver, self.volume, self.path, full,
                              self.data, incremental=False)

    def _is_possible(self, driver, volume, path, parent, data, *,
                     incremental):
        """An incremental is refused, or made in some way."""
        if driver is STOCK:
            self.assertRaises(cinder_exception.InvalidBackup, self.back_up,
                              driver, volume, path, parent)
            return
        made = self.back_up(driver, volume, path, parent)
        self.assertEqual(incremental, made.parent_id is not None)
        self.assertEqual(data, self.content(driver, made))

    def test_broken_chain(self):
        for driver in (STOCK, OURS):
            full = self.full(driver)
            self.store.delete(self.container, self.chunks(full)[1])
            made = self.back_up(driver, self.volume, self.path, full)
            if driver is STOCK:
                self.assertEqual(full.id, made.parent_id)
                self.assertRaises(Exception, self.content,  # noqa: B017
                                  driver, made)
                continue
            self.assertIsNone(made.parent_id)
            self.assertEqual(self.data, self.content(driver, made))

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

    def test_wrong_login(self):
        self.configure(
            backup_swift_auth='single_user',
            **{**cinder_side.version_3_options(self.cloud, self.cloud.demo),
               'backup_swift_key': 'wrong'})
        STOCK(self.context).check_for_setup_error()
        self.assertRaises(cinder_exception.BackupDriverException,
                          OURS(self.context).check_for_setup_error)


def _bytes_read():
    """How many bytes this process has read from files."""
    counters = dict(line.split(': ') for line in pathlib.Path(
        '/proc/self/io').read_text().splitlines())
    return int(counters['rchar'])

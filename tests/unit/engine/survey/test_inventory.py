# SPDX-License-Identifier: Apache-2.0

"""Backups that are found in a store."""

import dataclasses
import datetime
import threading
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.fakes import operations
from tests.unit.engine import base

# Seconds, for what comes at once.
_LONG = 60
_DATA = bytes(range(256)) * 2


class _Gauge:
    """How many calls there are at the same time."""

    def __init__(self):
        self._lock = threading.Lock()
        self._now = self.most = 0

    def enter(self, stop):
        """One more."""
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)

    def leave(self, answer):
        """One less."""
        with self._lock:
            self._now -= 1
        return answer


class ScanTest(base.EngineTestCase):
    """Names are enough."""

    def setUp(self):
        super().setUp()
        self.inventory = inventory.Inventory(operations.on(self.store))

    def _scan(self, *containers):
        return self.inventory.scan(containers or [base.CONTAINER])

    def test_backups_are_found_the_oldest_first(self):
        # The names of 1 and 10 are mixed in a listing.
        for number in (2, 10, 1):
            self.bench.archive(number, _DATA)
        found = self._scan()
        self.assertEqual([base.ref(1), base.ref(2), base.ref(10)],
                         [each.ref for each in found])
        for each in found:
            infos = list(self.bench.memory.list(
                base.CONTAINER, each.ref.prefix + '_')) + list(
                self.bench.memory.list(base.CONTAINER, each.ref.prefix + '-'))
            self.assertEqual(len(infos), each.objects)
            self.assertEqual(sum(info.size for info in infos),
                             each.stored_bytes)
            # Whatever was noted with the manifest later.
            self.assertEqual(
                max(info.modified for info in infos if info.name
                    != naming.manifest_name(each.ref.prefix)), each.modified)
            self.assertTrue(each.has_manifest)
        self.assertEqual(
            datetime.datetime(2026, 8, 1, 12, 0, 1, tzinfo=datetime.UTC),
            found[0].created)

    def test_containers_that_cannot_be_asked_for(self):
        self.bench.archive(1, _DATA)
        names = ('.', '..', base.CONTAINER)
        with mock.patch.object(faulty.FaultyStore, 'containers',
                               side_effect=lambda: iter(names)):
            (found,) = self.inventory.scan_all()
        self.assertEqual(base.ref(1), found.ref)

    def test_backups_of_the_same_second(self):
        for name in ('z', 'a', 'm'):
            self.bench.put('volume_v/20260801120001/'
                           f'az_nova_backup_{name}_metadata', b'x')
        self.assertEqual(['z', 'a', 'm'],
                         [each.ref.backup_id for each in self._scan()])

    def test_without_a_manifest(self):
        self.bench.archive(1, _DATA)
        self.bench.memory.delete(base.CONTAINER,
                                 naming.manifest_name(base.ref(1).prefix))
        (found,) = self._scan()
        self.assertFalse(found.has_manifest)

    def test_other_objects(self):
        for name in ('readme', 'volume_', 'volume_x/y',
                     'volume_v/20269901120005/az_nova_backup_b-00001'):
            self.bench.put(name, b'x')
        self.assertEqual([], self._scan())

    def test_segments(self):
        self.bench.archive(1, _DATA)
        (before,) = self._scan()
        name = naming.digest_file_name(base.ref(1).prefix)
        size = len(self.bench.get(name))
        other = naming.segments_container(base.CONTAINER)
        self.bench.memory.ensure_container(other, create=True)
        segment = naming.digest_segment_name(base.ref(1).prefix, 0)
        self.bench.put(segment, b'twelve bytes', container=other)
        (found,) = self._scan()
        self.assertEqual((before.objects + 1, before.stored_bytes - size + 12),
                         (found.objects, found.stored_bytes))
        # What a delete left behind is found, too.
        for info in list(self.bench.memory.list(base.CONTAINER, '')):
            self.bench.memory.delete(base.CONTAINER, info.name)
        (found,) = self._scan()
        self.assertEqual((base.ref(1), 1, 12, False),
                         (found.ref, found.objects, found.stored_bytes,
                          found.has_manifest))

    def _asked(self, method):
        return [call.container for call in self.store.calls
                if call.method == method]

    def test_each_container_of_the_account_once(self):
        for name in ('a', 'a_segments', 'b_segments', 'c'):
            self.bench.memory.ensure_container(name, create=True)
        self.assertEqual([], self.inventory.scan_all())
        self.assertEqual(1, len(self._asked('containers')))
        # None of segments that the account does not show.
        self.assertEqual(
            ['a', 'a_segments', 'b_segments', 'c', base.CONTAINER],
            sorted(self._asked('list')))

    def test_segments_in_the_account(self):
        self.bench.archive(1, _DATA)
        other = naming.segments_container(base.CONTAINER)
        self.bench.memory.ensure_container(other, create=True)
        self.bench.put(naming.digest_segment_name(base.ref(1).prefix, 0),
                       b'twelve bytes', container=other)
        self.assertEqual(self._scan(), self.inventory.scan_all())

    def test_container_that_is_gone_though_it_is_listed(self):
        self.bench.archive(1, _DATA)
        self.store.script(faulty.alter(
            'containers', lambda names: ('another', *names, 'one more')))
        (found,) = self.inventory.scan_all()
        self.assertEqual(base.ref(1), found.ref)

    def test_many_containers(self):
        names = [f'volume-{number:03d}' for number in range(100)]
        for name in names:
            self.bench.memory.ensure_container(name, create=True)
            # Of one second, so in the order of their names.
            self.bench.put(base.ref(1).prefix + '_metadata', b'x', name)
        gauge, both = _Gauge(), threading.Barrier(2)
        self.store.script(
            faulty.Rule('list', before=gauge.enter, after=gauge.leave),
            # The first two wait for each other.
            *(faulty.Rule('list', nth=number,
                          before=lambda stop: both.wait(_LONG))
              for number in (1, 2)))
        found = self.inventory.scan_all()
        self.assertEqual(names, [each.ref.container for each in found])
        # Several at a time, and with two workers no more than eight.
        self.assertTrue(1 < gauge.most <= 8, gauge.most)
        self.assertEqual(names, [
            each.ref.container for each in self.inventory.scan(names)])

    def test_failure_of_one_of_many(self):
        for name in ('a', 'b', 'c'):
            self.bench.memory.ensure_container(name, create=True)
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('down'), nth=2))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.inventory.scan_all)

    def test_where_containers_are_copied_to(self):
        names = [f'volume-{number:03d}' for number in range(20)]
        for name in names:
            self.bench.memory.ensure_container(name, create=True)
        sync = store_base.Sync('//r/c/a/volume-007', 'key')
        self.bench.memory.syncs['volume-007'] = sync
        self.assertEqual({**dict.fromkeys(names), 'volume-007': sync},
                         self.inventory.syncs(names))

    def test_segments_that_may_not_be_looked_at(self):
        self.bench.archive(1, _DATA)
        self.store.script(faulty.fail(
            'list', exceptions.AccessDenied('no'), nth=2))
        self.assertEqual(1, len(self._scan()))

    def test_no_such_container(self):
        self.assertRaises(exceptions.ContainerNotFound, self._scan, 'none')


class SelectTest(base.EngineTestCase):
    """An id, or the beginning of one."""

    def setUp(self):
        super().setUp()
        for number in (1, 2, 10):
            self.bench.archive(number, _DATA)
        self.found = inventory.Inventory(
            self.bench.repository.operation).scan([base.CONTAINER])

    def test_whole_id(self):
        self.assertEqual(
            base.ref(1), inventory.select(self.found, 'bak-1').ref)

    def test_beginning(self):
        self.assertEqual(
            base.ref(10), inventory.select(self.found, 'bak-10').ref)
        self.assertEqual(
            base.ref(2), inventory.select(self.found[:2], 'bak-2').ref)

    def test_capitals(self):
        for beginning, number in (('BAK-10', 10), ('Bak-1', 1)):
            self.assertEqual(base.ref(number), inventory.select(
                self.found, beginning).ref)
        # Where there are both, they are told apart.
        upper = dataclasses.replace(self.found[0], ref=dataclasses.replace(
            self.found[0].ref, backup_id='BAK-1'))
        self.assertIs(upper, inventory.select([*self.found, upper], 'BAK-1'))
        self.assertEqual(base.ref(1), inventory.select(
            [*self.found, upper], 'bak-1').ref)
        self.assertRaises(exceptions.SelectionError, inventory.select,
                          [*self.found, upper], 'Bak-1')

    def test_none(self):
        self.assertIn("'x'", str(self.assertRaises(
            exceptions.SelectionError, inventory.select, self.found, 'x')))

    def test_several(self):
        err = self.assertRaises(exceptions.SelectionError, inventory.select,
                                self.found, 'bak')
        for text in ('3 backups', 'bak-1', 'bak-10', base.CONTAINER):
            self.assertIn(text, str(err))

    def test_a_backup_in_two_forms_is_what_it_was_converted_to(self):
        before = dataclasses.replace(self.found[0], has_manifest=True)
        after = dataclasses.replace(before, ref=dataclasses.replace(
            before.ref, prefix=naming.converted(before.ref.prefix, 'packs')),
            has_manifest=False)
        both = [before, *self.found[1:], after]
        # Not before it is complete.
        self.assertIs(before, inventory.select(
            both, before.ref.backup_id))
        after.has_manifest = True
        self.assertIs(after, inventory.select(both, before.ref.backup_id))
        elsewhere = dataclasses.replace(after, ref=dataclasses.replace(
            after.ref, container='elsewhere'))
        self.assertRaises(exceptions.SelectionError, inventory.select,
                          [*both, elsewhere], before.ref.backup_id)

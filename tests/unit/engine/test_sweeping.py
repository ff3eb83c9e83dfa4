# SPDX-License-Identifier: Apache-2.0

"""Packs that nobody names go, and no others."""

import contextlib
import datetime
import gzip
import itertools
import json
import random
import threading
from unittest import mock

from hypothesis import given
from hypothesis import settings
from hypothesis import stateful
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import archiver
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import condemned
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base as store_base
from tests import selection
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import serial
from tests.fakes import turns
from tests.fakes import volumes
from tests.unit.engine import base

_PACKS = chains.Form.PACKS
_HOUR = datetime.timedelta(hours=1)
_VOLUME = sweeping.Volume(base.CONTAINER, base.ref(1).prefix)
_NOTE = naming.condemned_name(base.ref(1).prefix)
_FIRST = random.Random(1).randbytes(500)
# Its first pack has nothing of the first any more.
_SECOND = b'!' * 200 + _FIRST[200:]


def _packs(bench):
    return set(filter(naming.is_pack, bench.names()))


def _records(told=False, gone=(), staying=()):
    """What is on record, as it is asked for."""
    known = frozenset(base.ref(number).backup_id for number in range(99))
    return lambda: sweeping.OnRecord(
        is_told=told, known=known, gone=frozenset(gone),
        staying=(living := frozenset(base.ref(number).prefix
                                     for number in staying)),
        expected=living)


class SweepTestCase(base.EngineTestCase):
    """A volume with two recovery points."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        self.bench.archive(1, _FIRST, form=_PACKS)
        self.bench.archive(2, _SECOND, parent=1, form=_PACKS)
        self.second = set(
            self.bench.repository.load(base.ref(2)).point.packs.names())
        # The backups are of yesterday.
        self.wait(30)
        self.store.heal()

    def sweep(self, *, told=False, gone=(), staying=(), grace=sweeping.GRACE,
              **options):
        """Sweep the volume."""
        return sweeping.Sweeper(self.bench.repository, grace).sweep(
            _VOLUME, ask=_records(told, gone, staying), **options)

    def sweep_without(self, number, **options):
        """Sweep with a listing that lags, and does not show a backup."""
        manifest = naming.manifest_name(base.ref(number).prefix)
        self.store.script(faulty.Rule('list', after=lambda found: [
            info for info in found if info.name != manifest]))
        try:
            return self.sweep(**options)
        finally:
            self.store.heal()

    def wait(self, hours):
        """Have time pass."""
        self.bench.memory.ahead += hours * _HOUR

    def check(self, number, data):
        """A backup can be restored."""
        target = self.bench.restore(self.bench.resolve(number),
                                    b'\xa5' * len(data))
        self.assertEqual(data, bytes(target.data))


class SweepTest(SweepTestCase):
    """One sweep after the other."""

    def test_nothing_to_do(self):
        names = self.bench.names()
        for hours in (0, 30, 30):
            self.wait(hours)
            self.assertEqual(sweeping.Swept(), self.sweep())
        # Whoever reads an empty note need not look four times for it.
        self.assertEqual([*names, _NOTE], self.bench.names())
        self.assertEqual([_NOTE], self.store.names('put'))

    def test_only_after_the_grace(self):
        self.bench.delete(base.ref(1))
        due = _packs(self.bench) - self.second
        self.assertNotEqual(set(), due)
        for hours in (0, 1, 22.9):
            self.wait(hours)
            self.assertEqual(sweeping.Swept(waiting=len(due)), self.sweep())
        self.wait(0.2)
        swept = self.sweep(dry_run=True)
        self.assertEqual(due, set(swept.deleted))
        self.assertEqual(due | self.second, _packs(self.bench))
        self.assertEqual(swept, self.sweep())
        self.assertEqual(self.second, _packs(self.bench))
        self.check(2, _SECOND)
        # Then the note says nothing any more, and stays as long as packs do.
        self.assertEqual(sweeping.Swept(), self.sweep())
        self.assertEqual({}, condemned.decode(self.bench.get(_NOTE)))
        puts = self.store.names('put')
        self.assertEqual(sweeping.Swept(), self.sweep())
        self.assertEqual(puts, self.store.names('put'))
        self.bench.delete(base.ref(2))
        self.sweep(told=True)
        self.assertEqual([], self.bench.names())

    def test_a_dry_run_changes_nothing(self):
        self.bench.delete(base.ref(1))
        names = self.bench.names()
        for hours in (0, 30):
            self.wait(hours)
            self.assertLess(0, self.sweep(dry_run=True).waiting)
            self.assertEqual(names, self.bench.names())

    def test_what_is_named_again_begins_anew(self):
        self.assertLess(0, self.sweep_without(2).waiting)
        self.wait(25)
        self.assertEqual(sweeping.Swept(), self.sweep())
        self.check(2, _SECOND)
        self.bench.delete(base.ref(2))
        self.assertEqual((), self.sweep().deleted)

    def test_a_volume_without_backups(self):
        self.bench.delete(base.ref(1))
        self.assertEqual((), self.sweep(told=True).deleted)
        self.bench.delete(base.ref(2))
        self.assertEqual((), self.sweep().deleted)
        packs = _packs(self.bench)
        self.assertEqual(packs, set(self.sweep(told=True).deleted))
        self.assertEqual([], self.bench.names())

    def test_a_manifest_that_listings_still_show(self):
        found = list(self.bench.memory.list(base.CONTAINER, ''))
        for number in (1, 2):
            self.bench.delete(base.ref(number))
        self.store.script(faulty.Rule('list', after=lambda _: found))
        self.assertIn('cannot be read', self.sweep(told=True).why)
        prefixes = [base.ref(number).prefix for number in (1, 2)]
        self.sweep(told=True, gone=prefixes)
        self.store.heal()
        self.assertEqual([], self.bench.names())

    def test_a_delete_in_the_middle_of_a_restore(self):
        self.bench.resolve(2)
        kept = {name: self.bench.get(name) for name in self.bench.names()}
        outcomes = set()
        for nth in range(1, 40):
            def go(stop):
                self.store.heal()
                self.bench.delete(base.ref(1), complete=False)
                self.bench.delete(base.ref(2), complete=False)
                self.sweep(told=True)

            self.store.script(faulty.Rule('read', before=go, nth=nth))
            target = volumes.RamVolume(b'\xa5' * len(_SECOND))
            try:
                self.bench.restore_to(target, self.bench.resolve(2))
            except (exceptions.ChunkMissing, exceptions.ChainError) as err:
                self.assertIsNotNone(err.name)
                outcomes.add(False)
            else:
                self.assertEqual(_SECOND, bytes(target.data))
                outcomes.add(True)
            self.store.heal()
            for name, data in kept.items():
                self.bench.put(name, data)
        self.assertEqual({False, True}, outcomes)

    def test_the_last_recovery_point_beside_other_backups(self):
        self.bench.archive(3, _FIRST)
        for number in (1, 2):
            self.bench.delete(base.ref(number))
        self.assertNotEqual(set(), _packs(self.bench))
        # One that is on record, and of which nothing is there.
        self.assertEqual(
            (), self.sweep(told=True, staying=(3, 4)).deleted)
        self.sweep(told=True, staying=(3,))
        self.assertEqual(set(), _packs(self.bench))
        self.check(3, _FIRST)

    def test_a_backup_on_record_that_listings_do_not_show(self):
        self.bench.delete(base.ref(1))
        for hours in (0, 30, 30):
            self.wait(hours)
            self.sweep_without(2, told=True, staying=(2,))
        self.assertEqual(self.second, _packs(self.bench))
        self.check(2, _SECOND)

    def test_packs_of_a_manifest_that_is_lost_stay(self):
        self.bench.memory.delete(
            base.CONTAINER, naming.manifest_name(base.ref(2).prefix))
        before = _packs(self.bench)
        for _ in range(3):
            self.wait(30)
            swept = self.sweep(told=True, staying=(1, 2))
            self.assertIn(base.ref(2).prefix, swept.why)
            self.assertTrue(swept.is_unreadable)
        self.assertEqual(before, _packs(self.bench))
        # Its record was deleted, as nobody can do anything with it.
        for _ in range(2):
            self.wait(30)
            self.sweep(told=True, staying=(1,), gone=(2,))
        self.assertLess(_packs(self.bench), before)
        self.check(1, _FIRST)

    def test_packs_of_a_conversion_do_not_go_at_once(self):
        self.bench.archive(3, _FIRST)
        target = conversion.Converter(self.bench.repository, _PACKS).convert(
            self.bench.resolve(3), None, observers.Recorder(),
            observers.Recorder()).link.ref
        for number in (1, 2):
            self.bench.delete(base.ref(number))
        self.store.script(faulty.alter('list', lambda found: [
            info for info in found
            if info.name != naming.manifest_name(target.prefix)]))
        self.sweep(told=True, staying=(3,))
        self.store.heal()
        restored = self.bench.restore(
            self.bench.repository.resolve([target]), bytes(len(_FIRST)))
        self.assertEqual(_FIRST, bytes(restored.data))

    def test_a_record_that_is_deleted_of_a_backup_that_is_there(self):
        # As of a backup whose record was imported twice.
        gone = [base.ref(number).prefix for number in (1, 2)]
        for hours in (0, 30, 30):
            self.wait(hours)
            self.sweep(told=True, gone=gone)
        self.check(1, _FIRST)
        self.check(2, _SECOND)

    def test_a_backup_on_a_parent_that_is_being_deleted(self):
        # By another cloud: there is no record of it. All that is left of the
        # others is the manifest of its parent.
        self.bench.delete(base.ref(2))
        found = parents.find(self.bench.repository, [base.ref(1)], 16, _PACKS)
        self.addCleanup(found.close)
        done, lock = [], threading.Lock()

        def make(stop):
            with lock:
                if not done:
                    done.append(True)
                    where = base.ref(3)
                    self.bench.archiver.archive(
                        jobs.ArchiveJob(
                            where, base.header(where), base.GEOMETRY, 'none',
                            parent=found, form=_PACKS),
                        volumes.RamVolume(_SECOND), observers.Recorder())

        self.store.script(faulty.Rule(
            'delete', before=make, matching=lambda name: '/packs/' in name))
        self.sweep(told=True, gone=[base.ref(1).prefix, base.ref(2).prefix])
        self.store.heal()
        if not done:
            make(None)
        self.check(3, _SECOND)

    def test_a_backup_that_the_second_look_shows(self):
        # Nobody knows of it, and the first listing does not show it.
        self.bench.delete(base.ref(1))
        manifest = naming.manifest_name(base.ref(2).prefix)
        self.store.script(faulty.Rule('list', nth=2, after=lambda found: [
            info for info in found if info.name != manifest]))
        self.assertIn('made meanwhile', self.sweep(told=True).why)
        self.store.heal()
        self.check(2, _SECOND)

    def test_never_with_the_sweep_that_notes(self):
        self.bench.delete(base.ref(1))
        for grace in (0, -1):
            packs = _packs(self.bench)
            self.bench.memory.delete(base.CONTAINER, _NOTE)
            self.assertEqual((), self.sweep(grace=grace * _HOUR).deleted)
            self.assertEqual(packs, _packs(self.bench))
        self.assertNotEqual((), self.sweep(grace=0 * _HOUR).deleted)

    def test_never_in_a_copy(self):
        self.bench.delete(base.ref(1))
        self.bench.memory.syncs[base.CONTAINER] = store_base.Sync(None, 'key')
        names = self.bench.names()
        for hours in (0, 30):
            self.wait(hours)
            self.assertIn('a copy', self.sweep(told=True).why)
        self.assertEqual(names, self.bench.names())

    def test_never_where_a_manifest_cannot_be_read(self):
        self.bench.archive(3, _FIRST)
        self.bench.archive(4, _FIRST, form=_PACKS)
        self.bench.delete(base.ref(1))
        self.sweep()
        self.wait(30)
        name = naming.manifest_name(base.ref(4).prefix)
        kept = self.bench.get(name)
        for damaged in (kept[:-1], kept.replace(b'2.0.0', b'2.1.0'),
                        kept.replace(b'bak-4', b'bak-3', 1), b'', b'#' * 999,
                        b'[' + kept[1:], kept.replace(b'2.0.0', b'3.0.0'),
                        kept.replace(b'version', b'versiom'),
                        gzip.compress(kept), json.dumps(
                            json.loads(kept), sort_keys=True).encode()):
            self.bench.put(name, damaged)
            self.assertIn('cannot be read', self.sweep().why)
            self.assertEqual((), self.sweep(told=True).deleted)
        self.bench.put(name, kept)
        self.assertNotEqual((), self.sweep().deleted)
        self.check(4, _FIRST)

    def test_manifests_that_cannot_be_had(self):
        self.bench.delete(base.ref(1))
        self.sweep()
        self.wait(30)
        packs = _packs(self.bench)
        for method in ('list', 'read'):
            self.store.script(faulty.fail(
                method, exceptions.StoreUnavailable('no')))
            self.assertRaises(exceptions.StoreUnavailable, self.sweep)
            self.store.heal()
        self.assertEqual(packs, _packs(self.bench))

    def test_a_container_that_is_gone(self):
        self.assertEqual(
            sweeping.Swept(), sweeping.Sweeper(self.bench.repository).sweep(
                sweeping.Volume('gone', base.ref(1).prefix)))

    def test_other_volumes_are_left(self):
        other = 'volume_vol-10/packs/bak-1-000001'
        self.bench.put(other, b'x')
        for number in (1, 2):
            self.bench.delete(base.ref(number))
        self.sweep(told=True)
        self.assertEqual([other], self.bench.names())

    def test_packs_younger_than_the_grace_stay(self):
        # Whatever a note says, which somebody else may have written.
        self.bench.archive(3, _FIRST, form=_PACKS)
        self.bench.delete(base.ref(3))
        self.bench.delete(base.ref(1))
        self.sweep()
        self.wait(23)
        self.bench.put(_NOTE, condemned.encode({
            name.removeprefix('volume_vol-1/packs/'): datetime.datetime(
                2026, 1, 1, tzinfo=datetime.UTC)
            for name in _packs(self.bench)}))
        self.assertNotIn('/packs/bak-3-', str(self.sweep().deleted))
        self.check(2, _SECOND)

    def test_a_note_that_is_none(self):
        self.bench.delete(base.ref(1))
        for note in (b'', b'{}', b'[]', b'{"version": "1.0.0"}',
                     b'{"version": "9", "condemned": {}}',
                     b'{"version": "1.0.0", "condemned": {"x": 5}}',
                     b'{"version": "1.0.0", "condemned": [5]}',
                     b'{"version": "1.0.0", "condemned": '
                     b'{"bak-1-000001": "2020-01-01T00:00:00"}}'):
            self.wait(30)
            self.bench.put(_NOTE, note)
            self.assertEqual((), self.sweep().deleted, note)

    def test_any_request_fails_or_is_not_done(self):
        self.bench.delete(base.ref(1))
        self.sweep()
        self.wait(30)
        kept = {name: self.bench.get(name) for name in self.bench.names()}
        self.store.heal()
        self.sweep()
        calls = [call.method for call in self.store.calls]
        for method in set(calls):
            for nth in range(1, calls.count(method) + 1):
                for rule in (
                        faulty.fail(method, exceptions.StoreUnavailable('no'),
                                    nth=nth),
                        faulty.lose_answer(
                            method, exceptions.StoreUnavailable('no'),
                            nth=nth),
                        *([faulty.lose(method, nth=nth)]
                          if method in ('put', 'delete') else [])):
                    for name, data in kept.items():
                        if name not in self.bench.names():
                            self.bench.put(name, data)
                            self.wait(30)
                    self.store.script(rule)
                    with contextlib.suppress(exceptions.StoreUnavailable):
                        self.sweep()
                    self.store.heal()
                    self.assertLessEqual(self.second, _packs(self.bench))
                    self.wait(30)
                    self.sweep()
                    self.wait(30)
                    self.sweep()
                    self.assertEqual(self.second, _packs(self.bench))
        self.check(2, _SECOND)


class DueTest(SweepTestCase):
    """A backup that was begun before its parent was deleted, long ago."""

    def setUp(self):
        super().setUp()
        self.bench.delete(base.ref(2))
        for name in _packs(self.bench) - set(
                self.bench.repository.load(base.ref(1)).point.packs.names()):
            self.bench.memory.delete(base.CONTAINER, name)
        found = parents.find(self.bench.repository, [base.ref(1)], 16, _PACKS)
        self.addCleanup(found.close)
        where = base.ref(3)
        # Its pages are read while the parent is there.
        self.job = jobs.ArchiveJob(
            where, base.header(where), base.GEOMETRY, 'none', parent=found,
            form=_PACKS)

    def _archive(self):
        self.bench.archiver.archive(
            self.job, volumes.RamVolume(_FIRST[:-1] + b'!'),
            observers.Recorder())

    def test_deletes_that_come_after_the_last_look(self):
        # A sweep has read all manifests, and is slow to delete.
        (err,) = self._begin_and_make_during_a_sweep(25)
        self.assertIn('the parent was deleted during', str(err))
        self.assertRaises(exceptions.ChainError, self.bench.resolve, 3)

    def _begin_and_make_during_a_sweep(self, hours):
        raised, done, lock = [], [], threading.Lock()

        def make(stop):
            with lock:
                if done:
                    return
                done.append(True)
                try:
                    self._archive()
                except exceptions.BackupError as err:
                    raised.append(err)

        # Of the old parent, the backup has all but its manifest.
        manifest = naming.manifest_name(base.ref(1).prefix)
        self.bench.memory.delete(base.CONTAINER, manifest)
        self.sweep()
        self.wait(hours)
        self.store.script(faulty.Rule(
            'delete', before=make,
            matching=lambda name: '/packs/bak-1-' in name))
        self.sweep()
        self.store.heal()
        return raised

    def test_while_the_parent_is_there(self):
        # Listings have not shown it for long.
        self.sweep_without(1)
        self.wait(12)
        self._archive()
        self.wait(25)
        self.assertEqual((), self.sweep().deleted)
        self.check(3, _FIRST[:-1] + b'!')


class _Actor:
    """Somebody with an engine of one thread, and a store of turns."""

    def __init__(self, memory, order, name, shown):
        self.store = turns.Store(memory, order, name, shown)
        self.repository = repository.Repository(operations.Operation(
            self.store, pipelines.Pipeline(pipelines.Runtime(
                executor=lambda workers: serial.SerialExecutor()), 1)))

    def archive(self, number, data, parent):
        """Make a backup on a parent, or a full one without it."""
        found = parents.find(self.repository, [base.ref(parent)], 16, _PACKS)
        where = base.ref(number)
        archiver.Archiver(self.repository).archive(
            jobs.ArchiveJob(where, base.header(where), base.GEOMETRY, 'none',
                            parent=found, form=_PACKS),
            volumes.RamVolume(data), observers.Recorder())

    def delete(self, number):
        """Delete a backup."""
        names = self.repository.find_objects(base.ref(number),
                                             complete=False).names
        self.repository.discard(base.ref(number), names)

    def sweep(self, *, told=False):
        """Sweep the volume."""
        sweeping.Sweeper(self.repository).sweep(
            _VOLUME, ask=_records(told))


def _any_order(chance):
    """Turns at random, in long and short runs."""
    left, who = 0, ''

    def choose(waiting):
        nonlocal left, who
        if left <= 0 or who not in waiting:
            who, left = chance.choice(waiting), chance.choice((1, 3, 20))
        left -= 1
        return who

    return choose


class InterleavingTest(SweepTestCase):
    """Whatever the order, a backup that was made can be restored."""

    def _run(self, choose, lag, hours, before=30, *, told=False):
        bench = base.Bench()
        bench.archive(1, _FIRST, form=_PACKS)
        memory = bench.memory
        memory.ahead += before * _HOUR
        order = turns.Turns(choose)
        # A listing does not show what was put so many turns ago.
        put_at = {}

        def shown(info):
            return len(order.taken) - put_at.get(info.name, -99) > lag

        real = memory.put

        def put(container, name, body):
            put_at[name] = len(order.taken)
            return real(container, name, body)

        memory.put = put
        maker, sweeper = (_Actor(memory, order, name, shown)
                          for name in ('maker', 'sweeper'))

        def delete_and_sweep():
            sweeper.delete(1)
            sweeper.sweep(told=told)
            for _ in range(2):
                order.wait('sweeper')
                memory.ahead += hours * _HOUR
                sweeper.sweep()

        raised = order.run({
            'maker': lambda: maker.archive(2, _SECOND, 1),
            'sweeper': delete_and_sweep})
        memory.put = real
        self.assertIsNone(raised['sweeper'], order.taken)
        if raised['maker'] is None:
            target = bench.restore(bench.resolve(2), bytes(len(_SECOND)))
            self.assertEqual(_SECOND, bytes(target.data), order.taken)
        else:
            self.assertIsInstance(raised['maker'], exceptions.BackupError)
        for _ in range(2):
            bench.memory.ahead += 60 * _HOUR
            sweeping.Sweeper(bench.repository).sweep(_VOLUME)
        expected = set()
        if raised['maker'] is None:
            expected = set(bench.repository.load(
                base.ref(2)).point.packs.names())
        self.assertEqual(expected, _packs(bench), order.taken)
        return raised['maker'] is None

    @given(st.randoms(use_true_random=False), st.integers(0, 12),
           st.sampled_from((0, 7, 25)), st.sampled_from((0, 30)))
    @settings(max_examples=selection.examples(250))
    def test_a_backup_while_its_parent_is_deleted(self, chance, lag, hours,
                                                  before):
        self._run(_any_order(chance), lag, hours, before)

    @given(st.randoms(use_true_random=False), st.sampled_from((0, 7, 25)))
    @settings(max_examples=selection.examples(150))
    def test_a_backup_that_nobody_knows_of(self, chance, hours):
        # All packs go at once, since there is no record of it.
        self._run(_any_order(chance), 0, hours, told=True)

    def test_two_sweeps_and_a_backup_on_another(self):
        made = set()

        @given(st.randoms(use_true_random=False), st.integers(0, 8),
               st.sampled_from((5, 13)))
        @settings(max_examples=selection.examples(120))
        def run(chance, lag, hours):
            made.add(self._run_with_two_sweeps(chance, lag, hours))

        run()
        self.assertIn(True, made)

    def _run_with_two_sweeps(self, chance, lag, hours):
        # Of the deleted one, the second needs some packs, and the third that
        # is being made too.
        bench = base.Bench()
        bench.archive(1, _FIRST, form=_PACKS)
        bench.archive(2, _SECOND, parent=1, form=_PACKS)
        bench.memory.ahead += 30 * _HOUR
        bench.delete(base.ref(1))
        order = turns.Turns(_any_order(chance))
        put_at = {}
        real = bench.memory.put

        def put(container, name, body):
            put_at[name] = len(order.taken)
            return real(container, name, body)

        def shown(info):
            return len(order.taken) - put_at.get(info.name, -99) > lag

        bench.memory.put = put
        actors = {name: _Actor(bench.memory, order, name, shown)
                  for name in ('maker', 'one', 'other')}

        def sweep(name):
            for _ in range(2):
                actors[name].sweep()
                order.wait(name)
                bench.memory.ahead += hours * _HOUR

        third = _SECOND[:-16] + b'?' * 16
        raised = order.run({
            'maker': lambda: actors['maker'].archive(3, third, 2),
            'one': lambda: sweep('one'), 'other': lambda: sweep('other')})
        bench.memory.put = real
        err = raised.pop('maker')
        self.assertEqual([None] * 2, list(raised.values()), order.taken)
        there = {2: _SECOND}
        if err is None:
            there[3] = third
        else:
            # It took more than a day from one request to the next.
            self.assertEqual(13, hours)
            self.assertIn('may be about to delete', str(err))
        for number, data in there.items():
            target = bench.restore(bench.resolve(number), bytes(len(data)))
            self.assertEqual(data, bytes(target.data), order.taken)
        return err is None

    def test_each_moment(self):
        # The sweeper does all of it at once, at any moment of the backup.
        done = set()
        for moment in range(200):
            count = 0

            def choose(waiting, moment=moment):
                nonlocal count
                count += 1
                if count > moment and 'sweeper' in waiting:
                    return 'sweeper'
                return 'maker' if 'maker' in waiting else waiting[0]

            done.add(self._run(choose, 0, 25))
            if count < moment:
                break
        self.assertEqual({True, False}, done)


    @selection.takes_long
    def test_each_pair_of_moments(self):
        # The sweeper begins at one moment of the backup, and goes on when that
        # is done; or the backup goes on when the sweeper has got so far.
        done = set()
        for moment in itertools.count():
            for length in range(1, 100, 2):
                taken = {'maker': 0, 'sweeper': 0}

                def choose(waiting, moment=moment, length=length, taken=taken):
                    turn = ('maker' if taken['maker'] < moment
                            or taken['sweeper'] >= length else 'sweeper')
                    who = turn if turn in waiting else waiting[0]
                    taken[who] += 1
                    return who

                done.add(self._run(choose, 0, 25))
                if taken['sweeper'] < length:
                    break
            if taken['maker'] < moment:
                break
        self.assertEqual({True, False}, done)


class SweepMachine(stateful.RuleBasedStateMachine):
    """Any history of a volume's backups, deletes and sweeps."""

    def __init__(self):
        super().__init__()
        self.bench = base.Bench()
        self.living = {}
        self.going = []
        self.data = _FIRST
        self.number = 0

    @stateful.rule(parent=st.integers(0, 3), chance=st.integers(0, 99),
                   nth=st.none() | st.integers(1, 12), killed=st.booleans())
    def back_up(self, parent, chance, nth, killed):
        """Make a backup on one of the others; it may fail, or be killed."""
        source = random.Random(chance)
        data = bytearray(self.data)
        start = source.randrange(500)
        data[start:start + 60] = source.choice((bytes(60), b'?' * 60))
        self.number += 1
        if nth:
            self.bench.store.script(faulty.fail(
                'put', exceptions.StoreUnavailable('no'), nth=nth))
        chosen = list(self.living)[parent % len(self.living):][:1] if (
            self.living) else []
        with contextlib.ExitStack() as stack:
            if killed:
                # Whoever is killed undoes nothing.
                stack.enter_context(mock.patch.object(
                    archiver.Archiver, '_clean_up'))
            stack.enter_context(
                contextlib.suppress(exceptions.StoreUnavailable))
            self.bench.archive(self.number, bytes(data), form=_PACKS,
                               parent=chosen[0] if chosen else None)
            self.living[self.number] = bytes(data)
            self.data = bytes(data)
        if killed and self.number not in self.living:
            # Its manifest may be there, if only the answer was lost.
            self.going.append(self.number)
        self.bench.store.heal()

    @stateful.rule(number=st.integers(0, 9),
                   nth=st.none() | st.integers(1, 6))
    def delete(self, number, nth):
        """Delete one of them, perhaps not to the end."""
        if not self.living:
            return
        chosen = list(self.living)[number % len(self.living)]
        del self.living[chosen]
        self.going.append(chosen)
        if nth:
            self.bench.store.script(faulty.fail(
                'delete', exceptions.StoreUnavailable('no'), nth=nth))
        with contextlib.suppress(exceptions.StoreUnavailable):
            self.bench.delete(base.ref(chosen))
            self.going.remove(chosen)
        self.bench.store.heal()

    @stateful.rule(hours=st.sampled_from((1, 12, 25)))
    def wait(self, hours):
        """Have time pass."""
        self.bench.memory.ahead += hours * _HOUR

    @stateful.rule(nth=st.none() | st.integers(1, 8),
                   method=st.sampled_from(('put', 'delete', 'read', 'list')),
                   lag=st.booleans())
    def sweep(self, nth, method, lag):
        """Sweep, perhaps with a failure, or with listings that lag."""
        if nth:
            self.bench.store.script(faulty.fail(
                method, exceptions.StoreUnavailable('no'), nth=nth))
        if lag:
            new = naming.manifest_name(base.ref(self.number).prefix)
            young = self.bench.memory.now() - _HOUR
            self.bench.store.script(faulty.Rule('list', after=lambda found: [
                info for info in found
                if info.name != new or info.modified < young]))
        with contextlib.suppress(exceptions.StoreUnavailable):
            # What listings do not show is not on record either.
            sweeping.Sweeper(self.bench.repository).sweep(
                _VOLUME, ask=_records() if lag else _records(
                    told=True, staying=self.living))
        self.bench.store.heal()

    @stateful.invariant()
    def all_can_be_restored(self):
        """Nothing that a backup needs has gone."""
        for number, data in self.living.items():
            target = self.bench.restore(self.bench.resolve(number),
                                        bytes(len(data)))
            assert bytes(target.data) == data

    def teardown(self):
        """Nothing stays for ever."""
        for number in self.going:
            self.bench.delete(base.ref(number), complete=False)
        for _ in range(3):
            self.bench.memory.ahead += 25 * _HOUR
            sweeping.Sweeper(self.bench.repository).sweep(_VOLUME)
        named = {name for number in self.living for name in
                 self.bench.repository.load(base.ref(number)).point.packs
                 .names()}
        assert _packs(self.bench) == named


class HistoryTest(base.EngineTestCase):
    """Random histories."""

    def test_random_histories(self):
        self.have_small_packs()
        stateful.run_state_machine_as_test(SweepMachine, settings=settings(
            max_examples=selection.examples(80), stateful_step_count=25,
            deadline=None))

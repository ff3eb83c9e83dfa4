# SPDX-License-Identifier: Apache-2.0

"""A backup is all or nothing, whatever goes wrong and whenever."""

import contextlib
import itertools
import os
import random
import time
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import spool
from cinder_swift_backup.engine.volumes import base as volumes_base
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.fakes import observers
from tests.fakes import serial
from tests.fakes import volumes
from tests.unit.engine import base

_DATA = random.Random(2).randbytes(64 * 5 + 10)
# Chunks, digest file and manifest.
_PUTS = 6 + 2


def _failure():
    return exceptions.StoreUnavailable('the store is on fire')


class CommitTest(base.EngineTestCase):
    """What is written when."""

    def test_manifest_is_written_last(self):
        self.bench.archive(1, _DATA)
        prefix = base.ref(1).prefix
        puts = self.store.names('put')
        self.assertEqual(_PUTS, len(puts))
        self.assertEqual([naming.digest_file_name(prefix),
                          naming.manifest_name(prefix)], puts[-2:])

    def test_without_its_manifest_there_is_no_backup(self):
        self.store.script(faulty.fail(
            'put', _failure(), matching=lambda name: 'metadata' in name))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.bench.archive, 1, _DATA)
        self.assertRaises(exceptions.ChainError, self.bench.resolve, 1)

    def _deleted_at(self, name, method, **which):
        self._changed_at(name, method, lambda: self.bench.memory.delete(
            base.CONTAINER, name), **which)

    def _changed_at(self, name, method, change, **which):
        self.store.script(faulty.Rule(
            method, before=lambda stop: change(), **which))
        err = self.assertRaises(exceptions.ChunkMissing,
                                self.bench.archive, 1, _DATA)
        self.assertEqual(name, err.name)
        self.assertEqual([], self.bench.names())

    def test_chunk_that_somebody_deletes_meanwhile(self):
        self._deleted_at(
            naming.chunk_name(base.ref(1).prefix, 4), 'put',
            matching=lambda name: name.endswith('_sha256file'))

    def test_chunk_that_somebody_overwrites_meanwhile(self):
        name = naming.chunk_name(base.ref(1).prefix, 4)
        for change in (lambda data: data[:-1], lambda data: data[::-1]):
            self.store.heal()
            self._changed_at(
                name, 'put', lambda: self.bench.damage(
                    name, change),  # noqa: B023
                matching=lambda name: name.endswith('_sha256file'))

    def test_digest_file_that_somebody_deletes_meanwhile(self):
        self._deleted_at(naming.digest_file_name(base.ref(1).prefix), 'list')

    def test_listing_may_lag_or_fail(self):
        for number, rule in enumerate((
                faulty.Rule('list', after=lambda found: ()),
                faulty.fail('list', _failure())), start=1):
            self.store.heal()
            self.store.script(rule)
            self.bench.archive(number, _DATA)
            self.assertEqual(number * _PUTS, len(self.bench.names()))

    def test_nobody_waits_for_objects_that_are_looked_for(self):
        # All of them, one by one, at a store that does not answer.
        busy = faulty.Busy('stat', matching=base.is_chunk)
        self.store.script(faulty.fail('list', _failure()), busy)
        calls = itertools.count()

        class Observer(observers.Recorder):
            def checkpoint(self):
                super().checkpoint()
                if busy.cut_short and next(calls):
                    raise exceptions.Cancelled('enough')

        with mock.patch.object(pipelines, 'POLL', 0.01):
            self.assertRaises(exceptions.Cancelled, self.bench.archive, 1,
                              _DATA, observer=Observer())
        self.assertEqual({True}, set(busy.cut_short))


class FailingPutTest(base.EngineTestCase):
    """Any put may fail."""

    def test_each_put_in_turn(self):
        for fault, nth in itertools.product(
                (faulty.fail, faulty.lose_answer), range(1, _PUTS + 1)):
            with self.subTest(fault=fault.__name__, nth=nth):
                self.store.heal()
                self.store.script(fault('put', _failure(), nth=nth))
                err = self.assertRaises(exceptions.StoreUnavailable,
                                        self.bench.archive, 1, _DATA)
                self.assertEqual('the store is on fire', str(err))
                self.assertEqual([], self.bench.names())

    def test_no_put_comes_after_the_clean_up(self):
        for nth in range(1, _PUTS + 1):
            self.store.heal()
            self.store.script(faulty.fail('put', _failure(), nth=nth))
            self.assertRaises(exceptions.StoreUnavailable,
                              self.bench.archive, 1, _DATA)
            methods = [call.method for call in self.store.calls]
            self.assertNotIn('put', methods[methods.index('delete'):])

    def test_other_backups_are_left_alone(self):
        self.bench.archive(1, _DATA)
        before = self.bench.names()
        self.store.script(faulty.fail('put', _failure(), nth=3))
        self.assertRaises(exceptions.StoreUnavailable, self.bench.archive,
                          2, bytes(len(_DATA)), parent=1)
        self.assertEqual(before, self.bench.names())

    def test_clean_up_needs_no_listing(self):
        self.store.script(faulty.fail('put', _failure(), nth=3),
                          faulty.fail('list', _failure()))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.bench.archive, 1, _DATA)
        self.assertEqual([], self.bench.names())

    def test_first_error_is_told_though_the_clean_up_fails(self):
        self.store.script(
            faulty.fail('put', _failure(), nth=3),
            faulty.fail('delete', exceptions.AccessDenied('not yours')))
        err = self.assertRaises(exceptions.StoreUnavailable,
                                self.bench.archive, 1, _DATA)
        self.assertEqual('the store is on fire', str(err))

    def test_one_object_that_stays_does_not_save_the_others(self):
        # "Nothing is left that can still be reached."
        first = naming.chunk_name(base.ref(1).prefix, 4)
        self.store.script(
            faulty.fail('put', _failure(),
                        matching=lambda name: 'metadata' in name),
            faulty.fail('delete', _failure(),
                        matching=lambda name: name == first))
        self.assertRaises(exceptions.StoreUnavailable,
                          self.bench.archive, 1, _DATA)
        self.assertEqual([first], self.bench.names())


class FailingVolumeTest(base.EngineTestCase):
    """The volume may fail too."""

    def test_read_error_leaves_nothing(self):
        class Shrunk(volumes.RamVolume):
            def read(self, extent, buffer):
                if extent.offset >= 128:
                    raise exceptions.VolumeError('it ended')
                return super().read(extent, buffer)

        self.assertRaises(exceptions.VolumeError,
                          self.bench.archive, 1, Shrunk(_DATA))
        self.assertEqual([], self.bench.names())

    def test_unforeseen_error_leaves_nothing(self):
        class Broken(volumes.RamVolume):
            def read(self, extent, buffer):
                if extent.offset >= 128:
                    raise RuntimeError('nobody thought of it')
                return super().read(extent, buffer)

        self.assertRaises(RuntimeError, self.bench.archive, 1,
                          Broken(_DATA))
        self.assertEqual([], self.bench.names())


class CancellationTest(base.EngineTestCase):
    """Any checkpoint may be the last."""

    def test_at_each_checkpoint(self):
        # Without threads the number of checkpoints is always the same.
        bench = base.Bench(runtime=pipelines.Runtime(
            executor=serial.SerialExecutor))
        with mock.patch.object(pipelines, 'POLL', 0):
            seen = observers.Recorder()
            bench.archive(1, _DATA, observer=seen)
            bench.delete(base.ref(1), complete=True)
            self.assertGreater(seen.checkpoints, 4)
            for nth in range(1, seen.checkpoints + 1):
                err = self.assertRaises(
                    exceptions.Cancelled, bench.archive, 1, _DATA,
                    observer=observers.Recorder(cancel_at=nth))
                self.assertEqual('cancelled by the test', str(err))
                self.assertEqual([], bench.names(), f'checkpoint {nth}')

    def test_thread_that_is_ended(self):
        class Ended(BaseException):
            """As eventlet's GreenletExit and Timeout."""

        class Observer(observers.Recorder):
            def advanced(self, done, total):
                raise Ended

        self.assertRaises(Ended, self.bench.archive, 1, _DATA,
                          observer=Observer())
        self.assertEqual([], self.bench.names())

    def test_result_that_cannot_be_noted(self):
        class Observer(observers.Recorder):
            def stored(self, manifest):
                raise OSError('no database')

        self.assertRaises(OSError, self.bench.archive, 1, _DATA,
                          observer=Observer())
        self.assertEqual([], self.bench.names())

    def _cancel_before_or_after(self, suffix, expected):
        """Cancel at the first checkpoint at which a name is stored."""
        self.assertRaises(
            exceptions.Cancelled, self.bench.archive, 1, _DATA,
            observer=self._cancelling(self.bench.names, suffix))
        puts = [name.rpartition('_')[2] for name in self.store.names('put')]
        self.assertEqual(expected, puts[6:])
        self.assertEqual([], self.bench.names())

    @staticmethod
    def _cancelling(names, suffix):
        """An observer that cancels once there is such a name."""
        class Observer(observers.Recorder):
            def checkpoint(self):
                super().checkpoint()
                if any(name.endswith(suffix) for name in names()):
                    raise exceptions.Cancelled('seen')
        return Observer()

    def test_while_the_store_has_us_wait(self):
        for suffix in ('-00020', '_sha256file', '_metadata'):
            with self.subTest(suffix=suffix), mock.patch.object(
                    pipelines, 'POLL', 0.01):
                self.store.heal()
                busy = faulty.Busy('put', matching=lambda name, suffix=suffix:
                                   name.endswith(suffix))
                self.store.script(busy)
                self.assertRaises(
                    exceptions.Cancelled, self.bench.archive, 1, _DATA,
                    observer=self._cancelling(
                        lambda: self.store.names('put'), suffix))
                self.assertEqual([True], busy.cut_short)
                self.assertEqual([], self.bench.names())

    def test_while_the_digest_file_is_on_its_way(self):
        # It may be gigabytes.
        with mock.patch.object(pipelines, 'POLL', 0), \
                mock.patch.object(digest_file, 'PIECE', 1):
            self.assertRaises(
                exceptions.Cancelled, self.bench.archive, 1, _DATA,
                observer=self._cancelling(lambda: self.store.names('put'),
                                          '_sha256file'))
        self.assertFalse([name for name in self.store.names('put')
                          if name.endswith('_metadata')])
        self.assertEqual([], self.bench.names())

    def test_while_the_volume_is_asked_for_holes(self):
        # An image of 16 TiB takes a while.
        class Slow(volumes.RamVolume):
            asked = 0

            def data_extents(self, within):
                self.asked += 1
                time.sleep(0.001)
                return super().data_extents(within)

        source = Slow(bytes(160_000), sparse=True)
        with mock.patch.object(volumes_base, 'WINDOW', 16), \
                mock.patch.object(pipelines, 'POLL', 0):
            self.assertRaises(
                exceptions.Cancelled, self.bench.archive, 1, source,
                observer=self._cancelling(
                    lambda: ['asked'] if source.asked else [], 'asked'))
        self.assertLess(source.asked, 5000)
        self.assertEqual([], self.bench.names())

    def test_before_the_digest_file(self):
        self._cancel_before_or_after('-00020', [])

    def test_before_the_manifest(self):
        self._cancel_before_or_after('_sha256file', ['sha256file'])

    def test_while_the_manifest_is_on_its_way(self):
        self._cancel_before_or_after('_metadata',
                                     ['sha256file', 'metadata'])

    def test_before_anything(self):
        self.assertRaises(exceptions.Cancelled, self.bench.archive, 1, _DATA,
                          observer=observers.Recorder(cancel_at=1))
        self.assertEqual([], self.bench.store.names('put'))


class LimitTest(base.EngineTestCase):
    """What would fail at the end is refused at the beginning."""

    def _archive(self, largest):
        self.bench = base.Bench(capabilities=store_base.Capabilities(
            max_object_size=largest))
        # The digests are larger than anything else.
        return self.bench.archive(1, _DATA * 4, geometry=types.Geometry(
            chunk_size=16 * 100, block_size=16))

    def test_no_room_for_digests(self):
        full = bytes(range(256)) * 25
        for source in (
                # Zeros take no room.
                volumes.RamVolume(bytes(6400), sparse=True),
                # It may be zeros for all that is known.
                volumes.RamVolume(full, sparse=False)):
            with self._little_room():
                self.bench.archive(1, source)
                self.bench.delete(base.ref(1))
        puts = self.store.names('put')
        with self._little_room():
            err = self.assertRaises(
                exceptions.SpoolError, self.bench.archive, 1,
                volumes.RamVolume(full, sparse=True))
        self.assertEqual((32 * 400, 512), (err.expected, err.actual))
        self.assertEqual(puts, self.store.names('put'))

    @contextlib.contextmanager
    def _little_room(self):
        with mock.patch.object(spool, 'IN_MEMORY', 0), \
                mock.patch.object(os, 'statvfs', return_value=mock.Mock(
                    f_bavail=1, f_frsize=512)):
            yield

    def test_limit_that_nobody_tells(self):
        unknown = mock.patch.object(
            faulty.FaultyStore, 'capabilities',
            side_effect=exceptions.StoreUnavailable('no /info'))
        with unknown:
            self.bench.archive(1, _DATA)
        self.assertEqual(_PUTS, len(self.bench.names()))
        # Swift's default holds, lest all fails at the end.
        puts = self.store.names('put')
        with unknown, mock.patch.object(
                digest_objects, 'USUAL_LARGEST', 100):
            err = self.assertRaises(exceptions.VolumeError,
                                    self.bench.archive, 2, _DATA)
        self.assertEqual(100, err.expected)
        self.assertEqual(puts, self.store.names('put'))

    def test_digest_file_above_the_cluster_s_limit(self):
        self._archive(1 << 20)
        length = len(self.bench.get(
            naming.digest_file_name(base.ref(1).prefix)))
        self._archive(length)
        self._archive(None)
        err = self.assertRaises(exceptions.VolumeError, self._archive,
                                length - 1)
        self.assertEqual((length - 1, length), (err.expected, err.actual))
        for figure in (length - 1, length, len(_DATA) * 4 // 16 + 1, 16):
            self.assertIn(str(figure), str(err))
        self.assertIs(exceptions.Remedy.LARGER_OBJECTS, err.remedy)
        self.assertEqual([], self.bench.store.names('put'))

# SPDX-License-Identifier: Apache-2.0

"""What a look at a backup finds, and what it makes of it."""

import dataclasses
import datetime
import itertools
import json
import tracemalloc
from unittest import mock

from cinder_swift_backup import engine
from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import presence
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.engine.survey import quick
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base as store_base
from tests.fakes import faulty
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_DATA = survey_base.DATA
_State = backups.State
_DAY = survey_base.DAY


class CompleteTest(survey_base.SurveyTestCase):
    """Nothing is wrong."""

    def test_states(self):
        self.assertEqual(['complete'] * 2, self._states())
        self.assertEqual(['complete'] * 2, self._states(days=9))

    def test_summary(self):
        first, second = self._lineage().backups
        self.assertEqual((), first.findings)
        summary = first.summary
        self.assertEqual(
            (base.header(base.ref(1)), chains.Era.DIGESTS, None, None, 512,
             512, True),
            (summary.header, summary.era, summary.parent_id, summary.parent,
             summary.volume_size, summary.end, summary.is_ours))
        self.assertEqual({'none': chains.Stored(8, 512, 512)},
                         summary.by_codec)
        self.assertEqual(('bak-1', base.ref(1)), (
            second.summary.parent_id, second.summary.parent))

    def test_the_order_stays(self):
        self.assertEqual(
            [base.ref(1), base.ref(2)],
            [backup.ref for backup in self._lineage().backups])

    def test_it_can_be_cancelled(self):
        listed = self._listed(base.CONTAINER)
        checker = quick.Checker(self.bench.repository, backups.Patience(
            datetime.datetime.now(datetime.UTC), _DAY))
        with mock.patch('cinder_swift_backup.engine.pipelines.POLL', 0):
            self.assertRaises(
                exceptions.Cancelled, checker.check, listed,
                observers.Recorder(cancel_at=1))

    def test_store_that_fails(self):
        self.store.script(faulty.fail(
            'list', exceptions.StoreUnavailable('down'), nth=4))
        self.assertRaises(exceptions.StoreUnavailable, self._lineage)


class DamageTest(survey_base.SurveyTestCase):
    """Each kind of damage is found, and named."""

    def test_chunk_that_is_not_there(self):
        name = naming.chunk_name(self.prefix, 4)
        self._remove(name)
        self.assertEqual(
            backups.Finding(_State.DAMAGED, 'missing', base.CONTAINER,
                            name), self._finding())
        # What builds on it is no better.
        self.assertEqual(['damaged'] * 2, self._states())
        lineage = self._lineage()
        self.assertIn(name, lineage.problem(lineage.backups[1])[1])

    def test_several(self):
        for number in (4, 8, 12):
            self._remove(naming.chunk_name(self.prefix, number))
        finding = self._finding()
        self.assertEqual(naming.chunk_name(self.prefix, 4), finding.name)
        self.assertIn('2 more', finding.what)

    def test_listing_that_lags(self):
        self.store.script(faulty.alter(
            'list', lambda infos: infos[2:],
            matching=lambda name: name == self.prefix))
        self.assertEqual(['complete'] * 2, self._states())

    def test_listing_that_shows_what_an_object_was(self):
        wrong = [dataclasses.replace(info, **change) for info, change in zip(
            self.bench.memory.list(base.CONTAINER, self.prefix),
            ({'size': 1}, {'etag': 'f' * 32}), strict=False)]
        self.store.script(faulty.alter(
            'list', lambda infos: [*wrong, *infos[2:]],
            matching=lambda name: name == self.prefix))
        self.assertEqual(['complete'] * 2, self._states())

    def test_object_that_is_no_longer_what_a_listing_shows(self):
        name = naming.chunk_name(self.prefix, 4)
        listed = list(self.bench.memory.list(base.CONTAINER, self.prefix))
        self.bench.damage(name, lambda data: data[::-1])
        self.store.script(faulty.alter(
            'list', lambda _: listed,
            matching=lambda prefix: prefix == self.prefix))
        self.assertEqual((name, _State.DAMAGED),
                         (self._finding().name, self._finding().state))

    def test_fault_is_found_once(self):
        for number in (0, 4):
            self.bench.damage(naming.chunk_name(self.prefix, number),
                              lambda data: data[::-1])
        self.assertEqual(2, len(self._lineage().backups[0].findings))

    def test_listing_that_lags_while_something_is_gone(self):
        gone = naming.chunk_name(self.prefix, 4)
        self._remove(gone)
        self.store.script(faulty.alter(
            'list', lambda infos: infos[2:],
            matching=lambda name: name == self.prefix))
        self.assertEqual(gone, self._finding().name)

    def test_faults_of_chunks_that_are_not_listed(self):
        first, second, third = (
            info.name for info in itertools.islice(
                self.bench.memory.list(base.CONTAINER, self.prefix), 3))
        self.bench.damage(first, lambda data: data[::-1])
        self.bench.memory.expiries = {(base.CONTAINER, second):
                                      datetime.datetime.now(datetime.UTC)}
        self._remove(third)
        self.store.script(faulty.alter(
            'list', lambda infos: infos[3:],
            matching=lambda name: name == self.prefix))
        findings = self._lineage().backups[0].findings
        self.assertEqual([first, second, third],
                         [finding.name for finding in findings])
        self.assertIn('MD5', findings[0].what)
        self.assertIn('delete', findings[1].what)

    def test_chunk_of_another_length(self):
        name = naming.chunk_name(self.prefix, 4)
        self.bench.damage(name, lambda data: data[:-1])
        self.assertEqual(
            backups.Finding(
                _State.DAMAGED, 'the length of an object differs from the '
                                'recorded one (63 '
                                'instead of 64)', base.CONTAINER, name),
            self._finding())

    def test_chunk_with_another_content(self):
        name = naming.chunk_name(self.prefix, 4)
        self.bench.damage(name, lambda data: data[::-1])
        self.assertEqual((name, _State.DAMAGED),
                         (self._finding().name, self._finding().state))
        self.assertIn('MD5', self._finding().what)

    def test_damaged_manifest(self):
        name = naming.manifest_name(self.prefix)
        self.bench.damage(name, lambda data: data[:-10])
        finding = self._finding()
        self.assertEqual((_State.DAMAGED, base.CONTAINER, name),
                         (finding.state, finding.container, finding.name))
        lineage = self._lineage()
        self.assertIsNone(lineage.backups[0].summary)
        self.assertIsNone(lineage.size(lineage.backups[0]))
        self.assertEqual(['damaged'] * 2, self._states())

    def test_no_file_of_digests(self):
        name = naming.digest_file_name(self.prefix)
        self._remove(name)
        self.assertEqual(
            backups.Finding(_State.DAMAGED, 'missing', base.CONTAINER,
                            name), self._finding())

    def test_full_backup_with_a_gap(self):
        name = naming.manifest_name(self.prefix)

        def leave_out(data):
            fields = json.loads(data)
            del fields['objects'][3]
            return json.dumps(fields).encode()

        self.bench.damage(name, leave_out)
        finding = self._finding()
        self.assertEqual((_State.DAMAGED, name),
                         (finding.state, finding.name))
        self.assertIn('bytes 192 to 256', finding.what)

    def test_no_manifest(self):
        self._remove(naming.manifest_name(self.prefix))
        self.assertEqual(['arriving', 'damaged'], self._states())
        self.assertEqual(['orphaned', 'damaged'], self._states(days=2))

    def test_manifest_that_is_only_listed(self):
        self.store.script(faulty.fail(
            'read', exceptions.ObjectNotFound('gone'),
            matching=lambda name: name == naming.manifest_name(self.prefix)))
        self.assertEqual(['damaged'] * 2, self._states(days=2))

    def test_no_grace_is_none_whatever_the_time(self):
        # Of a store that tells its time to the second.
        now = datetime.datetime.now(datetime.UTC)
        for grace, late in ((0, True), (1, False)):
            self.assertEqual(late, backups.Patience(
                now, datetime.timedelta(seconds=grace)).is_late(
                    now + datetime.timedelta(seconds=0.9)))


class MemoryTest(base.EngineTestCase):
    """A backup may have millions of chunks, and four are looked at."""

    def setUp(self):
        super().setUp()
        # The store in front of this one keeps whole listings.
        self.engine = engine.Engine(self.bench.memory, pipelines.Runtime(),
                                    4)

    def _table(self, count):
        prefix = base.ref(1).prefix
        return chunk_table.ChunkTable(prefix, (
            types.ChunkRecord(naming.chunk_name(prefix, number),
                              types.Extent(64 * number, 64), 'none', 64,
                              'f' * 32)
            for number in range(count)))

    def _peak(self, table, look):
        """How many bytes a look takes for each chunk; all are listed."""
        now = datetime.datetime.now(datetime.UTC)
        self.enterContext(mock.patch.object(
            self.bench.memory, 'list', side_effect=lambda *_: (
                store_base.ObjectInfo(record.name, 64, 'f' * 32, now)
                for record in table)))
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        look()
        return tracemalloc.get_traced_memory()[1] / len(table)

    def test_check(self):
        table = self._table(10000)
        manifest = chains.Manifest(base.header(base.ref(1)), table,
                                   era=chains.Era.BEFORE_DIGESTS)
        self.enterContext(mock.patch.object(
            repository.Repository, 'load', return_value=manifest))
        now = datetime.datetime.now(datetime.UTC)
        listed = inventory.Listed(base.ref(1), now, now)
        checker = quick.Checker(self.engine.repository,
                                backups.Patience(now, _DAY))

        def look():
            (backup,) = checker.check([listed], observers.Recorder(),
                                      closely=False)
            self.assertIs(_State.COMPLETE, backup.state)

        self.assertLess(self._peak(table, look), 8)

    def test_parents(self):
        # The same of what an incremental wants to build on.
        table = self._table(10000)
        self.assertLess(self._peak(table, lambda: self.assertIsNone(
            presence.look(self.engine.repository.operation, base.ref(1),
                          table))), 8)


class ArrivalTest(survey_base.SurveyTestCase):
    """A copy comes object by object, in about any order."""

    def test_every_set_of_objects(self):
        # The base alone, whatever is there of it.
        for info in list(self.bench.memory.list(
                base.CONTAINER, base.ref(2).prefix)):
            self.bench.memory.delete(base.CONTAINER, info.name)
        stored = {name: self.bench.get(name) for name in self.bench.names()}
        for count in range(1, len(stored)):
            for names in itertools.islice(
                    itertools.combinations(stored, count), 40):
                for name in stored:
                    self.bench.memory.delete(base.CONTAINER, name)
                for name in names:
                    self.bench.put(name, stored[name])
                self.assertEqual(['arriving'],
                                 self._states(copies=[base.CONTAINER]), names)
                (late,) = self._states(days=2, copies=[base.CONTAINER])
                self.assertIn(late, ('damaged', 'orphaned'))

    def test_what_is_there_and_wrong_does_not_get_better(self):
        self.bench.damage(naming.chunk_name(self.prefix, 4),
                          lambda data: data[::-1])
        self.assertEqual(['damaged'] * 2,
                         self._states(copies=[base.CONTAINER]))


class SegmentsTest(base.EngineTestCase):
    """Digests that are a large object."""

    def setUp(self):
        super().setUp()
        for owner, name, value in ((digest_segments, 'LEAST', 3),
                                   (digest_segments, 'NORMAL', 8),
                                   (digest_objects, 'WORTH_SEGMENTS', 1)):
            self.enterContext(mock.patch.object(owner, name, value))
        self.enterContext(mock.patch(
            'cinder_swift_backup.format.digests.STEP', 4))
        self.bench = base.Bench(
            capabilities=store_base.Capabilities(max_segments=100))
        self.bench.archive(1, bytes(64 * 40) + _DATA)
        self.container = naming.segments_container(base.CONTAINER)
        self.names = [info.name for info
                      in self.bench.memory.list(self.container, '')]
        self.assertGreater(len(self.names), 2)

    def _check(self, **options):
        repo = self.bench.repository
        patience = backups.Patience(datetime.datetime.now(datetime.UTC), _DAY)
        (backup,) = quick.Checker(repo, patience).check(
            inventory.Inventory(repo.operation).scan([base.CONTAINER]),
            observers.Recorder(), **options)
        return backup

    def test_complete(self):
        self.assertIs(_State.COMPLETE, self._check().state)

    def test_segment_that_is_not_there(self):
        self.bench.memory.delete(self.container, self.names[1])
        (finding,) = self._check().findings
        self.assertEqual((_State.DAMAGED, self.container, self.names[1]),
                         (finding.state, finding.container, finding.name))

    def test_segment_with_another_content(self):
        self.bench.put(self.names[1], b'other', container=self.container)
        (finding,) = self._check().findings
        self.assertEqual((_State.DAMAGED, self.container, self.names[1]),
                         (finding.state, finding.container, finding.name))

    def test_listing_that_shows_what_a_segment_was(self):
        self.bench.store.script(faulty.alter(
            'list', lambda infos: [dataclasses.replace(info, etag='f' * 32)
                                   for info in infos],
            matching=lambda prefix: prefix == naming.digest_segments(
                base.ref(1).prefix)))
        for closely in (False, True):
            self.assertEqual((), self._check(closely=closely).findings)

    def test_all_are_asked_for_once(self):
        self.bench.store.heal()
        self._check()
        self.assertEqual(self.names, sorted(
            call.name for call in self.bench.store.calls
            if (call.method, call.container) == ('stat', self.container)))

    def test_segment_that_is_only_listed(self):
        for gone in self.names:
            self.bench.store.heal()
            self.bench.store.script(faulty.fail(
                'stat', exceptions.ObjectNotFound('no'),
                matching=lambda name, gone=gone: name == gone))
            (finding,) = self._check().findings
            self.assertEqual((_State.DAMAGED, self.container, gone),
                             (finding.state, finding.container, finding.name))
            # Of what a listing shows, a look that is not close says nothing.
            self.assertEqual((), self._check(closely=False).findings)

    def test_segment_that_will_expire(self):
        when = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC)
        for name in self.names:
            self.bench.memory.expiries = {(self.container, name): when}
            (finding,) = self._check().findings
            self.assertEqual((_State.DAMAGED, self.container, name),
                             (finding.state, finding.container, finding.name))
            self.assertIn('2099-01-01', finding.what)

    def test_sample_of_many(self):
        self.enterContext(mock.patch.object(presence, 'SAMPLE', 2))
        self.bench.store.heal()
        self._check()
        self.assertEqual(2, len({
            call.name for call in self.bench.store.calls
            if (call.method, call.container) == ('stat', self.container)}))

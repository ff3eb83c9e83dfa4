# SPDX-License-Identifier: Apache-2.0

"""An account, as somebody without Cinder looks into it."""

import datetime
from unittest import mock

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import survey
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import memory
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_ELSEWHERE = 'elsewhere'


class AccountTestCase(survey_base.SurveyTestCase):
    """Two backups of one volume, the first of them in two containers."""

    def setUp(self):
        super().setUp()
        self.bench.memory.ensure_container(_ELSEWHERE, create=True)
        for name in self.bench.names():
            if name.startswith(self.prefix):
                self.bench.put(name, self.bench.get(name), _ELSEWHERE)

    def _survey(self, *containers, **options):
        return survey.Survey(self.bench.repository, containers, **options)


class SelectionTest(AccountTestCase):
    """Who is meant, and who else has to be looked at."""

    def test_find(self):
        self.assertEqual(3, len(self._survey().find()))
        self.assertEqual(1, len(self._survey(_ELSEWHERE).find()))
        self.assertRaises(exceptions.ContainerNotFound,
                          self._survey('nowhere').find)

    def test_everything(self):
        lineage = self._survey().everything(observers.Recorder())
        self.assertCountEqual(
            [('bak-1', _ELSEWHERE), ('bak-1', base.CONTAINER),
             ('bak-2', base.CONTAINER)],
            [(backup.ref.backup_id, backup.ref.container)
             for backup in lineage.backups])

    def test_one_with_those_of_its_volume(self):
        lineage, backup = self._survey(base.CONTAINER).one(
            'bak-2', operations.Silent())
        self.assertEqual(base.ref(2), backup.ref)
        self.assertEqual(2, len(lineage.backups))

    def test_one_in_every_container(self):
        # Those elsewhere may build on it, wherever one asked for it.
        lineage, backup = self._survey(base.CONTAINER).one_of_everything(
            'bak-1', operations.Silent())
        self.assertEqual(base.ref(1), backup.ref)
        self.assertEqual(3, len(lineage.backups))

    def test_not_one(self):
        for beginning in ('bak', 'bak-3', ''):
            for find in (self._survey().one,
                         self._survey(base.CONTAINER).one_of_everything):
                self.assertRaises(exceptions.SelectionError, find, beginning,
                                  operations.Silent())

    def test_several_in_the_order_of_the_question(self):
        _, several = self._survey(base.CONTAINER).several(
            ['bak-2', 'bak-1'], operations.Silent())
        self.assertEqual([base.ref(2), base.ref(1)],
                         [backup.ref for backup in several])

    def test_latest(self):
        look = self._survey(base.CONTAINER)
        _, backup = look.latest('vol', operations.Silent())
        self.assertEqual(base.ref(2), backup.ref)
        self._remove(naming.manifest_name(base.ref(2).prefix))
        _, backup = look.latest('vol-1', operations.Silent())
        self.assertEqual(base.ref(1), backup.ref)

    def test_no_latest(self):
        look = self._survey(base.CONTAINER)
        for beginning in ('', 'other'):
            self.assertRaises(exceptions.SelectionError, look.latest,
                              beginning, operations.Silent())
        self._remove(naming.chunk_name(self.prefix, 4))
        self.assertRaises(exceptions.SelectionError, look.latest, 'vol-1',
                          operations.Silent())


class LookTest(AccountTestCase):
    """What becomes of a backup in the meantime."""

    def setUp(self):
        super().setUp()
        self.look = self._survey(base.CONTAINER,
                                 grace=datetime.timedelta(0))

    def _orphan(self):
        self._remove(naming.manifest_name(base.ref(2).prefix))
        _, orphan = self.look.one('bak-2', operations.Silent())
        return orphan

    def test_again(self):
        _, backup = self.look.one('bak-2', operations.Silent())
        self.assertIsNotNone(backup.summary)
        self._remove(naming.manifest_name(base.ref(2).prefix))
        self.assertIsNone(self.look.look_again(backup).summary)
        for name in self.bench.names():
            if name.startswith(base.ref(2).prefix):
                self._remove(name)
        self.assertIsNone(self.look.look_again(backup))

    def test_orphan_is_deleted(self):
        self.assertTrue(self.look.delete_orphan(self._orphan()))
        self.assertEqual([], [name for name in self.bench.names()
                              if name.startswith(base.ref(2).prefix)])

    def test_orphan_that_was_finished_stays(self):
        name = naming.manifest_name(base.ref(2).prefix)
        manifest = self.bench.get(name)
        orphan = self._orphan()
        self.bench.put(name, manifest)
        before = self.bench.names()
        self.assertFalse(self.look.delete_orphan(orphan))
        self.assertEqual(before, self.bench.names())

    def test_observer_ends_it(self):
        with mock.patch.object(pipelines, 'POLL', 0):
            self.assertRaises(exceptions.Cancelled, self.look.everything,
                              observers.Recorder(cancel_at=1))


class ClockTest(AccountTestCase):
    """The age of a backup is told by the store's clock."""

    def _state(self, told, clocks):
        look = self._survey(base.CONTAINER, compare_clocks=clocks)
        self._remove_manifest_once()
        with mock.patch.object(memory.MemoryStore, 'now',
                               return_value=told):
            lineage = look.everything(operations.Silent())
            look.everything(operations.Silent())
        (backup,) = (backup for backup in lineage.backups
                     if backup.ref == base.ref(2))
        return lineage.state(backup)

    def _remove_manifest_once(self):
        name = naming.manifest_name(base.ref(2).prefix)
        if name in self.bench.names():
            self._remove(name)

    def test_whose(self):
        now = datetime.datetime.now(datetime.UTC)
        later = now + 2 * survey_base.DAY
        for told, state in ((later, backups.State.ORPHANED),
                            (now, backups.State.ARRIVING),
                            (None, backups.State.ARRIVING)):
            clocks = mock.Mock()
            self.assertIs(state, self._state(told, clocks), told)
            (call,) = clocks.mock_calls
            self.assertEqual(told, call.args[0])


class OwnerTest(AccountTestCase):
    """Only an owner learns which containers are copies."""

    def test_owner(self):
        self._survey().check_owner()

    def test_somebody_else(self):
        with mock.patch.object(
                self.bench.memory, 'containers',
                side_effect=exceptions.AccessDenied('no owner')):
            self.assertRaises(exceptions.AccessDenied,
                              self._survey().check_owner)

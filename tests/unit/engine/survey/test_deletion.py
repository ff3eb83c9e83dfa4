# SPDX-License-Identifier: Apache-2.0

"""What may be deleted, and why the rest has to stay."""

from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.format import naming
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_Reason = deletion.Reason


def _record(number=1, status='available', container=base.CONTAINER,
            volume='vol-1'):
    return deletion.Record(
        f'bak-{number}', volume, status, container,
        is_in_the_making=status == 'creating',
        is_available=status == 'available',
        is_incremental=False, has_dependents=False)


def _records(*records):
    return {record.backup_id: record for record in records}


class DeletionTestCase(survey_base.SurveyTestCase):
    """One full backup and one incremental on it."""

    def _remove_manifest(self, number):
        self._remove(naming.manifest_name(base.ref(number).prefix))

    def _obstacle(self, number, **options):
        lineage = self._lineage(**options)
        (backup,) = (backup for backup in lineage.backups
                     if backup.ref == base.ref(number))
        return deletion.obstacle(lineage, backup)


class BackupTest(DeletionTestCase):
    """What a user names."""

    def test_tip(self):
        self.assertIsNone(self._obstacle(2))

    def test_what_another_builds_on(self):
        found = self._obstacle(1)
        self.assertIs(_Reason.NEEDED, found.reason)
        self.assertEqual([base.ref(2)],
                         [backup.ref for backup in found.others])

    def test_copy(self):
        self.assertIs(_Reason.COPY, self._obstacle(
            2, copies=[base.CONTAINER]).reason)

    def test_young_one_without_a_manifest(self):
        self._remove_manifest(2)
        self.assertIs(_Reason.IN_THE_MAKING, self._obstacle(2).reason)
        self.assertIsNone(self._obstacle(2, days=2))

    def test_what_another_may_build_on(self):
        # Whether it does, its manifest would tell, at any age.
        self._remove_manifest(2)
        for days in (0, 2):
            found = self._obstacle(1, days=days)
            self.assertIs(_Reason.PERHAPS_NEEDED, found.reason)
            self.assertEqual([base.ref(2)],
                             [backup.ref for backup in found.others])


class RecordTest(DeletionTestCase):
    """What is on record."""

    def _obstacle_on_record(self, *records):
        backup = self._lineage().backups[1]
        return deletion.obstacle_on_record(_records(*records), backup)

    def test_nothing(self):
        for records in ((), (_record(3),), (_record(3, 'error'),),
                        (_record(3, 'creating', volume='vol-2'),),
                        # Of a copy, which is elsewhere.
                        (_record(2, container='elsewhere'),)):
            self.assertIsNone(self._obstacle_on_record(*records), records)

    def test_record_of_the_backup(self):
        for status in ('available', 'error', 'creating'):
            for container in (base.CONTAINER, None):
                record = _record(2, status, container)
                found = self._obstacle_on_record(record)
                self.assertIs(_Reason.RECORDED, found.reason)
                self.assertEqual((record,), found.records)

    def test_volume_that_is_being_backed_up(self):
        record = _record(3, 'creating')
        found = self._obstacle_on_record(record, _record(4))
        self.assertIs(_Reason.VOLUME_IN_USE, found.reason)
        self.assertEqual((record,), found.records)

    def test_what_only_one_of_them_has(self):
        lineage = self._lineage()
        records = _records(_record(1), _record(7), _record(8, 'error'),
                           _record(9, container='elsewhere'))
        self.assertEqual([base.ref(2)], [
            backup.ref for backup in deletion.unrecorded(lineage, records)])
        self.assertEqual(['bak-7'], [
            record.backup_id for record in deletion.lost(lineage, records)])


class OrphanTest(DeletionTestCase):
    """What belongs to nobody."""

    def setUp(self):
        super().setUp()
        self._remove_manifest(2)

    def _reason(self, *records, named=(), shared=(), stray=False, **options):
        lineage = self._lineage(days=2, shared=shared, **options)
        (orphan,) = deletion.orphans(lineage)
        self.assertEqual(not stray, deletion.is_whole(orphan))
        found = deletion.orphan_obstacle(
            lineage, orphan, _records(*records),
            deletion.unrecorded(lineage, _records(*records)), named)
        return None if found is None else found.reason

    def test_young_one_is_none(self):
        self.assertEqual([], deletion.orphans(self._lineage()))

    def test_copy_has_none(self):
        self.assertEqual([], deletion.orphans(self._lineage(
            days=2, copies=[base.CONTAINER])))

    def test_whole_one(self):
        self.assertIsNone(self._reason(_record(1)))
        self.assertIs(_Reason.RECORDED, self._reason(_record(1), _record(2)))
        # Of backup 1 there is no record, so perhaps of this one either.
        self.assertIs(_Reason.UNSEEN, self._reason())
        self.assertIs(_Reason.SHARED, self._reason(
            _record(1), shared=[base.CONTAINER]))

    def test_who_names_the_container_answers_for_it(self):
        named = [base.CONTAINER]
        self.assertIsNone(self._reason(named=named))
        self.assertIsNone(self._reason(named=named, shared=named))
        self.assertIs(_Reason.RECORDED, self._reason(
            _record(1), _record(2), named=named))

    def test_object_beside_a_backup(self):
        for name in list(self.bench.names()):
            if name.startswith(base.ref(2).prefix):
                self._remove(name)
        self.bench.put(naming.chunk_name(self.prefix, 99), b'x')
        for records in ((), (_record(1),)):
            self.assertIsNone(self._reason(*records, stray=True))

    def test_delete(self):
        lineage = self._lineage(days=2)
        (orphan,) = deletion.orphans(lineage)
        repo = self.bench.repository
        others = [name for name in self.bench.names()
                  if name.startswith(self.prefix)]
        self.assertFalse(deletion.delete_orphan(repo, orphan, None))
        whole = lineage.backups[0]
        self.assertFalse(deletion.delete_orphan(repo, orphan, whole))
        self.assertLess(len(others), len(self.bench.names()))
        self.assertTrue(deletion.delete_orphan(repo, orphan, orphan))
        self.assertEqual(others, self.bench.names())

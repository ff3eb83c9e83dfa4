# SPDX-License-Identifier: Apache-2.0

"""What builds on what, and what damage means for others."""

import dataclasses

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import conversion
from cinder_swift_backup.engine.survey import survey
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_State = backups.State


class LineageTest(survey_base.SurveyTestCase):
    """Of a full backup and an incremental."""

    def test_chain(self):
        lineage = self._lineage()
        first, second = lineage.backups
        self.assertEqual([first, second], lineage.chain(second))
        self.assertEqual([second], lineage.dependents(first))
        self.assertEqual([], lineage.dependents(second))
        self.assertEqual([512, 512], list(map(lineage.size, (first, second))))

    def test_in_two_forms(self):
        found = conversion.Converter(
            self.bench.repository, chains.Form.PACKS).convert(
                self.bench.resolve(1), None, observers.Recorder(),
                observers.Recorder()).link.ref
        lineage = self._lineage()
        by_ref = {backup.ref: backup for backup in lineage.backups}
        first, second, point = map(by_ref.__getitem__, (
            base.ref(1), base.ref(2), found))
        self.assertEqual([first, second], lineage.chain(second))
        self.assertEqual([second], lineage.dependents(first))
        self.assertEqual([], lineage.dependents(point))
        self.assertEqual([point], lineage.twins(first))
        self.assertEqual([first], lineage.twins(point))
        self.assertEqual([], lineage.twins(second))
        self.assertEqual([_State.COMPLETE] * 3, [
            lineage.state(backup) for backup in lineage.backups])

    def test_the_form_that_is_complete(self):
        found = conversion.Converter(
            self.bench.repository, chains.Form.PACKS).convert(
                self.bench.resolve(1), None, observers.Recorder(),
                observers.Recorder()).link
        observer = observers.Recorder()
        look = survey.Survey(self.bench.repository)
        self.assertEqual(found.ref, look.one('bak-1', observer)[1].ref)
        (old,) = look.several(['bak-1'], observer,
                              other_than=chains.Form.PACKS)[1]
        self.assertEqual(base.ref(1), old.ref)
        self._remove(found.manifest.point.packs.name(0))
        self.assertEqual(base.ref(1), look.one('bak-1', observer)[1].ref)

    def test_each_in_one_form(self):
        converter = conversion.Converter(self.bench.repository,
                                         chains.Form.PACKS)
        first = converter.convert(
            self.bench.resolve(1), None, observers.Recorder(),
            observers.Recorder()).link.ref
        lineage = self._lineage()
        # The second one needs the first in chunks.
        self.assertEqual([base.ref(1), base.ref(2)], [
            backup.ref for backup in lineage.once(lineage.backups)])
        second = converter.convert(
            self.bench.resolve(1, 2), first, observers.Recorder(),
            observers.Recorder()).link.ref
        # Whatever was noted with the old ones.
        self.bench.memory.annotate(base.CONTAINER, naming.manifest_name(
            base.ref(1).prefix), {'verified': 'now'})
        lineage = self._lineage()
        self.assertEqual([first, second], [
            backup.ref for backup in lineage.once(lineage.backups)])

    def test_no_parent(self):
        for info in list(self.bench.memory.list(base.CONTAINER, self.prefix)):
            self.bench.memory.delete(base.CONTAINER, info.name)
        lineage = self._lineage()
        (tip,) = lineage.backups
        state, why = lineage.problem(tip)
        self.assertEqual(_State.DAMAGED, state)
        self.assertIn('bak-1', why)
        self.assertEqual(512, lineage.size(tip))
        self.assertEqual([_State.ARRIVING], [
            lineage.state(backup) for lineage in
            [self._lineage(copies=[base.CONTAINER])]
            for backup in lineage.backups])

    def test_parent_that_is_twice_there(self):
        self.bench.memory.ensure_container('other', create=True)
        for info in self.bench.memory.list(base.CONTAINER, self.prefix):
            self.bench.put(info.name, self.bench.get(info.name), 'other')
        lineage = self._lineage(containers=(base.CONTAINER, 'other'))
        (tip,) = (backup for backup in lineage.backups
                  if backup.ref == base.ref(2))
        self.assertEqual(base.ref(1), lineage.chain(tip)[0].ref)

    def test_copy_with_all_it_needs(self):
        self.bench.memory.ensure_container('other', create=True)
        for name in self.bench.names():
            self.bench.put(name, self.bench.get(name), 'other')
        self._remove(naming.chunk_name(self.prefix, 4))
        lineage = self._lineage(containers=(base.CONTAINER, 'other'))
        self.assertEqual(
            {(base.CONTAINER, 'damaged'), ('other', 'complete')},
            {(backup.ref.container, lineage.state(backup).value)
             for backup in lineage.backups})

    def test_what_may_build_on_one_whose_host_had_another_time(self):
        # By its name it is older than what it builds on.
        early = dataclasses.replace(
            base.ref(2), prefix=base.ref(2).prefix.replace('2026', '2025'))
        for name in list(self.bench.names()):
            if name.startswith(base.ref(2).prefix):
                data = self.bench.get(name)
                self._remove(name)
                if name != naming.manifest_name(base.ref(2).prefix):
                    self.bench.put(name.replace(base.ref(2).prefix,
                                                early.prefix), data)
        lineage = self._lineage()
        self.assertEqual(
            {1: ['bak-2'], 2: []},
            {number: [other.ref.backup_id for backup in lineage.backups
                      if backup.ref.backup_id == f'bak-{number}'
                      for other in lineage.unknown(backup)]
             for number in (1, 2)})

    def test_its_own_ancestor(self):
        for number, parent in ((1, 2), (2, 1)):
            name = naming.manifest_name(base.ref(number).prefix)
            self.bench.damage(name, lambda data, parent=parent: data.replace(
                b'"parent_id": null', b'"parent_id": "bak-%d"' % parent))
        self.assertEqual(['damaged'] * 2, self._states())

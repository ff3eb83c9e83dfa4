# SPDX-License-Identifier: Apache-2.0

"""What a policy deletes, and what stays whatever it says."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import forgetting
from cinder_swift_backup.engine.survey import retention
from cinder_swift_backup.engine.survey.forgetting import Bar
from cinder_swift_backup.engine.survey.retention import Rule
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import blobs
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_DATA = survey_base.DATA
_PACKS = chains.Form.PACKS
_LAST = retention.Policy(last=1)


def _record(number, status='available', volume='vol-1', tags=None):
    return deletion.Record(
        f'bak-{number}', volume, status, base.CONTAINER,
        is_in_the_making=status == 'creating',
        is_available=status == 'available',
        is_idle=status in ('available', 'error'), tags=tags or {})


class ForgetTestCase(survey_base.SurveyTestCase):
    """A full backup and an incremental on it, to which others come."""

    def decide(self, policy=_LAST, records=None, containers=(base.CONTAINER,),
               chosen=None, **options):
        """By the numbers of the backups, what becomes of them."""
        lineage = self._lineage(containers=containers, **options)
        decisions = forgetting.decide(
            lineage, [backup for backup in lineage.backups
                      if chosen is None or backup.ref.container in chosen],
            forgetting.Rules(policy, None if records is None else {
                record.backup_id: record for record in records}))
        return {int(decision.backup.ref.backup_id.removeprefix('bak-')):
                decision for decision in decisions}

    def bars(self, *arguments, **options):
        """Why each stays, None for those that go."""
        return {number: 'kept' if decision.reasons else decision.bar
                for number, decision in self.decide(
                    *arguments, **options).items()}


class ChainTest(ForgetTestCase):
    """What another backup needs."""

    def test_what_the_newest_builds_on(self):
        found = self.decide()
        self.assertEqual((retention.Reason(Rule.LAST, 1),), found[2].reasons)
        self.assertIs(Bar.NEEDED, found[1].bar)
        self.assertEqual([base.ref(2)],
                         [other.ref for other in found[1].others])

    def test_an_old_chain(self):
        self.bench.archive(3, _DATA)
        self.assertEqual({1: None, 2: None, 3: 'kept'}, self.bars())

    def test_the_middle_of_a_chain(self):
        self.bench.archive(3, _DATA, parent=2)
        self.assertEqual({1: Bar.NEEDED, 2: Bar.NEEDED, 3: 'kept'},
                         self.bars())

    def test_points_stand_alone(self):
        self.bench.archive(3, _DATA, form=_PACKS)
        self.bench.archive(4, _DATA[::-1], parent=3, form=_PACKS)
        self.assertEqual({1: None, 2: None, 3: None, 4: 'kept'}, self.bars())

    def test_what_may_need_it(self):
        # A newer backup whose manifest is lost may build on any.
        self.bench.archive(3, _DATA)
        self.bench.archive(4, _DATA)
        self._remove(naming.manifest_name(base.ref(3).prefix))
        self.assertEqual({1: Bar.NEEDED, 2: Bar.PERHAPS_NEEDED,
                          3: Bar.INCOMPLETE, 4: 'kept'}, self.bars(days=2))


class SafetyTest(ForgetTestCase):
    """What stays whatever the policy is."""

    def setUp(self):
        super().setUp()
        self.bench.archive(3, _DATA)
        self.bench.archive(4, _DATA)

    def test_the_newest_complete_one(self):
        policy = retention.Policy(tags=(('keep', 'yes'),))
        tagged = [_record(3, tags={'keep': 'yes'}),
                  *map(_record, (1, 2, 4))]
        self.assertEqual({1: None, 2: None, 3: 'kept', 4: Bar.NEWEST},
                         self.bars(policy, tagged))
        # A damaged one is none.
        self._remove(next(name for name in self.bench.names()
                          if name.startswith(base.ref(4).prefix)
                          and name[-5:].isdigit()))
        self.assertEqual({1: None, 2: None, 3: 'kept', 4: Bar.INCOMPLETE},
                         self.bars(_LAST, map(_record, (1, 2, 3, 4))))

    def _put_again(self, number, stamp, new):
        """The same backup by a host with another clock, under a new id."""
        for name in self.bench.names():
            if name.startswith(base.ref(number).prefix):
                self.bench.put(
                    name.replace('20260801', stamp).replace(
                        f'bak-{number}', f'bak-{new}'),
                    self.bench.get(name).replace(
                        b'bak-%d' % number, b'bak-%d' % new).replace(
                            b'20260801', stamp.encode()))

    def test_a_host_whose_clock_is_behind(self):
        self._put_again(4, '20200801', 9)
        found = self.bars()
        # Tonight's, by the clock of the store.
        self.assertEqual((Bar.NEWEST, 'kept', None),
                         (found[9], found[4], found[3]))

    def test_a_host_whose_clock_is_ahead(self):
        self._put_again(3, '20360801', 9)
        self.bench.archive(5, _DATA)
        found = self.bars()
        # Another one is the newest, and stays as well.
        self.assertEqual({9, 5}, {
            number for number, bar in found.items() if bar is not None})

    def test_what_was_made_just_now(self):
        lineage = self._lineage()
        found = {decision.backup.ref.backup_id: decision.bar
                 for decision in forgetting.decide(
                     lineage, lineage.backups,
                     forgetting.Rules(_LAST, made=['bak-3']))}
        self.assertIs(Bar.NEWEST, found['bak-3'])

    def test_a_container_that_is_copied_both_ways(self):
        self.assertEqual({1: Bar.NEEDED, 2: Bar.SHARED, 3: Bar.SHARED,
                          4: 'kept'}, self.bars(shared=[base.CONTAINER]))
        # Where there are records, these are of backups from here.
        self.assertEqual(
            {1: None, 2: None, 3: None, 4: 'kept'},
            self.bars(records=map(_record, (1, 2, 3, 4)),
                      shared=[base.CONTAINER]))

    def test_while_it_is_backed_up(self):
        for record in (_record(9, 'creating'), _record(4, 'creating')):
            self.assertEqual(
                {1: Bar.IN_USE, 2: Bar.IN_USE, 3: Bar.IN_USE, 4: 'kept'},
                self.bars(records=[*map(_record, (1, 2, 3)), record]))
        # Without Cinder, by what it has put.
        self._remove(naming.manifest_name(base.ref(4).prefix))
        self.assertEqual(
            {1: Bar.IN_USE, 2: Bar.IN_USE, 3: 'kept', 4: Bar.INCOMPLETE},
            self.bars())

    def test_another_volume_does_not_matter(self):
        self.assertEqual(
            {1: None, 2: None, 3: None, 4: 'kept'},
            self.bars(records=[*map(_record, (1, 2, 3, 4)),
                               _record(9, 'creating', 'vol-2')]))

    def test_what_something_is_done_with(self):
        for status in ('restoring', 'deleting', 'error_deleting'):
            self.assertEqual(
                {1: Bar.NEEDED, 2: Bar.IN_USE, 3: None, 4: 'kept'},
                self.bars(records=[_record(1), _record(2, status),
                                   _record(3, 'error'), _record(4)]))

    def test_without_a_record(self):
        self.assertEqual(
            {1: Bar.NEEDED, 2: Bar.UNRECORDED, 3: None, 4: 'kept'},
            self.bars(records=map(_record, (1, 3, 4))))
        self.assertEqual({Bar.UNRECORDED, Bar.NEEDED, 'kept'},
                         set(self.bars(records=[]).values()))

    def test_copies(self):
        self.assertEqual({Bar.COPY}, set(
            self.bars(copies=[base.CONTAINER]).values()))

    def test_no_orphan_counts(self):
        self._remove(naming.manifest_name(base.ref(4).prefix))
        # Nobody can tell what it builds on.
        self.assertEqual(
            {1: Bar.NEEDED, 2: Bar.PERHAPS_NEEDED, 3: 'kept',
             4: Bar.INCOMPLETE}, self.bars(days=2))

    def test_nothing(self):
        self.assertEqual({}, self.bars(chosen=[]))


class ContainersTest(ForgetTestCase):
    """Volumes with backups in several containers."""

    def setUp(self):
        super().setUp()
        self.bench.memory.ensure_container('other', create=True)
        self.bench.archive(3, _DATA, form=_PACKS)
        for name in self.bench.names():
            if name.startswith(base.ref(1).prefix):
                blobs.put(self.bench.memory, 'other',
                          name.replace('bak-1', 'bak-8'),
                          self.bench.get(name).replace(b'bak-1', b'bak-8'))

    def test_together_and_apart(self):
        both = (base.CONTAINER, 'other')
        # The one that its name says is older was stored last.
        self.assertEqual({1: None, 2: None, 8: Bar.NEWEST, 3: 'kept'},
                         self.bars(containers=both))
        self.assertEqual({8: 'kept'},
                         self.bars(containers=both, chosen=['other']))
        self.assertEqual({1: None, 2: None, 3: 'kept'},
                         self.bars(containers=both, chosen=[base.CONTAINER]))


class AnyHistoryTest(ForgetTestCase):
    """Whatever the backups of a volume are."""

    @settings(max_examples=40)
    @given(st.lists(st.sampled_from(['full', 'incremental', 'point']),
                    min_size=1, max_size=6),
           st.integers(1, 4), st.sets(st.integers(1, 8)),
           st.booleans())
    def test_what_stays_can_be_restored(self, kinds, last, tagged, with_tags):
        self.bench = base.Bench()
        self.bench.archive(1, _DATA)
        below = 1
        for number, kind in enumerate(kinds, 2):
            self.bench.archive(
                number, _DATA, form=_PACKS if kind == 'point'
                else chains.Form.CHUNKS,
                parent=below if kind == 'incremental' else None)
            if kind != 'point':
                below = number
        records = [_record(number, tags={'keep': 'yes'}
                           if number in tagged else {})
                   for number in range(1, len(kinds) + 2)]
        policy = retention.Policy(
            last=last, tags=(('keep', 'yes'),) if with_tags else ())
        found = self.decide(policy, records)
        self.assertEqual(len(records), len(found))
        gone = {number for number, one in found.items() if one.goes}
        newest = range(len(records), 0, -1)[:last]
        self.assertEqual(set(), gone & {*newest, *(
            tagged if with_tags else ())})
        lineage = self._lineage()
        needed = {link.ref for number, one in found.items()
                  if number not in gone
                  for link in lineage.chain(one.backup)}
        self.assertEqual(set(), needed & {base.ref(one) for one in gone})
        # Nothing stays without a reason.
        self.assertEqual(
            {base.ref(number) for number in found if number not in gone},
            {link.ref for number, one in found.items() if one.reasons
             for link in lineage.chain(one.backup)})

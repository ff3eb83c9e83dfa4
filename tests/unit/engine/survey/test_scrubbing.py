# SPDX-License-Identifier: Apache-2.0

"""What is fetched tonight, and what is noted of it."""

import contextlib
import datetime
import random

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base as test_base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import keys
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import scrubbing
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from tests.fakes import faulty
from tests.fakes import key_ring
from tests.fakes import observers
from tests.unit.engine import base
from tests.unit.engine.survey import base as survey_base

_PACKS = chains.Form.PACKS
_FIRST = random.Random(3).randbytes(700)
_SECOND = _FIRST[:400] + random.Random(4).randbytes(200) + _FIRST[600:]
_DAY = datetime.timedelta(days=1)
_T = [datetime.datetime(2026, 11, day, tzinfo=datetime.UTC)
      for day in range(1, 30)]


class RoundTest(test_base.BaseTestCase):
    """All packs are fetched in turn, whatever comes and goes."""

    @given(st.lists(st.tuples(
        st.integers(1, 9), st.sets(st.integers(0, 30)),
        st.sets(st.integers(0, 30))), min_size=1, max_size=28))
    def test_nights(self, nights):
        packs = {f'{number:02d}' for number in range(20)}
        since = {pack: 0 for pack in packs}
        done = scrubbing.Round()
        for night, (count, new, gone) in enumerate(nights, 1):
            every = tuple(sorted(packs))
            order = sorted(every, key=lambda rest: (done.verified(rest), rest))
            fetched = order[:count]
            for rest in fetched:
                since[rest] = night
            done = scrubbing.Round.decode(
                done.after(fetched, every, _T[night]).encode())
            for rest in every:
                # It is never said to be verified later than it was, but for
                # packs that came meanwhile.
                if rest in since and since[rest] >= 0:
                    self.assertLessEqual(
                        done.verified(rest),
                        _T[since[rest]] if since[rest] else
                        scrubbing._NEVER, (rest, done))
            packs -= {f'{number:02d}' for number in gone}
            for number in new:
                rest = f'{number:02d}'
                if rest not in packs:
                    packs.add(rest)
                    since[rest] = -1

    def test_a_whole_round_and_the_next(self):
        every = ('a', 'b', 'c')
        done = scrubbing.Round().after(['a'], every, _T[1])
        self.assertEqual((_T[1], scrubbing._NEVER),
                         (done.verified('a'), done.verified('b')))
        done = done.after(['b', 'c'], every, _T[2])
        self.assertEqual({_T[1]}, set(map(done.verified, every)))
        done = done.after(['a', 'b'], every, _T[3])
        self.assertEqual([_T[3], _T[3], _T[1]],
                         list(map(done.verified, every)))
        # The rest, and the beginning of the next.
        done = done.after(['c', 'a'], every, _T[4])
        self.assertEqual([_T[4], _T[3], _T[3]],
                         list(map(done.verified, every)))
        done = done.after(['b', 'c', 'a', 'b', 'c'], every, _T[5])
        self.assertEqual({_T[5]}, set(map(done.verified, every)))

    def test_what_is_no_note(self):
        for text in ('', 'x', '2026-11-01T00:00:00 2026-11-01T00:00:00 ',
                     '2026-11-01T00:00:00+00:00'):
            self.assertEqual(scrubbing.Round(), scrubbing.Round.decode(text))
        for rest in ('bak-1-000001', 'a b/%c', 'ä'):
            done = scrubbing.Round(_T[2], _T[1], rest)
            self.assertEqual(done, scrubbing.Round.decode(done.encode()))
            self.assertTrue(done.encode().isascii())


class ScrubTest(survey_base.SurveyTestCase):
    """A chain, and two recovery points of the same volume."""

    def setUp(self):
        super().setUp()
        self.have_small_packs()
        self.bench.archive(3, _FIRST, form=_PACKS)
        self.bench.archive(4, _SECOND, parent=3, form=_PACKS)
        self.watched = []

    def watching(self, backup):
        self.watched.append(backup.ref.backup_id)
        return contextlib.nullcontext(observers.Recorder())

    def scrub(self, *, older_than=None, at_most=None, days=0, copies=()):
        lineage = self._lineage(days=days, copies=copies)
        scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
        plan = scrubber.plan(lineage.backups, scrubbing.Limits(
            None if older_than is None else lineage.now - older_than,
            at_most))
        found = list(scrubber.run(
            plan, deep.Verifier(self.bench.repository, lineage, 1),
            self.watching))
        return plan, found

    @staticmethod
    def names(found):
        return [piece.rest or piece.backup.ref.backup_id
                for piece, _ in found]

    def test_everything_once(self):
        plan, found = self.scrub()
        self.assertEqual((0, 0), (plan.left, plan.left_bytes))
        self.assertEqual({backups.State.COMPLETE},
                         {verdict.state for _, verdict in found})
        packs = {name for name in self.bench.names() if naming.is_pack(name)}
        self.assertEqual(2 + len(packs), len(found))
        self.assertEqual(len(found), len(set(self.names(found))))
        # Nothing is due now, and everything later.
        _, found = self.scrub(older_than=_DAY)
        self.assertEqual([], found)
        _, found = self.scrub(older_than=_DAY, days=2)
        self.assertEqual(2 + len(packs), len(found))

    def test_a_little_each_night(self):
        seen, nights = [], 0
        while True:
            _, found = self.scrub(older_than=30 * _DAY, at_most=500,
                                  days=nights)
            if not found:
                break
            self.assertTrue(len(found) == 1 or sum(
                piece.stored_bytes for piece, _ in found) <= 500)
            seen += self.names(found)
            nights += 1
        self.assertGreater(nights, 2)
        self.assertEqual(len(set(seen)), len(seen))
        packs = {name for name in self.bench.names() if naming.is_pack(name)}
        self.assertEqual(2 + len(packs), len(seen))

    def test_new_backups_go_on_with_the_round(self):
        self.scrub(older_than=30 * _DAY, at_most=1500)
        _, found = self.scrub(older_than=30 * _DAY, at_most=1)
        (before,) = self.names(found)
        self.bench.archive(5, _FIRST[::-1], parent=4, form=_PACKS)
        _, found = self.scrub(older_than=30 * _DAY, at_most=1)
        (after,) = self.names(found)
        self.assertGreater(after, before)

    def test_damage_is_told_again_until_it_is_gone(self):
        name = self.bench.repository.load(base.ref(3)).point.packs.name(1)
        self.bench.damage(name, lambda old: bytes([old[0] ^ 1]) + old[1:])
        for _ in range(2):
            lineage = self._lineage()
            scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
            plan = scrubber.plan(lineage.backups, scrubbing.Limits(
                lineage.now - _DAY))
            bad = [(piece, verdict) for piece, verdict in scrubber.run(
                plan, deep.Verifier(self.bench.repository, lineage, 1),
                self.watching)
                if verdict.state is not backups.State.COMPLETE]
            ((piece, verdict),) = bad
            self.assertTrue(piece.is_name(name))
            (fault,) = verdict.faults
            self.assertEqual(name, fault.name)

    def test_damage_does_not_stop_the_round(self):
        names = sorted({name for name in self.bench.names()
                        if naming.is_pack(name)})
        self.bench.damage(names[0],
                          lambda old: bytes([old[0] ^ 1]) + old[1:])
        seen = []
        for _ in range(len(names) + 3):
            lineage = self._lineage()
            scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
            plan = scrubber.plan(
                [backup for backup in lineage.backups if backup.is_point],
                scrubbing.Limits(lineage.now - _DAY, 1000))
            found = list(scrubber.run(
                plan, deep.Verifier(self.bench.repository, lineage, 1),
                self.watching))
            # Nobody forgets it.
            self.assertTrue(found[0][0].is_name(names[0]))
            self.assertIs(backups.State.DAMAGED, found[0][1].state)
            seen += self.names(found[1:])
        self.assertEqual(len(names) - 1, len(set(seen)))

    def test_a_key_that_is_missing_does_not_stop_the_rest(self):
        self.bench.archive(6, _FIRST, form=_PACKS,
                           encryption=key_ring.new('lost'))
        lost = self.bench.repository.load(base.ref(6)).point.packs
        names = {name for name in self.bench.names() if naming.is_pack(name)}
        seen = set()
        for _ in range(len(names) + 3):
            plan, found = self.scrub(older_than=_DAY, at_most=1000)
            unknown = {piece.rest for piece, verdict in found
                       if verdict.state is None}
            self.assertEqual({name.removeprefix(lost.root)
                              for name in lost.names()}, unknown)
            seen |= {*self.names(found)} - unknown
        self.assertEqual(0, plan.left)
        self.assertEqual(len(names) - len(lost) + 2, len(seen))
        self.find_key('lost')
        self.assert_due(names)

    def find_key(self, key_id):
        self.bench.repository.operation.keys = keys.Unlocker(
            key_ring.KeyRing(key_id))

    def assert_due(self, names):
        """All packs are fetched, a little each night, and then none."""
        seen = []
        while True:
            _, found = self.scrub(older_than=_DAY, at_most=5000)
            if not found:
                break
            self.assertEqual({backups.State.COMPLETE},
                             {verdict.state for _, verdict in found})
            seen += [piece for piece, _ in found if piece.rest]
        self.assertEqual(sorted(names), sorted(
            f'{naming.packs(piece.backup.ref.prefix)}{piece.rest}'
            for piece in seen))

    def packs(self):
        return {name for name in self.bench.names() if naming.is_pack(name)}

    @staticmethod
    def packs_of(found, state):
        """Names of packs that something is known of."""
        return {f'{naming.packs(piece.backup.ref.prefix)}{piece.rest}'
                for piece, verdict in found
                if piece.rest and verdict.state is state}

    def test_many_packs_whose_key_is_missing(self):
        # One block is all that each adds.
        without, before = self.bench.repository.operation.keys, self.packs()
        self.find_key('lost')
        self.bench.archive(6, _FIRST, form=_PACKS,
                           encryption=key_ring.new('lost'))
        for number in range(7, 47):
            self.bench.archive(number, _FIRST[:-1] + bytes([number]),
                               parent=number - 1, form=_PACKS,
                               encryption=key_ring.new('lost'))
        lost = self.packs() - before
        self.assertGreater(len(lost), 30)
        self.bench.repository.operation.keys = without
        for _ in range(2):
            _, found = self.scrub(older_than=_DAY)
            self.assertEqual(lost, self.packs_of(found, None))
        self.assertEqual(len(lost), len(found))
        self.find_key('lost')
        self.assert_due(self.packs())

    def test_more_damage_than_a_note_can_have(self):
        for number in range(5, 45):
            self.bench.archive(number, _SECOND[:-1] + bytes([number]),
                               parent=number - 1, form=_PACKS)
        _, *bad = sorted(self.packs())
        self.assertGreater(len(bad), 30)

        def flip(old):
            return bytes([old[0] ^ 1]) + old[1:]

        for name in bad:
            self.bench.damage(name, flip)
        for _ in range(2):
            _, found = self.scrub(older_than=_DAY)
            self.assertEqual(
                set(bad), self.packs_of(found, backups.State.DAMAGED))
        for name in bad:
            self.bench.damage(name, flip)
        self.assert_due(self.packs())

    def test_a_backup_that_is_deleted_meanwhile(self):
        lineage = self._lineage()
        scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
        plan = scrubber.plan(lineage.backups, scrubbing.Limits())
        self.store.script(faulty.fail(
            'annotate', exceptions.ObjectNotFound('gone')))
        found = list(scrubber.run(
            plan, deep.Verifier(self.bench.repository, lineage, 1),
            self.watching))
        self.assertEqual(len(plan.pieces), len(found))

    def test_pages_that_are_damaged(self):
        page = self.bench.repository.load(base.ref(4)).point.objects.name(0)
        lineage = self._lineage()
        scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
        plan = scrubber.plan(lineage.backups, scrubbing.Limits())
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=page.__eq__))
        bad = [verdict for _, verdict in scrubber.run(
            plan, deep.Verifier(self.bench.repository, lineage, 1),
            self.watching) if verdict.state is not backups.State.COMPLETE]
        (verdict,) = bad
        self.assertEqual([page], [fault.name for fault in verdict.faults])

    def test_a_store_that_fails(self):
        lineage = self._lineage()
        scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
        plan = scrubber.plan(lineage.backups, scrubbing.Limits())
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('away'),
            matching=naming.is_pack))
        found = list(scrubber.run(
            plan, deep.Verifier(self.bench.repository, lineage, 1),
            self.watching))
        self.assertEqual(
            {True: {None}, False: {backups.State.COMPLETE}},
            {is_pack: {verdict.state for piece, verdict in found
                       if (piece.number is not None) is is_pack}
             for is_pack in (True, False)})
        self.store.heal()
        _, found = self.scrub(older_than=_DAY)
        self.assertTrue(all(piece.rest for piece, _ in found))
        self.assertNotEqual([], found)

    def test_copies_are_taken_at_random_and_not_noted(self):
        orders = set()
        for _ in range(20):
            _, found = self.scrub(older_than=_DAY, copies=[base.CONTAINER])
            orders.add(tuple(self.names(found)))
        self.assertGreater(len(orders), 1)
        self.assertEqual([], self.store.names('annotate'))

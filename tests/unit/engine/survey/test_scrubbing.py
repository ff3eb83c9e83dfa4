# SPDX-License-Identifier: Apache-2.0

"""What is fetched tonight, and what is noted of it."""

import contextlib
import datetime
import random

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import keys
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import findings
from cinder_swift_backup.engine.survey import pieces
from cinder_swift_backup.engine.survey import rounds
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

    def scrub(self, *, older_than=None, at_most=None, days=0, copies=(),
              meanwhile=lambda: None):
        """What is planned, and found; ``meanwhile`` comes in between."""
        lineage = self._lineage(days=days, copies=copies)
        self.scrubber = scrubbing.Scrubber(self.bench.repository, lineage)
        plan = self.scrubber.plan(lineage.backups, scrubbing.Limits(
            None if older_than is None else lineage.now - older_than,
            at_most))
        meanwhile()
        found = list(self.scrubber.run(
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

    def test_the_longest_overdue_come_first(self):
        self.scrub(older_than=_DAY)
        self.scrub(older_than=_DAY, at_most=4000, days=40)
        lineage = self._lineage(days=80)
        pieces = scrubbing.Scrubber(self.bench.repository, lineage).plan(
            lineage.backups, scrubbing.Limits(lineage.now)).pieces
        times = [piece.verified for piece in pieces]
        self.assertEqual(2, len(set(times)))
        self.assertEqual(sorted(times), times)
        self.assertNotEqual(sorted(piece.rest for piece in pieces),
                            [piece.rest for piece in pieces])

    def test_new_backups_go_on_with_the_round(self):
        self.scrub(older_than=30 * _DAY, at_most=9000)
        _, found = self.scrub(older_than=30 * _DAY, at_most=1)
        (before,) = self.names(found)
        self.assertIn('bak-3-', before)
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
            self.assertEqual(name, piece.name)
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
            self.assertEqual(names[0], found[0][0].name)
            self.assertIs(backups.State.DAMAGED, found[0][1].state)
            seen += self.names(found[1:])
        self.assertEqual(len(names) - 1, len(set(seen)))

    def have_keys(self, *key_ids):
        self.bench.repository.operation.keys = keys.Unlocker(
            key_ring.KeyRing(*key_ids))

    def damage(self, name):
        """Damage a pack, or mend it if it is."""
        self.bench.damage(name, lambda old: bytes([old[0] ^ 1]) + old[1:])

    def packs(self):
        return {name for name in self.bench.names() if naming.is_pack(name)}

    @staticmethod
    def packs_of(found, state=backups.State.COMPLETE):
        """Names of packs that something is known of."""
        return sorted(piece.name for piece, verdict in found
                      if piece.rest and verdict.state is state)

    def assert_due(self, names):
        """Some packs are fetched, a few each night, and then none."""
        seen = []
        for _ in range(len(names) + 3):
            _, found = self.scrub(older_than=_DAY, at_most=2000)
            seen += self.packs_of(found)
            if all(verdict.state is None for _, verdict in found):
                break
        self.assertEqual(sorted(names), sorted(seen))

    def test_a_key_that_is_missing_does_not_stop_the_rest(self):
        before = self.packs()
        self.bench.archive(6, _FIRST, form=_PACKS,
                           encryption=key_ring.new('lost'))
        self.assert_due(before)
        # It is told each time, and is in nobody's way.
        plan, found = self.scrub(older_than=_DAY, at_most=1)
        self.assertEqual(0, plan.left)
        ((piece, verdict),) = found
        self.assertEqual('bak-6', piece.backup.ref.backup_id)
        self.assertIsNone(verdict.state)
        self.assertIn('key lost', str(verdict.faults[0]))
        self.have_keys('lost')
        self.assert_due(self.packs() - before)

    def test_who_has_no_key_is_in_nobodys_way(self):
        before = self.packs()
        self.bench.archive(6, _FIRST, form=_PACKS,
                           encryption=key_ring.new('one'))
        seen = []
        for _ in range(len(self.packs())):
            self.have_keys()
            _, found = self.scrub(older_than=_DAY, at_most=1)
            seen += self.packs_of(found)
            self.have_keys('one')
            _, found = self.scrub(older_than=_DAY, at_most=1)
            seen += self.packs_of(found)
        self.assertEqual(sorted(self.packs()), sorted(seen))
        self.assertNotEqual(set(), self.packs() - before)

    def rotate(self):
        """Two encrypted backups that share packs, by two keys."""
        first = key_ring.new('one')
        self.have_keys('one', 'two')
        self.bench.archive(6, _FIRST, form=_PACKS, encryption=first)
        self.bench.archive(7, _FIRST[:300:-1] + _FIRST[399:],
                           parent=6, form=_PACKS,
                           encryption=key_ring.wrapped(first.key, 'two'))
        return [set(self.bench.repository.load(
            base.ref(number)).point.packs.names()) for number in (6, 7)]

    def test_any_key_that_opens_a_pack_will_do(self):
        before = self.packs()
        old, new = self.rotate()
        self.assertNotEqual(set(), old - new)
        self.assertNotEqual(set(), old & new)
        self.have_keys()
        self.assert_due(before)
        self.have_keys('two')
        self.assert_due(new)
        self.have_keys('one')
        self.assert_due(old - new)
        self.have_keys('one', 'two')
        self.assert_due([])

    def test_a_backup_that_is_away_for_a_night(self):
        self.bench.archive(6, _FIRST, form=_PACKS,
                           encryption=key_ring.new('lost'))
        names = set(self.bench.repository.load(
            base.ref(6)).point.packs.names())
        bad = self.bench.repository.load(base.ref(3)).point.packs.name(1)
        self.damage(bad)
        self.scrub(older_than=_DAY)
        with self.away(3), self.away(6):
            self.scrub(older_than=_DAY)
        self.have_keys('lost')
        _, found = self.scrub(older_than=_DAY)
        self.assertEqual([bad], self.packs_of(found, backups.State.DAMAGED))
        self.assertLessEqual(names, set(self.packs_of(found)))

    @contextlib.contextmanager
    def away(self, number):
        name = naming.manifest_name(base.ref(number).prefix)
        manifest = self.bench.get(name)
        notes = self.bench.memory.stat(base.CONTAINER, name).notes
        self._remove(name)
        yield
        self.bench.put(name, manifest)
        self.bench.memory.annotate(base.CONTAINER, name, notes)

    @settings(max_examples=10)
    @given(st.lists(st.tuples(
        st.sets(st.sampled_from(('one', 'two', 'three'))),
        st.sets(st.integers(0, 30), max_size=3), st.integers(1, 3000)),
        min_size=3, max_size=12))
    def test_any_nights(self, nights):
        self.bench = base.Bench()
        self.store = self.bench.store
        for number in (3, 4):
            self.bench.archive(number, _FIRST + bytes([number] * 200),
                               form=_PACKS)
        self.rotate()
        self.bench.archive(8, _FIRST[::-1], form=_PACKS,
                           encryption=key_ring.new('three'))
        packs = sorted(self.packs())
        bad, verified = set(), {}
        for night, (key_ids, damaged, at_most) in enumerate(nights, 1):
            for number in damaged:
                name = packs[number % len(packs)]
                self.damage(name)
                bad ^= {name}
            self.have_keys(*key_ids)
            _, found = self.scrub(older_than=_DAY, at_most=at_most,
                                  days=night)
            verified |= dict.fromkeys(self.packs_of(found), night)
            for name in self.packs_of(found, backups.State.DAMAGED):
                self.assertIn(name, bad)
                verified.pop(name, None)
            self.assert_true(verified, night)
        for name in bad:
            self.damage(name)
        self.have_keys('one', 'two', 'three')
        for night in range(len(nights) + 1, len(nights) + len(packs) + 2):
            _, found = self.scrub(older_than=_DAY * night, at_most=1500,
                                  days=len(nights) + 1)
            verified |= dict.fromkeys(self.packs_of(found), night)
        self.assertEqual(set(packs), set(verified))

    def assert_true(self, verified, night):
        """Nothing is said to be verified later than it was."""
        self.have_keys('one', 'two', 'three')
        lineage = self._lineage(days=night)
        plan = scrubbing.Scrubber(self.bench.repository, lineage).plan(
            lineage.backups, scrubbing.Limits())
        for piece in plan.pieces:
            if piece.rest and piece.verified != rounds.NEVER:
                self.assertIn(piece.name, verified)
                self.assertLess(piece.verified, lineage.now + (
                    verified[piece.name] - night + 0.5) * _DAY)

    def test_a_backup_that_is_deleted_meanwhile(self):
        fault = faulty.fail(
            'annotate', exceptions.ObjectNotFound('gone'))
        plan, found = self.scrub(
            meanwhile=lambda: self.store.script(fault))
        self.assertEqual(len(plan.pieces), len(found))

    def test_pages_that_are_damaged(self):
        page = self.bench.repository.load(base.ref(4)).point.objects.name(0)
        fault = faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=page.__eq__)
        _, found = self.scrub(
            meanwhile=lambda: self.store.script(fault))
        bad = [verdict for _, verdict in found
               if verdict.state is not backups.State.COMPLETE]
        (verdict,) = bad
        self.assertEqual([page], [fault.name for fault in verdict.faults])

    def test_a_store_that_fails(self):
        fault = faulty.fail(
            'read', exceptions.StoreUnavailable('away'),
            matching=naming.is_pack)
        _, found = self.scrub(
            meanwhile=lambda: self.store.script(fault))
        self.assertEqual(
            {True: {None}, False: {backups.State.COMPLETE}},
            {is_point: {verdict.state for piece, verdict in found
                        if piece.backup.is_point is is_point}
             for is_point in (True, False)})
        self.store.heal()
        _, found = self.scrub(older_than=_DAY)
        self.assertTrue(all(piece.rest for piece, _ in found))
        self.assertNotEqual([], found)

    def test_a_copy_needs_no_key_to_arrive(self):
        manifest = self.bench.archive(6, _FIRST, form=_PACKS,
                                      encryption=key_ring.new('lost'))
        lineage = self._lineage(copies=[base.CONTAINER])
        *_, copy = lineage.backups
        self.assertIs(backups.State.COMPLETE, lineage.state(copy))
        self._remove(manifest.point.packs.name(0))
        lineage = self._lineage(copies=[base.CONTAINER])
        *_, copy = lineage.backups
        self.assertIs(backups.State.ARRIVING, lineage.state(copy))

    def test_a_backup_that_is_deleted_before_its_turn(self):
        def happens():
            # Others still need some of its packs.
            self._remove(naming.manifest_name(base.ref(4).prefix))

        _, found = self.scrub(meanwhile=happens)
        self.assertEqual([], [piece for piece, verdict in found
                              if piece.backup.ref == base.ref(4)
                              and verdict.state is not None])
        self.assert_due(list(self.bench.repository.load(
            base.ref(3)).point.packs.names()))

    def test_one_that_is_replaced_before_its_turn(self):
        def happens():
            self._remove(naming.manifest_name(base.ref(4).prefix))
            self.bench.archive(4, bytes(700), form=_PACKS)

        _, found = self.scrub(meanwhile=happens)
        self.assertEqual({None}, {
            verdict.state for piece, verdict in found
            if piece.backup.ref == base.ref(4)})

    def test_a_pack_that_the_store_does_not_give(self):
        bad, *others = sorted(self.packs())
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('broken'),
            matching=bad.__eq__))
        seen = []
        for _ in range(len(others) + 3):
            _, found = self.scrub(older_than=_DAY, at_most=1)
            seen += self.packs_of(found)
            if seen:
                self.assertEqual([bad], self.packs_of(found, None))
        self.assertEqual(others, seen)
        self.store.heal()
        self.assert_due([bad])

    def test_a_page_that_the_store_does_not_give(self):
        page = self.bench.repository.load(base.ref(4)).point.objects.name(0)
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('broken'),
            matching=page.__eq__))
        _, found = self.scrub(older_than=_DAY)
        self.assertEqual(sorted(self.packs()), self.packs_of(found))
        ((piece, verdict),) = [each for each in found
                               if each[1].state is None]
        self.assertEqual(base.ref(4), piece.backup.ref)
        self.assertIn('broken', str(verdict.faults[0]))

    def test_a_backup_in_chunks_that_the_store_does_not_give(self):
        self.store.script(faulty.fail(
            'read', exceptions.StoreUnavailable('broken'),
            matching=lambda name: name.startswith(base.ref(1).prefix)
            and base.is_chunk(name)))
        seen = []
        for _ in range(len(self.packs()) + 2):
            _, found = self.scrub(older_than=_DAY, at_most=1)
            seen += self.packs_of(found)
        self.assertEqual(sorted(self.packs()), seen)

    def test_a_backup_in_chunks_that_is_damaged(self):
        name = next(name for name in self.bench.names()
                    if name.startswith(base.ref(1).prefix)
                    and base.is_chunk(name))
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=name.__eq__))
        for _ in range(3):
            _, found = self.scrub(older_than=_DAY)
            # It is told each time, with what builds on it.
            self.assertEqual(
                {'bak-1', 'bak-2'},
                {piece.backup.ref.backup_id for piece, verdict in found
                 if verdict.state is backups.State.DAMAGED})
        self.store.heal()
        self.scrub(older_than=_DAY)
        _, found = self.scrub(older_than=_DAY)
        self.assertEqual([], found)

    def test_what_is_found_of_pages_is_not_forgotten(self):
        *_, backup = self._lineage().backups
        found = findings.Found(self.bench.repository, self._lineage())
        damage = exceptions.DigestMismatch('a page is damaged')
        for state, fault in (
                (backups.State.DAMAGED, damage),
                (None, exceptions.StoreUnavailable('broken')),
                (backups.State.DAMAGED, damage)):
            found.add(pieces.Piece(backup, 0),
                      deep.Verdict(state, (fault,)))
        verdict = found.of(backup)
        self.assertIs(backups.State.DAMAGED, verdict.state)
        self.assertEqual(['a page is damaged', 'broken'],
                         list(map(str, verdict.faults)))

    def test_pages_that_are_damaged_do_not_hurt_packs(self):
        page = self.bench.repository.load(base.ref(4)).point.objects.name(0)
        self.store.script(faulty.alter(
            'read', lambda data: bytes([data[0] ^ 1]) + data[1:],
            matching=page.__eq__))
        self.scrub(older_than=_DAY)
        self.store.heal()
        _, found = self.scrub(older_than=_DAY)
        self.assertEqual([], found)

    def test_a_clock_that_was_wrong(self):
        self.scrub(older_than=_DAY, days=400)
        self.assert_due(self.packs())

    def test_two_keys_of_one_id(self):
        before = self.packs()
        data = key_ring.new('one')
        self.bench.archive(6, _FIRST, form=_PACKS, encryption=data)
        other = jobs.Encryption(data.key, data.key.wrap(
            key_ring.key('another'), 'one', bytes(12)))
        self.bench.archive(7, _SECOND, form=_PACKS, encryption=other)
        self.have_keys('one')
        for _ in range(3):
            self.scrub(older_than=_DAY)
        ring = key_ring.KeyRing('one')
        ring.keys['one'] = key_ring.key('another')
        self.bench.repository.operation.keys = keys.Unlocker(ring)
        _, found = self.scrub(older_than=_DAY)
        self.assertEqual(
            sorted(self.bench.repository.load(
                base.ref(7)).point.packs.names()), self.packs_of(found))
        self.assertTrue(before.isdisjoint(self.packs_of(found)))

    def test_copies_alone_are_all_taken(self):
        seen = set()
        for _ in range(200):
            _, found = self.scrub(older_than=_DAY, at_most=1,
                                  copies=[base.CONTAINER])
            seen.update(self.names(found))
        self.assertEqual(2 + len(self.packs()), len(seen))

    def test_notes_that_cannot_be_written(self):
        fault = faulty.fail(
            'annotate', exceptions.StoreUnavailable('broken'))
        plan, found = self.scrub(
            meanwhile=lambda: self.store.script(fault))
        self.assertEqual(len(plan.pieces), len(found))
        self.assertIn('broken', str(self.scrubber.unnoted))

    def test_copies_are_taken_at_random_and_not_noted(self):
        orders = set()
        for _ in range(20):
            _, found = self.scrub(older_than=_DAY, copies=[base.CONTAINER])
            orders.add(tuple(self.names(found)))
        self.assertGreater(len(orders), 1)
        self.assertEqual([], self.store.names('annotate'))

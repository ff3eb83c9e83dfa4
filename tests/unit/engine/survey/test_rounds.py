# SPDX-License-Identifier: Apache-2.0

"""How far the packs of a volume were fetched."""

import datetime

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.engine.survey import rounds

_T = [datetime.datetime(2026, 11, day, tzinfo=datetime.UTC)
      for day in range(1, 30)]


class RoundTest(base.BaseTestCase):
    """All packs are fetched in turn, whatever comes and goes."""

    @given(st.lists(st.tuples(
        st.integers(1, 9), st.sets(st.integers(0, 30)),
        st.sets(st.integers(0, 30))), min_size=1, max_size=28))
    def test_nights(self, nights):
        packs = {f'{number:02d}' for number in range(20)}
        since = {pack: 0 for pack in packs}
        done = rounds.Round()
        for night, (count, new, gone) in enumerate(nights, 1):
            every = tuple(sorted(packs))
            order = sorted(every, key=lambda rest: (done.verified(rest), rest))
            fetched = order[:count]
            for rest in fetched:
                since[rest] = night
            done = rounds.Round.decode(
                done.after(fetched, every, _T[night]).encode())
            for rest in every:
                # It is never said to be verified later than it was, but for
                # packs that came meanwhile.
                if rest in since and since[rest] >= 0:
                    self.assertLessEqual(
                        done.verified(rest),
                        _T[since[rest]] if since[rest] else
                        rounds.NEVER, (rest, done))
            packs -= {f'{number:02d}' for number in gone}
            for number in new:
                rest = f'{number:02d}'
                if rest not in packs:
                    packs.add(rest)
                    since[rest] = -1

    def test_a_whole_round_and_the_next(self):
        every = ('a', 'b', 'c')
        done = rounds.Round().after(['a'], every, _T[1])
        self.assertEqual((_T[1], rounds.NEVER),
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
            self.assertEqual(rounds.Round(), rounds.Round.decode(text))
        for rest in ('bak-1-000001', 'a b/%c', 'ä'):
            done = rounds.Round(_T[2], _T[1], rest)
            self.assertEqual(done, rounds.Round.decode(done.encode()))
            self.assertTrue(done.encode().isascii())


class NotesTest(base.BaseTestCase):
    """What fits into the notes of an object."""

    @given(st.dictionaries(
        st.text('ab-', max_size=5).map(
            rounds.short),
        st.builds(rounds.Round, st.sampled_from(_T), st.sampled_from(_T),
                  st.none() | st.text('ab-c', min_size=1)), max_size=12),
        st.sets(st.text(), max_size=100))
    def test_round_trip(self, done, damaged):
        notes = rounds.Notes(done, set(map(rounds.short, damaged)))
        encoded = notes.encode(damaged)
        self.assertEqual(notes, rounds.Notes.decode(encoded))

    def test_of_others(self):
        self.assertEqual(rounds.Notes(), rounds.Notes.decode(
            {'verified': str(_T[1]), 'packs': 'x'}))
        self.assertEqual({'x': rounds.Round()}, rounds.Notes.decode(
            {'packs-verified-1': 'x'}).rounds)

    def test_too_much(self):
        packs = [f'{"long-name-" * 4}-{number:06d}' for number in range(900)]
        done = {rounds.short(str(number)): rounds.Round(
            _T[number], _T[0], packs[0]) for number in range(20)}
        notes = rounds.Notes(done, set(map(rounds.short, packs)))
        # All are gone but the last.
        encoded = notes.encode(packs[-100:])
        for name, value in encoded.items():
            self.assertLessEqual(len(value), 256, name)
        self.assertLessEqual(sum(
            len(name) + len('x-object-meta-csb-') + len(value)
            for name, value in encoded.items()), 4096)
        found = rounds.Notes.decode(encoded)
        self.assertEqual(sorted(_T[8:20]), sorted(
            each.begun for each in found.rounds.values()))
        self.assertTrue(set(map(rounds.short, packs[-100:]))
                        < found.damaged < notes.damaged)

    def test_a_name_that_is_too_long(self):
        notes = rounds.Notes({'x': rounds.Round(_T[1], _T[0], 'a' * 200)})
        self.assertEqual({}, notes.encode([]))

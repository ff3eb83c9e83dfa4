# SPDX-License-Identifier: Apache-2.0

"""How far the packs of a volume were fetched, and how that is noted.

A store takes a few short notes with an object, and a volume may have hundreds
of thousands of packs. So there is no note for each:

1. Packs are fetched in the order of their names, round after round. A round is
   noted by when it began and how far it came.
2. Packs of each key have rounds of their own, so that whoever lacks a key
   neither claims those packs nor is in the way of others.
3. Packs that were damaged, or that the store did not give, are noted one by
   one, as many as there is room for. Those beyond are told again in the next
   round.

What is not noted was never fetched. A pack that joins a round counts with it,
and may be fetched as late as in the next one.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import hashlib
import textwrap
import urllib.parse

NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)
# The names of notes, which a number follows.
_ROUND = 'packs-verified-'
_DAMAGED = 'packs-damaged-'
# Characters of a note: Swift takes 256, and 4096 of all notes by default.
_LONGEST = 250
_ROUNDS = 12
_LISTS = 7
# Bytes by which a note knows a name. If two packs have the same, one more is
# fetched.
_SHORT = 6


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """How far the packs of a volume were fetched.

    ``begun`` is when the round began, and ``before`` when the one before it
    did, both in UTC. ``done`` is the end of the name of the last pack that was
    fetched; None if all were.
    """

    begun: datetime.datetime = NEVER
    before: datetime.datetime = NEVER
    done: str | None = None

    def encode(self) -> str:
        """The round as noted."""
        return ' '.join((
            *(moment.isoformat(timespec='seconds')
              for moment in (self.begun, self.before)),
            urllib.parse.quote(self.done or '')))

    @classmethod
    def decode(cls, text: str) -> 'Round':
        """A round that was noted; if it is none, nothing was fetched."""
        begun, _, rest = text.partition(' ')
        before, _, done = rest.partition(' ')
        moments = moment(begun), moment(before)
        if moments[0] is None or moments[1] is None:
            return cls()
        return cls(moments[0], moments[1], urllib.parse.unquote(done) or None)

    def verified(self, rest: str) -> datetime.datetime:
        """When a pack was fetched, at the earliest.

        :param rest: the end of its name
        """
        return (self.begun if self.done is None or rest <= self.done
                else self.before)

    def after(self, fetched: Sequence[str], every: Sequence[str],
              now: datetime.datetime) -> 'Round':
        """The round when some packs were fetched.

        :param fetched: ends of names, in the order of :meth:`verified` and
            their own
        :param every: those of all packs, in order
        """
        if not fetched:
            return self
        left = ([] if self.done is None
                else [rest for rest in every if rest > self.done])
        if len(fetched) < len(left):
            return dataclasses.replace(self, done=fetched[-1])
        if left and len(fetched) == len(left):
            return dataclasses.replace(self, done=None)
        return Round(now, self.begun, None if fetched[-1] == every[-1]
                     and len(fetched) == len(left) + len(every)
                     else fetched[-1])


@dataclasses.dataclass(slots=True)
class Notes:
    """What is noted of the packs of a volume.

    ``rounds`` has the round of each key, and ``damaged`` are packs. Both are
    known by what :func:`short` makes of their names.
    """

    rounds: dict[str, Round] = dataclasses.field(default_factory=dict)
    damaged: set[str] = dataclasses.field(default_factory=set)

    @classmethod
    def decode(cls, notes: Mapping[str, str]) -> 'Notes':
        """What some notes say; what is none of ours is left out."""
        found = cls()
        for name, value in notes.items():
            if name.startswith(_ROUND):
                key, _, rest = value.partition(' ')
                found.rounds[key] = Round.decode(rest)
            if name.startswith(_DAMAGED):
                found.damaged.update(value.split())
        return found

    def encode(self, current: Iterable[str]) -> dict[str, str]:
        """The notes, by their names.

        If there is no room for all, the latest rounds are noted, and damaged
        packs that are there.

        :param current: ends of names of packs that are there
        """
        latest = sorted(self.rounds.items(),
                        key=lambda item: item[1].begun, reverse=True)
        notes = {f'{_ROUND}{number}': note for number, note in enumerate((
            f'{key} {done.encode()}' for key, done in latest[:_ROUNDS]), 1)
            if len(note) <= _LONGEST}
        there = self.damaged & set(map(short, current))
        lists = textwrap.wrap(' '.join((
            *sorted(there), *sorted(self.damaged - there))), _LONGEST)
        return notes | {f'{_DAMAGED}{number}': note for number, note
                        in enumerate(lists[:_LISTS], 1)}


def short(name: str) -> str:
    """What a note knows a name by."""
    return hashlib.sha256(name.encode()).digest()[:_SHORT].hex()


def moment(text: str | None) -> datetime.datetime | None:
    """A time that was noted, if it is one, and in which zone."""
    try:
        found = datetime.datetime.fromisoformat(text or '')
    except ValueError:
        return None
    return found if found.tzinfo else None

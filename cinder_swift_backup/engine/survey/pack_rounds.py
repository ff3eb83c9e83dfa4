# SPDX-License-Identifier: Apache-2.0

"""What is noted of the packs of a volume while some of them are fetched."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import datetime

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import pieces as pieces_
from cinder_swift_backup.engine.survey import rounds


@dataclasses.dataclass(slots=True)
class _Group:
    """Packs of one round, by the ends of their names, in order.

    Without those that were damaged. ``fetched`` are those that had their turn
    now. When the round ``has_ended``, no others count.
    """

    packs: list[str] = dataclasses.field(default_factory=list)
    fetched: list[str] = dataclasses.field(default_factory=list)
    has_ended: bool = False


class PackRounds:
    """The packs of a volume, and what is noted of them.

    ``newest`` is its newest recovery point.
    """

    def __init__(self, newest: backups.Backup, notes: rounds.Notes,
                 pieces: Sequence[pieces_.Piece]) -> None:
        """Prepare.

        :param notes: what was noted before
        :param pieces: its packs, in the order of their names
        """
        self.newest = newest
        self._before = notes
        self._damaged = set(notes.damaged)
        self._pieces = pieces
        self._groups: dict[str, _Group] = {}
        for piece in pieces:
            group = self._groups.setdefault(piece.key, _Group())
            if rounds.short(piece.rest) not in notes.damaged:
                group.packs.append(piece.rest)

    def leave(self, keys: Iterable[str]) -> None:
        """Have nothing noted of some rounds, not even if packs are fetched."""
        for key in keys:
            self._groups.setdefault(key, _Group()).has_ended = True

    def timed(self) -> Iterator[pieces_.Piece]:
        """Its packs, and when each was verified."""
        for piece in self._pieces:
            if rounds.short(piece.rest) in self._before.damaged:
                yield dataclasses.replace(piece, is_damaged=True)
            else:
                yield dataclasses.replace(
                    piece, verified=self._round(piece.key).verified(
                        piece.rest))

    def _round(self, key: str) -> rounds.Round:
        return self._before.rounds.get(key, rounds.Round())

    def add(self, piece: pieces_.Piece, verdict: deep.Verdict) -> None:
        """Note what is known of a pack."""
        name = rounds.short(piece.rest)
        is_known = bool(verdict.faults) or verdict.state is not None
        if verdict.faults:
            self._damaged.add(name)
        elif is_known:
            self._damaged.discard(name)
        # Damaged ones are out of turn.
        if piece.is_damaged:
            return
        group = self._groups[piece.key]
        group.has_ended = group.has_ended or not is_known
        if not group.has_ended:
            group.fetched.append(piece.rest)

    def noted(self, now: datetime.datetime) -> dict[str, str]:
        """What to note of its packs."""
        notes = rounds.Notes(
            self._before.rounds | {
                key: self._round(key).after(group.fetched, group.packs, now)
                for key, group in self._groups.items()}, self._damaged)
        return notes.encode(piece.rest for piece in self._pieces)

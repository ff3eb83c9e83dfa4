# SPDX-License-Identifier: Apache-2.0

"""Which backups and packs to fetch tonight, of all that are to be verified.

To fetch everything every night takes too much. So what was verified, and when,
is noted with manifests:

1. Of a backup in chunks, when all of its own objects were fetched.
2. Of the packs of a volume, how far they were fetched, in the order of their
   names: since when, and up to which name, and when the round before that
   began, of which the others are. When all were fetched, the next round
   begins. The note at the newest recovery point counts, which also has some
   packs that were damaged, or of which nobody had the key: they are due until
   they are verified.

Of recovery points, the pages of those are compared that are asked for packs:
the newest, and older ones for what only these need.

What was not verified for so long is due. The longest overdue comes first, as
many bytes as there may be. A pack is fetched once, whoever needs it.

Nothing is noted in copies: what container sync brings from another site tells
of the originals there, and not of the copies. So what is fetched of a copy is
taken at random.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import random
import urllib.parse

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

# How many packs and backups are fetched before that is noted: for each time,
# all pages of a backup are read.
_BATCH = 256
# Gives who follows the fetching of a backup.
Watching = Callable[
    [backups.Backup],
    contextlib.AbstractContextManager[operations.Observer]]
# The names of our notes.
_VERIFIED = 'verified'
_ROUND = 'packs-verified'
_DAMAGED = 'packs-damaged'
# Characters of a note: Swift takes 256.
_LONGEST = 250
_NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """How far the packs of a volume were fetched.

    ``begun`` is when the round began, and ``before`` when the one before it
    did, both in UTC. ``done`` is the end of the name of the last pack that was
    fetched; None if all were.
    """

    begun: datetime.datetime = _NEVER
    before: datetime.datetime = _NEVER
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
        moments = _moment(begun), _moment(before)
        if moments[0] is None or moments[1] is None:
            return cls()
        return cls(moments[0], moments[1], urllib.parse.unquote(done) or None)

    def verified(self, rest: str) -> datetime.datetime:
        """When a pack was fetched, at the latest.

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


def _moment(text: str | None) -> datetime.datetime | None:
    try:
        moment = datetime.datetime.fromisoformat(text or '')
    except ValueError:
        return None
    return moment if moment.tzinfo else None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Something to fetch with others of its kind.

    ``backup`` has to be fetched, or is one that names the pack with a
    ``number`` in its manifest, of which ``rest`` is the end of the name.
    ``verified`` is when it was fetched before, in UTC, and ``is_extra``
    whether it was not as it was stored then, or nobody has its key now.
    """

    backup: backups.Backup
    stored_bytes: int
    verified: datetime.datetime = _NEVER
    number: int | None = None
    rest: str = ''
    is_extra: bool = False

    def is_name(self, name: str | None) -> bool:
        """Whether something is the name of its pack."""
        return name == f'{naming.packs(self.backup.ref.prefix)}{self.rest}'


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What is due, and how much of it is fetched.

    ``before`` is when it was verified before; all is due if None. ``at_most``
    is in stored bytes.
    """

    before: datetime.datetime | None = None
    at_most: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What to fetch, and how much is due besides."""

    pieces: tuple[Piece, ...]
    left: int = 0
    left_bytes: int = 0


class Scrubber:
    """Plans what to fetch of some backups, and notes what was."""

    def __init__(self, repo: repository.Repository,
                 lineage: lineages.Lineage) -> None:
        self._repository = repo
        self._lineage = lineage
        self._volumes: dict[tuple[str, str], _Volume] = {}
        # Whether the login may not note anything.
        self.is_refused = False

    def plan(self, chosen: Iterable[backups.Backup],
             limits: Limits) -> Plan:
        """What to fetch of backups that look complete.

        :param chosen: all of some volumes
        :raises StoreError: when the store fails
        """
        due = [piece for piece in self._pieces(chosen)
               if limits.before is None or piece.verified < limits.before]
        # In the order of their names where they are equally old.
        due.sort(key=lambda piece: piece.verified)
        # What may be no better next time must not stop anything else.
        extra = [piece for piece in due if piece.is_extra]
        others = [piece for piece in due if not piece.is_extra]
        taken = list(_taken(others, limits.at_most))
        rest = others[len(taken):]
        return Plan((*extra, *taken), len(rest),
                    sum(piece.stored_bytes for piece in rest))

    def _pieces(self, chosen: Iterable[backups.Backup]) -> Iterator[Piece]:
        by_volume: dict[tuple[str, str], list[backups.Backup]] = {}
        for backup in chosen:
            if backup.is_point:
                by_volume.setdefault(_place(backup), []).append(backup)
            else:
                yield Piece(backup, backup.listed.stored_bytes,
                            self._verified(backup))
        for points in by_volume.values():
            yield from self._packs(points)

    def _packs(self, points: Sequence[backups.Backup]) -> list[Piece]:
        """The packs of a volume, each once, in the order of their names."""
        found: dict[str, Piece] = {}
        # Of those that several name, the newest is asked.
        for backup in reversed(points):
            for piece in self._packs_of(backup):
                found.setdefault(piece.rest, piece)
        newest = points[-1]
        if self._is_copy(newest):
            pieces = list(found.values())
            random.shuffle(pieces)
            return pieces
        notes = self._find_notes(points)
        done = Round.decode(notes.get(_ROUND, ''))
        damaged = {urllib.parse.unquote(rest)
                   for rest in notes.get(_DAMAGED, '').split()}
        volume = self._volumes[_place(newest)] = _Volume(
            newest, done, tuple(sorted(found)), damaged & found.keys())
        return [dataclasses.replace(
            found[rest], verified=_NEVER, is_extra=True)
            if rest in volume.damaged else dataclasses.replace(
                found[rest], verified=done.verified(rest))
            for rest in volume.packs]

    def _packs_of(self, backup: backups.Backup) -> Iterator[Piece]:
        try:
            point = self._repository.load(backup.ref).point
        except (exceptions.ChainError, exceptions.FormatError):
            # A look at it tells what is wrong.
            return
        if point is None:
            return
        is_extra = not self._has_key(point)
        for number, name in enumerate(point.packs.names()):
            yield Piece(backup, point.packs.stored(number)[0], number=number,
                        rest=name.removeprefix(point.packs.root),
                        is_extra=is_extra)

    def _has_key(self, point: chains.Point) -> bool:
        try:
            self._repository.operation.keys.unlock(point.encryption)
        except exceptions.KeyUnavailable:
            return False
        return True

    def _find_notes(self,
                    points: Sequence[backups.Backup]) -> Mapping[str, str]:
        for backup in reversed(points):
            notes = self._notes(backup)
            if _ROUND in notes:
                return notes
        return {}

    def _verified(self, backup: backups.Backup) -> datetime.datetime:
        if self._is_copy(backup):
            return _NEVER
        return _moment(self._notes(backup).get(_VERIFIED)) or _NEVER

    def _notes(self, backup: backups.Backup) -> Mapping[str, str]:
        try:
            return self._repository.store.stat(
                backup.ref.container,
                naming.manifest_name(backup.ref.prefix)).notes
        except exceptions.ObjectNotFound:
            return {}

    def _is_copy(self, backup: backups.Backup) -> bool:
        return backup.ref.container in self._lineage.copies

    def run(self, plan: Plan, verifier: deep.Verifier,
            watching: Watching) -> Iterator[tuple[Piece, deep.Verdict]]:
        """Fetch what is planned, and note what is as it was stored.

        :param watching: gives who follows the fetching of a backup
        :returns: the pieces, and what is known of each
        :raises StoreError: when something cannot be noted
        :raises SpoolError: when there is no room for digests
        :raises Cancelled: when the observer cancelled
        """
        for start in range(0, len(plan.pieces), _BATCH):
            touched = set()
            for piece, verdict in _fetched(
                    plan.pieces[start:start + _BATCH], verifier, watching):
                volume = self._volumes.get(_place(piece.backup))
                if piece.number is None:
                    if verdict.state is backups.State.COMPLETE:
                        self._note(piece.backup)
                elif volume is not None:
                    volume.add(piece, verdict)
                    touched.add(_place(piece.backup))
                yield piece, verdict
            for place in touched:
                self._note_packs(self._volumes[place])

    def _note(self, backup: backups.Backup) -> None:
        if not self._is_copy(backup):
            self._annotate(backup, {_VERIFIED: self._lineage.now.isoformat(
                timespec='seconds')})

    def _note_packs(self, volume: '_Volume') -> None:
        done = volume.round.after(volume.fetched, volume.packs,
                                  self._lineage.now)
        notes = {_ROUND: done.encode()}
        damaged = ''
        for rest in sorted(volume.damaged):
            longer = f'{damaged} {urllib.parse.quote(rest)}'.strip()
            if len(longer) <= _LONGEST:
                damaged = longer
        if damaged:
            notes[_DAMAGED] = damaged
        self._annotate(volume.newest, notes)

    def _annotate(self, backup: backups.Backup,
                  notes: Mapping[str, str]) -> None:
        try:
            self._repository.store.annotate(
                backup.ref.container, naming.manifest_name(backup.ref.prefix),
                notes)
        except exceptions.AccessDenied:
            # What was found is worth knowing all the same.
            self.is_refused = True
        except exceptions.ObjectNotFound:
            # Somebody has deleted the backup meanwhile.
            return


class Found:
    """What was found of backups by fetching some pieces.

    ``fetched`` are the pieces that are as they were stored.
    """

    def __init__(self, repo: repository.Repository) -> None:
        self._repository = repo
        self.fetched: list[Piece] = []
        # Of backups alone, and of packs by the ends of their names.
        self._own: dict[types.BackupRef, deep.Verdict] = {}
        self._packs: dict[str, tuple[exceptions.BackupError, ...]] = {}

    def add(self, piece: Piece, verdict: deep.Verdict) -> None:
        """Note what is known of a piece."""
        ref = piece.backup.ref
        if verdict.state is backups.State.COMPLETE:
            self.fetched.append(piece)
        if piece.number is None:
            self._own[ref] = verdict
            return
        in_pack = tuple(fault for fault in verdict.faults
                        if piece.is_name(fault.name))
        others = tuple(fault for fault in verdict.faults
                       if fault not in in_pack)
        if in_pack:
            self._packs[piece.rest] = in_pack
        if others:
            self._own[ref] = dataclasses.replace(verdict, faults=others)

    def of(self, ref: types.BackupRef) -> deep.Verdict | None:
        """What is known of a backup that looks complete.

        A damaged pack hurts all that need it, whoever was asked for it.

        :returns: None if nothing speaks against it, and not all of it was
            fetched
        :raises StoreError: when the store fails
        """
        own = self._own.get(ref)
        needed = packed.rests(self._repository, ref) if self._packs else ()
        faults = tuple(fault for rest in sorted(needed)
                       for fault in self._packs.get(rest, ()))
        if not faults:
            return own
        return deep.Verdict(backups.State.DAMAGED, (
            *(own.faults if own is not None else ()), *faults))


@dataclasses.dataclass(slots=True)
class _Volume:
    """The packs of a volume, by the ends of their names, in order.

    ``newest`` is its newest recovery point. ``damaged`` are packs that were
    not as they were stored, or could not be read. ``fetched`` are those of the
    round that were fetched now, up to the first of which nothing is known.
    """

    newest: backups.Backup
    round: Round
    packs: tuple[str, ...]
    damaged: set[str]
    fetched: list[str] = dataclasses.field(default_factory=list)
    has_ended: bool = False

    def add(self, piece: Piece, verdict: deep.Verdict) -> None:
        """Note what is known of a pack."""
        if verdict.state is backups.State.COMPLETE:
            self.damaged.discard(piece.rest)
        elif verdict.state is not None or piece.is_extra:
            self.damaged.add(piece.rest)
        # They are out of turn.
        if piece.is_extra:
            return
        self.has_ended = self.has_ended or verdict.state is None
        if not self.has_ended:
            self.fetched.append(piece.rest)


def _place(backup: backups.Backup) -> tuple[str, str]:
    return backup.ref.container, backup.ref.volume_id


def _taken(due: Sequence[Piece], at_most: int | None) -> Iterator[Piece]:
    """As many as there may be, and one at least."""
    taken = 0
    for piece in due:
        if at_most is not None and taken and (
                taken + piece.stored_bytes > at_most):
            return
        taken += piece.stored_bytes
        yield piece


def _fetched(batch: Sequence[Piece], verifier: deep.Verifier,
             watching: Watching) -> Iterator[tuple[Piece, deep.Verdict]]:
    """What is known of some pieces, in their order, once they were fetched."""
    packs: dict[types.BackupRef, list[Piece]] = {}
    found: dict[Piece, deep.Verdict] = {}
    for piece in batch:
        if piece.number is not None:
            packs.setdefault(piece.backup.ref, []).append(piece)
            continue
        with watching(piece.backup) as observer:
            found[piece] = verifier.verify(piece.backup, observer)
    for pieces in packs.values():
        backup = pieces[0].backup
        with watching(backup) as observer:
            verdict = verifier.verify_packs(backup, [
                piece.number for piece in pieces
                if piece.number is not None], observer)
        found.update(_of_packs(pieces, verdict))
    for piece in batch:
        yield piece, found[piece]


def _of_packs(pieces: Sequence[Piece],
              verdict: deep.Verdict) -> Iterator[tuple[Piece, deep.Verdict]]:
    """What is known of each of several packs of a backup.

    What is wrong with its pages is told with the first.
    """
    faults = list(verdict.faults)
    for piece in reversed(pieces):
        own = tuple(fault for fault in faults
                    if piece is pieces[0] or piece.is_name(fault.name))
        faults = [fault for fault in faults if fault not in own]
        if verdict.state is None or own:
            yield piece, dataclasses.replace(verdict, faults=own)
        else:
            yield piece, deep.Verdict()

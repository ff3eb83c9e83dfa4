# SPDX-License-Identifier: Apache-2.0

"""Which backups and packs to fetch tonight, of all that are to be verified.

To fetch everything every night takes too much. So what was verified, and when,
is noted with manifests:

1. Of a backup in chunks, when all of its own objects were fetched.
2. Of the packs of a volume, how far they were fetched, in the order of their
   names: since when, and up to which name, and when the round before that
   began, of which the others are. When all were fetched, the next round
   begins. The note at the newest recovery point counts.
3. With that, which packs were damaged: they are due until they are verified.
   If they are more than a note can have, the round begins anew, so that all
   stays due.
4. Packs that nobody has the key of are due as long as that is so, and are in
   no round. Which keys these are is noted as well. When somebody has one of
   them again, the round begins anew.

Of recovery points, the pages of those are compared that are asked for packs:
the newest, and older ones for what only these need.

What was not verified for so long is due. The longest overdue comes first, as
many bytes as there may be. A pack is fetched once, whoever needs it.

Nothing is noted in copies: what container sync brings from another site tells
of the originals there, and not of the copies. So what is fetched of a copy is
taken at random.
"""

import base64
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import dataclasses
import datetime
import hashlib
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
_KEYLESS = 'packs-without-key'
# Characters of a note: Swift takes 256.
_LONGEST = 250
# Bytes by which a note knows a name. If two have the same, more is fetched.
_SHORT = 6
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
    ``lacks`` is the id of that key.
    """

    backup: backups.Backup
    stored_bytes: int
    verified: datetime.datetime = _NEVER
    number: int | None = None
    rest: str = ''
    is_extra: bool = False
    lacks: str | None = None

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
                known = found.setdefault(piece.rest, piece)
                if known.lacks is not None and piece.lacks is None:
                    found[piece.rest] = piece
        newest = points[-1]
        if self._is_copy(newest):
            pieces = list(found.values())
            random.shuffle(pieces)
            return pieces
        volume = self._volumes[_place(newest)] = self._volume(points, found)
        return [*(piece for piece in found.values()
                  if piece.lacks is not None),
                *(volume.timed(found[rest]) for rest in volume.packs)]

    def _volume(self, points: Sequence[backups.Backup],
                found: Mapping[str, Piece]) -> '_Volume':
        """What is noted of packs, as far as it holds."""
        notes = self._find_notes(points)
        packs = tuple(sorted(rest for rest, piece in found.items()
                             if piece.lacks is None))
        keyless = {piece.lacks for piece in found.values()
                   if piece.lacks is not None}
        was_keyless = notes.get(_KEYLESS, '').split()
        has_returned = any(
            _short(key_id) in was_keyless
            for key_id in self._key_ids(points) - keyless)
        damaged = notes.get(_DAMAGED, '').split()
        return _Volume(
            points[-1],
            Round() if has_returned else Round.decode(notes.get(_ROUND, '')),
            packs, {rest for rest in packs if _short(rest) in damaged},
            frozenset(keyless))

    def _key_ids(self, points: Sequence[backups.Backup]) -> set[str]:
        return {backup.summary.encrypted_by for backup in points
                if backup.summary and backup.summary.encrypted_by}

    def _packs_of(self, backup: backups.Backup) -> Iterator[Piece]:
        try:
            point = self._repository.load(backup.ref).point
        except (exceptions.ChainError, exceptions.FormatError):
            # A look at it tells what is wrong.
            return
        if point is None:
            return
        lacks = self._lacks(point)
        for number, name in enumerate(point.packs.names()):
            yield Piece(backup, point.packs.stored(number)[0], number=number,
                        rest=name.removeprefix(point.packs.root),
                        is_extra=lacks is not None, lacks=lacks)

    def _lacks(self, point: chains.Point) -> str | None:
        """The id of its key, if nobody has that."""
        if point.encryption is None:
            return None
        try:
            self._repository.operation.keys.unlock(point.encryption)
        except exceptions.KeyUnavailable:
            return point.encryption.key_id
        return None

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
        notes = {_ROUND: done.encode(), _DAMAGED: _list(volume.damaged),
                 _KEYLESS: _list(volume.keyless)}
        if max(map(len, notes.values())) > _LONGEST:
            # What a note has no room for must not seem verified.
            notes = {_ROUND: Round().encode()}
        self._annotate(volume.newest, {
            name: note for name, note in notes.items() if note})

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

    ``newest`` is its newest recovery point. ``packs`` are those that somebody
    has the key of. ``damaged`` are those that were not as they were stored.
    ``keyless`` are ids of keys that nobody has. ``fetched`` are packs of the
    round that were fetched now, up to the first of which nothing is known.
    """

    newest: backups.Backup
    round: Round
    packs: tuple[str, ...]
    damaged: set[str]
    keyless: frozenset[str]
    fetched: list[str] = dataclasses.field(default_factory=list)
    has_ended: bool = False

    def timed(self, piece: Piece) -> Piece:
        """A pack, and when it was verified."""
        if piece.rest in self.damaged:
            return dataclasses.replace(piece, is_extra=True)
        return dataclasses.replace(
            piece, verified=self.round.verified(piece.rest))

    def add(self, piece: Piece, verdict: deep.Verdict) -> None:
        """Note what is known of a pack."""
        if verdict.state is backups.State.COMPLETE:
            self.damaged.discard(piece.rest)
        elif verdict.state is not None:
            self.damaged.add(piece.rest)
        # They are out of turn.
        if piece.is_extra:
            return
        self.has_ended = self.has_ended or verdict.state is None
        if not self.has_ended:
            self.fetched.append(piece.rest)


def _place(backup: backups.Backup) -> tuple[str, str]:
    return backup.ref.container, backup.ref.volume_id


def _short(name: str) -> str:
    """What a note knows a name by."""
    return base64.urlsafe_b64encode(
        hashlib.sha256(name.encode()).digest()[:_SHORT]).decode()


def _list(names: Iterable[str]) -> str:
    return ' '.join(sorted(map(_short, names)))


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

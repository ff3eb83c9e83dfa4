# SPDX-License-Identifier: Apache-2.0

"""Which backups and packs to fetch tonight, of all that are to be verified.

To fetch everything every night takes too much. So what was verified, and when,
is noted with manifests:

1. Of a backup in chunks, when all of its own objects were fetched.
2. Of the packs of a volume, how far they were fetched, and which of them were
   damaged, with its newest recovery point
   (:mod:`cinder_swift_backup.engine.survey.rounds`).

What was not verified for so long is due. The longest overdue comes first, as
many bytes as there may be. A pack is fetched once, whoever needs it. Damaged
packs are due until they are verified, and fetched besides. A recovery point
whose key nobody has is told each time. Those of its packs that another
recovery point needs are read with the key of that one.

Of recovery points, the pages of those are compared that are asked for packs:
the newest, and older ones for what only these need.

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

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import rounds
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
# The name of a note.
_VERIFIED = 'verified'


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Something to fetch with others of its kind.

    ``backup`` has to be fetched, or is one that names the pack with a
    ``number`` in its manifest, of which ``rest`` is the end of the name.
    ``verified`` is when it was fetched before, in UTC, and ``is_damaged``
    whether it was not as it was stored then. ``keys`` is what rounds know its
    pack by. ``locked`` says why nobody can read the backup, if it has no key.
    """

    backup: backups.Backup
    stored_bytes: int
    verified: datetime.datetime = rounds.NEVER
    number: int | None = None
    rest: str = ''
    keys: str = ''
    is_damaged: bool = False
    locked: exceptions.KeyUnavailable | None = None

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
        """What to fetch of some backups.

        In chunks, of those that look complete. Packs are fetched in any case:
        most may be well where one is missing.

        :param chosen: all of some volumes
        :raises StoreError: when the store fails
        """
        due = [piece for piece in self._pieces(chosen)
               if limits.before is None or piece.verified < limits.before]
        # In the order of their names where they are equally old.
        due.sort(key=lambda piece: piece.verified)
        # What may be no better next time must not stop anything else.
        extra = [piece for piece in due
                 if piece.is_damaged or piece.locked is not None]
        others = [piece for piece in due
                  if not piece.is_damaged and piece.locked is None]
        taken = list(_taken(others, limits.at_most))
        rest = others[len(taken):]
        return Plan((*extra, *taken), len(rest),
                    sum(piece.stored_bytes for piece in rest))

    def _pieces(self, chosen: Iterable[backups.Backup]) -> Iterator[Piece]:
        by_volume: dict[tuple[str, str], list[backups.Backup]] = {}
        for backup in chosen:
            if backup.is_point:
                by_volume.setdefault(_place(backup), []).append(backup)
            elif self._is_complete(backup):
                yield Piece(backup, backup.listed.stored_bytes,
                            self._verified(backup))
        for points in by_volume.values():
            yield from self._packs(points)

    def _packs(self, points: Sequence[backups.Backup]) -> Iterator[Piece]:
        """The packs of a volume, each once, in the order of their names."""
        found: dict[str, Piece] = {}
        key_ids: dict[str, frozenset[str]] = {}
        # Of those that several name, the newest is asked that has a key, and
        # pages if possible.
        for backup in sorted(reversed(points), key=self._is_complete,
                             reverse=True):
            point = self._point(backup)
            if point is None:
                continue
            own = ({point.encryption.key_id} if point.encryption
                   else frozenset[str]())
            locked = self._locked(point)
            if locked is not None:
                yield Piece(backup, 0, locked=locked)
            for piece in _packs_of(backup, point):
                before = key_ids.get(piece.rest, frozenset())
                if not own <= before:
                    key_ids[piece.rest] = before | own
                if locked is None:
                    found.setdefault(piece.rest, piece)
        pieces = [dataclasses.replace(piece, keys=rounds.keyed(
            key_ids.get(rest, ()))) for rest, piece in sorted(found.items())]
        if self._is_copy(points[-1]):
            random.shuffle(pieces)
            yield from pieces
            return
        volume = _Volume(points[-1], self._find_notes(points), pieces)
        self._volumes[_place(points[-1])] = volume
        yield from volume.timed()

    def _is_complete(self, backup: backups.Backup) -> bool:
        return self._lineage.state(backup) is backups.State.COMPLETE

    def _point(self, backup: backups.Backup) -> chains.Point | None:
        try:
            return self._repository.load(backup.ref).point
        except (exceptions.ChainError, exceptions.FormatError):
            # A look at it tells what is wrong.
            return None

    def _locked(self, point: chains.Point) -> exceptions.KeyUnavailable | None:
        try:
            self._repository.operation.keys.unlock(point.encryption)
        except exceptions.KeyUnavailable as err:
            return err
        return None

    def _find_notes(self, points: Sequence[backups.Backup]) -> rounds.Notes:
        """Those at the newest recovery point that has any."""
        for backup in reversed(points):
            notes = rounds.Notes.decode(self._notes(backup))
            if notes.rounds:
                return notes
        return rounds.Notes()

    def _verified(self, backup: backups.Backup) -> datetime.datetime:
        if self._is_copy(backup):
            return rounds.NEVER
        noted = self._notes(backup).get(_VERIFIED)
        return rounds.moment(noted) or rounds.NEVER

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
                if not piece.backup.is_point:
                    if verdict.state is backups.State.COMPLETE:
                        self._note(piece.backup)
                elif volume is not None and piece.number is not None:
                    volume.add(piece, verdict)
                    touched.add(_place(piece.backup))
                yield piece, verdict
            for place in touched:
                volume = self._volumes[place]
                self._annotate(volume.newest,
                               volume.noted(self._lineage.now))

    def _note(self, backup: backups.Backup) -> None:
        if not self._is_copy(backup):
            self._annotate(backup, {_VERIFIED: self._lineage.now.isoformat(
                timespec='seconds')})

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
class _Group:
    """Packs that the same keys open, by the ends of their names, in order.

    Without those that were damaged. ``fetched`` are those that were fetched
    now, up to the first of which nothing is known.
    """

    packs: list[str] = dataclasses.field(default_factory=list)
    fetched: list[str] = dataclasses.field(default_factory=list)
    has_ended: bool = False

    def add(self, rest: str, verdict: deep.Verdict) -> None:
        """Note that a pack had its turn."""
        self.has_ended = self.has_ended or verdict.state is None
        if not self.has_ended:
            self.fetched.append(rest)


class _Volume:
    """The packs of a volume, and what is noted of them.

    ``newest`` is its newest recovery point.
    """

    def __init__(self, newest: backups.Backup, notes: rounds.Notes,
                 pieces: Sequence[Piece]) -> None:
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
            group = self._groups.setdefault(piece.keys, _Group())
            if rounds.short(piece.rest) not in notes.damaged:
                group.packs.append(piece.rest)

    def timed(self) -> Iterator[Piece]:
        """Its packs, and when each was verified."""
        for piece in self._pieces:
            if rounds.short(piece.rest) in self._before.damaged:
                yield dataclasses.replace(piece, is_damaged=True)
            else:
                yield dataclasses.replace(
                    piece, verified=self._round(piece.keys).verified(
                        piece.rest))

    def _round(self, keys: str) -> rounds.Round:
        return self._before.rounds.get(keys, rounds.Round())

    def add(self, piece: Piece, verdict: deep.Verdict) -> None:
        """Note what is known of a pack."""
        name = rounds.short(piece.rest)
        if verdict.state is backups.State.COMPLETE:
            self._damaged.discard(name)
        elif verdict.state is not None:
            self._damaged.add(name)
        # Damaged ones are out of turn.
        if not piece.is_damaged:
            self._groups[piece.keys].add(piece.rest, verdict)

    def noted(self, now: datetime.datetime) -> dict[str, str]:
        """What to note of its packs."""
        notes = rounds.Notes(
            self._before.rounds | {
                keys: self._round(keys).after(group.fetched, group.packs, now)
                for keys, group in self._groups.items()}, self._damaged)
        return notes.encode(piece.rest for piece in self._pieces)


def _packs_of(backup: backups.Backup, point: chains.Point) -> Iterator[Piece]:
    for number, name in enumerate(point.packs.names()):
        yield Piece(backup, point.packs.stored(number)[0], number=number,
                    rest=name.removeprefix(point.packs.root))


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
        if piece.locked is not None:
            found[piece] = deep.Verdict(None, (piece.locked,))
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

# SPDX-License-Identifier: Apache-2.0

"""Which backups and packs to fetch tonight, of all that are to be verified.

To fetch everything every night takes too much. So what was verified, and when,
is noted with manifests:

1. Of a backup in chunks, when all of its own objects were fetched, and when
   that was tried in vain.
2. Of the packs of a volume, how far they were fetched, and which of them were
   damaged or could not be had, with its newest recovery point
   (:mod:`cinder_swift_backup.engine.survey.rounds`).
3. Of each recovery point, when its pages were compared.

What was not verified for so long is due. What was not tried for the longest
time comes first, as many bytes as there may be. A pack is fetched once,
whoever needs it. What was damaged is due until it is verified, and fetched
besides, so that it is told each time and does not stop anything else.

Packs have their turns with others whose newest recovery points have the same
key. If nobody has it, the recovery points are told each time.

Of recovery points, the pages of those are compared that are asked for packs:
the newest, and older ones for what only these need.

Nothing is noted in copies: what container sync brings from another site tells
of the originals there, and not of the copies. So what is fetched of copies is
taken at random, in turn with what else there is.
"""

import collections
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
from cinder_swift_backup.engine.survey import pack_rounds
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import pieces as pieces_
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
Results = Iterator[tuple[pieces_.Piece, deep.Verdict]]
# The names of notes.
_VERIFIED = 'verified'
_TRIED = 'tried'
_DAMAGED = 'damaged'
_PAGES = 'pages-verified'
# How much later than now it may have been when something was noted.
_SKEW = datetime.timedelta(days=1)


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

    pieces: tuple[pieces_.Piece, ...]
    left: int = 0
    left_bytes: int = 0


class Scrubber:
    """Plans what to fetch of some backups, and notes what was."""

    def __init__(self, repo: repository.Repository,
                 lineage: lineages.Lineage) -> None:
        self._repository = repo
        self._lineage = lineage
        self._volumes: dict[tuple[str, str], pack_rounds.PackRounds] = {}
        # Why something could not be noted, if that is so.
        self.unnoted: exceptions.StoreError | None = None

    def plan(self, chosen: Iterable[backups.Backup],
             limits: Limits) -> Plan:
        """What to fetch of some backups.

        In chunks, of those that look complete. Packs are fetched in any case:
        most may be well where one is missing.

        :param chosen: all of some volumes
        :raises StoreError: when the store fails
        """
        due = [piece for piece in self.pieces(chosen)
               if limits.before is None or piece.verified < limits.before]
        # In the order of their names where they are equally old.
        due.sort(key=lambda piece: max(piece.verified, piece.tried))
        # What may be no better next time must not stop anything else.
        extra = [piece for piece in due
                 if piece.is_damaged or piece.locked is not None]
        others = self._mixed([
            piece for piece in due
            if not piece.is_damaged and piece.locked is None])
        taken = list(_taken(others, limits.at_most))
        rest = others[len(taken):]
        return Plan((*extra, *taken), len(rest),
                    sum(piece.stored_bytes for piece in rest))

    def pieces(self, chosen: Iterable[backups.Backup],
               ) -> Iterator[pieces_.Piece]:
        """All that there is to fetch, and when it was fetched before.

        :param chosen: as of :meth:`plan`
        :raises StoreError: when the store fails
        """
        by_volume: dict[tuple[str, str], list[backups.Backup]] = {}
        for backup in chosen:
            if backup.is_point:
                by_volume.setdefault(_place(backup), []).append(backup)
            elif self._is_complete(backup):
                yield self._in_chunks(backup)
        for points in by_volume.values():
            yield from self._packs(points)

    def _in_chunks(self, backup: backups.Backup) -> pieces_.Piece:
        piece = pieces_.Piece(backup, backup.listed.stored_bytes)
        if self._is_copy(backup):
            return piece
        notes = self._notes(backup)
        return dataclasses.replace(
            piece, verified=self._moment(notes.get(_VERIFIED)),
            tried=self._moment(notes.get(_TRIED)),
            is_damaged=_DAMAGED in notes)

    def _moment(self, noted: str | None) -> datetime.datetime:
        found = rounds.moment(noted) or rounds.NEVER
        return rounds.NEVER if self._is_to_come(found) else found

    def _is_to_come(self, moment: datetime.datetime) -> bool:
        """Whether a clock was wrong when a time was noted."""
        return moment > self._lineage.now + _SKEW

    def _mixed(self, pieces: Sequence[pieces_.Piece]) -> list[pieces_.Piece]:
        """Pieces in their order, and copies among them in any."""
        copies = [piece for piece in pieces if self._is_copy(piece.backup)]
        others = [piece for piece in pieces
                  if not self._is_copy(piece.backup)]
        random.shuffle(copies)
        left = collections.deque(copies), collections.deque(others)
        found = []
        while all(left):
            found.append(random.choice(left).popleft())
        return [*found, *left[0], *left[1]]

    def _packs(self, points: Sequence[backups.Backup],
               ) -> Iterator[pieces_.Piece]:
        """The packs of a volume, each once, in the order of their names."""
        groups: dict[str, tuple[str, bool]] = {}
        unlocked = []
        for backup in reversed(points):
            point = self._point(backup)
            if point is None:
                continue
            locked = self._locked(point)
            if locked is not None:
                yield pieces_.Piece(backup, 0, locked=locked)
            else:
                unlocked.append((backup, point))
            group = (rounds.short(point.encryption.key_id)
                     if point.encryption else '-', locked is None)
            for name in point.packs.names():
                groups.setdefault(name.removeprefix(point.packs.root), group)
        # One is asked that has pages, if possible.
        unlocked.sort(key=lambda asked: not self._is_complete(asked[0]))
        found: dict[str, pieces_.Piece] = {}
        for asked in unlocked:
            for piece in pieces_.of_point(*asked):
                found.setdefault(piece.rest, piece)
        pieces = [dataclasses.replace(found[rest], key=key)
                  for rest, (key, is_open) in sorted(groups.items())
                  if is_open]
        if self._is_copy(points[-1]):
            yield from pieces
            return
        volume = pack_rounds.PackRounds(
            points[-1], self._find_notes(points), pieces)
        # There may be other data under the same id.
        volume.leave(key for key, is_open in groups.values() if not is_open)
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
                notes.rounds = {
                    key: done for key, done in notes.rounds.items()
                    if not self._is_to_come(done.begun)}
                return notes
        return rounds.Notes()

    def pages(self, backup: backups.Backup) -> datetime.datetime:
        """When the pages of a recovery point were compared, in UTC.

        :raises StoreError: when the store fails
        """
        return (rounds.NEVER if self._is_copy(backup)
                else self._moment(self._notes(backup).get(_PAGES)))

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
            watching: Watching) -> Results:
        """Fetch what is planned, and note what is as it was stored.

        :param watching: gives who follows the fetching of a backup
        :returns: the pieces, and what is known of each
        :raises SpoolError: when there is no room for digests
        :raises Cancelled: when the observer cancelled
        """
        for start in range(0, len(plan.pieces), _BATCH):
            touched = set()
            for piece, verdict in _fetched(
                    plan.pieces[start:start + _BATCH], verifier, watching,
                    self._note_pages):
                volume = self._volumes.get(_place(piece.backup))
                if not piece.backup.is_point:
                    self._note(piece, verdict)
                elif volume is not None and piece.number is not None:
                    volume.add(piece, verdict)
                    touched.add(_place(piece.backup))
                yield piece, verdict
            for place in touched:
                self._note_rounds(self._volumes[place])

    def note(self, chosen: Iterable[backups.Backup],
             verdicts: Mapping[types.BackupRef, deep.Verdict]) -> None:
        """Note what was found when all of some backups was fetched.

        :param chosen: as of :meth:`plan`
        :param verdicts: what is known of some of these
        :raises StoreError: when the store fails
        """
        good = {
            (ref.container, rest) for ref, verdict in verdicts.items()
            if verdict.state is backups.State.COMPLETE
            for rest in packed.rests(self._repository, ref)}
        faults = {(ref.container, fault.name): fault
                  for ref, verdict in verdicts.items()
                  for fault in verdict.faults}
        for piece in self.plan(chosen, Limits()).pieces:
            ref = piece.backup.ref
            if not piece.backup.is_point:
                if ref in verdicts:
                    self._note(piece, verdicts[ref])
                continue
            volume = self._volumes.get(_place(piece.backup))
            if volume is None or piece.number is None:
                continue
            fault = faults.get((ref.container, piece.name))
            if fault is not None:
                verdict = deep.Verdict(backups.State.DAMAGED, (fault,))
            elif (ref.container, piece.rest) in good:
                verdict = deep.Verdict()
            else:
                verdict = deep.Verdict(None)
            volume.add(piece, verdict)
        for backup in chosen:
            if backup.is_point and backup.ref in verdicts:
                self._note_pages(backup, verdicts[backup.ref])
        for volume in self._volumes.values():
            self._note_rounds(volume)

    def _note_pages(self, backup: backups.Backup,
                    verdict: deep.Verdict) -> None:
        """Note whether the pages of a recovery point are well."""
        if self._is_copy(backup) or verdict.state is None:
            return
        notes = {name: value for name, value in self._notes(backup).items()
                 if name != _PAGES}
        if verdict.state is backups.State.COMPLETE:
            notes[_PAGES] = self._lineage.now.isoformat(timespec='seconds')
        self._annotate(backup, notes)

    def _note_rounds(self, volume: pack_rounds.PackRounds) -> None:
        notes = volume.noted(self._lineage.now)
        pages = self._notes(volume.newest).get(_PAGES)
        self._annotate(volume.newest, notes if pages is None
                       else {**notes, _PAGES: pages})

    def _note(self, piece: pieces_.Piece, verdict: deep.Verdict) -> None:
        if self._is_copy(piece.backup):
            return
        now = self._lineage.now.isoformat(timespec='seconds')
        if verdict.state is backups.State.COMPLETE:
            self._annotate(piece.backup, {_VERIFIED: now})
            return
        notes = {_VERIFIED: piece.verified.isoformat(timespec='seconds'),
                 _TRIED: now}
        if (piece.is_damaged if verdict.state is None
                else verdict.below is None):
            notes[_DAMAGED] = now
        self._annotate(piece.backup, notes)

    def _annotate(self, backup: backups.Backup,
                  notes: Mapping[str, str]) -> None:
        try:
            self._repository.store.annotate(
                backup.ref.container, naming.manifest_name(backup.ref.prefix),
                notes)
        except exceptions.ObjectNotFound:
            # Somebody has deleted the backup meanwhile.
            return
        except exceptions.StoreError as err:
            # What was found is worth knowing all the same.
            self.unnoted = err


def _place(backup: backups.Backup) -> tuple[str, str]:
    return backup.ref.container, backup.ref.volume_id


def _taken(due: Sequence[pieces_.Piece],
           at_most: int | None) -> Iterator[pieces_.Piece]:
    """As many as there may be, and one at least."""
    taken = 0
    for piece in due:
        if at_most is not None and taken and (
                taken + piece.stored_bytes > at_most):
            return
        taken += piece.stored_bytes
        yield piece


def _fetched(batch: Sequence[pieces_.Piece], verifier: deep.Verifier,
             watching: Watching,
             note_pages: Callable[[backups.Backup, deep.Verdict], None],
             ) -> Results:
    """What is known of some pieces, in their order, once they were fetched.

    Before these, of the recovery points that were asked for packs, if there is
    anything wrong with their pages.

    :param note_pages: called with each of these, and what is known of its
        pages
    """
    packs: dict[types.BackupRef, list[pieces_.Piece]] = {}
    found: dict[pieces_.Piece, deep.Verdict] = {}
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
            own, verdicts = verifier.verify_packs(
                backup, [piece.name for piece in pieces], observer)
        found.update(zip(pieces, verdicts, strict=True))
        note_pages(backup, own)
        if own.faults:
            yield pieces_.Piece(backup, 0), own
    for piece in batch:
        yield piece, found[piece]

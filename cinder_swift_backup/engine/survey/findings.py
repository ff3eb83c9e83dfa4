# SPDX-License-Identifier: Apache-2.0

"""What is known of backups when some pieces of them were fetched."""

import dataclasses

from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deep
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import pieces
from cinder_swift_backup.format import types


class Found:
    """What was found of backups by fetching some pieces.

    ``fetched`` are the pieces that are as they were stored.
    """

    def __init__(self, repo: repository.Repository,
                 lineage: lineages.Lineage) -> None:
        self._repository = repo
        self._lineage = lineage
        self.fetched: list[pieces.Piece] = []
        # Of backups alone, and of packs by the ends of their names.
        self._own: dict[types.BackupRef, deep.Verdict] = {}
        self._packs: dict[str, deep.Verdict] = {}

    def add(self, piece: pieces.Piece, verdict: deep.Verdict) -> None:
        """Note what is known of a piece."""
        ref = piece.backup.ref
        if verdict.state is backups.State.COMPLETE:
            self.fetched.append(piece)
        if piece.number is None:
            self._own[ref] = _worse(self._own.get(ref), verdict)
            return
        if verdict.faults:
            self._packs[piece.rest] = verdict

    def of(self, backup: backups.Backup) -> deep.Verdict | None:
        """What is known of a backup that looks complete.

        A damaged pack hurts all that need it, whoever was asked for it, and
        a damaged backup all that build on it.

        :returns: None if nothing speaks against it, and not all of it was
            fetched
        :raises StoreError: when the store fails
        """
        ref = backup.ref
        found = self._own.get(ref)
        if not backup.is_point:
            return found or self._below(backup)
        needed = packed.rests(self._repository, ref) if self._packs else ()
        for rest in sorted(needed):
            if rest in self._packs:
                found = _worse(found, self._packs[rest])
        return found

    def _below(self, backup: backups.Backup) -> deep.Verdict | None:
        for below in self._lineage.chain(backup):
            verdict = self._own.get(below.ref)
            if verdict and verdict.state is not backups.State.COMPLETE:
                return deep.Verdict(verdict.state, below=below.ref)
        return None


def _worse(one: deep.Verdict | None, other: deep.Verdict) -> deep.Verdict:
    """Both together: damage is worse than what is not known."""
    if one is None or one.state is backups.State.COMPLETE:
        return other
    known = set(map(str, one.faults))
    return dataclasses.replace(
        one, state=one.state or other.state, faults=one.faults + tuple(
            fault for fault in other.faults if str(fault) not in known))

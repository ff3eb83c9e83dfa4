# SPDX-License-Identifier: Apache-2.0

"""When backups were last fetched and found as they were stored.

By what is noted (:mod:`cinder_swift_backup.engine.survey.scrubbing`): a backup
was verified when all that it needs was, so what was verified first counts.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import repository
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import rounds
from cinder_swift_backup.engine.survey import scrubbing
from cinder_swift_backup.format import types


class Verified:
    """The times of some backups, as noted before."""

    def __init__(self, repo: repository.Repository,
                 lineage: lineages.Lineage,
                 chosen: Iterable[backups.Backup]) -> None:
        """Read the notes.

        :param chosen: all backups of some volumes
        :raises StoreError: when the store fails
        """
        self._repository = repo
        self._lineage = lineage
        self._scrubber = scrubbing.Scrubber(repo, lineage)
        self._own: dict[types.BackupRef, datetime.datetime] = {}
        # By containers, and the ends of names, which have the ids of backups.
        self._packs: dict[tuple[str, str], datetime.datetime] = {}
        for piece in self._scrubber.pieces(chosen):
            when = rounds.NEVER if piece.is_damaged else piece.verified
            ref = piece.backup.ref
            if piece.number is not None:
                self._packs[ref.container, piece.rest] = when
            elif piece.locked is None:
                self._own[ref] = when

    def when(self, backup: backups.Backup) -> datetime.datetime | None:
        """When all of a backup was verified, at the earliest, in UTC.

        :returns: None if some of it never was, or was damaged then
        :raises StoreError: when the store fails
        """
        if backup.is_point:
            return self._of_point(backup)
        try:
            chain = self._lineage.chain(backup)
        except exceptions.ChainError:
            return None
        return _known([self._own.get(link.ref, rounds.NEVER)
                       for link in chain])

    def _of_point(self, backup: backups.Backup) -> datetime.datetime | None:
        when = _known([
            self._scrubber.pages(backup),
            *(self._packs.get((backup.ref.container, rest), rounds.NEVER)
              for rest in packed.rests(self._repository, backup.ref))])
        # A pack counts with the round that it joins, which may have begun
        # before there was such a pack. Notes have whole seconds.
        made = backup.listed.modified.replace(microsecond=0)
        return None if when is None or when < made else when


def _known(times: Sequence[datetime.datetime]) -> datetime.datetime | None:
    first = min(times)
    return None if first == rounds.NEVER else first

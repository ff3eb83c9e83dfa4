# SPDX-License-Identifier: Apache-2.0

"""When backups were last fetched and found as they were stored.

By what is noted (:mod:`cinder_swift_backup.engine.survey.scrubbing`): a backup
was verified when all that it needs was, so what was verified first counts.
"""

from collections.abc import Iterable
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
        self._own: dict[types.BackupRef, datetime.datetime] = {}
        # By the ends of their names, which have the ids of backups.
        self._packs: dict[str, datetime.datetime] = {}
        for piece in scrubbing.Scrubber(repo, lineage).pieces(chosen):
            if piece.number is not None:
                self._packs[piece.rest] = piece.verified
            elif piece.locked is None:
                self._own[piece.backup.ref] = piece.verified

    def when(self, backup: backups.Backup) -> datetime.datetime | None:
        """When all of a backup was verified, at the earliest, in UTC.

        :returns: None if some of it never was, or was damaged then
        :raises StoreError: when the store fails
        """
        if backup.is_point:
            times = [self._packs.get(rest, rounds.NEVER) for rest
                     in packed.rests(self._repository, backup.ref)]
        else:
            try:
                chain = self._lineage.chain(backup)
            except exceptions.ChainError:
                return None
            times = [self._own.get(link.ref, rounds.NEVER) for link in chain]
        # A recovery point of nothing but zeros has no packs.
        first = min(times, default=rounds.NEVER)
        return None if first == rounds.NEVER else first

# SPDX-License-Identifier: Apache-2.0

"""Applies a retention policy: by Cinder where there is one, or else itself."""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Sequence
import os

from cinder_swift_backup import exceptions
from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import cinder_deletion
from cinder_swift_backup.cli import cinder_records
from cinder_swift_backup.cli import commands
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import forgetting
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import packed
from cinder_swift_backup.engine.survey import retention
from cinder_swift_backup.engine.survey import survey as surveys

# Takes some of the backups in the containers that the user has named.
Choose = Callable[[Sequence[backups.Backup]], Iterable[backups.Backup]]


class Retainer:
    """Decides what goes, and has it deleted."""

    def __init__(self, command: commands.AccountCommand,
                 survey: surveys.Survey, patience: float) -> None:
        """Prepare.

        :param command: says what fails
        :param patience: as of :func:`.cinder_api.read`
        """
        self._command = command
        self._survey = survey
        self._patience = patience
        self._records: deletion.Records | None = None

    def decide(self, policy: retention.Policy, choose: Choose,
               made: Collection[str] = (),
               ) -> tuple[lineages.Lineage, list[forgetting.Decision]]:
        """All backups, and what becomes of some.

        :param made: the ids of backups that were made just now
        :raises StoreError: when the store fails
        :raises ConfigurationError: when Cinder cannot be asked
        """
        with self._command.looking() as observer:
            lineage = self._survey.everywhere(observer)
        # After the objects: whoever writes some has a record already.
        self._records = cinder_records.read(self._command, self._patience,
                                            required=True)
        if policy.tags:
            _check_tags(self._records)
        named = self._survey.containers
        every = [backup for backup in lineage.backups
                 if not named or backup.ref.container in named]
        return lineage, forgetting.decide(
            lineage, choose(every), forgetting.Rules(
                policy, self._records, named=named, made=made))

    def tell_half_deleted(self,
                          decisions: Iterable[forgetting.Decision]) -> bool:
        """Tell of backups whose delete has failed before.

        They are damaged, and keep what they build on.

        :returns: whether there are any
        """
        names = [
            decision.backup.ref.backup_id for decision in decisions
            if decision.bar is forgetting.Bar.INCOMPLETE
            and (record := deletion.record_of(
                self._records or {}, decision.backup)) is not None
            and record.status.startswith('error')]
        if names:
            self._command.say(
                f'Delete {", ".join(names)} with "cinder backup-delete": '
                'these are damaged, and their status in Cinder is error.')
        return bool(names)

    def delete(self, lineage: lineages.Lineage,
               doomed: Sequence[backups.Backup]) -> list[backups.Backup]:
        """Delete backups, and say why where that fails.

        :param doomed: what one builds on before it
        :returns: those that are gone
        """
        options = self._command.login
        deleter = None if self._records is None else cinder_deletion.Deleter(
            options, os.environ, self._patience)
        gone: list[backups.Backup] = []
        try:
            for backup in reversed(doomed):
                stay = [other for other in lineage.dependents(backup)
                        if other not in gone]
                if not stay and self._is_deleted(deleter, backup):
                    gone.append(backup)
        except cinder_deletion.TooLong as err:
            # The others would take as long.
            self._command.tell(err)
        if deleter is None:
            self._note_packs(gone)
        return gone

    def _is_deleted(self, deleter: cinder_deletion.Deleter | None,
                    backup: backups.Backup) -> bool:
        name = backup.ref.backup_id
        try:
            if deleter is None:
                deletion.delete(self._survey.repository, backup)
            else:
                deleter.delete(name)
        except cinder_deletion.TooLong:
            raise
        except cinder_api.CinderError as err:
            self._command.tell(err)
        except exceptions.StoreError as err:
            self._command.tell(err.about(backup_id=name),
                               f'Delete the rest with "delete {name}".')
        else:
            return True
        return False

    def _note_packs(self, gone: Sequence[backups.Backup]) -> None:
        """Have the packs that nobody needs now go with the next sweep."""
        by_volume: dict[tuple[str, str], list[backups.Backup]] = {}
        for backup in gone:
            if backup.is_point:
                by_volume.setdefault((backup.ref.container,
                                      backup.ref.volume_id), []).append(backup)
        waiting = sum(packed.note_unneeded(self._survey.repository, deleted)
                      for deleted in by_volume.values())
        if waiting:
            self._command.say(
                f'{quantities.counted(waiting, "pack")} that no backup needs '
                'will go with a "sweep" after the grace period.')


def _check_tags(records: deletion.Records | None) -> None:
    """Make sure that it is known what has a tag.

    :raises ConfigurationError: when it is not
    """
    if records is None:
        raise exceptions.ConfigurationError(
            '--keep-tag needs Cinder, which has the properties of backups, '
            'but the catalog of this login has none')
    if any(record.tags is None for record in records.values()):
        raise exceptions.ConfigurationError(
            'Cinder does not tell the properties of backups, which --keep-tag '
            'needs: allow microversion 3.43 of its API, for example in '
            'clouds.yaml')

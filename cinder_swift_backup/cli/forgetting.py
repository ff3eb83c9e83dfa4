# SPDX-License-Identifier: Apache-2.0

"""``forget``: delete old backups, and keep those that a policy names."""

import argparse
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import os
from typing import Any

from cliff import columns

from cinder_swift_backup import quantities
from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import policies
from cinder_swift_backup.cli import questions
from cinder_swift_backup.cli import retaining
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import forgetting
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import retention
from cinder_swift_backup.format import types

_COLUMNS = ('Backup', 'Volume', 'Created', 'Kind', 'Stored', 'Result',
            'Because', 'Container')
# Which share a column where the terminal is narrow: has 100 columns, or 80.
_GROUPINGS = (
    (('Backup', 'Volume'), ('Created', 'Container'), ('Kind', 'Stored'),
     ('Result', 'Because')),
    (('Backup', 'Volume'), ('Created', 'Kind', 'Stored'),
     ('Result', 'Because', 'Container')))
_BARS = {
    forgetting.Bar.COPY: 'copy',
    forgetting.Bar.NEWEST: 'newest complete',
    forgetting.Bar.IN_USE: 'in use',
    forgetting.Bar.NEEDED: 'needed by',
    forgetting.Bar.PERHAPS_NEEDED: 'perhaps needed by',
    forgetting.Bar.SHARED: 'perhaps of another site',
    forgetting.Bar.TWO_FORMS: 'two forms',
    forgetting.Bar.UNRECORDED: 'not in Cinder',
}
# Those that name others.
_BY_OTHERS = (forgetting.Bar.NEEDED, forgetting.Bar.PERHAPS_NEEDED)
_KEPT, _DELETED, _FAILED = 'kept', 'deleted', 'not deleted'
_WOULD_BE = 'would be deleted'
_SOME_ARE_GONE = 'Some of the backups may already have been deleted.'
# Of an id in a reason.
_SHORT = 8

_Results = Mapping[types.BackupRef, str]


class _Reasons(columns.FormattableColumn):  # type: ignore[type-arg]
    """Texts: a list for programs, and one text for people."""

    def human_readable(self) -> str:
        """See cliff."""
        return ', '.join(self._value)


class Forget(commands.AccountCommand, commands.Table):
    """Delete old backups, and keep those that a policy names.

    The --keep options work as in restic. A backup stays if any of them keeps
    it. Hours and days without a backup do not count. Hours and days follow
    the time zone of this host (TZ).

    The newest complete backup of each volume always stays, and so does every
    backup that one that stays builds on. Copies, damaged backups and all
    backups of a volume that is being backed up stay, too.

    If the login's catalog has Cinder, Cinder deletes the backups, including
    those by its own driver. Backups without a record that the login may see
    stay: log in as an administrator to see the records of all projects.
    Otherwise the command deletes the backups itself. Use --dry-run first.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no volume matches, or there is no such container'),
        (errors.ExitCode.STORE,
         'Swift, Keystone or Cinder failed, or cannot be reached; or some '
         'backups could not be deleted'),
    )

    columns = _COLUMNS
    groupings = _GROUPINGS

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        policies.add_choice(parser)
        policies.add_to(parser)
        questions.add_to(parser)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """See cliff; a policy that keeps nothing is a mistake."""
        if policies.read(parsed_args).is_empty:
            return self.give_up(
                parsed_args, 'Say what to keep with one of the --keep '
                             'options, such as --keep-daily 7.')
        return super().run(parsed_args)

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        policy = policies.read(parsed_args)
        with self.opened(parsed_args) as survey:
            # Others are not told which containers are copies.
            survey.check_owner()
            retainer = retaining.Retainer(self, survey, parsed_args.patience)

            def choose(every: Sequence[backups.Backup],
                       ) -> list[backups.Backup]:
                return self._chosen(every, parsed_args)

            lineage, decisions = retainer.decide(policy, choose)
            doomed = forgetting.doomed(decisions)
            results: _Results = dict.fromkeys(
                (backup.ref for backup in doomed),
                _WOULD_BE if parsed_args.dry_run else _FAILED)
            if doomed and not parsed_args.dry_run and self._is_sure(
                    parsed_args, doomed):
                if questions.is_asked(self, parsed_args):
                    # Much may have happened until the answer.
                    lineage, now = retainer.decide(policy, choose)
                    doomed = [backup for backup in forgetting.doomed(now)
                              if backup.ref in results]
                    # What is needed by now is not to be deleted any more.
                    results = dict.fromkeys(
                        (backup.ref for backup in doomed), _FAILED)
                results = {**results,
                           **self._delete(retainer, lineage, doomed)}
            place = self.place(survey)
        if retainer.tell_half_deleted(decisions):
            self.code = errors.ExitCode.STORE
        self.closing = [_summary(place, decisions, results)]
        return _COLUMNS, [
            _row(decision, lineage, results.get(decision.backup.ref, _KEPT))
            for decision in decisions]

    def _chosen(self, every: Sequence[backups.Backup],
                arguments: argparse.Namespace) -> list[backups.Backup]:
        chosen = policies.chosen(self._properties(every, arguments), arguments)
        return [backup for backup in every if backup.ref.volume_id in chosen]

    def _properties(self, every: Iterable[backups.Backup],
                    arguments: argparse.Namespace,
                    ) -> Mapping[str, Mapping[str, str]]:
        """Those of volumes with backups: by Cinder, or by the last backup."""
        noted = {backup.ref.volume_id: backup.summary.volume.metadata
                 if backup.summary else {} for backup in every}
        if arguments.policy is None:
            return noted
        options = self.login
        volumes = cinder_api.volumes(options, os.environ,
                                     arguments.patience) or {}
        return {id_: volumes[id_].metadata if id_ in volumes else properties
                for id_, properties in noted.items()}

    def _delete(self, retainer: retaining.Retainer, lineage: lineages.Lineage,
                doomed: Sequence[backups.Backup]) -> _Results:
        """What was deleted of what is to be."""
        self.left = _SOME_ARE_GONE
        gone = retainer.delete(lineage, doomed)
        if len(gone) < len(doomed):
            self.code = errors.ExitCode.STORE
        return dict.fromkeys((backup.ref for backup in gone), _DELETED)

    def _is_sure(self, arguments: argparse.Namespace,
                 doomed: Sequence[backups.Backup]) -> bool:
        """Whether to delete them, as far as the user has to say so."""
        if not questions.is_asked(self, arguments):
            return True
        volumes = {backup.ref.volume_id for backup in doomed}
        return questions.confirmed(
            self, f'Delete {quantities.counted(len(doomed), "backup")} of '
                  f'{quantities.counted(len(volumes), "volume")} '
                  '("--dry-run" lists them)?')


def _row(decision: forgetting.Decision, lineage: lineages.Lineage,
         result: str) -> tuple[object, ...]:
    backup = decision.backup
    return (backup.ref.backup_id, backup.ref.volume_id,
            formatting.moment(backup.listed.created), summaries.kind(backup),
            commands.Size(backup.listed.stored_bytes), result,
            _Reasons(_because(decision, lineage)), backup.ref.container)


def _because(decision: forgetting.Decision,
             lineage: lineages.Lineage) -> list[str]:
    """Why a backup stays, each reason in a few words."""
    words = [_reason(reason) for reason in decision.reasons]
    if decision.bar is forgetting.Bar.INCOMPLETE:
        words.append(lineage.state(decision.backup).value)
    elif decision.bar is not None:
        others = decision.others if decision.bar in _BY_OTHERS else ()
        words.append(' '.join((
            _BARS[decision.bar],
            *(other.ref.backup_id[:_SHORT] for other in others))))
    return words


def _reason(reason: retention.Reason) -> str:
    if reason.rule is retention.Rule.TAG:
        return 'pinned'
    if reason.rule is retention.Rule.WITHIN:
        return 'within'
    if reason.is_oldest:
        return f'oldest ({reason.rule.value})'
    return f'{reason.rule.value} {reason.number}'


def _summary(place: str, decisions: Sequence[forgetting.Decision],
             results: _Results) -> str:
    if not decisions:
        return summaries.nothing(place)
    return summaries.of(
        place, [decision.backup.listed for decision in decisions],
        (results.get(decision.backup.ref, _KEPT) for decision in decisions))

# SPDX-License-Identifier: Apache-2.0

"""Which backups a retention policy deletes, and why the others stay.

For each volume:

1. The policy counts the backups that are complete, each in one form, in
   whatever container. Copies and what is not complete neither count nor go.
2. What the policy keeps stays, and so does the newest complete backup: by the
   clock of the host that made it, and by that of the store. Backups that were
   made just now stay as well.
3. If a backup of the volume is in the making, all of them stay.
4. From the newest to the oldest, a backup goes unless one that stays builds on
   it, or may do so, or :mod:`.deletion` has another reason against it.
5. If there are records, a backup goes only by its record, so one without
   stays. If there are none, what may be from another site stays.

So a later run decides the same, unless there are other backups.
"""

from collections.abc import Collection
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import datetime
import enum

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.engine.survey import retention


class Bar(enum.Enum):
    """Why a backup stays that the policy does not keep."""

    COPY = enum.auto()
    # It is damaged, orphaned or arriving.
    INCOMPLETE = enum.auto()
    NEWEST = enum.auto()
    # Its volume is being backed up, or something else is done with it.
    IN_USE = enum.auto()
    NEEDED = enum.auto()
    # Newer backups do not tell what they build on.
    PERHAPS_NEEDED = enum.auto()
    # There are no records, and its container is copied elsewhere.
    SHARED = enum.auto()
    # It is there in another form, too.
    TWO_FORMS = enum.auto()
    # The login sees no record of it.
    UNRECORDED = enum.auto()


# Those of deletion, in our words.
_BARS = {
    deletion.Reason.COPY: Bar.COPY,
    deletion.Reason.IN_THE_MAKING: Bar.IN_USE,
    deletion.Reason.TWO_FORMS: Bar.TWO_FORMS,
    deletion.Reason.NEEDED: Bar.NEEDED,
    deletion.Reason.PERHAPS_NEEDED: Bar.PERHAPS_NEEDED,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Decision:
    """Whether a backup goes, and why not.

    ``reasons`` are those of the policy. If it has none, ``bar`` may have
    another, which ``others`` are to blame for.
    """

    backup: backups.Backup
    reasons: tuple[retention.Reason, ...] = ()
    bar: Bar | None = None
    others: tuple[backups.Backup, ...] = ()

    @property
    def goes(self) -> bool:
        """Whether nothing keeps it."""
        return not self.reasons and self.bar is None


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """A policy, and what it is applied by.

    ``records`` is None if there are none anywhere. ``named`` are the
    containers that the user has named, and ``made`` the ids of backups that
    were made just now. The calendar is that of this host.
    """

    policy: retention.Policy
    records: deletion.Records | None = None
    named: Collection[str] = ()
    made: Collection[str] = ()


def decide(lineage: lineages.Lineage, chosen: Iterable[backups.Backup],
           rules: Rules) -> list[Decision]:
    """What becomes of some backups.

    :param lineage: with all backups of their volumes, in whatever container
    :param chosen: some of these, what a backup builds on before it; the
        policy counts no others
    :returns: volume by volume, and the oldest first
    """
    by_volume: dict[str, list[backups.Backup]] = {}
    for backup in chosen:
        by_volume.setdefault(backup.ref.volume_id, []).append(backup)
    in_use = {backup.ref.volume_id for backup in lineage.backups
              if backup.state is backups.State.ARRIVING
              and backup.ref.container not in lineage.copies}
    in_use |= {record.volume_id for record in (rules.records or {}).values()
               if record.is_in_the_making}
    return [decision for volume_id, every in by_volume.items()
            for decision in _Volume(lineage, every, rules,
                                    is_in_use=volume_id in in_use).decide()]


def doomed(decisions: Iterable[Decision]) -> list[backups.Backup]:
    """The backups that go, what one builds on before it."""
    return [decision.backup for decision in decisions if decision.goes]


class _Volume:
    """The chosen backups of one volume."""

    def __init__(self, lineage: lineages.Lineage,
                 every: Sequence[backups.Backup], rules: Rules, *,
                 is_in_use: bool) -> None:
        self._lineage = lineage
        self._every = every
        self._rules = rules
        self._is_in_use = is_in_use
        originals = [backup for backup in every if not self._is_copy(backup)]
        self._counted = [
            backup for backup in lineage.once(originals)
            if lineage.state(backup) is backups.State.COMPLETE]
        self._newest = {
            newest.ref.backup_id for newest in (
                *self._counted[-1:],
                *sorted(self._counted, key=_dated)[-1:],
                *sorted(self._counted,
                        key=lambda each: each.listed.modified)[-1:])}
        self._newest |= set(rules.made)

    def _is_copy(self, backup: backups.Backup) -> bool:
        return backup.ref.container in self._lineage.copies

    def decide(self) -> list[Decision]:
        """What becomes of each, the oldest first."""
        # One that was copied to another container counts once.
        once = {backup.ref.backup_id: backup for backup in self._counted}
        kept = dict(zip(once, retention.reasons(
            self._rules.policy, [
                retention.Dated(_dated(backup), self._tags(backup))
                for backup in once.values()],
            self._lineage.now), strict=True))
        counted = {backup.ref for backup in self._counted}
        decisions: list[Decision] = []
        gone: list[backups.Backup] = []
        # What builds on a backup is after it.
        for backup in reversed(self._every):
            decision = self._one(
                backup, kept[backup.ref.backup_id]
                if backup.ref in counted else (), gone)
            decisions.append(decision)
            if decision.goes:
                gone.append(backup)
        decisions.reverse()
        return decisions

    def _tags(self, backup: backups.Backup) -> Mapping[str, str]:
        record = deletion.record_of(self._rules.records or {}, backup)
        return {} if record is None or record.tags is None else record.tags

    def _one(self, backup: backups.Backup,
             reasons: tuple[retention.Reason, ...],
             gone: Collection[backups.Backup]) -> Decision:
        if reasons:
            return Decision(backup, reasons)
        if self._is_copy(backup):
            return Decision(backup, bar=Bar.COPY)
        if self._lineage.state(backup) is not backups.State.COMPLETE:
            return Decision(backup, bar=Bar.INCOMPLETE)
        if backup.ref.backup_id in self._newest:
            return Decision(backup, bar=Bar.NEWEST)
        if self._is_in_use:
            return Decision(backup, bar=Bar.IN_USE)
        obstacle = deletion.obstacle(self._lineage, backup, gone)
        if obstacle is not None:
            return Decision(backup, bar=_BARS[obstacle.reason],
                            others=obstacle.others)
        return Decision(backup, bar=self._bar_on_record(backup))

    def _bar_on_record(self, backup: backups.Backup) -> Bar | None:
        records, container = self._rules.records, backup.ref.container
        if records is None:
            return (Bar.SHARED if container in self._lineage.shared
                    and container not in self._rules.named else None)
        record = deletion.record_of(records, backup)
        if record is None:
            return Bar.UNRECORDED
        return None if record.is_idle else Bar.IN_USE


def _dated(backup: backups.Backup) -> datetime.datetime:
    return backup.listed.dated

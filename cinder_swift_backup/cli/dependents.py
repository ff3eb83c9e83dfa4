# SPDX-License-Identifier: Apache-2.0

"""Which of Cinder's records are wrong about what depends on their backups.

A record has the number of the incrementals that build on its backup directly
(``num_dependent_backups``). Cinder reads it, adds or subtracts one and writes
it back, and so loses what another process does meanwhile (LP#2163042; 2026.2
does it in one statement). Cinder itself lets a backup be deleted when no
record names it as its parent, whatever the number is. Clients go by whether it
is 0, which the API tells as ``has_dependent_backups``: openstacksdk's project
cleanup never deletes a backup for which it is not.

1. Take the records of backups whose manifests were read, unless the volume has
   an incremental that is not available, which may count or not, or of which
   it is not known what it builds on.
2. Count those whose manifests name one as their parent, and of which there are
   records.
3. Compare that with what the API tells, which is whether it is 0.
"""

from collections.abc import Iterator
from collections.abc import Mapping

from cinder_swift_backup.cli import record_statements
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import lineages


def lines(lineage: lineages.Lineage,
          records: deletion.Records) -> Iterator[str]:
    """What to say of records that are wrong, and how to mend them."""
    drifted = _drifted(lineage, records)
    if not drifted:
        return
    yield ('Cinder is wrong about whether other backups depend on '
           f'{", ".join(sorted(drifted))}. To correct that, run this in its '
           'database:')
    for number in sorted(set(drifted.values())):
        names = ', '.join(record_statements.quoted(name)
                          for name in sorted(drifted)
                          if drifted[name] == number)
        yield (f'UPDATE backups SET num_dependent_backups = {number} '
               f'WHERE id IN ({names});')


def _drifted(lineage: lineages.Lineage,
             records: deletion.Records) -> dict[str, int]:
    """By the ids of the records, the numbers that they should have."""
    known = [backup for backup in lineage.backups
             if backup.summary is not None
             and deletion.record_of(records, backup) is not None]
    # Of one that is in several forms, the one that others build on.
    read = {backup.ref.backup_id: backup for backup in sorted(
        known, key=lambda backup: bool(lineage.dependents(backup)))}
    unsure = {record.volume_id for record in records.values()
              if record.is_incremental and not (
                  record.is_available and record.backup_id in read)}
    return {name: number for name, backup in read.items()
            if records[name].volume_id not in unsure
            and (number := _number(lineage, backup, read)) is not None
            and bool(number) != records[name].has_dependents}


def _number(lineage: lineages.Lineage, backup: backups.Backup,
            read: Mapping[str, backups.Backup]) -> int | None:
    """How many records build on a backup; None if that is not known.

    A backup that only Swift has may be of a record that the login may not see.
    """
    dependents = lineage.dependents(backup)
    known = [other for other in dependents if other.ref.backup_id in read]
    return len(known) if known or not dependents else None

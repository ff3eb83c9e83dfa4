# SPDX-License-Identifier: Apache-2.0

"""Why backups stay that were converted.

1. Other backups build on them.
2. Newer backups of the volume cannot be read, and may build on them.
3. Cinder is backing up the volume, or its record points to the old backup, or
   nobody knows where it points to.
"""

from collections.abc import Collection
from collections.abc import Mapping

from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import types


class Needs:
    """Says why old backups have to stay, from one look at all of them."""

    def __init__(self, lineage: lineages.Lineage,
                 records: deletion.Records | None,
                 prefixes: Mapping[str, str],
                 named: Collection[str]) -> None:
        """Prepare.

        :param records: those of Cinder; None where there is none
        :param prefixes: where records point to, as far as Cinder tells
        :param named: the containers that the user has named
        """
        self._lineage = lineage
        self._records = records
        self._prefixes = prefixes
        self._named = named
        self._gone: set[types.BackupRef] = set()

    def keep(self, backup: backups.Backup, prefix: str | None) -> str:
        """Why an old backup has to stay; empty if it may go.

        One that may go no longer keeps the backups that it builds on.

        :param prefix: of the new one
        """
        why = self._why(backup, prefix)
        if not why:
            self._gone.add(backup.ref)
        return why

    def _why(self, backup: backups.Backup, prefix: str | None) -> str:
        lineage = self._lineage
        left = [other.ref.backup_id for other in lineage.dependents(backup)
                if other.ref not in self._gone]
        if left:
            return f'needed by {", ".join(left)}'
        if lineage.unknown(backup):
            return ('newer backups of the volume have no readable manifest '
                    'and may need it')
        return '' if self._records is None else self._why_on_record(
            backup, prefix, self._records)

    def _why_on_record(self, backup: backups.Backup, prefix: str | None,
                       records: deletion.Records) -> str:
        if any(record.is_in_the_making
               and record.volume_id == backup.ref.volume_id
               for record in records.values()):
            return 'Cinder is backing up the volume'
        if deletion.record_of(records, backup) is None:
            # Of a login that does not see all records.
            return '' if backup.ref.container in self._named else (
                'Cinder shows this login no record of it. If no Cinder has '
                'one, name its container with --container')
        found = self._prefixes.get(backup.ref.backup_id)
        if found is None:
            return ('Cinder does not say where its record points to: log in '
                    'as an administrator, while cinder-backup is running')
        if found == prefix:
            return ''
        return ("Cinder's record points to it: run what --sql writes in "
                "Cinder's database")

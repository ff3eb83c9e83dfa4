# SPDX-License-Identifier: Apache-2.0

"""``export-record``: what ``cinder backup-import`` takes, from Swift alone.

Cinder's ``backup-export`` gives the class of a driver and a text: the record's
fields as JSON, in base64. ``backup-import`` takes them, keeps the id, and puts
its own project, host and availability zone in. Field names: Cinder's object
``Backup``. What only its database knew is left out, such as the project.
"""

import argparse
import base64
from collections.abc import Iterable
from collections.abc import Sequence
import json
from typing import Any

from cinder_swift_backup.cli import commands
from cinder_swift_backup.cli import errors
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.cli import selection
from cinder_swift_backup.cli import summaries
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages

_GIB = 1 << 30
_SERVICES = {
    'ours': 'cinder_swift_backup.driver.SwiftBackupDriver',
    'stock': 'cinder.backup.drivers.swift.SwiftBackupDriver',
}


class ExportRecord(selection.SelectingCommand, commands.Table):
    """Print what Cinder needs to import a backup and all that it builds on.

    With --all, print that of all complete backups. Import them in the order
    in which they are listed, each with "cinder backup-import
    BACKUP_SERVICE BACKUP_URL", in a cloud whose cinder-backup uses the account
    that the backups are in.
    """

    codes = (
        (errors.ExitCode.SELECTION,
         'no backup matches, several do, none is complete, or there is no '
         'such container'),
        (errors.ExitCode.ARRIVING, 'the backup is still arriving'),
        (errors.ExitCode.DAMAGED, 'the backup is damaged'),
    )

    columns = ('backup', 'backup_service', 'backup_url')

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """See cliff."""
        parser = super().get_parser(prog_name)
        selection.add_backup_or_all(parser)
        parser.add_argument(
            '--service', choices=_SERVICES, default='ours',
            help="the driver of the other cloud: this package's, or "
                 "Cinder's own (default: %(default)s)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace,
                    ) -> tuple[Sequence[str], Iterable[Any]]:
        """See cliff."""
        service = _SERVICES[parsed_args.service]
        with self.opened(parsed_args) as survey, self.looking() as observer:
            if parsed_args.all:
                lineage = survey.everything(observer)
                exported = self._usable(lineage)
                if not exported:
                    self._tell_nothing(self.place(survey), lineage)
            else:
                (name,) = self.named(survey, parsed_args, observer)
                lineage, tip = survey.one(name, observer)
                lineage.check_usable(tip)
                exported = lineage.chain(tip)
            if parsed_args.service == 'stock':
                exported = self._readable(exported)
            exported = lineage.once(exported)
        for backup in exported:
            if _lacks_key(backup):
                self.say(
                    f'The record of backup {backup.ref.backup_id} names '
                    f'no key, though its volume was encrypted. Read '
                    f'"Encrypted volumes" in the documentation before you '
                    f'delete that backup.')
        return self.columns, [
            (backup.ref.backup_id, service, encode(lineage, backup, service))
            for backup in exported]

    def _tell_nothing(self, place: str, lineage: lineages.Lineage) -> None:
        self.code = errors.ExitCode.SELECTION
        self.closing = [summaries.nothing(place) if not lineage.backups else
                        f'No backup in {place} is complete.']

    def _usable(self, lineage: lineages.Lineage) -> list[backups.Backup]:
        """All that can be restored, what one builds on before it.

        Says of the others why they cannot.
        """
        usable = []
        for backup in lineage.backups:
            state, why = lineage.problem(backup)
            if state is backups.State.COMPLETE:
                usable.append(backup)
            else:
                self.say(f'Skipped backup {backup.ref.backup_id}, which is '
                         f'{state.value}: {why}')
        return usable

    def _readable(self, exported: list[backups.Backup],
                  ) -> list[backups.Backup]:
        """What Cinder's own driver can restore; says of the others why not."""
        readable = []
        for backup in exported:
            if backup.summary is not None and backup.summary.is_point:
                self.say(f'Skipped backup {backup.ref.backup_id}, because '
                         f"Cinder's own driver cannot read packs.")
            else:
                readable.append(backup)
        if exported and not readable:
            self.code = errors.ExitCode.SELECTION
        return readable


def _lacks_key(backup: backups.Backup) -> bool:
    """Whether only Cinder's database knew which key the backup has."""
    summary = backup.summary
    return (summary is not None and summary.volume.key_id is not None
            and summary.key_id is None)


def encode(lineage: lineages.Lineage, backup: backups.Backup,
           service: str) -> str:
    """The record of a backup as the text that Cinder imports."""
    fields = record(lineage, backup, service)
    return base64.b64encode(json.dumps(fields).encode()).decode()


def record(lineage: lineages.Lineage, backup: backups.Backup,
           service: str) -> dict[str, object]:
    """The fields of a record.

    The size is in GiB: that of the volume if Cinder noted it, which may be
    stored as a smaller file or on a larger device, else that of the data,
    rounded up. The times order the backups of a volume, so that the next
    incremental builds on the newest. All dependents count, whether they are
    imported or not: Cinder must not delete what one of them needs. The key is
    the backup's own, or none: Cinder deletes it with the backup, and that of
    the volume is still in use.
    """
    ref, summary = backup.ref, backup.summary
    header = summary.header if summary else None
    made = formatting.moment(backup.listed.created)
    return {
        'id': ref.backup_id,
        'volume_id': ref.volume_id,
        'display_name': header.backup_name if header else None,
        'display_description':
            header.backup_description if header else None,
        'container': ref.container,
        'service': service,
        'service_metadata': ref.prefix,
        'size': ((summary and summary.volume.size)
                 or -(-(lineage.size(backup) or 0) // _GIB)),
        'object_count': summary.own_objects if summary else 0,
        'parent_id': summary.parent_id if summary else None,
        'encryption_key_id': summary.key_id if summary else None,
        'num_dependent_backups': len(lineage.dependents(backup)),
        'status': 'available',
        'created_at': made,
        'data_timestamp': made,
        'driver_info': {},
    }

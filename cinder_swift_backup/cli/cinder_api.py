# SPDX-License-Identifier: Apache-2.0

"""What Cinder knows of backups, where it can be asked.

Through its API, with the login that the account is opened with. An
administrator sees the records of all projects, others those of their own.
"""

import argparse
import base64
from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
import datetime
import json
from typing import Any

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import connection
import openstack.exceptions
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import accounts
from cinder_swift_backup.engine.survey import deletion
from cinder_swift_backup.stores import network_errors

LOG = logging.getLogger(__name__)
_SERVICE = 'block-storage'
# What its API fails with.
ERRORS = (openstack.exceptions.SDKException, ksa_exceptions.ClientException)
# The states in which Cinder deletes a backup.
_IDLE = ('available', 'error')


class CinderError(exceptions.BackupError):
    """Cinder refused or failed a request."""


def read(options: argparse.Namespace, environment: Mapping[str, str],
         patience: float) -> dict[str, deletion.Record] | None:
    """All records by id; None where the login knows of no Cinder.

    :param options: of the command line, see :mod:`.logins`
    :param patience: as of :func:`accounts.open_account`; nothing is repeated
    :raises ConfigurationError: when there is a Cinder that cannot be asked
    """
    try:
        api = connect(options, environment, patience)
        return None if api is None else {
            backup.id: record(backup)
            for backup in api.backups(all_projects=True)}
    except ERRORS as err:
        raise exceptions.ConfigurationError(
            'the records of Cinder cannot be read '
            f'({network_errors.reason(err)})') from err


def connect(options: argparse.Namespace, environment: Mapping[str, str],
            patience: float) -> Any:
    """The block storage API of openstacksdk; None if there is no Cinder.

    :param patience: as of :func:`read`
    :raises ConfigurationError: when nothing says where it is
    """
    if accounts.is_version_1(options, environment):
        return None
    cloud = accounts.find_cloud(options, patience)
    if cloud.get_session_endpoint(_SERVICE) is None:
        return None
    return connection.Connection(config=cloud).block_storage


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume that Cinder has.

    ``created`` is in UTC, and None if Cinder does not tell. ``metadata`` is
    what its owner noted with it.
    """

    id: str
    name: str
    status: str
    project_id: str
    created: datetime.datetime | None
    metadata: Mapping[str, str]


def volumes(options: argparse.Namespace, environment: Mapping[str, str],
            patience: float, *, all_projects: bool = True,
            ) -> dict[str, Volume] | None:
    """All volumes, by their ids; None where the login knows of no Cinder.

    :param patience: as of :func:`read`
    :param all_projects: whether to list those of other projects, too, if the
        login may
    :raises ConfigurationError: when there is a Cinder that cannot be asked
    """
    try:
        api = connect(options, environment, patience)
        return None if api is None else {
            volume.id: _volume(volume)
            for volume in api.volumes(
                **({'all_projects': True} if all_projects else {}))}
    except ERRORS as err:
        raise exceptions.ConfigurationError(
            'the volumes of Cinder cannot be listed '
            f'({network_errors.reason(err)})') from err


def words(err: BaseException) -> str:
    """Why a request failed: what Cinder says, or else the reason."""
    return str(getattr(err, 'details', None) or network_errors.reason(err))


def _volume(volume: Any) -> Volume:
    created = None
    if volume.created_at:
        # Cinder tells UTC, and does not say so.
        created = datetime.datetime.fromisoformat(volume.created_at).replace(
            tzinfo=datetime.UTC)
    return Volume(volume.id, volume.name or '', volume.status,
                  volume.project_id or '', created, volume.metadata or {})


def prefixes(options: argparse.Namespace, environment: Mapping[str, str],
             patience: float, backup_ids: Iterable[str]) -> dict[str, str]:
    """Where the records of backups point to, as far as Cinder tells.

    It tells administrators, by way of a backup host that uses the driver on
    record.

    :param patience: as of :func:`read`
    """
    api = connection.Connection(config=accounts.find_cloud(
        options, patience)).block_storage
    found = {}
    for backup_id in backup_ids:
        try:
            answer = api.get(f'/backups/{backup_id}/export_record')
            openstack.exceptions.raise_from_response(answer)
            found[backup_id] = _prefix(answer.json())
        except ERRORS as err:
            LOG.debug('Cinder does not export the record of backup %s: %s',
                      backup_id, err)
    return found


def _prefix(exported: Mapping[str, Any]) -> str:
    return str(json.loads(base64.b64decode(
        exported['backup-record']['backup_url']))['service_metadata'])


def record(backup: Any) -> deletion.Record:
    """The record of a backup as openstacksdk has it."""
    return deletion.Record(
        backup.id, backup.volume_id, backup.status, backup.container,
        is_in_the_making=backup.status == 'creating',
        is_available=backup.status == 'available',
        is_idle=backup.status in _IDLE,
        is_incremental=bool(backup.is_incremental),
        has_dependents=bool(backup.has_dependent_backups),
        tags=backup.metadata)

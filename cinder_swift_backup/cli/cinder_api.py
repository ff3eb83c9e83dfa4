# SPDX-License-Identifier: Apache-2.0

"""What Cinder knows of backups, where it can be asked.

Through its API, with the login that the account is opened with. An
administrator sees the records of all projects, others those of their own.
"""

import argparse
from collections.abc import Mapping
import dataclasses

from keystoneauth1 import exceptions as ksa_exceptions
from openstack import connection
import openstack.exceptions

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import accounts
from cinder_swift_backup.engine.survey import audit
from cinder_swift_backup.stores import network_errors

_SERVICE = 'block-storage'


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """What Cinder tells of a backup; some drivers have no container.

    ``has_dependents`` is whether Cinder counts any backups that build on it.
    """

    backup_id: str
    volume_id: str
    status: str
    container: str | None
    is_incremental: bool = False
    has_dependents: bool = False


def read(options: argparse.Namespace, environment: Mapping[str, str],
         patience: float) -> dict[str, Record] | None:
    """All records by id; None where the login knows of no Cinder.

    :param options: of the command line, see :mod:`.logins`
    :param patience: as of :func:`accounts.open_account`; nothing is repeated
    :raises ConfigurationError: when there is a Cinder that cannot be asked
    """
    if accounts.is_version_1(options, environment):
        return None
    found = accounts.find_cloud(options, patience)
    try:
        if found.get_session_endpoint(_SERVICE) is None:
            return None
        api = connection.Connection(config=found).block_storage
        return {each.id: Record(each.id, each.volume_id, each.status,
                                each.container, bool(each.is_incremental),
                                bool(each.has_dependent_backups))
                for each in api.backups(all_projects=True)}
    except (openstack.exceptions.SDKException,
            ksa_exceptions.ClientException) as err:
        raise exceptions.ConfigurationError(
            f'Cinder cannot be asked for its records '
            f'({network_errors.reason(err)})') from err


def record_of(records: Mapping[str, Record],
              each: audit.Audit) -> Record | None:
    """The record of a backup, unless that is of a copy elsewhere."""
    record = records.get(each.found.ref.backup_id)
    if record is None or record.container in (None, each.found.ref.container):
        return record
    return None

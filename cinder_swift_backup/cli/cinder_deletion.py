# SPDX-License-Identifier: Apache-2.0

"""Has Cinder delete backups, and waits until they are gone."""

import argparse
from collections.abc import Callable
from collections.abc import Mapping
import time
from typing import Any

import openstack.exceptions

from cinder_swift_backup.cli import cinder_api
from cinder_swift_backup.stores import network_errors

_DELETING = 'deleting'
# Seconds: between two questions, at first and later, and until it takes too
# long.
_SOON, _LATER = 0.5, 5.0
_LONGEST = 6 * 3600.0


class Deleter:
    """Deletes backups through Cinder's API."""

    def __init__(self, options: argparse.Namespace,
                 environment: Mapping[str, str], patience: float,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        """Log in.

        :param options: of the command line, see :mod:`.logins`
        :param patience: as of :func:`.cinder_api.read`
        :raises ConfigurationError: when that cannot be
        """
        self._api: Any = cinder_api.connect(options, environment, patience)
        self._sleep = sleep

    def delete(self, backup_id: str) -> None:
        """Delete a backup, unless it is gone already.

        :raises CinderError: when Cinder refuses or fails to
        """
        try:
            self._api.delete_backup(backup_id)
            self._wait(backup_id)
        except cinder_api.ERRORS as err:
            raise cinder_api.CinderError(
                'Cinder did not delete the backup', backup_id=backup_id,
                detail=getattr(err, 'details', None)
                or network_errors.reason(err)) from err

    def _wait(self, backup_id: str) -> None:
        waited, pause = 0.0, _SOON
        while waited < _LONGEST:
            try:
                backup = self._api.get_backup(backup_id)
            except openstack.exceptions.NotFoundException:
                return
            if backup.status != _DELETING:
                raise cinder_api.CinderError(
                    f'Cinder did not delete the backup, which has status '
                    f'{backup.status!r} now', backup_id=backup_id,
                    detail=backup.fail_reason)
            self._sleep(pause)
            waited += pause
            pause = min(pause * 1.5, _LATER)
        raise cinder_api.CinderError(
            'Cinder takes too long to delete the backup', backup_id=backup_id)

# SPDX-License-Identifier: Apache-2.0

"""Has Cinder delete backups, and waits until they are gone."""

import argparse
from collections.abc import Callable
from collections.abc import Mapping
import time
from typing import Any

import openstack.exceptions

from cinder_swift_backup.cli import cinder_api

_DELETING = 'deleting'
# Seconds: between two questions, at first and later, and until it takes too
# long.
_SOON, _LATER = 0.5, 5.0
_LONGEST = 2 * 3600.0
# How often a question may fail in a row.
_PATIENCE = 20


class TooLong(cinder_api.CinderError):
    """Cinder has not deleted a backup, and may still do so."""


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
                detail=cinder_api.words(err)) from err

    def _wait(self, backup_id: str) -> None:
        waited, pause, failed = 0.0, _SOON, 0
        while waited < _LONGEST:
            try:
                backup = self._api.get_backup(backup_id)
                failed = 0
            except openstack.exceptions.NotFoundException:
                return
            except cinder_api.ERRORS:
                failed += 1
                if failed > _PATIENCE:
                    raise
            if not failed and backup.status != _DELETING:
                raise cinder_api.CinderError(
                    f'Cinder did not delete the backup; its status is now '
                    f'{backup.status!r}', backup_id=backup_id,
                    detail=backup.fail_reason)
            self._sleep(pause)
            waited += pause
            pause = min(pause * 1.5, _LATER)
        raise TooLong('Cinder has not deleted the backup within 2 hours',
                      backup_id=backup_id)

# SPDX-License-Identifier: Apache-2.0

"""A user of a cloud, who does with the real clients what demos show.

Each command is printed with its output, and how long each step took. Volumes
are written and read through the files or images that they are on these clouds.
"""

import dataclasses
import functools
import re
import shlex
import subprocess
import sys
import time
from typing import Any

from cinderclient import client as cinder_client
from cinderclient import exceptions
from keystoneauth1 import session
from keystoneauth1.identity import v3

from tests.cloud import errors
from tests.cloud import patterns
from tests.cloud import processes
from tests.cloud import volumes
from tests.cloud.info import CloudInfo
from tests.cloud.info import Credentials

VOLUME_SIZE = 1024 * patterns.MIB
TIMEOUT = 600.0
POLL_INTERVAL = 0.2
OURS = 'cinder-swift-backup'
# The distributions that bring the commands.
_PACKAGES = {
    'cinder': 'python-cinderclient',
    'swift': 'python-swiftclient',
    OURS: OURS,
}
# What is longer is not printed in full.
_LONGEST_WORD = 80
_WIDTH = 200


class DemoUser:
    """The user ``demo`` of a running cloud.

    ``times`` has the seconds that each step took.
    """

    def __init__(self, info: CloudInfo) -> None:
        """Prepare; the cloud has to be up."""
        assert info.directory is not None
        self._info = info
        self._volumes = volumes.of_cloud(info)
        # What the clients cache goes away with the cloud.
        cache = str(info.directory / 'cache')
        self._cache = {
            'CINDERCLIENT_UUID_CACHE_DIR': cache,
            'XDG_CACHE_HOME': cache,
        }
        session_ = _session(info)
        self.project_id = str(session_.get_project_id())
        self.api: Any = cinder_client.Client(
            '3.60', session=session_, region_name=info.region
        )
        self.times: dict[str, float] = {}

    def close(self) -> None:
        """Disconnect from the volumes, before they go."""
        self._volumes.close()

    def create_volume(self) -> str:
        """Create a volume of the demos' size; return its id."""
        started = time.monotonic()
        output = self.shell('cinder', 'create', '1', '--name', 'source')
        volume = _field(output, 'id')
        self._wait(self.api.volumes, volume, 'volume')
        self.took('volume', started)
        return volume

    def write(
        self, what: str, volume: str, writes: tuple[patterns.Write, ...]
    ) -> None:
        """Write to the volume as a guest would."""
        print(f'{what}, to {self._volumes.where(volume)}', flush=True)
        for write in writes:
            write.apply(functools.partial(self._volumes.write, volume))

    def back_up(self, volume: str, step: str, *options: str,
                shows_incremental: bool = False) -> str:
        """Back up the volume; return the backup's id.

        :param shows_incremental: whether Cinder has to call it incremental
        """
        started = time.monotonic()
        output = self.shell('cinder', 'backup-create', *options, volume)
        backup = _field(output, 'id')
        found = self._wait(self.api.backups, backup, step)
        self.took(step, started)
        if found.is_incremental != shows_incremental:
            raise errors.DemoFailed(
                f'{step}: is_incremental is {found.is_incremental}'
            )
        return backup

    def restore(self, backup: str, step: str, expected: str) -> None:
        """Restore the backup to a new volume and compare."""
        started = time.monotonic()
        output = self.shell('cinder', 'backup-restore', backup)
        volume = _field(output, 'volume_id')
        self._wait(self.api.volumes, volume, step)
        self._wait(self.api.backups, backup, step)
        self.took(step, started)
        self.compare(self.digest(volume), step, expected)

    def compare(self, actual: str, step: str, expected: str) -> None:
        """Make sure that a restored digest is that of the source then."""
        print(f'expected sha256 {expected}\nrestored sha256 {actual}')
        if actual != expected:
            raise errors.DemoFailed(
                f'{step}: it differs from the source as it was backed up: '
                f'sha256 {actual} instead of {expected}'
            )

    def import_record(self, service: str, url: str) -> None:
        """Import a backup's record, which only an administrator may do."""
        admin = self._info.admin
        assert admin is not None
        output = self.shell(
            'cinder',
            'backup-import',
            service,
            url,
            login=dataclasses.replace(
                admin, project_name=self._info.demo.project_name
            ),
        )
        self._wait(self.api.backups, _field(output, 'id'), 'import')

    def delete(self, backup: str, step: str) -> None:
        """Delete the backup and wait until it is gone."""
        started = time.monotonic()
        self.shell('cinder', 'backup-delete', backup)
        while time.monotonic() < started + TIMEOUT:
            try:
                status = self.api.backups.get(backup).status
            except exceptions.NotFound:
                self.took(step, started)
                return
            if status != 'deleting':
                raise errors.DemoFailed(f'{step}: backup is {status}')
            time.sleep(POLL_INTERVAL)
        raise errors.DemoFailed(f'{step}: not deleted in {TIMEOUT:.0f} s')

    def _wait(self, manager: Any, id_: str, step: str) -> Any:
        """Wait, through the API, until a volume or a backup is available."""
        started = time.monotonic()
        while time.monotonic() < started + TIMEOUT:
            found = manager.get(id_)
            if found.status == 'available':
                return found
            if found.status.startswith('error'):
                reason = getattr(found, 'fail_reason', None)
                raise errors.DemoFailed(
                    f'{step}: {id_} is {found.status}: {reason}'
                )
            time.sleep(POLL_INTERVAL)
        raise errors.DemoFailed(f'{step}: not done in {TIMEOUT:.0f} s')

    def took(self, step: str, started: float) -> None:
        """Note how long a step took, and say so."""
        self.times[step] = time.monotonic() - started
        print(f'{step}: {self.times[step]:.1f} s', flush=True)

    def shell(
        self,
        program: str,
        *arguments: str,
        login: Credentials | None = None,
    ) -> str:
        """Show a command, run it, show and return its output.

        :param login: other credentials than the user's own
        """
        words = [program, *(_short(each, _LONGEST_WORD) for each in arguments)]
        print('$', shlex.join(words), flush=True)
        done = subprocess.run(
            [processes.find_command(program, _PACKAGES[program]), *arguments],
            env=processes.environment(
                {
                    **self._info.os_environment(login or self._info.demo),
                    **self._cache,
                }
            ),
            capture_output=True,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            print(_short(line, _WIDTH), flush=True)
        if done.returncode or program == OURS:
            print(done.stderr, end='', file=sys.stderr, flush=True)
        if done.returncode:
            raise errors.DemoFailed(
                f'{program} {arguments[0]} failed with {done.returncode}'
            )
        return done.stdout

    def digest(self, volume: str) -> str:
        """Return the digest of a volume, which has to have its full size."""
        size = self._volumes.size(volume)
        if size != VOLUME_SIZE:
            raise errors.DemoFailed(
                f'volume {volume} has {size} bytes instead of {VOLUME_SIZE}'
            )
        return self._volumes.sha256(volume)


def _field(table: str, name: str) -> str:
    """Return a value from a table that the cinder client printed."""
    found = re.search(rf'^\| {name} +\| (\S+) +\|$', table, re.MULTILINE)
    if found is None:
        raise errors.DemoFailed(f'no {name!r} in the output of the client')
    return found[1]


def _session(info: CloudInfo) -> session.Session:
    """Return a session; waiting with the commands is too slow."""
    user = info.demo
    return session.Session(
        v3.Password(
            auth_url=info.auth_url,
            username=user.username,
            password=user.password,
            project_name=user.project_name,
            user_domain_name=user.user_domain_name,
            project_domain_name=user.project_domain_name,
        )
    )


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f'{text[:most]}...'

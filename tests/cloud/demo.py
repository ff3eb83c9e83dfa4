# SPDX-License-Identifier: Apache-2.0

"""What an operator would do, with the real clients, and a proof that it works.

1. Create a volume and write to it.
2. Back it up, change it, back up what changed.
3. Restore both backups to new volumes and compare their SHA-256 with that
   of the source at the time of each backup.
4. List what is in Swift, delete the backups, and see that nothing remains.

Volumes are written and read through the files that they are on this cloud.
"""

import hashlib
import pathlib
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
from tests.cloud.info import CloudInfo

VOLUME_SIZE = 1024 * patterns.MIB
TIMEOUT = 600.0
POLL_INTERVAL = 0.2


class Demo:
    """The demonstration, as the user ``demo`` of a running cloud."""

    def __init__(self, info: CloudInfo) -> None:
        """Prepare; the cloud has to be up."""
        assert info.directory is not None
        assert info.volumes_directory is not None
        self._volumes = info.volumes_directory
        # What the clients cache goes away with the cloud.
        cache = str(info.directory / 'cache')
        self._environment = processes.environment(
            {
                **info.os_environment(info.demo),
                'CINDERCLIENT_UUID_CACHE_DIR': cache,
                'XDG_CACHE_HOME': cache,
            }
        )
        self._api = _api(info)
        self._times: dict[str, float] = {}
        self._faults: list[str] = []

    def run(self) -> None:
        """Do everything.

        :raises DemoFailed: at the first thing that is not as it should be
        """
        source = self._create_volume()
        self._write(
            'Writing 200 MiB of noise and text', source, patterns.FIRST
        )
        full_digest = self._digest(source)
        full = self._back_up(source, 'full backup')
        self._write('Changing 36 MiB here and there', source, patterns.CHANGE)
        increment_digest = self._digest(source)
        increment = self._back_up(
            source, 'incremental backup', '--incremental'
        )
        self._restore(full, 'full restore', full_digest)
        self._restore(increment, 'incremental restore', increment_digest)
        container = self._api.backups.get(full).container
        self._shell('swift', 'list', '--lh', container)
        self._delete(increment, 'incremental delete')
        self._delete(full, 'full delete')
        self._check_empty(container)
        times = ', '.join(f'{k} {v:.1f} s' for k, v in self._times.items())
        if self._faults:
            raise errors.DemoFailed(f"{'; '.join(self._faults)} ({times})")
        print(
            f"PROVEN: full and incremental backup restored byte for byte "
            f"(sha256 {full_digest[:16]}... and {increment_digest[:16]}...), "
            f"nothing left in Swift after delete; times with the clients' "
            f"own start: {times}",
            flush=True,
        )

    def _create_volume(self) -> str:
        started = time.monotonic()
        output = self._shell('cinder', 'create', '1', '--name', 'source')
        volume = _field(output, 'id')
        self._wait(self._api.volumes, volume, 'volume')
        self._took('volume', started)
        return volume

    def _write(
        self, what: str, volume: str, writes: tuple[patterns.Write, ...]
    ) -> None:
        """Write through the volume's file."""
        path = self._path(volume)
        print(f"{what}, through the volume's file {path}", flush=True)
        for write in writes:
            write.apply(path)

    def _back_up(self, volume: str, step: str, *options: str) -> str:
        """Back up the volume; return the backup's id."""
        started = time.monotonic()
        output = self._shell('cinder', 'backup-create', *options, volume)
        backup = _field(output, 'id')
        found = self._wait(self._api.backups, backup, step)
        self._took(step, started)
        if found.is_incremental != bool(options):
            raise errors.DemoFailed(
                f'{step}: is_incremental is {found.is_incremental}'
            )
        return backup

    def _restore(self, backup: str, step: str, expected: str) -> None:
        """Restore the backup to a new volume and compare."""
        started = time.monotonic()
        output = self._shell('cinder', 'backup-restore', backup)
        volume = _field(output, 'volume_id')
        self._wait(self._api.volumes, volume, step)
        self._wait(self._api.backups, backup, step)
        self._took(step, started)
        actual = self._digest(volume)
        print(f'expected sha256 {expected}\nrestored sha256 {actual}')
        if actual != expected:
            raise errors.DemoFailed(
                f'{step}: volume {volume} differs from the source as it was '
                f'backed up: sha256 {actual} instead of {expected}'
            )
        missing = VOLUME_SIZE - self._path(volume).stat().st_size
        if missing:
            self._faults.append(
                f"{step}: the volume's file ends {missing} bytes early; "
                f"what it has is right, but the zeros at the end are missing"
            )

    def _delete(self, backup: str, step: str) -> None:
        """Delete the backup and wait until it is gone."""
        started = time.monotonic()
        self._shell('cinder', 'backup-delete', backup)
        while time.monotonic() < started + TIMEOUT:
            try:
                status = self._api.backups.get(backup).status
            except exceptions.NotFound:
                self._took(step, started)
                return
            if status != 'deleting':
                raise errors.DemoFailed(f'{step}: backup is {status}')
            time.sleep(POLL_INTERVAL)
        raise errors.DemoFailed(f'{step}: not deleted in {TIMEOUT:.0f} s')

    def _check_empty(self, container: str) -> None:
        """Make sure that Swift holds nothing of the backups any more."""
        left = self._shell('swift', 'list', container).split()
        if left:
            raise errors.DemoFailed(
                f'{len(left)} objects were left in {container}, '
                f'for example {left[0]}'
            )

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

    def _took(self, step: str, started: float) -> None:
        """Note how long a step took, and say so."""
        self._times[step] = time.monotonic() - started
        print(f'{step}: {self._times[step]:.1f} s', flush=True)

    def _shell(self, program: str, *arguments: str) -> str:
        """Show a command, run it, show and return its output."""
        print('$', shlex.join([program, *arguments]), flush=True)
        path = processes.find_command(program, f'python-{program}client')
        done = subprocess.run(
            [path, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        print(done.stdout, end='', flush=True)
        if done.returncode != 0:
            print(done.stderr, end='', file=sys.stderr, flush=True)
            raise errors.DemoFailed(
                f'{program} {arguments[0]} failed with {done.returncode}'
            )
        return done.stdout

    def _path(self, volume: str) -> pathlib.Path:
        return self._volumes / f'volume-{volume}'

    def _digest(self, volume: str) -> str:
        """Return the digest of what a volume of full size would hold."""
        path = self._path(volume)
        with open(path, 'rb') as file:
            digest = hashlib.file_digest(file, 'sha256')
        digest.update(bytes(VOLUME_SIZE - path.stat().st_size))
        return digest.hexdigest()


def _field(table: str, name: str) -> str:
    """Return a value from a table that the cinder client printed."""
    found = re.search(rf'^\| {name} +\| (\S+) +\|$', table, re.MULTILINE)
    if found is None:
        raise errors.DemoFailed(f'no {name!r} in the output of the client')
    return found[1]


def _api(info: CloudInfo) -> Any:
    """Return a Cinder API client; waiting with the command is too slow."""
    user = info.demo
    auth = v3.Password(
        auth_url=info.auth_url,
        username=user.username,
        password=user.password,
        project_name=user.project_name,
        user_domain_name=user.user_domain_name,
        project_domain_name=user.project_domain_name,
    )
    return cinder_client.Client(
        '3.60', session=session.Session(auth), region_name=info.region
    )

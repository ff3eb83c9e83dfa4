# SPDX-License-Identifier: Apache-2.0

"""The second scene of the demo: site A burns, and site B gives it all back.

1. Start two sites with a Keystone, a Swift and a Cinder each. The containers
   of A are copied to B by Swift's own container sync.
2. At A, make a full and an incremental backup, and let Swift copy them.
3. End all processes of A and delete its disks.
4. At B, look at what there is with the command, restore it to files, and
   compare.
5. At B, make the records from Swift alone, import them into Cinder, restore
   by Cinder, and compare.
"""

from collections.abc import Callable
import contextlib
import hashlib
import time

from tests.cloud import demo
from tests.cloud.cloud import Cloud
from tests.cloud.demo_user import DemoUser
from tests.cloud.demo_user import OURS
from tests.cloud.swift import SyncSite

CONTAINER = 'volumebackups'
REALM = 'backups'
KEY = 'the key of both containers'


def run(make_cloud: Callable[..., Cloud]) -> None:
    """Do everything.

    :param make_cloud: makes a :class:`Cloud` with more options
    :raises DemoFailed: at the first thing that is not as it should be
    """
    with (
        make_cloud(site=SyncSite(REALM, 'b', KEY, {})) as there,
        contextlib.closing(DemoUser(there.info)) as other,
    ):
        _receive(other)
        backups = _make_and_burn(make_cloud, there, other.project_id)
        _restore_to_files(other, there, backups)
        _restore_by_cinder(other, backups)
        demo.conclude(
            other,
            f'site A is gone, and site B gave back full and incremental '
            f'backup byte for byte ({demo.digests(backups)}), to files '
            f'without Cinder, and to volumes by its own Cinder',
        )


def _receive(user: DemoUser) -> None:
    """Make the containers that backups are copied to."""
    print('Site B is ready to receive the backups of site A')
    for container in (CONTAINER, f'{CONTAINER}_segments'):
        user.shell('swift', 'post', container, '-k', KEY)


def _make_and_burn(
    make_cloud: Callable[..., Cloud], there: Cloud, project_id: str
) -> list[tuple[str, str, str]]:
    """Make backups at a site that copies them and then is no more."""
    print('Site A makes backups')
    with make_cloud(
        site=SyncSite(
            REALM, 'a', KEY, {'b': f'{there.info.swift_url}/v1/'}
        ),
        extra_options={
            'backup_swift_container': CONTAINER,
            'backup_swift_container_sync_to': (
                f'//{REALM}/b/AUTH_{project_id}'
            ),
            'backup_swift_container_sync_key': KEY,
        },
    ) as here:
        with contextlib.closing(DemoUser(here.info)) as user:
            backups = demo.make_backups(user)
        started = time.monotonic()
        here.swift.sync_containers()
        print(
            f'Swift copied them to site B: {time.monotonic() - started:.1f} s'
        )
    print('Site A burns: its processes are ended, its disks are deleted')
    return backups


def _restore_to_files(
    user: DemoUser, there: Cloud, backups: list[tuple[str, str, str]]
) -> None:
    """Restore without Cinder."""
    user.shell(OURS, 'list')
    user.shell(OURS, 'verify', '--all', '--deep')
    for kind, backup, digest in backups:
        target = there.info_file.with_name(f'{kind}.raw')
        started = time.monotonic()
        user.shell(OURS, 'restore', backup, str(target))
        user.took(f'{kind} restore to a file', started)
        with open(target, 'rb') as file:
            actual = hashlib.file_digest(file, 'sha256').hexdigest()
        user.compare(actual, kind, digest)


def _restore_by_cinder(
    user: DemoUser, backups: list[tuple[str, str, str]]
) -> None:
    """Give the other Cinder the records, and restore by it."""
    tip = backups[-1][1]
    records = user.shell(
        OURS, 'export-record', tip, '-f', 'value',
        '-c', 'backup_service', '-c', 'backup_url',
    )  # fmt: skip
    for line in records.splitlines():
        user.import_record(*line.split())
    for kind, backup, digest in backups:
        user.restore(backup, f'{kind} restore by Cinder', digest)

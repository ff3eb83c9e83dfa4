# SPDX-License-Identifier: Apache-2.0

"""What an operator would do, with the real clients, and a proof that it works.

1. Create a volume and write to it.
2. Back it up, change it, back up what changed.
3. Restore both backups to new volumes and compare their SHA-256 with that
   of the source at the time of each backup.
4. List what is in Swift, delete the backups, and see that nothing remains.

In packs, the full backup is deleted first, and the incremental is restored
once more.
"""

import contextlib

from tests.cloud import errors
from tests.cloud import patterns
from tests.cloud.demo_user import DemoUser
from tests.cloud.info import CloudInfo

CHUNKS, PACKS = FORMS = ('chunks', 'packs')


def make_backups(
    user: DemoUser, form: str = CHUNKS
) -> list[tuple[str, str, str]]:
    """Make a volume with a full and an incremental backup.

    Returns for each its kind, its id, and the SHA-256 of the volume then.
    """
    source = user.create_volume()
    user.write('Writing 200 MiB of noise and text', source, patterns.FIRST)
    full_digest = user.digest(source)
    full = user.back_up(source, 'full backup')
    user.write('Changing 36 MiB here and there', source, patterns.CHANGE)
    increment_digest = user.digest(source)
    increment = user.back_up(
        source,
        'incremental backup',
        '--incremental',
        # In packs, it builds on nothing once it is complete.
        shows_incremental=form == CHUNKS,
    )
    return [
        ('full', full, full_digest),
        ('incremental', increment, increment_digest),
    ]


def run(info: CloudInfo, form: str = CHUNKS) -> None:
    """Do everything, as the user ``demo`` of a running cloud.

    :param form: that of the backups
    :raises DemoFailed: at the first thing that is not as it should be
    """
    with contextlib.closing(DemoUser(info)) as user:
        _run(user, form)


def _run(user: DemoUser, form: str) -> None:
    backups = make_backups(user, form)
    for kind, backup, digest in backups:
        user.restore(backup, f'{kind} restore', digest)
    container = user.api.backups.get(backups[0][1]).container
    user.shell('swift', 'list', '--lh', container)
    stands_alone = ''
    if form == PACKS:
        full, incremental = backups
        kind, backup, digest = incremental
        user.delete(full[1], f'{full[0]} delete')
        user.restore(backup, f'{kind} restore without the full one', digest)
        stands_alone = 'the incremental restored without the full one, '
        backups_left = [incremental]
    else:
        backups_left = list(reversed(backups))
    for kind, backup, _ in backups_left:
        user.delete(backup, f'{kind} delete')
    _check_empty(user, container)
    conclude(
        user,
        f'full and incremental backup restored byte for byte '
        f'({digests(backups)}), {stands_alone}nothing left in Swift after '
        f'delete',
    )


def digests(backups: list[tuple[str, str, str]]) -> str:
    """Return the beginnings of the digests of some backups."""
    return 'sha256 ' + ' and '.join(
        f'{digest[:16]}...' for _, _, digest in backups
    )


def conclude(user: DemoUser, what: str) -> None:
    """Say what was proven, and how long it took."""
    times = ', '.join(f'{k} {v:.1f} s' for k, v in user.times.items())
    print(
        f"PROVEN: {what}; times with the clients' own start: {times}",
        flush=True,
    )


def _check_empty(user: DemoUser, container: str) -> None:
    """Make sure that Swift holds nothing of the backups any more."""
    left = user.shell('swift', 'list', container).split()
    if left:
        raise errors.DemoFailed(
            f'{len(left)} objects were left in {container}, '
            f'for example {left[0]}'
        )

# SPDX-License-Identifier: Apache-2.0

"""Names that no container can have, and those that none should be given.

A request for an object has the container and the object in one path. So some
names lead elsewhere: ``foo/bar`` to objects of the container ``foo``, and
``..`` out of the account, since HTTP clients resolve it.

Swift limits a name to 256 (``MAX_CONTAINER_NAME_LENGTH``): bytes of UTF-8 by
its documentation, characters in some releases, and a cluster may have another
limit. So longer ones are not made here, but may exist.
"""

import unicodedata

from cinder_swift_backup import exceptions

# Bytes of UTF-8.
LONGEST = 256


def fault(name: str) -> str:
    """Why no container can be asked for by a name, as in 'has a slash'.

    Empty if one can.
    """
    if not name:
        return 'is empty'
    if '/' in name:
        return 'has a slash'
    if name in ('.', '..'):
        return 'is a relative path to HTTP clients'
    if '\0' in name or not _is_text(name):
        return 'contains an invalid character or a NUL'
    return ''


def fault_of_new(name: str) -> str:
    """The same of a container that somebody wants backups to go to."""
    if known := fault(name):
        return known
    if any(unicodedata.category(letter) == 'Cc' for letter in name):
        return 'has a control character'
    length = len(name.encode())
    if length > LONGEST:
        return f'has {length} bytes, more than {LONGEST}'
    return ''


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def check(name: str) -> None:
    """Make sure that a container can be asked for.

    :raises ConfigurationError: when it cannot
    """
    _refuse(name, fault(name))


def check_new(name: str) -> None:
    """Make sure that backups can go to a container.

    :raises ConfigurationError: when they cannot
    """
    _refuse(name, fault_of_new(name))


def _refuse(name: str, why: str) -> None:
    if why:
        raise exceptions.ConfigurationError(
            f'the container cannot be used: its name {why}',
            # Control characters stay out of the database and the log.
            detail=f'container {name!r}',
            remedy=exceptions.Remedy.CONTAINER_NAME)

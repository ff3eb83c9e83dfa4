# SPDX-License-Identifier: Apache-2.0

"""What this process holds, as the kernel tells.

Nothing is collected before it is counted: what a driver leaves to the garbage
collector is open until that comes.
"""

from collections.abc import Iterator
import ctypes
import os
import pathlib
import re
import sys

from tests.fakes import process_memory
from tests.soak import judgement

_SELF = pathlib.Path('/proc/self')
_SOCKET = re.compile(r'socket:\[(\d+)\]')
# Of a line about a connection, and what the state is while one listens.
_STATE, _INODE = 3, 9
_LISTENING = '0A'


def sample() -> judgement.Sample:
    """All of it, now."""
    links = list(_links())
    resident = process_memory.resident()
    return judgement.Sample(
        resident=resident,
        used=resident - _free(),
        blocks=sys.getallocatedblocks(),
        threads=len(os.listdir(_SELF / 'task')),
        descriptors=len(links),
        connections=len(_sockets(links) & set(_connections())))


class _Mallinfo(ctypes.Structure):
    """What ``mallinfo2`` returns."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in (
        'arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks',
        'fsmblks', 'uordblks', 'fordblks', 'keepcost'))


def _free() -> int:
    """The bytes that malloc keeps for itself; 0 where it does not tell."""
    function = getattr(ctypes.CDLL(None), 'mallinfo2', None)
    if function is None:
        return 0
    function.restype = _Mallinfo
    return int(function().fordblks)


def _links() -> Iterator[str]:
    """What each descriptor is of."""
    for name in os.listdir(_SELF / 'fd'):
        try:
            yield os.readlink(_SELF / 'fd' / name)
        except FileNotFoundError:
            # The one that the listing itself needed.
            continue


def _sockets(links: list[str]) -> set[str]:
    return {found[1] for link in links if (found := _SOCKET.match(link))}


def _connections() -> Iterator[str]:
    """The sockets of all connections, those included that a peer closed."""
    for name in ('tcp', 'tcp6'):
        path = _SELF / 'net' / name
        if not path.exists():
            continue
        for line in path.read_text().splitlines()[1:]:
            words = line.split()
            if words[_STATE] != _LISTENING:
                yield words[_INODE]

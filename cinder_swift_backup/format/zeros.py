# SPDX-License-Identifier: Apache-2.0

"""Zeros: made, recognised, and found in data."""

from collections.abc import Iterator

from cinder_swift_backup.format import runs
from cinder_swift_backup.format import types

# Bytes that are looked at together: small enough to find most holes, large
# enough that data is written in few calls.
GRAIN = 64 * 1024
_MOST = 1 << 20
_ZEROS = bytes(_MOST)


def pieces(length: int, size: int = _MOST) -> Iterator[memoryview]:
    """So many zeros, in pieces.

    :param size: of a piece in bytes, at most a MiB
    """
    for start in range(0, length, size):
        yield memoryview(_ZEROS)[:min(size, length - start)]


def only(data: memoryview) -> bool:
    """Whether ``data``, of at most a MiB, is all zeros; False for more."""
    # Most data differs in its first byte, which saves the copy.
    return (not data[0] and len(data) <= _MOST
            and bytes(data) == _ZEROS[:len(data)])


def split(data: memoryview) -> Iterator[tuple[bool, types.Extent]]:
    """Split ``data`` into runs; each comes with whether it is all zeros.

    The extents are relative to the start of ``data``.
    """
    return runs.split(data, GRAIN, only)

# SPDX-License-Identifier: Apache-2.0

"""Telling zeros from data."""

from collections.abc import Iterator

from cinder_swift_backup.format import types

# Bytes looked at together: small enough to leave most holes holes, large
# enough that runs of data are written in few calls.
_GRAIN = 64 * 1024
_ZEROS = bytes(_GRAIN)


def data_runs(data: memoryview) -> Iterator[types.Extent]:
    """The runs of ``data`` that are not all zeros, relative to its start."""
    start = None
    for position in range(0, len(data), _GRAIN):
        grain = data[position:position + _GRAIN]
        # Most data tells by its first byte; only zeros are worth the copy.
        if not grain[0] and bytes(grain) == _ZEROS[:len(grain)]:
            if start is not None:
                yield types.Extent(start, position - start)
                start = None
        elif start is None:
            start = position
    if start is not None:
        yield types.Extent(start, len(data) - start)

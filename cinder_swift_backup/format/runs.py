# SPDX-License-Identifier: Apache-2.0

"""Splits data into runs of one kind."""

from collections.abc import Callable
from collections.abc import Iterator

from cinder_swift_backup.format import types


def split(data: memoryview, grain: int, is_special: Callable[
        [memoryview], bool]) -> Iterator[tuple[bool, types.Extent]]:
    """Split ``data`` into runs; each comes with whether it is special.

    The extents are relative to the start of ``data``.

    :param grain: bytes that are of one kind, the last maybe fewer
    :param is_special: says of which kind
    """
    start = 0
    current = None
    for position in range(0, len(data), grain):
        kind = is_special(data[position:position + grain])
        if current is None:
            current = kind
        if kind is not current:
            yield current, types.Extent(start, position - start)
            start, current = position, kind
    if current is not None:
        yield current, types.Extent(start, len(data) - start)

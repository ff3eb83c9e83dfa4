# SPDX-License-Identifier: Apache-2.0

"""What every target is held to."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import random
import tracemalloc
from typing import TypeVar
import zlib

from cinder_swift_backup import exceptions

_T = TypeVar('_T')
# Characters: an error is read by somebody, and is noted in a database.
_LONGEST_ERROR = 1000
# Bytes that Python takes whatever it does: frames, errors, caches.
_ANYWAY = 1 << 20


def value_of(work: Callable[[], _T]) -> _T | None:
    """What ``work`` returns; None if it raises an error of ours.

    Any other error passes, and so does one whose text cannot be printed.
    """
    try:
        return work()
    except exceptions.BackupError as err:
        text = str(err)
        assert text.isprintable(), repr(text)
        assert len(text) <= _LONGEST_ERROR, len(text)
        return None


def cut(data: bytes) -> Iterator[bytes]:
    """The data in pieces: anywhere, but the same each time."""
    chance = random.Random(zlib.crc32(data))
    longest = chance.choice((1, 10, 100, 5000, 100000))
    longest = max(longest, len(data) // 100)
    start = 0
    while start < len(data):
        end = start + chance.randint(1, longest)
        yield data[start:end]
        start = end


def same(one: object, other: object) -> None:
    """Raise if two results differ."""
    assert one == other, f'{one!r:.500} is not {other!r:.500}'


@contextlib.contextmanager
def memory(most: int) -> Iterator[None]:
    """Raise if Python takes more memory meanwhile.

    :param most: in bytes, besides what it takes anyway
    """
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        if started:
            tracemalloc.stop()
    taken = peak - before
    assert taken <= most + _ANYWAY, f'{taken} bytes instead of {most}'

# SPDX-License-Identifier: Apache-2.0

"""How a digest file is cut into the segments of a large object.

A file above the largest object of the cluster has to be. One with long runs
of zeros should be, since these are one segment, stored once and named many
times:

1. Each run of zeros becomes as many of that segment as fit into it.
2. What is between them becomes segments of other digests, and takes along as
   many zeros as it needs to be of some size: Swift throttles the reading of
   small segments.

The first segment opens the file and the last closes it, so neither is the one
of zeros.
"""

from collections.abc import Iterable
import dataclasses

from cinder_swift_backup.format import digests

# Digests in a segment at least, about 1 MiB of the file, and normally.
LEAST = 16000
NORMAL = 64000
# The digits, quotes and comma of a digest.
_TEXT = 2 * digests.DIGEST_SIZE + 3


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """The digests from ``first`` to before ``end``.

    All parts of ``zeros`` are alike.
    """

    first: int
    end: int
    zeros: bool = False

    def __len__(self) -> int:
        """How many digests there are."""
        return self.end - self.first


def segment_size(count: int, most: int, largest: int | None,
                 fields: int) -> int | None:
    """How many digests to put into a segment; None if that cannot be.

    :param count: of all digests
    :param most: how many segments there may be
    :param largest: bytes that a segment may have; None for any number
    :param fields: bytes that the other fields of the file take
    """
    # Each run of zeros may have a smaller segment before it.
    least = -(-2 * count // max(most - 2, 1))
    size = max(NORMAL, least)
    if largest is not None:
        # The first segment has the other fields of the file, too.
        size = min(size, (largest - fields) // _TEXT)
    return size if size >= max(least, 1) else None


def cut(count: int, zeros: Iterable[tuple[int, int]],
        size: int) -> list[Part]:
    """The parts of a digest file, in their order.

    :param count: of all digests
    :param zeros: runs of digests of zeros, by their first and the one after
        their last, in order; all are of whole blocks
    :param size: how many digests a segment has
    """
    parts: list[Part] = []
    position = 0
    for first, end in zeros:
        start = first
        if start - position < LEAST and (start > position or not position):
            start = position + LEAST
        # The part that closes the file is of digests, too.
        room = min(end, count - LEAST) - start
        if room < size:
            continue
        parts += _pieces(position, start, size)
        for position in range(start, start + room - size + 1, size):
            parts.append(Part(position, position + size, zeros=True))
        position += size
    return parts + _pieces(position, count, size)


def saved(parts: Iterable[Part]) -> int:
    """How many bytes need not be stored because of parts of zeros."""
    repeated = [len(part) for part in parts if part.zeros]
    return sum(repeated[1:]) * _TEXT


def _pieces(first: int, end: int, size: int) -> list[Part]:
    count = -(-(end - first) // size)
    return [Part(first + (end - first) * at // count,
                 first + (end - first) * (at + 1) // count)
            for at in range(count)]

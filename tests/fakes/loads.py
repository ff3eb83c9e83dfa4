# SPDX-License-Identifier: Apache-2.0

"""What a volume's users write in a night: 1 % of it, in one of three ways."""

from collections.abc import Iterator
import random

from cinder_swift_backup.format import types

PAGE = 4096
_CHANGED = 0.01
_CLUSTER = 1 << 20
# Each with what it is.
LOADS = {
    'uniform': '1 % of the 4 KiB pages, anywhere',
    'hot': 'the same, 90 % of them in a tenth of the volume',
    'clustered': '1 % of the volume, in extents of 1 MiB',
}
_TEXT = b'The quick brown fox jumps over the lazy dog. ' * (_CLUSTER // 45 + 1)


def extents(load: str, size: int, night: int) -> Iterator[types.Extent]:
    """What is written in a night.

    :param load: one of :data:`LOADS`
    :param size: of the volume in bytes
    :param night: the same number gives the same extents
    """
    source = random.Random(f'{load} {night}')
    count = int(size * _CHANGED)
    if load == 'clustered':
        for _ in range(max(count // _CLUSTER, 1)):
            first = source.randrange(size // _CLUSTER)
            yield types.Extent(first * _CLUSTER, _CLUSTER)
        return
    for number in range(count // PAGE):
        part = size // 10 if load == 'hot' and number % 10 else size
        yield types.Extent(source.randrange(part // PAGE) * PAGE, PAGE)


def data(extent: types.Extent, night: int) -> bytes:
    """What is written there: noise, text, or zeros now and then."""
    source = random.Random(f'{extent.offset} {night}')
    kind = source.randrange(8)
    if not kind:
        return bytes(extent.length)
    if kind < 4:
        return source.randbytes(extent.length)
    start = source.randrange(len(_TEXT) - extent.length + 1)
    return _TEXT[start:start + extent.length]

# SPDX-License-Identifier: Apache-2.0

"""Finds data that will not compress, by a few sampled bytes.

Of 256 bytes of noise about 162 differ, of text, code or most numbers far
fewer, of ramps more. Looking at four samples of each segment takes a hundredth
of the time of compressing it. Noise that repeats itself still counts as noise.
"""

from collections.abc import Iterator

from cinder_swift_backup.format import runs
from cinder_swift_backup.format import types

SEGMENT = 32 * 1024
_SAMPLE = 256
_SAMPLES = 4
# Four samples of noise have 648 different bytes, give or take 11. Text and
# code have fewer; ramps and lookup tables may have more.
_NOISY = range(600, 700)
# Shorter segments are not sampled.
SHORTEST = 2 * _SAMPLES * _SAMPLE
_ALL = bytes(range(256))


def is_noise(segment: memoryview) -> bool:
    """Whether a segment, of at most :data:`SEGMENT` bytes, looks like noise.

    Short segments never do.
    """
    if len(segment) < SHORTEST:
        return False
    missing = 0
    step = (len(segment) - _SAMPLE) // (_SAMPLES - 1)
    for start in range(0, _SAMPLES * step, step):
        # What is left of all bytes is what the sample does not have: the
        # fastest way to count in plain Python.
        missing += len(_ALL.translate(
            None, bytes(segment[start:start + _SAMPLE])))
    return _SAMPLES * len(_ALL) - missing in _NOISY


def split(data: memoryview) -> Iterator[tuple[bool, types.Extent]]:
    """Split ``data`` into runs; each comes with whether it is noise.

    The extents are relative to the start of ``data``.
    """
    return runs.split(data, SEGMENT, is_noise)

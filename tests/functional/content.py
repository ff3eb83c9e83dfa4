# SPDX-License-Identifier: Apache-2.0

"""What volumes hold, and how that changes."""

import random

from tests.functional.cinder_side import BLOCK
from tests.functional.cinder_side import CHUNK

TEXT = b'All the world is a stage, and all the men and women players. '


def make_image():
    """A volume with text, noise, holes, and an end that fits no block."""
    noise = random.Random(2)
    return bytearray(
        (TEXT * (2 * CHUNK // len(TEXT) + 1))[:2 * CHUNK]
        + noise.randbytes(2 * CHUNK)
        + bytes(2 * CHUNK)
        + noise.randbytes(CHUNK + 3 * BLOCK + 1000))


def change(image, seed):
    """Change blocks here and there, and turn data to zeros and back."""
    choice = random.Random(seed)
    for _ in range(8):
        start = choice.randrange(len(image) // BLOCK) * BLOCK
        end = min(start + choice.choice((1, 100, BLOCK)), len(image))
        image[start:end] = choice.randbytes(end - start)
    # What the stock driver of 23.0 to 28.x restores as stale data.
    start = choice.randrange(4) * CHUNK
    image[start:start + 3 * BLOCK] = bytes(3 * BLOCK)
    image[4 * CHUNK:4 * CHUNK + BLOCK] = choice.randbytes(BLOCK)

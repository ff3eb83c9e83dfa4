# SPDX-License-Identifier: Apache-2.0

"""The beginnings of image files that qemu-img made."""

import lzma
import pathlib

_DIRECTORY = pathlib.Path(__file__).parents[1] / 'images'


def load(name):
    """The first 4 MiB of one of ``tests/images``."""
    return lzma.decompress((_DIRECTORY / f'{name}.xz').read_bytes())

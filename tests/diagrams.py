# SPDX-License-Identifier: Apache-2.0

"""Draws the diagrams of the documentation: ``tox -e diagrams``.

Graphviz draws each ``.dot`` file as an ``.svg`` file beside it, which notes
what it was drawn from. So the documentation needs no Graphviz, and a test sees
whether a diagram is older than its text.
"""

import hashlib
import pathlib
import subprocess
import sys

DIRECTORY = pathlib.Path(__file__).parents[1] / 'doc/source/diagrams'


def stamp(source: pathlib.Path) -> str:
    """What a drawing has at its end: what it was drawn from."""
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return f'<!-- drawn from {source.name}, SHA-256 {digest} -->\n'


def main() -> None:
    """Draw all of them."""
    for source in DIRECTORY.glob('*.dot'):
        drawn = subprocess.run(['dot', '-Tsvg', source], text=True,
                               stdout=subprocess.PIPE, check=True).stdout
        source.with_suffix('.svg').write_text(drawn + stamp(source))


if __name__ == '__main__':
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0

"""What pages of the documentation tell to type, and what they show of it.

A literal block is what a reader types. A block of ``text`` shows some of the
output, with "..." for what differs each time.
"""

from collections.abc import Iterator
import pathlib
import re
from typing import NamedTuple

from docutils import core
from docutils import nodes

ROOT = pathlib.Path(__file__).parents[1]
SOURCE = ROOT / 'doc' / 'source'
# Directives and roles that Sphinx has are no errors here.
_QUIET = {'report_level': 5, 'halt_level': 5, 'file_insertion_enabled': False}


class Block(NamedTuple):
    """A block of a page; ``language`` is empty for what a reader types."""

    text: str
    language: str


def all_pages() -> list[pathlib.Path]:
    """All pages, README among them."""
    return [ROOT / 'README.rst', *sorted(SOURCE.rglob('*.rst'))]


def blocks(page: pathlib.Path) -> Iterator[Block]:
    """The literal blocks of a page, in their order."""
    document = core.publish_doctree(
        page.read_text(), str(page), settings_overrides=_QUIET)
    for node in document.findall(nodes.literal_block):
        if isinstance(node.parent, nodes.system_message):
            continue
        _, *languages = [*node['classes'], ''] if (
            'code' in node['classes']) else ['', '']
        yield Block(node.astext() + '\n', languages[0])


def is_like(shown: str, line: str) -> bool:
    """Whether a line is what a page shows, "..." standing for anything."""
    return re.fullmatch(
        '.*'.join(map(re.escape, shown.split('...'))), line) is not None

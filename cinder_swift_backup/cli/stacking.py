# SPDX-License-Identifier: Apache-2.0

"""Tables that are narrower, with several columns below each other.

Ids are of use only as a whole: what names backups and volumes is never cut
off. The last column gives way: what is too long for it ends in an ellipsis.

1. The groups of columns say which ones share a column.
2. Every column but the last is as wide as its widest cell.
3. The last one has what is left.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import itertools
from typing import Any

from cliff import columns
from rich import cells as rich_cells
from rich import text as rich_text

# What prettytable puts around a cell, and before the first.
_FRAME = 3
_EDGE = 1
_NARROWEST = 8


def stacked(names: Sequence[str], rows: Iterable[Sequence[Any]],
            groups: Iterable[Sequence[str]], width: int,
            ) -> tuple[list[str], list[list[str]]]:
    """The names and rows of a table with a column for each group.

    :param groups: of column names; one that the table lacks is left out
    :param width: of the whole table, in columns of a terminal
    """
    found = [[names.index(name) for name in group if name in names]
             for group in groups]
    places = [group for group in found if group]
    heads = ['/'.join(names[at] for at in group) for group in places]
    cells = [[[_text(row[at]) for at in group] for group in places]
             for row in rows]
    room = max(_NARROWEST, width - _EDGE - _FRAME * len(places) - sum(
        max(map(rich_cells.cell_len, [head, *itertools.chain(*column)]))
        for head, column in zip(heads[:-1], zip(*cells, strict=True),
                                strict=False)))
    for row in cells:
        row[-1] = [shortened(text, room) for text in row[-1]]
    return ([*heads[:-1], shortened(heads[-1], room)],
            [['\n'.join(cell) for cell in row] for row in cells])


def fits(names: Sequence[str], rows: Iterable[Sequence[Any]],
         width: int) -> bool:
    """Whether a table needs no more columns of a terminal."""
    table = [names, *rows]
    return width >= _EDGE + sum(
        _FRAME + max(rich_cells.cell_len(_text(row[at])) for row in table)
        for at in range(len(names)))


def shortened(text: str, width: int) -> str:
    """A text that takes no more columns of a terminal than it may."""
    found = rich_text.Text(text)
    found.truncate(width, overflow='ellipsis')
    return found.plain


def _text(value: Any) -> str:
    if isinstance(value, columns.FormattableColumn):
        value = value.human_readable()
    return str(value)

# SPDX-License-Identifier: Apache-2.0

"""Tables that are narrower, with several columns below each other.

Ids are of use only as a whole: what names backups and volumes is never cut
off. The last column gives way: what is too long for it ends in an ellipsis.

1. A table that fits stays as it is.
2. A grouping says which columns share one. Take the first grouping that leaves
   room for the last column.
3. Every column but the last is as wide as its widest cell.
4. The last one has what is left.
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
# The columns that share one, for each column of a narrower table.
Grouping = Sequence[Sequence[str]]


def narrowed(names: Sequence[str], rows: Sequence[Sequence[Any]],
             groupings: Sequence[Grouping], width: int,
             ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    """The names and rows of a table that is no wider than it may be.

    :param groupings: the roomiest first; names that the table lacks are left
        out
    :param width: of the whole table, in columns of a terminal
    """
    if fits(names, rows, width):
        return names, rows
    for grouping in groupings:
        stacked = _Stacked(names, rows, grouping)
        room = width - stacked.width
        if room >= _NARROWEST:
            break
    return stacked.cut(max(_NARROWEST, room))


class _Stacked:
    """A table with a column for each group of columns."""

    def __init__(self, names: Sequence[str], rows: Iterable[Sequence[Any]],
                 grouping: Grouping) -> None:
        groups = [[names.index(name) for name in group if name in names]
                  for group in grouping]
        places = [group for group in groups if group]
        self._heads = ['/'.join(names[at] for at in group)
                       for group in places]
        self._rows = [[[_text(row[at]) for at in group] for group in places]
                      for row in rows]

    @property
    def width(self) -> int:
        """How wide the table is while its last column is empty."""
        return _EDGE + _FRAME * len(self._heads) + sum(
            max(map(rich_cells.cell_len, [head, *itertools.chain(*column)]))
            for head, column in zip(
                self._heads[:-1], zip(*self._rows, strict=True),
                strict=False))

    def cut(self, room: int) -> tuple[list[str], list[list[str]]]:
        """Names and rows.

        :param room: for the last column
        """
        return ([*self._heads[:-1], shortened(self._heads[-1], room)],
                [['\n'.join(cell) for cell in (
                    *row[:-1], [shortened(text, room) for text in row[-1]])]
                 for row in self._rows])


def fits(names: Sequence[str], rows: Iterable[Sequence[Any]],
         width: int) -> bool:
    """Whether a table needs no more columns of a terminal."""
    table = [names, *rows]
    return width >= _EDGE + sum(
        _FRAME + max(rich_cells.cell_len(_text(row[at])) for row in table)
        for at in range(len(names)))


def shortened(text: str, width: int) -> str:
    """A text that takes no more columns of a terminal than it may."""
    cell = rich_text.Text(text)
    cell.truncate(width, overflow='ellipsis')
    return cell.plain


def _text(value: Any) -> str:
    if isinstance(value, columns.FormattableColumn):
        value = value.human_readable()
    return str(value)

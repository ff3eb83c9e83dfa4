# SPDX-License-Identifier: Apache-2.0

"""The table of what came of all faults, in reStructuredText."""

from collections.abc import Iterable
from collections.abc import Mapping
import csv
import io
import re

from tests.faults import rows

_HEADER = ('Fault', 'Operation', 'Outcome', 'Seconds', 'Objects left',
           'Next backup')
# What a test did not come to.
_UNKNOWN = '?'


def render(found: Mapping[str, Iterable[rows.Row]]) -> str:
    """The table of some modes, by their names.

    They are in the order of their names, as numbers go. A cell has a value for
    each mode where these differ.
    """
    by_case: dict[tuple[str, str], list[rows.Row]] = {}
    for some in found.values():
        for row in some:
            by_case.setdefault((row.fault, row.operation), []).append(row)
    text = io.StringIO()
    text.write(f'Modes: {", ".join(found)}. Where they differ, a cell has a '
               f'value for each.\n\n.. csv-table::\n   :header-rows: 1\n\n')
    writer = csv.writer(text, lineterminator='\n')
    found_in_order = (by_case[case] for case in sorted(by_case, key=_place))
    for cells in (_HEADER, *map(_cells, found_in_order)):
        text.write('   ')
        writer.writerow(cells)
    return text.getvalue()


def _place(case: tuple[str, str]) -> list[tuple[str | int, ...]]:
    """Where a case belongs: that of 3 s before that of 20 s."""
    return [tuple(int(word) if word.isdigit() else word
                  for word in re.split(r'(\d+)', part)) for part in case]


def _cells(same: list[rows.Row]) -> tuple[str, ...]:
    return (same[0].fault, same[0].operation,
            _joined(row.outcome for row in same),
            _joined(f'{row.seconds:.0f}' for row in same),
            _joined(_UNKNOWN if row.left is None else str(row.left)
                    for row in same),
            _joined(row.next for row in same))


def _joined(values: Iterable[str]) -> str:
    found = list(values)
    return found[0] if len(set(found)) == 1 else ' / '.join(found)

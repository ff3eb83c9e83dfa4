# SPDX-License-Identifier: Apache-2.0

"""The full matrix, and what is kept of it.

The matrix is every kind of data, in full and as incrementals, there and back,
with each codec, near and far. The series is one kind of data in growing sizes.
Both take an hour or more, so the results are written down as they come, and
what is there already is not measured again.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import json
import os
import pathlib
import re
from typing import Any

from tests.bench import images
from tests.bench import table

CODECS = ('zlib', 'zstd', 'none')
# Milliseconds.
ROUND_TRIPS = (0, 20)
CHANGES = ('dirty', 'unchanged')
SERIES = 'sparse'
SIZES = (1, 4, 16, 64)


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is measured at once: ``mib`` is the size of the volume."""

    kind: str
    codec: str
    round_trip: float
    mib: int
    changes: tuple[str, ...] = CHANGES
    # Whether other tools are measured too, which know no codec of ours.
    tools: bool = False


def cells(mib: int) -> Iterator[Cell]:
    """The matrix, and then the series."""
    for round_trip, codec, kind in itertools.product(
            ROUND_TRIPS, CODECS, images.KINDS):
        yield Cell(kind, codec, round_trip, mib, tools=codec == CODECS[0])
    for gib in SIZES:
        # The largest takes the stock driver half an hour as it is.
        changes = ('unchanged',) if gib < max(SIZES) else ()
        yield Cell(SERIES, CODECS[0], 0, gib << 10, changes)


class Results:
    """Everything that was measured, in a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self.machine = machine()
        self._found: dict[Cell, list[table.Row]] = {}
        if path.exists():
            self._load(json.loads(path.read_text()))

    def __contains__(self, cell: Cell) -> bool:
        """Whether it was measured already."""
        return cell in self._found

    def add(self, cell: Cell, rows: list[table.Row]) -> None:
        """Note what was measured."""
        self._found[cell] = rows
        self._path.write_text(json.dumps({
            'machine': self.machine,
            'cells': [{'cell': dataclasses.asdict(each),
                       'rows': [dataclasses.asdict(row) for row in found]}
                      for each, found in self._found.items()]}, indent=1))

    def find(self, operation: str, change: str, figure: table.Figure,
             **wanted: object) -> list[tuple[Cell, table.Row]]:
        """The rows of an operation, with the cells they are of.

        :param change: ``full`` or one of :data:`CHANGES`
        :param wanted: fields of the cells
        """
        return [
            (cell, row) for cell, rows in self._found.items()
            if all(getattr(cell, name) == value
                   for name, value in wanted.items())
            for row in rows
            if (row.what, row.figure) == (
                operation_name(operation, cell.kind, change), figure.name)]

    def _load(self, document: dict[str, Any]) -> None:
        self.machine = document['machine']
        for entry in document['cells']:
            fields = entry['cell']
            fields['changes'] = tuple(fields['changes'])
            self._found[Cell(**fields)] = [
                table.Row(**row) for row in entry['rows']]


def operation_name(operation: str, kind: str, change: str = 'full') -> str:
    """What the table calls an operation on one kind of data."""
    return ' '.join((operation, kind) if change == 'full'
                    else (operation, kind, change))


def machine() -> str:
    """The machine, by its cores and its memory."""
    found = re.search(r'MemTotal: *(\d+) kB',
                      pathlib.Path('/proc/meminfo').read_text())
    memory = round(int(found[1]) / (1 << 20)) if found else 0
    return f'{os.cpu_count()} cores, {memory} GiB of memory'

# SPDX-License-Identifier: Apache-2.0

"""What was measured, side by side: medians, spreads and ratios."""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Figure:
    """A row of the table: one figure of every measurement.

    :param better: which of the drivers' figures stands above in the ratio,
        so that it is large where ours is the better one
    """

    name: str
    better: str


MB_S = Figure('MB/s', 'ours')
CPU = Figure('CPU s/GiB', 'stock')
RESIDENT = Figure('MiB resident over idle', 'stock')
OBJECTS = Figure('objects', 'stock')
STORED = Figure('stored / volume', 'stock')

# Of ours, also with the form of packs.
DRIVERS = ('stock', 'ours', 'packs')
# If asked for: the form of packs, encrypted.
ENCRYPTED = 'encrypted'
# If quick: ours without limits of memory and bandwidth, and with such that
# nobody has to wait for. Their difference is what it costs to look.
LIMITS = ('unlimited', 'limited')
_FIGURES = {figure.name: figure
            for figure in (MB_S, CPU, RESIDENT, OBJECTS, STORED)}

Samples = dict[tuple[str, Figure], dict[str, list[float]]]


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of an operation: the medians of both drivers, and of tools."""

    what: str
    figure: str
    medians: dict[str, float]
    better: str = 'ours'

    def ratio(self, driver: str = 'ours') -> float | None:
        """Above 1 where we are better; None if it makes no sense."""
        if driver not in self.medians:
            return None
        stock, ours = self.medians['stock'], self.medians[driver]
        above, below = ((ours, stock) if self.better == 'ours'
                        else (stock, ours))
        return above / below if below else None


class Table:
    """Collects samples of both drivers and prints them."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._samples: Samples = {}

    def rows(self) -> list[Row]:
        """All of it, in the order it was measured."""
        return [
            Row(what, figure.name, {driver: statistics.median(values)
                                    for driver, values in row.items()},
                figure.better)
            for (what, figure), row in self._samples.items()]

    def add(self, what: str, figure: Figure, driver: str,
            value: float) -> None:
        """Note a sample of ``figure`` of an operation on one kind of data."""
        row = self._samples.setdefault((what, figure), {})
        row.setdefault(driver, []).append(value)

    def print(self, show: Callable[[str], None] = print) -> None:
        """Show medians, with the least and the most, and their ratios."""
        show(f'\n{self._title}')
        ours = DRIVERS[1:]
        show(f'{"":40}{"stock":>24}' + ''.join(
            f'{driver:>24}{"ratio":>8}' for driver in ours))
        for row in self.rows():
            samples = self._samples[row.what, _FIGURES[row.figure]]
            others = ''.join(
                f'  {name} {_spread(values)}'
                for name, values in samples.items() if name not in DRIVERS)
            show(f'{row.what + " " + row.figure:40}'
                 f'{_spread(samples["stock"]):>24}'
                 + ''.join(f'{_spread(samples.get(driver, ())):>24}'
                           f'{_ratio(row.ratio(driver)):>8}'
                           for driver in ours) + others)
        show('A ratio above 1 is in our favour.')


def _ratio(value: float | None) -> str:
    return '-' if value is None else f'{value:.2f}'


def _spread(values: Sequence[float]) -> str:
    if not values:
        return '-'
    median, least, most = (
        f'{value:.3g}' if value < 100 else f'{value:.0f}'
        for value in (statistics.median(values), min(values), max(values)))
    return f'{median} ({least}-{most})' if least != most else median

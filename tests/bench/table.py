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

Samples = dict[tuple[str, Figure], dict[str, list[float]]]


class Table:
    """Collects samples of both drivers and prints them."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._samples: Samples = {}

    def add(self, what: str, figure: Figure, driver: str,
            value: float) -> None:
        """Note a sample of ``figure`` of an operation on one kind of data."""
        row = self._samples.setdefault((what, figure), {})
        row.setdefault(driver, []).append(value)

    def print(self, show: Callable[[str], None] = print) -> None:
        """Show medians, with the least and the most, and their ratios."""
        show(f'\n{self._title}')
        show(f'{"":40}{"stock":>24}{"ours":>24}{"ratio":>8}')
        for (what, figure), row in self._samples.items():
            stock, ours = row['stock'], row['ours']
            ratio = _ratio(figure, statistics.median(stock),
                           statistics.median(ours))
            show(f'{what + " " + figure.name:40}{_spread(stock):>24}'
                 f'{_spread(ours):>24}{ratio:>8}')
        show('A ratio above 1 is in our favour.')


def _ratio(figure: Figure, stock: float, ours: float) -> str:
    above, below = (ours, stock) if figure.better == 'ours' else (stock, ours)
    return f'{above / below:.2f}' if below else '-'


def _spread(values: Sequence[float]) -> str:
    median, least, most = (
        f'{value:.3g}' if value < 100 else f'{value:.0f}'
        for value in (statistics.median(values), min(values), max(values)))
    return f'{median} ({least}-{most})' if least != most else median

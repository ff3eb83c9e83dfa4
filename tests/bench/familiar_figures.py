# SPDX-License-Identifier: Apache-2.0

"""What ``tests.bench.familiar`` has measured, and how a table tells it.

A cell has one figure, and how many times as fast as the stock driver that is.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import pathlib

# Milliseconds.
ROUND_TRIPS = (0, 100)
WORKERS = (1, 2, 4, 8, 16)
STOCK = 'stock'
CHUNKS = 'chunks'
OPERATIONS = ('full', 'changed', 'unchanged', 'restore')
# Those of the curve of threads.
THERE_AND_BACK = ('full', 'restore')
_KIB = 1 << 10
_MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Case:
    """What a figure is of.

    :param round_trip: in milliseconds
    :param contender: a driver in one of its forms, or another tool
    :param operation: one of :data:`OPERATIONS`
    :param workers: 0 if nobody has set them
    :param curve: whether it belongs to the curve of threads
    """

    round_trip: int
    contender: str
    operation: str
    workers: int = 0
    curve: bool = False


@dataclasses.dataclass(frozen=True)
class Figure:
    """What an operation took: bytes over the network, if they were counted."""

    seconds: float
    sent: int = 0
    received: int = 0


class Results:
    """Everything that was measured, on volumes of ``mib`` MiB.

    :param about: what it was measured with, by its name
    """

    def __init__(self, mib: int, about: Mapping[str, str]) -> None:
        self.mib = mib
        self.about = dict(about)
        self._found: dict[Case, Figure] = {}

    @classmethod
    def load(cls, path: pathlib.Path) -> 'Results':
        """Read what :meth:`save` has written."""
        document = json.loads(path.read_text())
        results = cls(document['mib'], document['about'])
        for entry in document['found']:
            results.add(Case(**entry['case']), Figure(**entry['figure']))
        return results

    def save(self, path: pathlib.Path) -> None:
        """Write all of it to a file."""
        path.write_text(json.dumps({
            'mib': self.mib, 'about': self.about,
            'found': [{'case': dataclasses.asdict(case),
                       'figure': dataclasses.asdict(figure)}
                      for case, figure in self._found.items()]}, indent=1))

    def add(self, case: Case, figure: Figure) -> None:
        """Note what was measured."""
        self._found[case] = figure

    def seconds(self, case: Case) -> float:
        """How long it took."""
        return self._found[case].seconds

    def speed(self, case: Case) -> float:
        """MB/s of the volume."""
        return self.mib * _MIB / 1e6 / self.seconds(case)

    def times_as_fast(self, case: Case) -> float:
        """The stock driver's seconds for each of this one's."""
        stock = dataclasses.replace(case, contender=STOCK, workers=0)
        return self.seconds(stock) / self.seconds(case)

    def contenders(self) -> Sequence[str]:
        """Who was measured, in that order."""
        return list(dict.fromkeys(
            case.contender for case in self._found if not case.curve))

    def curve_rows(self) -> Iterator[Sequence[str]]:
        """By workers: MB/s of each way, near and far."""
        for contender, workers in ((STOCK, 0), *(
                (CHUNKS, count) for count in WORKERS)):
            yield (str(workers or contender), *(
                self._cell(case, f'{_short(self.speed(case))} MB/s')
                for round_trip in ROUND_TRIPS
                for case in (Case(round_trip, contender, operation, workers,
                                  curve=True)
                             for operation in THERE_AND_BACK)))

    def rows(self, round_trip: int) -> Iterator[Sequence[str]]:
        """By contenders: seconds of each operation."""
        for contender in self.contenders():
            yield (contender, *(
                self._cell(case, f'{_short(self.seconds(case))} s')
                for case in self._cases(round_trip, contender)))

    def traffic_rows(self, round_trip: int) -> Iterator[Sequence[str]]:
        """By contenders: bytes over the network, both ways together."""
        for contender in self.contenders():
            figures = (self._found[case]
                       for case in self._cases(round_trip, contender))
            yield (contender, *(size_text(figure.sent + figure.received)
                                for figure in figures))

    def _cell(self, case: Case, text: str) -> str:
        if case.contender == STOCK:
            return text
        return f'{text} ({_short(self.times_as_fast(case))} x)'

    @staticmethod
    def _cases(round_trip: int, contender: str) -> Iterator[Case]:
        for operation in OPERATIONS:
            yield Case(round_trip, contender, operation)


def size_text(size: int) -> str:
    """So many bytes, as a person says them."""
    if size < _MIB:
        return f'{_short(size / _KIB)} KiB'
    return f'{_short(size / _MIB)} MiB'


def _short(value: float) -> str:
    """Two digits, or all before the point."""
    if value >= 9.95:
        return f'{value:,.0f}'
    return f'{value:.1f}' if value >= 0.95 else f'{value:.2f}'

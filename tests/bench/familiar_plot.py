# SPDX-License-Identifier: Apache-2.0

"""Draws what ``tests.bench.familiar`` has measured, for the documentation.

``python -m tests.bench.familiar_plot FILE`` writes a plot, and a text with
tables that ``doc/source/contributor/measurements.rst`` includes.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib
import sys
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib import ticker

from tests.bench import familiar_figures as figures

DIRECTORY = (pathlib.Path(__file__).resolve().parents[2]
             / 'doc' / 'source' / 'contributor' / 'measurements')
_COLOURS = {'stock': '#999999', 'chunks': '#d55e00', 'packs': '#0072b2',
            'restic': '#009e73', 'swift upload': '#e69f00'}
_WAYS = {'full': ('backup', '#0072b2', 'o'),
         'restore': ('restore', '#d55e00', 's')}
_NAMES = {'full': 'full backup', 'changed': '5 % anew',
          'unchanged': 'unchanged', 'restore': 'restore'}
_HEAD = ('', 'Full backup', 'After 5 % was written anew', 'Unchanged',
         'Restore of the last')
_ALT = ('Two plots of MB/s by the number of workers, each above bars of the '
        'seconds that each tool took')


def write(results: figures.Results) -> None:
    """Write the plot, and the text that shows it."""
    DIRECTORY.mkdir(exist_ok=True)
    # The same data gives the same file, and text stays text.
    mpl.rcParams.update({'svg.hashsalt': 'bench', 'svg.fonttype': 'none',
                         'font.size': 9})
    _draw(results)
    (DIRECTORY / 'familiar.inc').write_text('\n'.join((
        '.. Written by "python -m tests.bench.familiar_plot".', '',
        f'The volume has {results.mib} MiB. {_about(results.about)}', '',
        '.. figure:: measurements/familiar.svg', f'   :alt: {_ALT}', '',
        '   Above, dashed lines are the stock driver; below, seconds are on a '
        'logarithmic scale', '',
        *_tables(results))))


def _about(about: dict[str, str]) -> str:
    machine, processor, kernel, *versions = about.items()
    names = ', '.join(f'{name} {version}' for name, version in versions)
    return (f'The machine has {machine[1]} ({processor[1]}, {kernel[1]}), '
            f'which everything shares with Swift. Versions: {names}.')


def _where(round_trip: int) -> str:
    return f'{round_trip} ms round trip' if round_trip else 'loopback'


def _draw(results: figures.Results) -> None:
    figure = pyplot.figure(figsize=(9, 7.5), layout='constrained')
    for part, draw in zip(figure.subfigures(2, 1), (_curves, _bars),
                          strict=True):
        axes = part.subplots(1, len(figures.ROUND_TRIPS), sharey=True)
        for axis, round_trip in zip(axes, figures.ROUND_TRIPS, strict=True):
            draw(axis, results, round_trip)
            axis.set_title(_where(round_trip))
        part.legend(*axes[0].get_legend_handles_labels(),
                    loc='outside upper center', ncols=len(_COLOURS))
    figure.savefig(DIRECTORY / 'familiar.svg', metadata={'Date': None})


def _curves(axis: Any, results: figures.Results, round_trip: int) -> None:
    for operation, (name, colour, marker) in _WAYS.items():
        axis.plot(figures.WORKERS, [
            results.speed(figures.Case(round_trip, figures.CHUNKS, operation,
                                       workers, curve=True))
            for workers in figures.WORKERS], color=colour, marker=marker,
            label=name)
        axis.axhline(
            results.speed(figures.Case(round_trip, figures.STOCK, operation,
                                       curve=True)),
            color=colour, linestyle='--', label=f'{name}, stock driver')
    axis.set_xscale('log', base=2)
    axis.set_xticks(figures.WORKERS, figures.WORKERS)
    axis.set_ylim(bottom=0)
    axis.set_xlabel('backup_swift_workers')
    if axis.get_subplotspec().is_first_col():
        axis.set_ylabel('MB/s of the volume')


def _bars(axis: Any, results: figures.Results, round_trip: int) -> None:
    contenders = results.contenders()
    width = 0.8 / len(contenders)
    for number, contender in enumerate(contenders):
        axis.bar(
            [place - 0.4 + (number + 0.5) * width
             for place in range(len(_NAMES))],
            [results.seconds(figures.Case(round_trip, contender, operation))
             for operation in _NAMES], width, color=_COLOURS[contender],
            label=contender)
    axis.set_xticks(range(len(_NAMES)), _NAMES.values())
    axis.set_yscale('log')
    axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter('{x:g}')
    axis.yaxis.set_minor_locator(ticker.NullLocator())
    if axis.get_subplotspec().is_first_col():
        axis.set_ylabel('Seconds')


def _tables(results: figures.Results) -> Iterator[str]:
    yield from _table(
        'MB/s of the volume by the number of workers (times as fast as the '
        'stock driver)',
        ('', *(f'{_WAYS[operation][0].capitalize()}, {_where(round_trip)}'
               for round_trip in figures.ROUND_TRIPS
               for operation in figures.THERE_AND_BACK)),
        results.curve_rows())
    for round_trip in figures.ROUND_TRIPS:
        yield from _table(
            f'Seconds, {_where(round_trip)} (times as fast as the stock '
            f'driver)', _HEAD, results.rows(round_trip))
    yield from _table('Bytes over the network, both ways together', _HEAD,
                      results.traffic_rows(max(figures.ROUND_TRIPS)))


def _table(title: str, head: Sequence[str],
           rows: Iterator[Sequence[str]]) -> Iterator[str]:
    yield from (f'.. list-table:: {title}', '   :header-rows: 1', '')
    for row in (head, *rows):
        for number, cell in enumerate(row):
            yield f'   {"  -" if number else "* -"} {cell}'.rstrip()
    yield ''


if __name__ == '__main__':
    write(figures.Results.load(pathlib.Path(sys.argv[1])))

# SPDX-License-Identifier: Apache-2.0

"""Draws what was measured, and sets it as tables, for the documentation.

Writes a text that ``doc/source/contributor/measurements.rst`` includes, and
the plots that this text shows.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import pathlib
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from tests.bench import images
from tests.bench import matrix
from tests.bench import table

DIRECTORY = (pathlib.Path(__file__).resolve().parents[2]
             / 'doc' / 'source' / 'contributor' / 'measurements')
_OPERATIONS = ('backup', 'restore')
_CHANGES = ('full', *matrix.CHANGES)
_COLUMNS = tuple((operation, change) for change in _CHANGES
                 for operation in _OPERATIONS)
# Distinct for those who do not see all colours, too.
_COLOURS = ('#0072b2', '#56b4e9', '#d55e00', '#e69f00', '#009e73', '#8dd3b4')


def write(results: matrix.Results) -> None:
    """Write the text and its plots."""
    DIRECTORY.mkdir(exist_ok=True)
    # The same data gives the same file, and text stays text.
    mpl.rcParams.update({'svg.hashsalt': 'bench', 'svg.fonttype': 'none',
                         'font.size': 9})
    lines = [
        '.. Written by "tox -e bench -- --plot"; edit tests/bench/plots.py.',
        '', f'The machine has {results.machine}, which the drivers, Swift '
        'and its memcached share. One round; native threads.', '']
    for round_trip in matrix.ROUND_TRIPS:
        lines += _matrix(results, round_trip)
    lines += [*_tools(results), *_series(results)]
    (DIRECTORY / 'tables.inc').write_text('\n'.join(lines))


def _matrix(results: matrix.Results, round_trip: int) -> Iterator[str]:
    where = f'{round_trip} ms round trip' if round_trip else 'loopback'
    name = f'matrix-{round_trip}ms.svg'
    mib = _matrix_size(results)
    _draw_matrix(results, round_trip, mib, name)
    title = f'Volumes of {mib} MiB, {where}'
    yield from _heading(title)
    yield from _figure(
        name, 'How many times as fast as the stock driver; logarithmic')
    for codec in matrix.CODECS:
        cells = [[kind, *(_speeds(results, operation, change, kind=kind,
                                  codec=codec, round_trip=round_trip, mib=mib)
                          for operation, change in _COLUMNS)]
                 for kind in images.KINDS]
        yield from _table(
            f'MB/s of the volume with {codec}: stock → ours (the ratio)',
            ['', *(f'{change} {operation}'
                   for operation, change in _COLUMNS)], cells)


def _matrix_size(results: matrix.Results) -> int:
    """The size of the volumes, in MiB."""
    (cell, _), *_ = results.find('backup', 'full', table.MB_S, kind='mix')
    return cell.mib


def _speeds(results: matrix.Results, operation: str, change: str,
            **wanted: object) -> str:
    found = results.find(operation, change, table.MB_S, **wanted)
    if not found:
        return ''
    row = found[0][1]
    return (f'{_short(row.medians["stock"])} → {_short(row.medians["ours"])} '
            f'({row.ratio():.1f} x)')


def _draw_matrix(results: matrix.Results, round_trip: int, mib: int,
                 name: str) -> None:
    figure, axes = pyplot.subplots(
        len(matrix.CODECS), 1, figsize=(8, 7), sharex=True, sharey=True,
        layout='constrained')
    for codec, axis in zip(matrix.CODECS, axes, strict=True):
        for number, (operation, change) in enumerate(_COLUMNS):
            ratios = []
            for kind in images.KINDS:
                found = results.find(
                    operation, change, table.MB_S, kind=kind, codec=codec,
                    round_trip=round_trip, mib=mib)
                ratios.append(found[0][1].ratio() if found else None)
            _bars(axis, number, ratios, f'{change} {operation}')
        axis.set_title(codec, loc='left')
        axis.axhline(1, color='black', linewidth=0.8)
        axis.set_yscale('log')
        axis.yaxis.set_major_formatter('{x:g} x')
        axis.set_xticks(range(len(images.KINDS)), images.KINDS)
    figure.legend(*axes[0].get_legend_handles_labels(),
                  loc='outside upper center', ncols=3)
    _save(figure, name)


def _bars(axis: Any, number: int, heights: Sequence[float | None],
          label: str) -> None:
    width = 0.8 / len(_COLUMNS)
    axis.bar([place - 0.4 + (number + 0.5) * width
              for place in range(len(heights))],
             [height or 0 for height in heights], width,
             # Above and below the line of the stock driver.
             color=_COLOURS[number], label=label)


def _tools(results: matrix.Results) -> Iterator[str]:
    """Beside other tools, in full and, if they can, as incrementals."""
    for round_trip in matrix.ROUND_TRIPS:
        found = {
            (cell.kind, operation, change): row
            for operation, change in _COLUMNS
            for cell, row in results.find(
                operation, change, table.MB_S, tools=True,
                round_trip=round_trip)}
        names = [name for name in next(iter(found.values())).medians
                 if name not in table.DRIVERS]
        if not names:
            continue
        drivers = (*table.DRIVERS, *names)
        where = f'{round_trip} ms round trip' if round_trip else 'loopback'
        yield from _heading(f'Beside other tools, {where}')
        yield from _table(
            'MB/s of the volume, the drivers with zlib',
            ['', *drivers],
            [[f'{kind}, {change} {operation}',
              *(_short(found[kind, operation, change].medians[driver])
                if driver in found[kind, operation, change].medians else ''
                for driver in drivers)]
             for kind in images.KINDS for operation, change in _COLUMNS])


def _series(results: matrix.Results) -> Iterator[str]:
    wanted = {'kind': matrix.SERIES, 'codec': matrix.CODECS[0],
              'round_trip': 0, 'tools': False}
    if not results.find('backup', 'full', table.MB_S, **wanted):
        return
    figure, axis = pyplot.subplots(figsize=(8, 4.5), layout='constrained')
    rows = []
    for number, (operation, change) in enumerate(
            each for each in _COLUMNS if each[1] != 'dirty'):
        found = {
            cell.mib: row for cell, row in results.find(
                operation, change, table.MB_S, **wanted)}
        for driver, style in zip(table.DRIVERS[:2], ('--', '-'),
                                 strict=True):
            axis.plot(
                [mib / 1024 for mib in found],
                [(mib << 20) / 1e6 / row.medians[driver]
                 for mib, row in found.items()], style, marker='o',
                color=_COLOURS[number],
                label=f'{change} {operation}, {driver}')
        rows += [[f'{mib // 1024} GiB, {change} {operation}',
                  *(f'{(mib << 20) / 1e6 / row.medians[driver]:.1f}'
                    for driver in table.DRIVERS[:2]), f'{row.ratio():.1f}']
                 for mib, row in found.items()]
    axis.set_xscale('log', base=2)
    axis.set_yscale('log')
    axis.set_xlabel('GiB, of which 3 % is data')
    axis.set_ylabel('seconds')
    axis.xaxis.set_major_formatter('{x:g}')
    axis.yaxis.set_major_formatter('{x:g}')
    axis.legend(loc='upper left', fontsize=8)
    _save(figure, 'series.svg')
    yield from _heading('Growing sparse volumes, zlib, loopback')
    yield from _figure('series.svg', 'Seconds by size; both logarithmic')
    yield from _table('Seconds, and how many times as fast we are',
                      ['', *table.DRIVERS[:2], 'ratio'], rows)


def _short(value: float) -> str:
    return f'{value:.0f}' if value >= 10 else f'{value:.1f}'


def _heading(text: str) -> Iterator[str]:
    yield from (text, '-' * len(text), '')


def _figure(name: str, caption: str) -> Iterator[str]:
    yield from (f'.. figure:: measurements/{name}', f'   :alt: {caption}', '',
                f'   {caption}', '')


def _table(title: str, head: Sequence[str],
           rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield from (f'.. list-table:: {title}', '   :header-rows: 1', '')
    for row in (head, *rows):
        for number, cell in enumerate(row):
            yield f'   {"-" if number else "* -"} {cell}'.replace(
                '   - ', '     - ', 1).rstrip()
    yield ''


def _save(figure: Any, name: str) -> None:
    figure.savefig(DIRECTORY / name, metadata={'Date': None})
    pyplot.close(figure)

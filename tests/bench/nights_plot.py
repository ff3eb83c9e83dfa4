# SPDX-License-Identifier: Apache-2.0

"""Draws what ``tests.bench.nights`` has printed, for the documentation.

``python -m tests.bench.nights_plot FILE`` writes a plot, and a text with a
table that ``doc/source/contributor/measurements.rst`` includes.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import json
import pathlib
import statistics
import sys
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot

from tests.bench import matrix
from tests.fakes import loads

DIRECTORY = (pathlib.Path(__file__).resolve().parents[2]
             / 'doc' / 'source' / 'contributor' / 'measurements')
_MIB = 1 << 20
_COLOURS = {'packs': '#0072b2', 'chunks': '#d55e00', 'restic': '#009e73'}
_FIGURES = (('seconds', 'Seconds of the backup', 1),
            ('memory', 'MiB of memory', _MIB),
            ('stored', 'MiB stored', _MIB),
            ('objects', 'Objects', 1))
_LOGARITHMIC = ('seconds', 'objects')
_HEAD = ('', 'First backup, s', 'Nightly backup, s', 'Delete and sweep, s',
         'Restore of the last, s', 'Memory of a nightly backup, MiB',
         'Memory at most, MiB', 'Objects at the end',
         'MiB stored at the end')
_Lines = Sequence[dict[str, Any]]


def write(lines: _Lines) -> None:
    """Write the plot, and the text that shows it."""
    DIRECTORY.mkdir(exist_ok=True)
    # The same data gives the same file, and text stays text.
    mpl.rcParams.update({'svg.hashsalt': 'bench', 'svg.fonttype': 'none',
                         'font.size': 9})
    _draw(lines)
    (DIRECTORY / 'nights.inc').write_text('\n'.join((
        '.. Written by "python -m tests.bench.nights_plot".', '',
        f'The volume has {lines[0]["mib"]} MiB. The machine has '
        f'{matrix.machine()}, which the drivers and Swift share.', '',
        '.. figure:: measurements/nights.svg',
        '   :alt: Seconds, memory, bytes and objects, night by night', '',
        '   Seconds and objects are on logarithmic scales', '',
        *_table(lines))))


def _of(lines: _Lines, load: str, tool: str) -> _Lines:
    return [line for line in lines
            if line['load'] == load and line['tool'] == tool]


def _draw(lines: _Lines) -> None:
    figure, axes = pyplot.subplots(
        len(_FIGURES), len(loads.LOADS), figsize=(9, 9), sharex=True,
        sharey='row', layout='constrained')
    for column, load in enumerate(loads.LOADS):
        axes[0][column].set_title(load)
        for row, (name, title, unit) in enumerate(_FIGURES):
            axis = axes[row][column]
            for tool, colour in _COLOURS.items():
                nights = [line for line in _of(lines, load, tool)
                          if 'night' in line]
                axis.plot([line['night'] + 1 for line in nights],
                          [line[name] / unit for line in nights],
                          color=colour, label=tool)
            if name in _LOGARITHMIC:
                axis.set_yscale('log')
                axis.yaxis.set_major_formatter('{x:g}')
            if not column:
                axis.set_ylabel(title)
        axes[-1][column].set_xlabel('Night')
    figure.legend(*axes[0][0].get_legend_handles_labels(),
                  loc='outside upper center', ncols=3)
    figure.savefig(DIRECTORY / 'nights.svg', metadata={'Date': None})


def _table(lines: _Lines) -> Iterator[str]:
    yield from ('.. list-table:: After thirty nights', '   :header-rows: 1',
                '')
    for row in (_HEAD, *_rows(lines)):
        for number, cell in enumerate(row):
            yield f'   {"  -" if number else "* -"} {cell}'.rstrip()
    yield ''


def _rows(lines: _Lines) -> Iterator[Sequence[str]]:
    for load in loads.LOADS:
        for tool in _COLOURS:
            found = _of(lines, load, tool)
            if not found:
                continue
            *nights, last = found
            later = nights[1:]
            yield (f'{load}, {tool}', f'{nights[0]["seconds"]:.1f}',
                   f'{_median(later, "seconds"):.1f}',
                   f'{_median(later, "forgetting"):.1f}',
                   f'{last["restore"]:.1f}',
                   f'{_median(later, "memory") / _MIB:.0f}',
                   f'{max(line["memory"] for line in nights) / _MIB:.0f}',
                   f'{nights[-1]["objects"]:,}',
                   f'{nights[-1]["stored"] / _MIB:,.0f}')


def _median(lines: _Lines, name: str) -> float:
    return statistics.median(line[name] for line in lines)


if __name__ == '__main__':
    write([json.loads(line) for line
           in pathlib.Path(sys.argv[1]).read_text().splitlines()])

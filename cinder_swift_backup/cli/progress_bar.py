# SPDX-License-Identifier: Apache-2.0

"""Shows how far an operation is: a bar on a terminal, else lines in a log."""

from collections.abc import Iterator
import contextlib
import datetime
import time
from typing import TextIO

from rich import console as rich_console
from rich import progress as rich_progress
from rich import text as rich_text

from cinder_swift_backup import quantities
from cinder_swift_backup.cli import formatting
from cinder_swift_backup.engine import operations

# Seconds from one line to the next.
_LINE = 30


class _Bar(operations.Silent):
    """On a terminal."""

    def __init__(self, bar: rich_progress.Progress, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=None)

    def advanced(self, done: int, total: int) -> None:
        """See the engine's Observer."""
        self._bar.update(self._task, completed=done, total=total)


class _Lines(operations.Silent):
    """Elsewhere, and not too often."""

    def __init__(self, output: TextIO, what: str) -> None:
        self._output = output
        self._what = what
        self._begun = time.monotonic()
        self._due = self._begun + _LINE

    def advanced(self, done: int, total: int) -> None:
        """See the engine's Observer."""
        now = time.monotonic()
        if not self._is_time(now, done, total):
            return
        self._due = now + _LINE
        rate = done / max(now - self._begun, 1e-6)
        left = ''
        if done < total and rate:
            left = ', {} left'.format(quantities.duration(
                datetime.timedelta(seconds=(total - done) / rate)))
        print(f'{self._what}: {self._amounts(done, total, rate)}{left}',
              file=self._output, flush=True)

    def _is_time(self, now: float, done: int, total: int) -> bool:
        return now >= self._due or done >= total

    def _amounts(self, done: int, total: int, rate: float) -> str:
        return (f'{quantities.size(done)} of {quantities.size(total)}, '
                f'{quantities.size(round(rate))}/s')


class _Counts(_Lines):
    """Numbers of something, and nothing if it does not take long."""

    def __init__(self, output: TextIO, what: str, things: str) -> None:
        super().__init__(output, what)
        self._things = things

    def _is_time(self, now: float, done: int, total: int) -> bool:
        return now >= self._due

    def _amounts(self, done: int, total: int, rate: float) -> str:
        return f'{done} of {total} {self._things}'


@contextlib.contextmanager
def shown(output: TextIO, what: str) -> Iterator[operations.Observer]:
    """An observer that shows progress in bytes until the end of a block.

    :param output: where to; not where data goes
    :param what: what is done; may have names in it
    """
    what = formatting.line(what)
    if not output.isatty():
        yield _Lines(output, what)
        return
    with _bar(output, rich_progress.DownloadColumn(binary_units=True),
              _Rate()) as bar:
        yield _Bar(bar, what)


@contextlib.contextmanager
def counted(output: TextIO, what: str,
            things: str) -> Iterator[operations.Observer]:
    """The same for an operation that counts something else.

    Nothing of it stays on a terminal.

    :param things: what it counts
    """
    if not output.isatty():
        yield _Counts(output, what, things)
        return
    with _bar(output, rich_progress.MofNCompleteColumn(),
              rich_progress.TextColumn(things), stays=False) as bar:
        yield _Bar(bar, what)


class _Rate(rich_progress.ProgressColumn):
    """Bytes for each second, in the units of everything else."""

    def render(self, task: rich_progress.Task) -> rich_text.Text:
        """See rich."""
        rate = task.finished_speed or task.speed
        return rich_text.Text(
            f'{quantities.size(None if rate is None else round(rate))}/s',
            style='progress.data.speed')


def _bar(output: TextIO, *columns: rich_progress.ProgressColumn,
         stays: bool = True) -> rich_progress.Progress:
    return rich_progress.Progress(
        rich_progress.TextColumn('{task.description}', markup=False),
        rich_progress.BarColumn(), *columns,
        rich_progress.TimeRemainingColumn(),
        console=rich_console.Console(file=output), transient=not stays)

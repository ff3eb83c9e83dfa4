# SPDX-License-Identifier: Apache-2.0

"""Shows how far an operation is: a bar on a terminal, else lines in a log."""

from collections.abc import Iterator
import contextlib
import datetime
import time
from typing import TextIO

from rich import console as rich_console
from rich import progress as rich_progress

from cinder_swift_backup.cli import values
from cinder_swift_backup.engine import progress

# Seconds from one line to the next.
_LINE = 30


class _Bar(progress.Silent):
    """On a terminal."""

    def __init__(self, bar: rich_progress.Progress, what: str) -> None:
        self._bar = bar
        self._task = bar.add_task(what, total=None)

    def advanced(self, done: int, total: int) -> None:
        """See the engine's Observer."""
        self._bar.update(self._task, completed=done, total=total)


class _Lines(progress.Silent):
    """Elsewhere, and not too often."""

    def __init__(self, output: TextIO, what: str) -> None:
        self._output = output
        self._what = what
        self._begun = time.monotonic()
        self._due = self._begun + _LINE

    def advanced(self, done: int, total: int) -> None:
        """See the engine's Observer."""
        now = time.monotonic()
        if now < self._due and done < total:
            return
        self._due = now + _LINE
        spent = max(now - self._begun, 1e-6)
        rate = done / spent
        left = ('' if done >= total or not rate else ', ' + values.duration(
            datetime.timedelta(seconds=(total - done) / rate)) + ' left')
        print(f'{self._what}: {values.size(done)} of {values.size(total)}, '
              f'{values.size(round(rate))}/s{left}', file=self._output,
              flush=True)


@contextlib.contextmanager
def shown(output: TextIO, what: str) -> Iterator[progress.Observer]:
    """An observer that shows progress until the end of a block.

    :param output: where to; not where data goes
    :param what: what is done
    """
    if not output.isatty():
        yield _Lines(output, what)
        return
    with rich_progress.Progress(
            rich_progress.TextColumn('{task.description}'),
            rich_progress.BarColumn(),
            rich_progress.DownloadColumn(binary_units=True),
            rich_progress.TransferSpeedColumn(),
            rich_progress.TimeRemainingColumn(),
            console=rich_console.Console(file=output)) as bar:
        yield _Bar(bar, what)

# SPDX-License-Identifier: Apache-2.0

"""Another time of day for all processes that are started from here on.

They are all in Python, which imports our ``sitecustomize`` when it starts.
That moves the clock ahead, as far as a file says. Time-outs and waits are by
another clock, which stays as it is. So nights pass in seconds.
"""

from collections.abc import Iterator
import contextlib
import datetime
import os
import pathlib
import time
from unittest import mock

_SITE = pathlib.Path(__file__).parent / 'site'
# What the processes know it by.
_VARIABLE = 'CSB_CLOCK'
# Seconds for which a process believes what it has read.
_BELIEF = 0.2


class MovedClock:
    """A clock that is ahead of this process's."""

    def __init__(self, file: pathlib.Path) -> None:
        """Prepare.

        :param file: where processes read how far it is ahead
        """
        self._file = file
        self._ahead = datetime.timedelta()
        self._write()

    def now(self) -> datetime.datetime:
        """What time it is by this clock, in UTC."""
        return datetime.datetime.now(datetime.UTC) + self._ahead

    def move_to(self, when: datetime.datetime) -> None:
        """Have it be another time, and wait until all know it.

        :param when: later than it is
        """
        left = when - self.now()
        if left < datetime.timedelta():
            raise ValueError(f'{when} is over')
        self._ahead += left
        self._write()
        time.sleep(2 * _BELIEF)

    def _write(self) -> None:
        # In one step, for processes read it at any time.
        beside = self._file.with_suffix('.new')
        beside.write_text(f'{self._ahead.total_seconds()}\n')
        beside.replace(self._file)


@contextlib.contextmanager
def for_children(directory: pathlib.Path) -> Iterator[MovedClock]:
    """A clock for all processes that are started inside a block.

    :param directory: for the file
    """
    file = directory / 'clock'
    path = [str(_SITE), *filter(None, [os.environ.get('PYTHONPATH')])]
    with mock.patch.dict(os.environ, {
            'PYTHONPATH': os.pathsep.join(path), _VARIABLE: str(file)}):
        yield MovedClock(file)

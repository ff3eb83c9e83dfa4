# SPDX-License-Identifier: Apache-2.0

"""What a step of the engine takes, by itself: time, memory, objects.

It prints for each step: seconds, the peak of memory over what was there
before, objects and what they would take, and the longest time that another
thread had to wait for the interpreter.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import threading
import time
from typing import TypeVar

from tests.bench import counting
from tests.fakes import process_memory

MIB = 1 << 20
TIB = 1 << 40
_T = TypeVar('_T')


@contextlib.contextmanager
def _longest_wait() -> Iterator[list[float]]:
    """How long another thread had to wait at most, in seconds."""
    longest = [0.0]
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            begun = time.monotonic()
            time.sleep(0.001)
            longest[0] = max(longest[0], time.monotonic() - begun)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield longest
    finally:
        done.set()
        thread.join()


class Gauge:
    """Measures steps that put objects in one store."""

    def __init__(self, title: str, store: counting.CountingStore) -> None:
        """Print the head of a table."""
        self._store = store
        print(f'\n{title}')
        print(f'{"":28}{"seconds":>10}{"MiB peak":>10}{"objects":>10}'
              f'{"MiB stored":>12}{"ms stall":>10}')

    def measure(self, what: str, step: Callable[[], _T]) -> _T:
        """Take a step, and print what it took."""
        objects, stored = self._store.traffic.objects, self._store.traffic.sent
        process_memory.reset_peak()
        before = process_memory.resident()
        begun = time.monotonic()
        with _longest_wait() as longest:
            result = step()
        peak = (process_memory.peak() - before) / MIB
        print(f'{what:28}{time.monotonic() - begun:>10.1f}{peak:>10.0f}'
              f'{self._store.traffic.objects - objects:>10}'
              f'{(self._store.traffic.sent - stored) / MIB:>12.0f}'
              f'{longest[0] * 1000:>10.0f}', flush=True)
        return result

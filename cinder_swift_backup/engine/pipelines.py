# SPDX-License-Identifier: Apache-2.0

"""Several chunks in flight, one coordinator.

1. The coordinator (the caller's thread) submits tasks until as many are in
   flight as there are workers. That is the back-pressure: a task holds one
   chunk, so memory is bounded by workers times the size of a chunk.
2. It waits for any of them, hands results to ``collect``, and every
   :data:`POLL` seconds calls ``checkpoint``, which may raise to end it all.
3. On any error it raises the stop flag, withdraws what has not begun, waits
   for the rest and raises the first error.

Only the coordinator runs ``collect`` and ``checkpoint``, so neither needs a
lock and only they touch what belongs to the caller.
"""

from collections.abc import Callable
from collections.abc import Iterable
from concurrent import futures
import contextlib
import dataclasses
import threading
import time
from typing import Any
from typing import ParamSpec
from typing import Protocol
from typing import TypeVar

from cinder_swift_backup import exceptions

_P = ParamSpec('_P')
_T = TypeVar('_T')

# Seconds: how late a cancellation may be noticed.
POLL = 1.0

Checkpoint = Callable[[], None]


def _paced(checkpoint: Checkpoint) -> Checkpoint:
    due = time.monotonic() + POLL

    def call_when_due() -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        checkpoint()
        due = time.monotonic() + POLL
    return call_when_due


class Call(Protocol):
    """Calls a function, in whatever thread, and gives its result."""

    def __call__(self, function: Callable[_P, _T], /, *arguments: _P.args,
                 **options: _P.kwargs) -> _T:
        """Call it; what it raises comes out."""


def _directly(function: Callable[_P, _T], /, *arguments: _P.args,
              **options: _P.kwargs) -> _T:
    return function(*arguments, **options)


@dataclasses.dataclass(frozen=True, slots=True)
class Runtime:
    """The kind of threads the engine runs on; native ones by default.

    ``call`` is for what computes or waits for a disk: a worker that calls it
    this way does not hold up the others. It must not log. ``lock`` makes
    locks that are valid inside it.
    """

    executor: Callable[[int], futures.Executor] = futures.ThreadPoolExecutor
    call: Call = _directly
    lock: Callable[[], contextlib.AbstractContextManager[Any]] = (
        threading.Lock)


class StopFlag:
    """Tells workers that nobody waits for their result any more."""

    def __init__(self) -> None:
        self._raised = threading.Event()

    def set(self) -> None:
        """Ask all workers to end."""
        self._raised.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but not past the moment when this worker is to end.

        :raises Cancelled: after :meth:`set`
        """
        self._raised.wait(seconds)
        self.check()

    def check(self) -> None:
        """End this worker if it was asked to.

        :raises Cancelled: after :meth:`set`
        """
        if self._raised.is_set():
            raise exceptions.Cancelled('another worker has failed')


class Watch:
    """Ends the coordinator's own waits when its checkpoint raises."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint

    def check(self) -> None:
        """Look whether somebody still waits for the result."""
        self._checkpoint()

    def wait(self, seconds: float) -> None:
        """Sleep, with a look every :data:`POLL` seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL))
            self.check()


class Pipeline:
    """Runs tasks on a bounded number of workers."""

    def __init__(self, runtime: Runtime, workers: int) -> None:
        self.runtime = runtime
        self.workers = workers

    def run(self, tasks: Iterable[Callable[[StopFlag], _T]],
            collect: Callable[[_T], None], checkpoint: Checkpoint) -> None:
        """Run all tasks; their results come in the order they end.

        :raises Exception: whatever the first failing task, ``collect`` or
            ``checkpoint`` raised, after all workers have ended
        """
        stop = StopFlag()
        paced = _paced(checkpoint)
        flying: set[futures.Future[_T]] = set()
        with self.runtime.executor(self.workers) as executor:
            try:
                for task in tasks:
                    flying.add(executor.submit(task, stop))
                    if len(flying) >= self.workers:
                        flying = self._await(flying, collect, paced)
                while flying:
                    flying = self._await(flying, collect, paced)
            except BaseException:
                stop.set()
                for future in flying:
                    future.cancel()
                raise

    @staticmethod
    def _await(flying: set[futures.Future[_T]],
               collect: Callable[[_T], None],
               checkpoint: Checkpoint) -> set[futures.Future[_T]]:
        done: set[futures.Future[_T]] = set()
        while not done:
            done, _ = futures.wait(
                flying, timeout=POLL, return_when=futures.FIRST_COMPLETED)
            checkpoint()
        for future in done:
            collect(future.result())
        return flying - done

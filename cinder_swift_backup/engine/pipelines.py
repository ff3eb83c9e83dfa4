# SPDX-License-Identifier: Apache-2.0

"""Several chunks in flight, one coordinator.

1. The coordinator (the caller's thread) submits tasks until each worker has
   one. A task holds one chunk, so memory is bounded by the number of workers
   times the size of a chunk.
2. It waits until a task ends, passes the result to ``collect``, and calls
   ``checkpoint`` every :data:`POLL` seconds, which may raise to end the run.
3. On any error it sets the stop flag, cancels the tasks that have not
   started, waits for the others and raises the first error.

Only the coordinator calls ``collect`` and ``checkpoint``, so they need no
lock, and only they touch objects of the caller.
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


def paced(checkpoint: Checkpoint) -> Checkpoint:
    """The same checkpoint, at most once in :data:`POLL` seconds."""
    due = time.monotonic() + POLL

    def call_when_due() -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        checkpoint()
        due = time.monotonic() + POLL
    return call_when_due


class Call(Protocol):
    """Calls a function in some thread and returns its result."""

    def __call__(self, function: Callable[_P, _T], /, *arguments: _P.args,
                 **options: _P.kwargs) -> _T:
        """Call it, and raise what it raises."""


def _directly(function: Callable[_P, _T], /, *arguments: _P.args,
              **options: _P.kwargs) -> _T:
    return function(*arguments, **options)


@dataclasses.dataclass(frozen=True, slots=True)
class Runtime:
    """The kind of threads the engine runs on; native ones by default.

    Workers use ``call`` for functions that compute or wait for a disk, so
    that they do not block the other workers. Such a function must not log.
    ``lock`` makes locks that may be used inside it.
    """

    executor: Callable[[int], futures.Executor] = futures.ThreadPoolExecutor
    call: Call = _directly
    lock: Callable[[], contextlib.AbstractContextManager[Any]] = (
        threading.Lock)


class StopFlag:
    """Set when the run has failed; workers stop at their next check."""

    def __init__(self) -> None:
        self._raised = threading.Event()

    def set(self) -> None:
        """Have all workers stop."""
        self._raised.set()

    def wait(self, seconds: float) -> None:
        """Sleep until the time is up or the flag is set.

        :raises Cancelled: after :meth:`set`
        """
        self._raised.wait(seconds)
        self.check()

    def check(self) -> None:
        """Stop this worker if the flag is set.

        :raises Cancelled: after :meth:`set`
        """
        if self._raised.is_set():
            raise exceptions.Cancelled('another worker has failed')


class Watch:
    """Runs checkpoints while the coordinator itself waits for the store.

    Checkpoints take time, so there is one in :data:`POLL` seconds at most.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = paced(checkpoint)

    def check(self) -> None:
        """Run the checkpoint, if it is due. It may raise."""
        self._checkpoint()

    def wait(self, seconds: float) -> None:
        """Sleep, with a checkpoint every :data:`POLL` seconds."""
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
        in_time = paced(checkpoint)
        flying: set[futures.Future[_T]] = set()
        with self.runtime.executor(self.workers) as executor:
            try:
                for task in tasks:
                    flying.add(executor.submit(task, stop))
                    if len(flying) >= self.workers:
                        flying = self._await(flying, collect, in_time)
                while flying:
                    flying = self._await(flying, collect, in_time)
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

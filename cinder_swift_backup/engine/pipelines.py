# SPDX-License-Identifier: Apache-2.0

"""Several chunks in flight, one coordinator.

1. The coordinator (the caller's thread) submits tasks as long as there is room
   for them. What is in flight is bounded by its size, so that memory is, and
   small objects go out many at a time: then a store far away is as fast as
   one nearby. A worker is the room for one task of full size. The memory of
   all pipelines together is bounded by their budget.
2. It waits until a task ends, passes the result to ``collect``, and calls
   ``checkpoint`` every :data:`POLL` seconds, which may raise to end the run.
3. On any error it sets the stop flag, cancels the tasks that have not
   started, waits for the others and raises the first error.

Only the coordinator calls ``collect`` and ``checkpoint``, so they need no
lock, and only they touch objects of the caller.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import dataclasses
import threading
import time
from typing import Any
from typing import Generic
from typing import ParamSpec
from typing import Protocol
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import budget as budgets

_P = ParamSpec('_P')
_T = TypeVar('_T')
_C = TypeVar('_C', bound='Closable | None')

# Seconds: how late a cancellation may be noticed.
POLL = 1.0
# How many small tasks one worker does at a time at most.
AT_ONCE = 8
# Bytes: a chunk of more than that keeps a worker busy. One that is smaller
# has it wait for the store most of the time.
FULL = 8 << 20

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


class Closable(Protocol):
    """Something that is closed, which may wait for the disk."""

    def close(self) -> None:
        """Close it."""


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

    def each(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces, each made by ``call``; none is empty."""
        while piece := self.call(next, pieces, b''):
            yield piece

    @contextlib.contextmanager
    def closing(self, thing: _C) -> Iterator[_C]:
        """Close something at the end of a block, by ``call``."""
        try:
            yield thing
        finally:
            if thing is not None:
                self.call(thing.close)


class StopFlag:
    """Set when the run has failed; workers stop at their next check."""

    def __init__(self) -> None:
        self._raised = threading.Event()
        self._interrupts: dict[object, Callable[[], None]] = {}

    def set(self) -> None:
        """Have all workers stop, and wake those that wait for the store."""
        self._raised.set()
        for interrupt in list(self._interrupts.values()):
            interrupt()

    @contextlib.contextmanager
    def interrupting(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """See :class:`cinder_swift_backup.stores.base.Stop`.

        :raises Cancelled: after :meth:`set`
        """
        key = object()
        self._interrupts[key] = interrupt
        try:
            # It may have been set before anybody could be woken.
            self.check()
            yield
        finally:
            del self._interrupts[key]

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


@dataclasses.dataclass(frozen=True, slots=True)
class Task(Generic[_T]):
    """Something to run; ``size`` says how much of a worker it takes.

    ``memory`` is how many bytes it holds while it runs, if it is many. Such a
    task must not run others that hold many: they could wait for its own.
    """

    run: Callable[[StopFlag], _T]
    size: int
    memory: int = 0


class Pipeline:
    """Runs tasks on a bounded number of workers."""

    def __init__(self, runtime: Runtime, workers: int,
                 budget: budgets.Budget | None = None) -> None:
        """Prepare.

        :param budget: for the memory of tasks; None for any amount
        """
        self.runtime = runtime
        self.workers = workers
        self.budget = budgets.Budget() if budget is None else budget

    def run(self, tasks: Iterable[Task[_T] | None],
            collect: Callable[[_T], None], checkpoint: Checkpoint,
            full: int) -> None:
        """Run all tasks; their results come in the order they end.

        :param tasks: a new one is only asked for when the last has begun;
            None if there is none before another has ended
        :param full: the size of a task that takes a worker for itself
        :raises Exception: whatever the first failing task, ``collect`` or
            ``checkpoint`` raised, after all workers have ended
        """
        flight = _Flight(self, full, collect, paced(checkpoint))
        with (contextlib.closing(flight),
              self.runtime.executor(self.workers * AT_ONCE) as executor):
            try:
                for task in tasks:
                    if task is None:
                        flight.await_any()
                    else:
                        flight.start(executor, task)
                while flight:
                    flight.await_any()
            except BaseException:
                flight.cancel()
                raise


class _Flight(Generic[_T]):
    """The tasks that are running, and the room that they leave."""

    def __init__(self, pipeline: Pipeline, full: int,
                 collect: Callable[[_T], None],
                 checkpoint: Checkpoint) -> None:
        # A task takes from 1 to AT_ONCE places.
        self._full = max(full, 1)
        self._free = pipeline.workers * AT_ONCE
        self._budget = pipeline.budget
        # By the tasks that have them, and the one that is waited for.
        self._shares: dict[futures.Future[_T] | None, budgets.Share] = {}
        self._collect = collect
        self._checkpoint = checkpoint
        self._stop = StopFlag()
        self._places: dict[futures.Future[_T], int] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def start(self, executor: futures.Executor, task: Task[_T]) -> None:
        places = -(-AT_ONCE * min(task.size, self._full) // self._full)
        places = max(places, 1)
        while self._free < places:
            self.await_any()
        if task.memory:
            self._await_memory(task.memory)
        future = executor.submit(task.run, self._stop)
        self._places[future] = places
        self._free -= places
        if task.memory:
            self._shares[future] = self._shares.pop(None)

    def _await_memory(self, size: int) -> None:
        share = self._shares[None] = self._budget.ask(size)
        while not share.granted.done():
            self._await_one_of(*self._places, share.granted)

    def await_any(self) -> None:
        if not self._places:
            raise RuntimeError('There is no task to wait for.')
        self._await_one_of(*self._places)

    def _await_one_of(self, *some: futures.Future[Any]) -> None:
        done: set[futures.Future[Any]] = set()
        while not done:
            done, _ = futures.wait(some, timeout=POLL,
                                   return_when=futures.FIRST_COMPLETED)
            self._checkpoint()
        for future in done & set(self._places):
            self._free += self._places.pop(future)
            if future in self._shares:
                self._budget.give_back(self._shares.pop(future))
            self._collect(future.result())

    def cancel(self) -> None:
        self._stop.set()
        for future in self._places:
            future.cancel()

    def close(self) -> None:
        """Give back the memory of tasks that have failed."""
        while self._shares:
            self._budget.give_back(self._shares.popitem()[1])

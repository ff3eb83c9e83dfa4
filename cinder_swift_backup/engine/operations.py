# SPDX-License-Identifier: Apache-2.0

"""What a caller has the engine do, follows, and may cancel.

An operation is one backup, restore, delete or look. Its observer learns how
far it is, and ends it by raising; so that is noticed

1. about once a second while workers run,
2. about once a second while the caller's thread itself waits for the store,
3. before each irreversible step.

Workers are told by the flag of their pipeline; see
:mod:`cinder_swift_backup.engine.pipelines`.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent import futures
import contextlib
import copy
import time
from typing import Protocol
from typing import TypeVar

from cinder_swift_backup.engine import budget as budgets
from cinder_swift_backup.engine import keys
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volume_traffic
from cinder_swift_backup.format import chains
from cinder_swift_backup.stores import base

_T = TypeVar('_T')


class Observer(Protocol):
    """Called by the coordinator only, never by a worker."""

    def checkpoint(self) -> None:
        """Called about once a second, and before each irreversible step.

        Single steps may take longer, such as the last sync of a volume.

        :raises Cancelled: to end the operation; a backup is then undone
        """

    def advanced(self, done: int, total: int) -> None:
        """``done`` of ``total`` are processed.

        These are bytes of the volume, unless the operation says otherwise.
        """


class ArchiveObserver(Observer, Protocol):
    """Follows a backup up to the point where its result is recorded."""

    def confirm(self) -> None:
        """Called right before the manifest is put, and right after.

        A checkpoint may ignore that it cannot find out whether the backup
        was cancelled; this may not.

        :raises Exception: unless the backup is known to be wanted
        """

    def stored(self, manifest: chains.Manifest) -> None:
        """Record the complete backup; if this raises, it is undone."""


class Silent:
    """Ignores progress and never cancels."""

    def checkpoint(self) -> None:
        """Never cancels."""

    def advanced(self, done: int, total: int) -> None:
        """Tells nobody."""


class Operation:
    """What one operation works with, until its observer ends it.

    ``store`` is the store for the coordinator, whose requests end when the
    observer does; a worker uses ``store.until(stop)``. ``call`` calls what
    computes or waits for a disk. ``directory`` is for temporary files; the
    system's if None. ``keys`` unlock encrypted backups. ``volume_traffic``
    counts what is done to the volume.
    """

    def __init__(self, store: base.ObjectStore, pipeline: pipelines.Pipeline,
                 directory: str | None = None,
                 ring: keys.KeyRing | None = None) -> None:
        """An operation that nobody follows; see :meth:`during`."""
        self._pipeline = pipeline
        self.store = store
        self.observer: Observer = Silent()
        self.directory = directory
        self.keys = keys.Unlocker(ring or keys.NoKeys())
        self.runtime = pipeline.runtime
        self.volume_traffic = volume_traffic.VolumeTraffic(pipeline.runtime)
        self.call = pipeline.runtime.call

    def during(self, observer: Observer) -> 'Operation':
        """Another operation with the same means, which an observer may end."""
        other = self._until(Watch(observer.checkpoint))
        other.observer = observer
        return other

    def until(self, stop: pipelines.StopFlag) -> 'Operation':
        """The same for one of its workers, until the flag is set.

        The observer is not the worker's to call.
        """
        other = self._until(stop)
        other.observer = Silent()
        return other

    def _until(self, stop: base.Stop) -> 'Operation':
        other = copy.copy(self)
        other.store = self.store.until(stop)
        return other

    @contextlib.contextmanager
    def admitted(self, need: budgets.Need,
                 told: Callable[[], None]) -> Iterator[None]:
        """Hold memory while a block runs.

        :param need: how much, of the budget of all operations
        :param told: called if others have to need less before
        :raises Exception: what the observer raises
        """
        budget = self._pipeline.budget
        share = budget.admit(need)
        try:
            if not share.granted.done():
                told()
            while not share.granted.done():
                futures.wait((share.granted,), timeout=pipelines.POLL)
                self.observer.checkpoint()
            yield
        finally:
            budget.give_back(share)

    def run(self, tasks: Iterable[pipelines.Task[_T] | None],
            collect: Callable[[_T], None], *, full: int) -> None:
        """Run tasks; see :meth:`pipelines.Pipeline.run`.

        :raises Exception: whatever the first failing task, ``collect`` or the
            observer raised, after all workers have ended
        """
        self._pipeline.run(tasks, collect, self.observer.checkpoint, full)

    def one(self, function: Callable[[pipelines.StopFlag], _T]) -> _T:
        """Run a function that computes or waits for a disk for a while.

        :param function: looks at the flag now and then
        :raises Exception: what it or the observer raised
        """
        results: list[_T] = []
        self.run((pipelines.Task(lambda stop: self.call(function, stop), 1),),
                 results.append, full=1)
        return results[0]


class Watch:
    """Runs checkpoints while the coordinator itself waits for the store.

    Checkpoints take time, so there is one in :data:`pipelines.POLL` seconds
    at most.
    """

    def __init__(self, checkpoint: pipelines.Checkpoint) -> None:
        self._checkpoint = pipelines.paced(checkpoint)

    def check(self) -> None:
        """Run the checkpoint, if it is due. It may raise."""
        self._checkpoint()

    def wait(self, seconds: float) -> None:
        """Sleep, with a checkpoint every :data:`pipelines.POLL` seconds."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, pipelines.POLL))
            self.check()

    def interrupting(self, interrupt: Callable[[], None],
                     ) -> contextlib.AbstractContextManager[None]:
        """Nobody can wake the coordinator, which is the one who looks."""
        return contextlib.nullcontext()

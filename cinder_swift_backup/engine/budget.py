# SPDX-License-Identifier: Apache-2.0

"""Shares the memory of a process among its operations.

Some memory an operation holds as long as it runs, and some each of its tasks
holds while that runs. So:

1. An operation is admitted when what it holds all the time fits in beside what
   others hold all the time, with room for the largest task of any of them.
2. A task begins when what it holds fits in as well. Tasks get their shares in
   the order in which they are asked for. A pipeline asks for one at a time, so
   operations take turns, however many tasks each of them has.
3. As long as an operation is about to be admitted and only tasks are in the
   way, no other task begins.
4. If the budget is too small for that, one operation is admitted by itself,
   and one task runs at a time.

By 1, there is room for a task as soon as no other runs; and a task that runs
waits for no share. So every operation comes to its end, unless another never
does.
"""

import collections
from concurrent import futures
import dataclasses
import threading

# Bytes: a worker holds a block that is larger whole.
_LARGE_BLOCK = 2 << 20


def of_large_blocks(block_size: int) -> int:
    """Bytes that a task holds besides what it does of usual blocks.

    That is a block as it comes, what it is compared with or decoded from, and
    what is made of it.
    """
    return 3 * block_size if block_size > _LARGE_BLOCK else 0


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """Bytes that an operation holds: ``always``, and for its largest task."""

    always: int
    task: int


class Share:
    """Some memory: ``granted`` is done when its owner may take it."""

    def __init__(self, need: Need) -> None:
        self.need = need
        self.granted: futures.Future[None] = futures.Future()


class Budget:
    """Bytes that all who share it may hold; 0 for any number.

    The ``limit`` may be changed at any time. Each share has to be given back,
    whether it was granted or not.
    """

    def __init__(self, limit: int = 0) -> None:
        self._lock = threading.Lock()
        # What is waited for, in the order in which it was asked for.
        self._operations: collections.deque[Share] = collections.deque()
        self._tasks: collections.deque[Share] = collections.deque()
        self._admitted: set[Share] = set()
        self._running: set[Share] = set()
        self.limit = limit

    @property
    def held(self) -> int:
        """The bytes that are granted."""
        return self._always() + sum(share.need.task for share in self._running)

    def admit(self, need: Need) -> Share:
        """Ask for what an operation holds all the time."""
        return self._ask(Share(need), self._operations)

    def ask(self, size: int) -> Share:
        """Ask for what a task holds.

        :param size: in bytes; a task that needs more than the operation was
            admitted with may have to wait until no other runs
        """
        return self._ask(Share(Need(0, size)), self._tasks)

    def give_back(self, share: Share) -> None:
        """Give a share back, or ask for it no more."""
        with self._lock:
            self._admitted.discard(share)
            self._running.discard(share)
            for queue in (self._operations, self._tasks):
                if share in queue:
                    queue.remove(share)
            granted = self._grant()
        _tell(granted)

    def _ask(self, share: Share, queue: collections.deque[Share]) -> Share:
        with self._lock:
            queue.append(share)
            granted = self._grant()
        _tell(granted)
        return share

    def _grant(self) -> list[Share]:
        """Those who now have what they wait for."""
        granted: list[Share] = []
        while True:
            if self._operations and self._is_admissible(self._operations[0]):
                if not self._has_room(self._operations[0].need.always):
                    # Only tasks are in the way.
                    return granted
                share = self._operations.popleft()
                self._admitted.add(share)
            elif self._tasks and self._has_room(self._tasks[0].need.task):
                share = self._tasks.popleft()
                self._running.add(share)
            else:
                return granted
            granted.append(share)

    def _is_admissible(self, share: Share) -> bool:
        """Whether it fits in, but for tasks that run now."""
        largest = max(each.need.task for each in (share, *self._admitted))
        return (not self._admitted or not self.limit
                or self._always() + share.need.always + largest <= self.limit)

    def _has_room(self, size: int) -> bool:
        return (not self._running or not self.limit
                or self.held + size <= self.limit)

    def _always(self) -> int:
        return sum(share.need.always for share in self._admitted)


def _tell(granted: list[Share]) -> None:
    for share in granted:
        share.granted.set_result(None)

# SPDX-License-Identifier: Apache-2.0

"""Several actors on one store, in any order of their requests.

Each actor has a thread, and waits for its turn before each request. When all
of them wait, one is chosen. So a test can try orders, and repeat one.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import threading
from typing import Any

from cinder_swift_backup.stores import base

_REQUESTS = ('put', 'read', 'stat', 'exists', 'list', 'delete', 'sync',
             'segments', 'put_large', 'ensure_container')
# Seconds: more than any request takes.
_PATIENCE = 30


class Turns:
    """Runs actors, one request after the other."""

    def __init__(self, choose: Callable[[list[str]], str]) -> None:
        """Prepare.

        :param choose: whose turn it is, of those that wait
        """
        self._choose = choose
        self._change = threading.Condition()
        self._waiting: set[str] = set()
        self._living: set[str] = set()
        self._turn = ''
        self.taken: list[str] = []

    def wait(self, actor: str) -> None:
        """Wait for the turn of an actor."""
        with self._change:
            self._waiting.add(actor)
            self._change.notify_all()
            if not self._change.wait_for(lambda: self._turn == actor,
                                         _PATIENCE):
                raise AssertionError(f'It never was the turn of {actor}.')
            self._turn = ''
            self._waiting.discard(actor)

    def run(self, actors: Mapping[str, Callable[[], object]],
            ) -> dict[str, Exception | None]:
        """Run all of them to their ends; returns what each has raised."""
        raised: dict[str, Exception | None] = {}

        def live(name: str, act: Callable[[], object]) -> None:
            raised[name] = None
            try:
                self.wait(name)
                act()
            except Exception as err:
                raised[name] = err
            with self._change:
                self._living.discard(name)
                self._change.notify_all()

        self._living = set(actors)
        threads = [threading.Thread(target=live, args=item)
                   for item in actors.items()]
        for thread in threads:
            thread.start()
        while self._give_turn():
            pass
        for thread in threads:
            thread.join()
        return raised

    def _give_turn(self) -> bool:
        with self._change:
            if not self._change.wait_for(
                    lambda: not self._turn
                    and self._waiting >= self._living, _PATIENCE):
                raise AssertionError('An actor does not come back.')
            if not self._living:
                return False
            self._turn = self._choose(sorted(self._waiting))
            self.taken.append(self._turn)
            self._change.notify_all()
        return True


class Store:
    """The store as one actor sees it."""

    def __init__(self, store: base.ObjectStore, turns: Turns, actor: str,
                 shown: Callable[[base.ObjectInfo], bool] = lambda info: True,
                 ) -> None:
        """Prepare.

        :param shown: whether listings show an object
        """
        self._store = store
        self._turns = turns
        self._actor = actor
        self._shown = shown

    def until(self, stop: base.Stop) -> 'Store':
        """See the contract."""
        return Store(self._store.until(stop), self._turns, self._actor,
                     self._shown)

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract; it is one request."""
        self._turns.wait(self._actor)
        return iter([info for info in self._store.list(container, prefix)
                     if self._shown(info)])

    def __getattr__(self, name: str) -> Any:
        """Any other method of the contract."""
        method = getattr(self._store, name)
        if name not in _REQUESTS:
            return method

        def request(*arguments: Any, **options: Any) -> Any:
            self._turns.wait(self._actor)
            return method(*arguments, **options)
        return request

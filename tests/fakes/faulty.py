# SPDX-License-Identifier: Apache-2.0

"""Any store, with a script of what goes wrong when.

A test says which calls go wrong by their method, the object's name or how
many came before::

    store = faulty.FaultyStore(memory.MemoryStore())
    store.script(faulty.fail('put', exceptions.StoreUnavailable('x'), nth=3))
    store.script(faulty.alter('read', lambda data: data[:-1],
                              matching=lambda name: name.endswith('-00001')))

    store.script(faulty.Busy('delete'))

Every call is noted in ``calls``, also those that fail.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import copy
import dataclasses
import datetime
import threading
from typing import Any
from typing import TypeVar

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

_T = TypeVar('_T')

# Seconds: longer than a test that works takes.
_LONG = 60

METHODS = ('ensure_container', 'put', 'read', 'annotate', 'stat', 'segments',
           'delete', 'list', 'containers')


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a store's method; ``name`` is a prefix for ``list``."""

    method: str
    container: str
    name: str = ''


class Rule:
    """What happens at the calls of one method that match.

    :param nth: only at this one of the matching calls, from 1; None for all
    :param before: called before the store is, with the stop flag of who
        waits for the answer; may raise
    :param after: takes the store's answer and returns another; may raise
    :param lost: whether the store never gets the call; its answer is None
    """

    def __init__(self, method: str, *, lost: bool = False,
                 matching: Callable[[str], bool] = lambda name: True,
                 nth: int | None = None,
                 before: Callable[[base.Stop], None] = lambda stop: None,
                 after: Callable[[Any], Any] = lambda answer: answer) -> None:
        if method not in METHODS:
            raise ValueError(f'a store has no method {method!r}')
        self._method = method
        self._matching = matching
        self._nth = nth
        self._seen = 0
        self.lost = lost
        self.before = before
        self.after = after

    def applies(self, call: Call) -> bool:
        """Whether this is (the n-th of) the calls that the rule is for."""
        if call.method != self._method or not self._matching(call.name):
            return False
        self._seen += 1
        return self._nth in (None, self._seen)


def _raiser(error: Exception) -> Callable[..., Any]:
    def throw(*_: Any) -> Any:
        raise error
    return throw


def fail(method: str, error: Exception, **which: Any) -> Rule:
    """The call raises and the store has not been asked."""
    return Rule(method, before=_raiser(error), **which)


class Busy(Rule):
    """The store has the call wait for long, and then refuses it.

    ``cut_short`` tells of each such wait whether somebody ended it.
    """

    def __init__(self, method: str, **which: Any) -> None:
        super().__init__(method, before=self._wait, **which)
        self.cut_short: list[bool] = []

    def _wait(self, stop: base.Stop) -> None:
        self.cut_short.append(True)
        stop.wait(_LONG)
        self.cut_short[-1] = False
        raise exceptions.StoreUnavailable('nobody ended the wait')


def lose_answer(method: str, error: Exception, **which: Any) -> Rule:
    """The store does what it was asked to do and the call raises."""
    return Rule(method, after=_raiser(error), **which)


def lose(method: str, **which: Any) -> Rule:
    """The store says that it is done, and does nothing."""
    return Rule(method, lost=True, **which)


def alter(method: str, change: Callable[[Any], Any], **which: Any) -> Rule:
    """The store's answer is another."""
    return Rule(method, after=change, **which)


def die_at(number: int) -> list[Rule]:
    """All calls fail from one on, whatever they are; that is number 0."""
    done = 0

    def count(stop: base.Stop) -> None:
        nonlocal done
        done += 1
        if done > number:
            raise exceptions.StoreUnavailable('nobody is there any more')
    return [Rule(method, before=count) for method in METHODS]


class FaultyStore(base.ExistsByStat):
    """Passes calls on to a store, as far as the script lets it."""

    def __init__(self, store: base.ObjectStore, *rules: Rule) -> None:
        self._store = store
        self._stop = base.NEVER
        self._rules = list(rules)
        self._lock = threading.Lock()
        self.traffic = store.traffic
        self.calls: list[Call] = []

    def script(self, *rules: Rule) -> None:
        """Add rules; all that apply to a call do, in their order."""
        self._rules.extend(rules)

    def heal(self) -> None:
        """Forget the script and the calls."""
        self._rules.clear()
        self.calls.clear()

    def names(self, method: str) -> list[str]:
        """The names that a method was called with, in order."""
        return [call.name for call in self.calls if call.method == method]

    def until(self, stop: base.Stop) -> 'FaultyStore':
        """See the contract; the script and the calls are shared."""
        other = copy.copy(self)
        other._stop = stop
        other._store = self._store.until(stop)
        return other

    def capabilities(self) -> base.Capabilities:
        """See the contract."""
        return self._store.capabilities()

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None,
                         like: str | None = None,
                         sync: base.Sync | None = None) -> None:
        """See the contract."""
        self._run(Call('ensure_container', container),
                  lambda: self._store.ensure_container(
                      container, create=create,
                      storage_policy=storage_policy, like=like, sync=sync))

    def sync(self, container: str) -> base.Sync | None:
        """See the contract."""
        return self._store.sync(container)

    def account(self) -> str:
        """See the contract."""
        return self._store.account()

    def sync_target(self, container: str, sync: base.Sync) -> base.Sync:
        """See the contract."""
        return self._store.sync_target(container, sync)

    def now(self) -> datetime.datetime | None:
        """See the contract."""
        return self._store.now()

    def put(self, container: str, name: str, body: base.Body) -> str:
        """See the contract."""
        md5: str = self._run(
            Call('put', container, name),
            lambda: self._store.put(container, name, body))
        return md5

    def put_large(self, container: str, name: str,
                  segments: Sequence[base.Segment]) -> None:
        """See the contract."""
        self._run(Call('put', container, name),
                  lambda: self._store.put_large(container, name, segments))

    def annotate(self, container: str, name: str,
                 notes: Mapping[str, str]) -> None:
        """See the contract."""
        self._run(Call('annotate', container, name),
                  lambda: self._store.annotate(container, name, notes))

    def stat(self, container: str, name: str) -> base.Stat:
        """See the contract."""
        found: base.Stat = self._run(
            Call('stat', container, name),
            lambda: self._store.stat(container, name))
        return found

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...] | None:
        """See the contract."""
        found: tuple[base.Segment, ...] | None = self._run(
            Call('segments', container, name),
            lambda: self._store.segments(container, name))
        return found

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False, rare: bool = False) -> _T:
        """See the contract; a script alters the whole content."""
        data: bytes = self._run(
            Call('read', container, name),
            lambda: self._store.read(container, name, b''.join, extent,
                                     compared=compared, rare=rare))
        return use(data[start:start + base.PIECE]
                   for start in range(0, len(data), base.PIECE))

    def delete(self, container: str, name: str) -> None:
        """See the contract."""
        self._run(Call('delete', container, name),
                  lambda: self._store.delete(container, name))

    def containers(self) -> Iterator[str]:
        """See the contract."""
        yield from self._run(Call('containers', ''),
                             lambda: tuple(self._store.containers()))

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract; like Swift's, asks at the first step."""
        yield from self._run(
            Call('list', container, prefix),
            lambda: tuple(self._store.list(container, prefix)))

    def close(self) -> None:
        """See the contract."""
        self._store.close()

    def _run(self, call: Call, ask: Callable[[], Any]) -> Any:
        with self._lock:
            self.calls.append(call)
            rules = [rule for rule in self._rules if rule.applies(call)]
        for rule in rules:
            rule.before(self._stop)
        answer = None if any(rule.lost for rule in rules) else ask()
        for rule in rules:
            answer = rule.after(answer)
        return answer

# SPDX-License-Identifier: Apache-2.0

"""Which tests README's test command runs, and where.

Cinder runs on native threads, or on green ones. ``tox -e everything`` runs all
tests in both modes. README's command leaves out what takes long beside what it
shows, so that it can be run before each change:

1. A test class says by ``modes`` where it is worth running: ``BOTH`` if the
   mode changes what it tests, such as threads, sockets and waits of the
   driver. That is so of a few; the others are ``ONE``, which is the default.
2. Those run with native threads, as Cinder does in the future.
3. What takes long beside what it shows is in ``EVERYTHING`` only. A test may
   say so for itself, by :func:`modes`, or :func:`takes_long` if it needs no
   cloud.
4. Of the faults, those of connections run in both modes, and one of each other
   kind with native threads.
5. Of the properties that take long, fewer examples are tried.

The environment variable ``CSB_SUITE`` is ``short`` for README's command.
``python -m tests.functional`` prints which functional tests run where.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import enum
import os
import re
from typing import Any
from typing import TypeVar
import unittest

_SHORT = os.environ.get('CSB_SUITE') == 'short'
_THREADS = os.environ.get('OS_CINDER_DISABLE_EVENTLET_PATCHING') == '1'
# Faults of connections, and of waits.
IN_BOTH = (
    'reset', 'answer is lost', 'breaks off', 'refused', 'forgotten', 'killed',
    'early', '503, (4|12) times', '429', 'every second request',
    'chunk 404 for good', 'chunk with a wrong bit', 'chunk is short',
    'is lost, and answered 201', 'all 503 from request 6')
# Of the others, one of each kind: what Swift answers, and of what.
IN_ONE = (
    '^restore, GET of a chunk 404 once',
    '^backup, PUT of a chunk 40[49] once',
    '^delete, GET of the manifest 404 once',
    '^delete, listings 404, twice',
    '^restore, GET of the digests 404 for good',
    '^delete, every DELETE 404, the container 503',
    '^restore, every GET of a chunk 404, the container 503',
    '^backup, PUT of chunks 403 for good',
    '^delete, every DELETE answered 404',
    '^delete, DELETE of the manifest 40[49]',
    '^restore, GET of digests is short',
    'manifest with a wrong bit$',
    '^restore, GET of manifest answered by a web page',
    '^backup, PUT of a chunk answered by a web page',
    '^delete, listings are web pages',
    'GET of the digests answers another',
    '^backup, PUT of a chunk, the ETag is wrong',
    'the length is 100',
    '^backup, listings show no objects',
    '^delete, listings show (every second|the first page|half)',
    '^backup, PUT and HEAD of the digests 503 for good',
    'PUT of a segment 503',
    '^delete, GET of the list of segments with a wrong bit',
    '^restore, GET of a segment answers another',
    '^backup in packs, PUT of a pack with a wrong bit',
    '^restore in packs, GET of (a pack 404|pages with a wrong bit) for good',
    '^incremental in packs, nothing is listed')
_Scenario = tuple[str, dict[str, Any]]
_Test = TypeVar('_Test', bound=Callable[..., object])


takes_long = unittest.skipIf(_SHORT, 'in "tox -e everything"')


class Modes(enum.Enum):
    """Where a test is worth running."""

    BOTH = 'with native and with green threads'
    ONE = 'with native threads only'
    EVERYTHING = 'in "tox -e everything" only'


def modes(where: Modes) -> Callable[[_Test], _Test]:
    """Have a test of a class run elsewhere than the others."""
    def decorate(test: _Test) -> _Test:
        test.modes = where  # type: ignore[attr-defined]
        return test
    return decorate


def examples(most: int) -> int:
    """How many examples of a property to try, of so many in all tests."""
    return most // 5 if _SHORT else most


def is_wanted(test: unittest.TestCase) -> bool:
    """Whether a test is to run here."""
    return not _SHORT or _is_here(of(test))


def _is_here(where: Modes) -> bool:
    return where is Modes.BOTH or (where is Modes.ONE and _THREADS)


def of(test: unittest.TestCase) -> Modes:
    """Where a test is worth running."""
    method = getattr(test, test._testMethodName, None)
    # What is not one of ours tells of a module that cannot be imported.
    where: Modes = getattr(method, 'modes',
                           getattr(test, 'modes', Modes.BOTH))
    return where


def is_wanted_fault(name: str) -> bool:
    """Whether a fault is to be made here."""
    return not _SHORT or _is_here(of_fault(name))


def of_fault(name: str) -> Modes:
    """Where a fault is worth making."""
    for patterns, where in ((IN_BOTH, Modes.BOTH), (IN_ONE, Modes.ONE)):
        if any(re.search(pattern, name) for pattern in patterns):
            return where
    return Modes.EVERYTHING


def scenarios(always: Iterable[_Scenario],
              more: Iterable[_Scenario]) -> list[_Scenario]:
    """Those that always run, and in all tests more of them."""
    return [*always, *(() if _SHORT else more)]


def each(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """All tests of a suite."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from each(part)
        else:
            yield part

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
4. Of the faults, one of each kind runs with green threads, too.
5. Of the properties that take long, fewer examples are tried.

The environment variable ``CSB_SUITE`` is ``short`` for README's command.
``python -m tests.functional`` prints which functional tests run where.
"""

from collections.abc import Callable
from collections.abc import Iterator
import enum
import os
import re
from typing import TypeVar
import unittest

_SHORT = os.environ.get('CSB_SUITE') == 'short'
_THREADS = os.environ.get('OS_CINDER_DISABLE_EVENTLET_PATCHING') == '1'
# What is broken in these faults: connections, and one of each kind of answer.
_KINDS_OF_FAULTS = re.compile(
    r'reset|answer is lost|breaks off|refused|forgotten|killed|early'
    r'|50[03], (4|12) times|429|every second request|chunk 404 for good'
    r'|chunk with a wrong bit|chunk is short|is lost, and answered 201'
    r'|all 503 from request 6')
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
    if not _SHORT:
        return True
    where = of(test)
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
    return not _SHORT or _THREADS or is_in_both(name)


def is_in_both(name: str) -> bool:
    """Whether a fault is one of those for both modes."""
    return bool(_KINDS_OF_FAULTS.search(name))


def each(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """All tests of a suite."""
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from each(part)
        else:
            yield part

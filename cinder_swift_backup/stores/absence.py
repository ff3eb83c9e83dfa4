# SPDX-License-Identifier: Apache-2.0

"""Decides whether a 404 counts.

A proxy of Swift answers 404 to a request for an object, whatever its method,
when it cannot learn about the container: also when the servers of containers
or accounts do not answer, and for some seconds after the container was made
(``proxy/controllers/obj.py`` and ``base.py`` of Swift 2.38). So a 404 says
nothing by itself:

1. Of an object it counts if the container answers, either that it is there or,
   by the same rule, that it is not; of a container if the account answers that
   it is there.
2. To what makes something, it counts only if what it would be in is not
   there.
3. That a container is not there counts only if it has not been there since the
   operation began. But to remove something from it, it is enough.
4. Even then the request is sent :data:`_LOOKS` times, with waits, and what it
   would be in is asked each time: one of several proxies may be sick, and the
   container answer through another.
5. Two looks at once are enough for what is often not there, and has a second
   witness: for what is to be removed, because it is listed afterwards, for
   what the caller looks for in a listing, too, and for a container that the
   account does not list either.
6. Anything else is no answer: the store does not work.

That a container or the account is there is remembered for :data:`REMEMBERED`
seconds. So is that a 404 turned out to be right: then the looks for the next
do not wait.
"""

from collections.abc import Callable
import contextlib
import enum
import time

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import swift_errors

LOG = logging.getLogger(__name__)
# Seconds.
REMEMBERED = 5.0
# Seconds before another look for what is expected to be there.
_BETWEEN_LOOKS = 0.5
# How many looks for what is, and for anything else.
_LOOKS, _FEW_LOOKS = 4, 2

NOT_FOUND = (exceptions.ObjectNotFound, exceptions.ContainerNotFound)


class Purpose(enum.Enum):
    """What a request is for, as far as it matters for a 404."""

    LOOK = 'to read something, or to see whether it is there'
    GLANCE = 'to read something that is often not there, and is listed'
    MAKE = 'to make something'
    REMOVE = 'to remove something'


# Asks whether a container is there, or the account: what HEAD answers.
Ask = Callable[[tuple[str, ...]], None]
# Whether the account lists a container.
IsListed = Callable[[str], bool]


class Absences:
    """What is known of containers that are there; for any threads."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, ...], float] = {}
        self._been_there: set[tuple[str, ...]] = set()
        self._absent: dict[tuple[str, ...], float] = {}

    def is_there(self, where: tuple[str, ...], ask: Ask, *,
                 anew: bool = False) -> bool:
        """Whether there is such a container, or account if it is empty.

        :param anew: ask in any case
        :raises StoreUnavailable: when that cannot be told
        """
        if not anew and _recent(self._there.get(where)):
            return True
        # A 403 is for somebody who may not look at the container, but at its
        # objects. To such a user Swift would answer 403 for the object, too,
        # if it did not know the container and who has access to it.
        with contextlib.suppress(swift_errors.Forbidden):
            if not self._answers(where, ask):
                return False
        self._there[where] = time.monotonic()
        self.found(where)
        return True

    def _answers(self, where: tuple[str, ...], ask: Ask) -> bool:
        if not where:
            return _account_answers(ask)
        try:
            ask(where)
        except exceptions.ContainerNotFound:
            # A 404 of its own, under the same rule.
            return self.is_there((), ask) and _is_there_after_all(where, ask)
        return True

    def found(self, where: tuple[str, ...]) -> None:
        """It was there, or something in it."""
        self._been_there.add(where)

    def has_been_there(self, where: tuple[str, ...]) -> bool:
        """Whether it was there at any time."""
        return where in self._been_there

    def are_usual(self, container: tuple[str, ...]) -> bool:
        """Whether a 404 of it, or of what is in it, was right a moment ago."""
        return _recent(self._absent.get(container))

    def note(self, container: tuple[str, ...]) -> None:
        """All looks were the same."""
        self._absent[container] = time.monotonic()


class Look:
    """The 404s of one request."""

    def __init__(self, where: tuple[str, ...], purpose: Purpose,
                 known: Absences, ask: Ask, is_listed: IsListed) -> None:
        self._where = where
        self._purpose = purpose
        self._known = known
        self._ask = ask
        self._is_listed = is_listed
        # As a text: with its traceback it would keep what led here.
        self._before: str | None = None
        self._looks = 0
        # Whether two looks at once are not enough.
        self._doubtful = False

    def judge(self, err: exceptions.StoreError) -> None:
        """Let a 404 pass if it counts.

        :raises StoreUnavailable: if it does not
        """
        usual = self._known.are_usual(self._where[:1])
        there = self._is_around_there(err)
        if there and self._purpose is Purpose.MAKE:
            raise self._denied(f'{self._around} exists') from err
        if not self._looks:
            self._doubtful = self._has_no_other_witness()
        self._before = str(err)
        self._looks += 1
        if self._looks < (_LOOKS if self._doubtful else _FEW_LOOKS):
            raise swift_errors.about(swift_errors.SecondLook(
                'Swift answered 404, and will be asked once more',
                _BETWEEN_LOOKS if self._doubtful and not usual else 0),
                self._where) from err
        if self._has_gone(there):
            raise self._denied('the container existed before') from err
        if self._purpose is Purpose.LOOK:
            self._known.note(self._where[:1])

    def found(self) -> None:
        """The request was answered by something else."""
        if self._where:
            self._known.found(self._where[:1])
        if self._before is not None and self._purpose is Purpose.LOOK:
            LOG.warning('Swift answered 404 (%d in a row) for something that '
                        'exists: %s', self._looks, self._before)

    def _is_around_there(self, err: exceptions.StoreError) -> bool:
        """Whether there is what the object or the container would be in.

        :raises StoreUnavailable: when that cannot be told
        """
        try:
            return self._known.is_there(
                self._where[:-1], self._ask,
                anew=self._looks > 0 and self._doubtful)
        except (swift_errors.Again, swift_errors.Slowed):
            raise
        except exceptions.StoreUnavailable as unavailable:
            raise swift_errors.about(exceptions.StoreUnavailable(
                f'Swift answered 404, but {self._around} cannot be checked',
                detail=str(unavailable)), self._where).about(
                    remedy=unavailable.remedy) from err

    def _has_gone(self, there: bool) -> bool:
        """Whether it says that a container is not there any more.

        :param there: whether what it would be in is there
        """
        if self._is_object and (there or self._purpose is Purpose.REMOVE):
            return False
        return self._known.has_been_there(self._where[:1])

    def _denied(self, why: str) -> exceptions.StoreUnavailable:
        return swift_errors.about(exceptions.StoreUnavailable(
            f'Swift answered 404, but {why}'), self._where)

    def _has_no_other_witness(self) -> bool:
        """Whether nothing but 404s says that it is not there."""
        if self._is_object:
            return self._purpose not in (Purpose.REMOVE, Purpose.GLANCE)
        if self._known.has_been_there(self._where):
            return True
        try:
            return self._is_listed(self._where[0])
        except swift_errors.Again:
            raise
        except exceptions.StoreError:
            # Not every user may list the account, or at any time.
            return True

    @property
    def _is_object(self) -> bool:
        return len(self._where) == 2

    @property
    def _around(self) -> str:
        return 'the container' if self._is_object else 'the account'


def _account_answers(ask: Ask) -> bool:
    """Always true.

    :raises StoreUnavailable: when it does not
    """
    try:
        ask(())
    except (exceptions.AccessDenied, exceptions.StoreUnavailable):
        raise
    except exceptions.StoreError as err:
        raise exceptions.StoreUnavailable(
            'the account cannot be checked', detail=str(err),
            remedy=exceptions.Remedy.ENDPOINT) from err
    return True


def _is_there_after_all(where: tuple[str, ...], ask: Ask) -> bool:
    try:
        ask(where)
    except exceptions.ContainerNotFound:
        return False
    return True


def _recent(since: float | None) -> bool:
    return since is not None and time.monotonic() - since < REMEMBERED

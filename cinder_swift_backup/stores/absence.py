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
   there, and has not been there since the operation began.
3. Even then a request that looks for something or removes it is sent once
   more, for a single 404 may be wrong, too. One that looks for an object is
   sent :data:`_LOOKS` times, and the container is asked each time: one of
   several proxies may be sick, and the container answer through another.
4. Anything else is no answer: the store does not work.

That a container or the account is there is remembered for :data:`REMEMBERED`
seconds. So is that a 404 turned out to be right: then the looks for the next
do not wait.
"""

from collections.abc import Callable
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
# How many looks for an object, and for anything else.
_LOOKS, _FEW_LOOKS = 4, 2

NOT_FOUND = (exceptions.ObjectNotFound, exceptions.ContainerNotFound)


class Purpose(enum.Enum):
    """What a request is for, as far as it matters for a 404."""

    LOOK = 'to read something, or to see whether it is there'
    MAKE = 'to make something'
    REMOVE = 'to remove something'


# Asks whether a container is there, or the account: what HEAD answers.
Ask = Callable[[tuple[str, ...]], None]


class Absences:
    """What is known of containers that are there; for any threads."""

    def __init__(self) -> None:
        self._there: dict[tuple[str, ...], float] = {}
        self._absent: dict[tuple[str, ...], float] = {}

    def is_there(self, where: tuple[str, ...], ask: Ask, *,
                 anew: bool = False) -> bool:
        """Whether there is such a container, or account if it is empty.

        :param anew: ask in any case
        :raises StoreUnavailable: when that cannot be told
        """
        if not anew and _recent(self._there.get(where)):
            return True
        try:
            if not self._answers(where, ask):
                return False
        except exceptions.AccessDenied as err:
            if err.remedy is not exceptions.Remedy.ROLE:
                raise
            # A 403, for somebody who may not look at the container, but at
            # its objects. To such a user Swift would answer 403 for the
            # object, too, if it did not know the container and who has access
            # to it.
        self._there[where] = time.monotonic()
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
        """Something was made there."""
        self._there[where] = time.monotonic()

    def has_been_there(self, where: tuple[str, ...]) -> bool:
        """Whether it was there at any time."""
        return where in self._there

    def are_usual(self, where: tuple[str, ...]) -> bool:
        """Whether a 404 beside it was right a moment ago."""
        return _recent(self._absent.get(where[:-1]))

    def note(self, where: tuple[str, ...]) -> None:
        """All looks were the same."""
        self._absent[where[:-1]] = time.monotonic()


class Look:
    """The 404s of one request."""

    def __init__(self, where: tuple[str, ...], purpose: Purpose,
                 known: Absences, ask: Ask) -> None:
        self._where = where
        self._purpose = purpose
        self._known = known
        self._ask = ask
        # As a text: with its traceback it would keep what led here.
        self._before: str | None = None
        self._looks = 0

    def judge(self, err: exceptions.StoreError) -> None:
        """Let a 404 pass if it counts.

        :raises StoreUnavailable: if it does not
        """
        usual = self._known.are_usual(self._where)
        try:
            there = self._known.is_there(
                self._where[:-1], self._ask,
                anew=self._looks > 0 and self._is_object)
        except (swift_errors.Again, swift_errors.Slowed):
            raise
        except exceptions.StoreUnavailable as unavailable:
            raise swift_errors.about(exceptions.StoreUnavailable(
                f'Swift answered 404, but {self._around} cannot be checked',
                detail=str(unavailable)), self._where).about(
                    remedy=unavailable.remedy) from err
        if self._purpose is Purpose.MAKE:
            if there or self._known.has_been_there(self._where[:-1]):
                is_there = 'is' if there else 'was'
                raise swift_errors.about(exceptions.StoreUnavailable(
                    f'Swift answered 404, and {self._around} {is_there} '
                    f'there'), self._where) from err
            return
        self._before = str(err)
        self._looks += 1
        if self._looks < (_LOOKS if self._is_object else _FEW_LOOKS):
            raise swift_errors.about(swift_errors.SecondLook(
                'Swift answered 404, and will be asked once more',
                self._seconds(usual)), self._where) from err
        if self._purpose is Purpose.LOOK:
            self._known.note(self._where)

    def found(self) -> None:
        """The request was answered by something else."""
        if self._purpose is Purpose.MAKE:
            self._known.found(self._where[:-1] or self._where)
        if self._before is not None and self._purpose is Purpose.LOOK:
            LOG.warning('Swift answered 404 (%d in a row), though it is '
                        'there: %s', self._looks, self._before)

    def _seconds(self, usual: bool) -> float:
        return _BETWEEN_LOOKS if self._is_object and not usual else 0

    @property
    def _is_object(self) -> bool:
        """Whether it is one that is looked for."""
        return self._purpose is Purpose.LOOK and len(self._where) == 2

    @property
    def _around(self) -> str:
        return 'the container' if len(self._where) == 2 else 'the account'


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

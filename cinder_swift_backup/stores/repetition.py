# SPDX-License-Identifier: Apache-2.0

"""Decides whether a request is repeated, and when.

1. What says nothing about the store is repeated at once: a connection that
   the network forgot while it was idle.
2. An answer that is an error of the request's own, as a body that arrived
   damaged, is repeated as often as ``retries`` says.
3. Where the store does not work, it is repeated until nothing has worked for
   ``patience`` seconds. If other requests work meanwhile, it has as many
   attempts as ``retries`` says and as long as ``patience`` since it first
   failed, whichever takes longer; but no end as long as others work, where the
   store refuses it for being one too many.
4. When nothing has worked while a request was repeated, the store is gone,
   also when the request was called off before its patience was over. Then each
   later request has one attempt, at once, until one works. So what has to be
   cleaned up takes no second patience.
"""

import dataclasses
import math
import random
import threading
import time

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import congestion
from cinder_swift_backup.stores import swift_errors
from cinder_swift_backup.stores import traffic as traffic_
from cinder_swift_backup.stores import transport as transports

LOG = logging.getLogger(__name__)
# Seconds without an answer that may be more than a hitch.
_A_WHILE = 3.0
# Seconds between two attempts, whatever the operator wants.
_SHORTEST = 0.05


class Trouble:
    """Says in the log when requests begin to fail, and when none does."""

    def __init__(self, traffic: traffic_.Traffic, purpose: str = '') -> None:
        """Prepare.

        :param traffic: counts what is sent again
        :param purpose: what the requests are for
        """
        self._traffic = traffic
        self._requests = 'Requests to Swift' + (
            f' for {purpose}' if purpose else '')
        self._lock = threading.Lock()
        # Whether the log has the beginning, and not yet the end.
        self._told = False
        self._waiting = 0
        self._repeated = 0
        self._since = 0.0

    def begins(self, err: BaseException, patience: float) -> None:
        """A request failed for the first time, and will be repeated."""
        with self._lock:
            self._waiting += 1
            if self._told:
                return
            self._told = True
            self._repeated = 0
            self._since = time.monotonic()
        LOG.warning('%s are failing and will be retried%s: %s',
                    self._requests,
                    f' for up to {patience:g} s' if patience else '', err)

    def repeated(self) -> None:
        """A request is sent again."""
        self._traffic.retry()
        with self._lock:
            self._repeated += 1

    def ends(self, *, began: bool, worked: bool) -> None:
        """A request was answered, or is not repeated any more.

        :param began: whether it had failed before, and waited
        """
        if not (began or self._told):
            return
        with self._lock:
            self._waiting -= began
            if self._waiting or not (worked and self._told):
                return
            self._told = False
            count = self._repeated
            seconds = time.monotonic() - self._since
        LOG.info('%s succeed again after %.0f s and %d retries.',
                 self._requests, seconds, count)


class Repetition:
    """The attempts of one request."""

    def __init__(self, transport: transports.Transport,
                 state: congestion.Congestion, trouble: Trouble, *,
                 patient: bool = True) -> None:
        """Prepare.

        :param patient: whether to have patience at all; whoever has none
            cannot tell that the store is gone
        """
        self._patient = patient
        self._transport = (transport if patient else dataclasses.replace(
            transport, patience=0, retries=min(transport.retries, 1)))
        self._state = state
        self._trouble = trouble
        self._counted = 0
        self._passed = 0
        # Whether the last attempt met a store that works.
        self._works = False
        self._began = time.monotonic()
        self._troubled = False
        self._first = 0.0

    def next(self, err: exceptions.StoreUnavailable) -> float | None:
        """Seconds until the next attempt; None to give up.

        :param err: how the last one failed
        """
        if isinstance(err, swift_errors.Again):
            LOG.log(err.level, 'A request is sent again: %s', err)
            return err.seconds
        if isinstance(err, swift_errors.Passing):
            self._passed += 1
        else:
            if not self._counted:
                self._first = time.monotonic()
            self._counted += 1
        self._works = isinstance(
            err, (swift_errors.Limited, swift_errors.Passing))
        left = self._left(err)
        if left <= 0:
            return None
        self._note(err)
        asked = _retry_after(err)
        if asked > left:
            # Patience is over before, and the outage may be.
            self._state.wait_at_most(left)
            asked = 0
        return min(self._wait(asked), left)

    def end(self, err: BaseException | None) -> None:
        """The request has its answer, or no other attempt.

        Whoever has called it off does not wait for the store either.
        """
        answered = err is None or (
            isinstance(err, exceptions.StoreError)
            and not isinstance(err, exceptions.StoreUnavailable))
        if isinstance(err, exceptions.StoreUnavailable):
            if self._patient and self._is_away(err):
                seconds = time.monotonic() - self._state.give_up(self._first)
                if self._transport.patience and seconds >= 1:
                    err.what += f', for {seconds:.0f} s'
            err.gone = self._state.gone
        elif not answered and self._patient and self._seemed_away():
            self._state.give_up(self._first if self._counted else self._began)
        self._trouble.ends(began=self._troubled, worked=answered)

    def _is_away(self, err: exceptions.StoreUnavailable) -> bool:
        """Whether the store works for nobody, if it works for nobody else."""
        if not self._counted or isinstance(err, swift_errors.Passing):
            return False
        if not self._transport.patience:
            return not isinstance(err, swift_errors.Slowed)
        # Else it works, and wants such a request much later.
        return not isinstance(err, swift_errors.Limited) or self._counted > 1

    def _seemed_away(self) -> bool:
        """The same, of a request that was called off."""
        seconds = time.monotonic() - self._began
        return not self._works and seconds >= _A_WHILE

    def _note(self, err: exceptions.StoreUnavailable) -> None:
        LOG.debug('Failed, and will be repeated: %s', err)
        if not self._troubled:
            self._troubled = True
            self._trouble.begins(
                err, 0 if isinstance(err, swift_errors.Passing)
                else self._transport.patience)
        self._trouble.repeated()

    def _left(self, err: exceptions.StoreUnavailable) -> float:
        """For how many seconds it may be repeated."""
        retries = self._transport.retries
        if isinstance(err, swift_errors.Passing):
            return math.inf if self._passed <= max(retries, err.least) else 0
        if self._state.gone:
            return 0
        if not self._transport.patience:
            is_over = (self._counted > retries
                       or _retry_after(err) > self._transport.longest_wait)
            return 0 if is_over else math.inf
        since = self._first
        if isinstance(err, swift_errors.Limited) or self._counted <= retries:
            since = max(since, self._state.last_success)
        left = since + self._transport.patience - time.monotonic()
        if isinstance(err, swift_errors.Limited) and left < _retry_after(err):
            return 0
        return left

    def _wait(self, asked: float) -> float:
        """What the store asked for, or twice as long as the last time."""
        backoff = self._transport.backoff
        jitter = random.uniform(0, backoff / 2)
        count = self._counted + self._passed
        exponential = backoff * 2.0 ** min(count - 1, 32)
        return max(min(exponential + jitter, self._transport.longest_wait),
                   asked, _SHORTEST)


def _retry_after(err: exceptions.StoreUnavailable) -> float:
    return (err.retry_after or 0 if isinstance(err, swift_errors.Slowed)
            else 0)

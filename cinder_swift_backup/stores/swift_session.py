# SPDX-License-Identifier: Apache-2.0

"""Sends requests to Swift; the only place that repeats any.

Each request takes these steps:

1. Wait for room: all requests slow down when Swift is overloaded or away, see
   :mod:`cinder_swift_backup.stores.congestion`.
2. Get the current tokens and an idle connection, or a new one.
3. Send. If Swift refuses the token, renew it once if possible.
4. Turn the response into a result or one of our errors. After any error,
   close the connection, for there may be half a response in it; otherwise it
   is idle again.
5. Ask whether a 404 counts, see :mod:`cinder_swift_backup.stores.absence`.
6. Repeat when the store was unavailable, with growing waits, as long as the
   result is wanted and :mod:`cinder_swift_backup.stores.repetition` allows.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
from typing import TypeVar
import urllib.parse

from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import container_names
from cinder_swift_backup.stores import absence
from cinder_swift_backup.stores import bandwidth
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import clock
from cinder_swift_backup.stores import congestion
from cinder_swift_backup.stores import connections
from cinder_swift_backup.stores import credentials as credentials_
from cinder_swift_backup.stores import network_errors
from cinder_swift_backup.stores import repetition
from cinder_swift_backup.stores import swift_answers
from cinder_swift_backup.stores import swift_errors
from cinder_swift_backup.stores import swift_exchange
from cinder_swift_backup.stores import traffic
from cinder_swift_backup.stores import transport as transports

_T = TypeVar('_T')
Work = Callable[[swift_exchange.Exchange], _T]


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a request is about.

    ``where`` is container, or container and object, and empty for the account
    and the cluster. ``patient`` says whether the request is worth waiting for
    a Swift that does not work.

    :raises ConfigurationError: when there can be no such container
    """

    where: tuple[str, ...]
    purpose: absence.Purpose = absence.Purpose.LOOK
    patient: bool = True

    def __post_init__(self) -> None:
        if self.where:
            container_names.check(self.where[0])


class Session:
    """Sends requests to one Swift account, from any number of threads.

    ``clock`` has the time at Swift, once it has answered. ``traffic`` counts
    what was moved.
    """

    def __init__(self, credentials: credentials_.Credentials,
                 transport: transports.Transport, purpose: str = '') -> None:
        """Prepare.

        :param purpose: what the requests are for, for the log
        """
        self._credentials = credentials
        self._transport = transport
        self._connections = connections.Connections(
            transport.ca_file, insecure=transport.insecure,
            timeout=transport.timeout)
        self._congestion = congestion.Congestion(
            transport.backoff, transport.longest_wait)
        self.traffic = traffic.Traffic()
        self._trouble = repetition.Trouble(self.traffic, purpose)
        self._absences = absence.Absences()
        self.clock = clock.Clock()

    def request(self, request: Request, work: Work[_T],
                stop: base.Stop) -> _T:
        """Do ``work``, repeatedly if necessary, and return its result.

        :param stop: raises when the result is no longer wanted
        """
        look = absence.Look(request.where, request.purpose, self._absences,
                            functools.partial(self._ask, stop),
                            functools.partial(self._is_listed, stop))
        return self._repeated(
            lambda: self._judged(request.where, work, stop, look), stop,
            patient=request.patient)

    def account(self, stop: base.Stop) -> str:
        """The name of the account.

        :param stop: raises when it is no longer wanted
        """
        access = self._repeated(self._credentials.access, stop)
        url = urllib.parse.urlparse(access.storage_url)
        return url.path.rstrip('/').rpartition('/')[2]

    def _repeated(self, attempt: Callable[[], _T], stop: base.Stop, *,
                  patient: bool = True) -> _T:
        """What an attempt returns, once it does not fail in passing."""
        # What is called off here has sent nothing: it says nothing of Swift,
        # however long it took to find out.
        stop.check()
        attempts = repetition.Repetition(
            self._transport, self._congestion, self._trouble, patient=patient)
        try:
            result = self._attempted(attempt, stop, attempts)
        except BaseException as err:
            attempts.end(err)
            raise
        attempts.end(None)
        return result

    @staticmethod
    def _attempted(attempt: Callable[[], _T], stop: base.Stop,
                   attempts: repetition.Repetition) -> _T:
        while True:
            try:
                return attempt()
            except exceptions.StoreUnavailable as err:
                seconds = attempts.next(err)
                if seconds is None:
                    raise
            stop.wait(seconds)
            stop.check()

    @property
    def upload_limit(self) -> bandwidth.Limit:
        """How fast bodies may go."""
        return self._transport.bandwidth.up

    def close(self) -> None:
        """Close all connections."""
        self._connections.close_idle()

    def _judged(self, where: tuple[str, ...], work: Work[_T],
                stop: base.Stop, look: absence.Look) -> _T:
        try:
            result = self._in_room(where, work, stop)
        except absence.NOT_FOUND as err:
            look.judge(err)
            self._congestion.succeeded()
            raise
        look.found()
        return result

    def _ask(self, stop: base.Stop, where: tuple[str, ...]) -> None:
        understand, head = (
            (swift_answers.container, client.head_container) if where
            else (swift_answers.account, client.head_account))

        def ask(exchange: swift_exchange.Exchange) -> None:
            swift_answers.read(where, understand, lambda: exchange.call(head))
        self._twice_if_needed(where, ask, stop)

    def _is_listed(self, stop: base.Stop, container: str) -> bool:
        def ask(exchange: swift_exchange.Exchange) -> bool:
            return swift_answers.read(
                (), functools.partial(swift_answers.is_listed, container),
                # Ceph's gateway filters what comes after the marker.
                lambda: exchange.call(client.get_account, prefix=container,
                                      marker=container[:-1]))
        return self._twice_if_needed((), ask, stop)

    def _twice_if_needed(self, where: tuple[str, ...], work: Work[_T],
                         stop: base.Stop) -> _T:
        try:
            return self._in_room(where, work, stop)
        except (swift_errors.Again, swift_errors.Slowed):
            raise
        except exceptions.StoreUnavailable as err:
            # Behind a balancer, pairs of requests may be in step with servers
            # of which one fails.
            if network_errors.is_silence(err):
                raise
            return self._in_room(where, work, stop)

    def _in_room(self, where: tuple[str, ...], work: Work[_T],
                 stop: base.Stop) -> _T:
        """One attempt, with what it tells of the state of the store."""
        with self._congestion.room(stop) as began:
            try:
                result = self._authorised(where, work, stop)
            except (swift_errors.Again, swift_errors.Passing,
                    *absence.NOT_FOUND):
                # Which say nothing about the store by themselves.
                raise
            except swift_errors.Slowed as err:
                if (err.retry_after or 0) <= self._longest_pause:
                    self._congestion.refused(began, err.retry_after)
                elif not isinstance(err, swift_errors.Limited):
                    self._failed(began)
                raise
            except exceptions.StoreUnavailable:
                self._failed(began)
                raise
            except exceptions.StoreError:
                self._congestion.succeeded()
                raise
            self._congestion.succeeded()
        return result

    def _failed(self, began: float) -> None:
        if self._transport.patience:
            self._congestion.failed(began)

    @property
    def _longest_pause(self) -> float:
        """How many seconds all requests wait for the sake of one."""
        return self._transport.patience or self._transport.longest_wait

    def _authorised(self, where: tuple[str, ...], work: Work[_T],
                    stop: base.Stop) -> _T:
        access = self._credentials.access()
        try:
            return self._once(access, where, work, stop)
        except swift_errors.TokenRefused as err:
            refused = err
        try:
            if self._credentials.renew(access):
                return self._once(self._credentials.access(), where, work,
                                  stop)
        except swift_errors.TokenRefused as err:
            refused = err
        raise exceptions.AccessDenied(
            refused.what, container=refused.container, name=refused.name,
            transaction=refused.transaction,
            remedy=self._credentials.remedy) from refused

    def _once(self, access: credentials_.Access, where: tuple[str, ...],
              work: Work[_T], stop: base.Stop) -> _T:
        with self._exchange(access, where, stop) as exchange:
            result = work(exchange)
        # A page of somebody else's is an error by now, and tells no time.
        self.clock.set(exchange.told)
        return result

    @contextlib.contextmanager
    def _exchange(self, access: credentials_.Access,
                  where: tuple[str, ...],
                  stop: base.Stop) -> Iterator[swift_exchange.Exchange]:
        connection = self._connections.take(access.storage_url)
        exchange = swift_exchange.Exchange(access, connection, where, stop,
                                           self._transport.bandwidth.down)
        try:
            with stop.interrupting(functools.partial(
                    self._connections.interrupt, connection)):
                yield exchange
        except BaseException:
            self._connections.drop(connection)
            # What breaks when nobody wants it any more says nothing.
            stop.check()
            if exchange.broken:
                # Others were idle as long, or lead to the same dead server.
                self._connections.close_idle()
            raise
        finally:
            exchange.end()
            self.traffic.receive(exchange.received)
        self._connections.give_back(connection)

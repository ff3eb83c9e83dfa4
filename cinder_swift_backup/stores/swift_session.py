# SPDX-License-Identifier: Apache-2.0

"""Sends requests to Swift; the only place that repeats any.

Each request takes these steps:

1. Get the current tokens and an idle connection, or a new one.
2. Send. If Swift refuses the token, renew it once if possible.
3. Turn the response into a result or one of our errors. After any error,
   close the connection, for there may be half a response in it; otherwise it
   is idle again.
4. Repeat after errors that are
   :class:`~cinder_swift_backup.exceptions.Retryable`, with growing waits, as
   long as the result is wanted.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any
from typing import TypeVar
import urllib.parse

import requests
from swiftclient import client
import tenacity
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import credentials as credentials_
from cinder_swift_backup.stores import swift_errors

_T = TypeVar('_T')
_BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
# Long enough for a proxy that waits for its slowest replica to commit.
_TIMEOUT = 120
_LONGEST_WAIT = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Transport:
    """How to send requests, and how often to repeat them.

    ``retries`` is the number of repetitions after the first attempt;
    ``backoff`` is the first wait in seconds, which then doubles each time.
    """

    ca_file: str | None = None
    insecure: bool = False
    retries: int = 3
    backoff: float = 2


class Exchange:
    """One attempt of a request: tokens, connection, container and object."""

    def __init__(self, access: credentials_.Access,
                 connection: client.HTTPConnection,
                 where: tuple[str, ...], stop: base.Stop) -> None:
        self._stop = stop
        self._access = access
        self._url = urllib.parse.urlparse(access.storage_url)
        self._connection = connection
        self._where = where
        self._ended = False

    def end(self) -> None:
        """Allow no more reads, since the connection is given back."""
        self._ended = True

    def call(self, function: Callable[..., _T], **options: Any) -> _T:
        """Call one of swiftclient's functions and translate its errors.

        :raises StoreError: or a subclass
        """
        with self._translated():
            return function(
                self._access.storage_url, self._access.token, *self._where,
                http_conn=(self._url, self._connection),
                service_token=self._access.service_token, **options)

    def pieces(self, body: Any, length: int) -> Iterator[bytes]:
        """All pieces of the body of a response.

        :raises StoreUnavailable: when the connection breaks
        :raises RuntimeError: when the exchange has ended
        :raises Exception: what ``stop`` raises
        """
        left = length
        while left:
            if self._ended:
                raise RuntimeError(
                    'A body is read after its request has ended.')
            self._stop.check()
            with self._translated():
                piece: bytes = body.read(base.PIECE)
            if not piece:
                raise swift_errors.about(exceptions.StoreUnavailable(
                    'Swift broke off in the middle of it', expected=length,
                    actual=length - left), self._where)
            left -= len(piece)
            yield piece

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except client.ClientException as err:
            raise swift_errors.translate(err, self._where) from err
        except _BROKEN as err:
            raise swift_errors.about(exceptions.StoreUnavailable(
                f'Swift at {self._url.netloc} cannot be reached or broke off '
                f'({err})'), self._where) from err
        except ValueError as err:
            raise swift_errors.about(exceptions.StoreUnavailable(
                f'what answers at {self._access.storage_url} is not Swift '
                f'({err})'), self._where) from err


class Session:
    """Sends requests to one Swift account, from any number of threads.

    It keeps as many connections as there were simultaneous requests.
    """

    def __init__(self, credentials: credentials_.Credentials,
                 transport: Transport) -> None:
        self._credentials = credentials
        self._transport = transport
        # Appending and popping are atomic for both kinds of threads.
        self._idle: list[client.HTTPConnection] = []

    def request(self, where: tuple[str, ...],
                work: Callable[[Exchange], _T], stop: base.Stop) -> _T:
        """Do ``work``, repeatedly if necessary, and return its result.

        :param where: container, or container and object; empty for the
            cluster
        :param stop: raises when the result is no longer wanted
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exceptions.Retryable),
            stop=tenacity.stop_after_attempt(self._transport.retries + 1),
            wait=tenacity.wait_exponential_jitter(
                initial=self._transport.backoff, max=_LONGEST_WAIT,
                jitter=self._transport.backoff / 2),
            sleep=stop.wait, before=lambda state: stop.check(),
            reraise=True)
        result: _T = retrying(self._authorised, where, work, stop)
        return result

    def account(self) -> str:
        """The name of the account."""
        url = urllib.parse.urlparse(self._credentials.access().storage_url)
        return url.path.rstrip('/').rpartition('/')[2]

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()

    def _authorised(self, where: tuple[str, ...],
                    work: Callable[[Exchange], _T], stop: base.Stop) -> _T:
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
            remedy=self._credentials.remedy) from refused

    def _once(self, access: credentials_.Access, where: tuple[str, ...],
              work: Callable[[Exchange], _T], stop: base.Stop) -> _T:
        with self._exchange(access, where, stop) as exchange:
            return work(exchange)

    @contextlib.contextmanager
    def _exchange(self, access: credentials_.Access,
                  where: tuple[str, ...],
                  stop: base.Stop) -> Iterator[Exchange]:
        connection = self._connection(access.storage_url)
        exchange = Exchange(access, connection, where, stop)
        try:
            yield exchange
        except BaseException:
            connection.close()
            raise
        finally:
            exchange.end()
        self._idle.append(connection)

    def _connection(self, url: str) -> client.HTTPConnection:
        with contextlib.suppress(IndexError):
            while True:
                connection = self._idle.pop()
                if connection.url == url:
                    return connection
                # The account has moved since, as a renewed login told.
                connection.close()
        try:
            return client.HTTPConnection(
                url, cacert=self._transport.ca_file,
                insecure=self._transport.insecure, timeout=_TIMEOUT)
        except client.ClientException as err:
            raise exceptions.ConfigurationError(
                f'{url} is not the URL of an account in Swift '
                f'({err})') from err

# SPDX-License-Identifier: Apache-2.0

"""How a request gets to Swift and its answer back.

A request goes through these steps, and nothing outside this module repeats
one:

1. Take the tokens of now and a kept-alive connection that nobody uses.
2. Send; a refused token is renewed once where that is possible.
3. Turn the answer into a result or one of our errors. Whatever is raised,
   the connection is not used again: there may be half an answer in it. Else
   it goes back to those that nobody uses.
4. Repeat what is marked :class:`~cinder_swift_backup.exceptions.Retryable`,
   waiting longer each time, as long as somebody waits for the result.
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
    """How requests are sent and how often they are repeated.

    ``retries`` counts the repetitions after the first try; ``backoff`` is
    the first wait in seconds and doubles each time.
    """

    ca_file: str | None = None
    insecure: bool = False
    retries: int = 3
    backoff: float = 2


class Exchange:
    """One try of a request: tokens, a connection and what it is about."""

    def __init__(self, access: credentials_.Access,
                 connection: client.HTTPConnection,
                 where: tuple[str, ...]) -> None:
        self._access = access
        self._url = urllib.parse.urlparse(access.storage_url)
        self._connection = connection
        self._where = where
        self._ended = False

    def end(self) -> None:
        """The connection is given back; nothing may be read from it."""
        self._ended = True

    def call(self, function: Callable[..., _T], **options: Any) -> _T:
        """Call one of swiftclient's functions; errors are ours.

        :raises StoreError: the fitting one
        """
        with self._translated():
            return function(
                self._access.storage_url, self._access.token, *self._where,
                http_conn=(self._url, self._connection),
                service_token=self._access.service_token, **options)

    def pieces(self, body: Any, length: int) -> Iterator[bytes]:
        """The pieces of an answer's body, all of them.

        :raises StoreUnavailable: when it breaks off
        :raises RuntimeError: when the exchange has ended
        """
        left = length
        while left:
            if self._ended:
                raise RuntimeError(
                    'A body is read after its request has ended.')
            with self._translated():
                piece: bytes = body.read(base.PIECE)
            if not piece:
                raise exceptions.StoreUnavailable(
                    f'Swift broke off in the body of '
                    f'{"/".join(self._where)}', expected=length,
                    actual=length - left)
            left -= len(piece)
            yield piece

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except client.ClientException as err:
            raise swift_errors.translate(err, self._where) from err
        except _BROKEN as err:
            raise exceptions.StoreUnavailable(
                f'Swift at {self._url.netloc} cannot be reached or broke off '
                f'({"/".join(self._where) or "/info"}): {err}') from err
        except ValueError as err:
            raise exceptions.StoreUnavailable(
                f'what answers at {self._access.storage_url} is not Swift '
                f'({err})') from err


class Session:
    """Requests to one Swift account, from any number of threads.

    There are as many connections as requests were under way at once.
    """

    def __init__(self, credentials: credentials_.Credentials,
                 transport: Transport) -> None:
        self._credentials = credentials
        self._transport = transport
        # Lists pop and append in one step, whatever kind of threads.
        self._idle: list[client.HTTPConnection] = []

    def request(self, where: tuple[str, ...],
                work: Callable[[Exchange], _T], stop: base.Stop) -> _T:
        """Do ``work``, as often as it takes, and give its result.

        :param where: container, or container and object; empty for the
            cluster
        :param stop: raised when nobody waits for the result any more
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exceptions.Retryable),
            stop=tenacity.stop_after_attempt(self._transport.retries + 1),
            wait=tenacity.wait_exponential_jitter(
                initial=self._transport.backoff, max=_LONGEST_WAIT,
                jitter=self._transport.backoff / 2),
            sleep=stop.wait, reraise=True)
        result: _T = retrying(self._authorised, where, work)
        return result

    def close(self) -> None:
        """Give back all connections."""
        while self._idle:
            self._idle.pop().close()

    def _authorised(self, where: tuple[str, ...],
                    work: Callable[[Exchange], _T]) -> _T:
        access = self._credentials.access()
        try:
            return self._once(access, where, work)
        except swift_errors.TokenRefused as err:
            refused = err
        try:
            if self._credentials.renew(access):
                return self._once(self._credentials.access(), where, work)
        except swift_errors.TokenRefused as err:
            refused = err
        raise exceptions.AccessDenied(
            refused.what, remedy=self._credentials.remedy) from refused

    def _once(self, access: credentials_.Access, where: tuple[str, ...],
              work: Callable[[Exchange], _T]) -> _T:
        with self._exchange(access, where) as exchange:
            return work(exchange)

    @contextlib.contextmanager
    def _exchange(self, access: credentials_.Access,
                  where: tuple[str, ...]) -> Iterator[Exchange]:
        connection = self._connection(access.storage_url)
        exchange = Exchange(access, connection, where)
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
                # A renewed login may have found the account elsewhere.
                connection.close()
        try:
            return client.HTTPConnection(
                url, cacert=self._transport.ca_file,
                insecure=self._transport.insecure, timeout=_TIMEOUT)
        except client.ClientException as err:
            raise exceptions.ConfigurationError(
                f'{url} is not the URL of an account in Swift '
                f'({err})') from err

# SPDX-License-Identifier: Apache-2.0

"""Keeps connections to Swift alive between requests.

A network forgets an idle connection without a word: a balancer restarts, or
a router drops what was silent for minutes. The next request on it then breaks,
and so do those on all others that were idle at the time. So:

1. The connection that was used last is used next, and the others grow old.
2. None is used that was idle for :data:`LONGEST_IDLE` seconds.
3. When one breaks, all idle ones are closed.

A request may have to wait for a silent Swift when nobody wants its answer any
more. Then its socket is shut down, which wakes who waits. If the connection is
just being made, there is no socket yet: it is shut down when it is there.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import socket
import time
from typing import Any

from swiftclient import client
import urllib3

from cinder_swift_backup import exceptions

# Seconds: below the minute after which common balancers forget a connection.
LONGEST_IDLE = 50.0
# Seconds for a connection to be made.
_CONNECT = 10.0


@dataclasses.dataclass(slots=True)
class Flag:
    """Whether nobody wants a connection any more."""

    raised: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """A connection; ``used`` tells whether it has answered before."""

    http: client.HTTPConnection
    unwanted: Flag
    used: bool = False


class Connections:
    """As many as there were simultaneous requests, for any threads."""

    def __init__(self, ca_file: str | None, *, insecure: bool,
                 timeout: float) -> None:
        """Prepare.

        :param timeout: how many seconds Swift may be silent
        """
        self._ca_file = ca_file
        self._insecure = insecure
        self._timeout = (min(_CONNECT, timeout), timeout)
        # With the time from which on each was idle, the newest last.
        # Appending and popping are atomic for both kinds of threads.
        self._idle: list[tuple[float, Connection]] = []

    def take(self, url: str) -> Connection:
        """A connection for one request, to an account's URL.

        :raises ConfigurationError: when the URL is none
        """
        with contextlib.suppress(IndexError):
            while True:
                since, connection = self._idle.pop()
                fresh = time.monotonic() - since < LONGEST_IDLE
                # The account may have moved since, by a renewed login.
                if fresh and connection.http.url == url:
                    return dataclasses.replace(connection, used=True)
                _close(connection.http)
        return self._new(url)

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        if connection.unwanted.raised:
            _close(connection.http)
            return
        self._idle.append((time.monotonic(), connection))

    @staticmethod
    def drop(connection: Connection) -> None:
        """Close a connection on which a request has failed."""
        _close(connection.http)

    @staticmethod
    def interrupt(connection: Connection) -> None:
        """Have a request that waits on a connection fail at once.

        Called by another thread than the one that waits.
        """
        # First, for whoever makes the connection looks when it is made.
        connection.unwanted.raised = True
        for pool in _pools(connection.http):
            _shut_down(getattr(pool, 'made', None))

    def close_idle(self) -> None:
        """Close all connections but those of requests on their way."""
        with contextlib.suppress(IndexError):
            while True:
                _close(self._idle.pop()[1].http)

    def _new(self, url: str) -> Connection:
        try:
            http = client.HTTPConnection(
                url, cacert=self._ca_file, insecure=self._insecure,
                timeout=self._timeout)
        except client.ClientException as err:
            raise exceptions.ConfigurationError(
                f'{url} is not the URL of an account in Swift',
                detail=str(err)) from err
        # They would take the token along, and make a GET of anything.
        http.request_session.max_redirects = 0
        unwanted = Flag()
        pools = {scheme: functools.partial(pool, unwanted=unwanted)
                 for scheme, pool in _POOLS.items()}
        for adapter in http.request_session.adapters.values():
            adapter.poolmanager.pool_classes_by_scheme = pools
        return Connection(http, unwanted)


class _Interruptible:
    """Is shut down as soon as it is made if nobody wants it any more."""

    unwanted: Flag

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        if self.unwanted.raised:
            _shut_down(self)


class _HTTPConnection(_Interruptible, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_Interruptible, urllib3.connection.HTTPSConnection):
    pass


class _Mindful:
    """A pool that knows the connection it has made last."""

    made: Any = None

    def __init__(self, *arguments: Any, unwanted: Flag,
                 **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unwanted = unwanted

    def _new_conn(self) -> Any:
        self.made = super()._new_conn()  # type: ignore[misc]
        self.made.unwanted = self._unwanted
        return self.made


class _HTTPPool(_Mindful, urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(_Mindful, urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {'http': _HTTPPool, 'https': _HTTPSPool}


def _pools(http: client.HTTPConnection) -> Iterator[Any]:
    for adapter in http.request_session.adapters.values():
        # The latter where the environment has proxies.
        for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 (not iterable)
                pool = manager.pools.get(key)
                if pool is not None:
                    yield pool


def _shut_down(made: Any) -> None:
    sock = getattr(made, 'sock', None)
    if sock is not None:
        # It may have been closed meanwhile. TLS's own method would have who
        # is sending go on in plain text. Eventlet wraps the others.
        with contextlib.suppress(OSError):
            socket.SocketType.shutdown(getattr(sock, 'fd', sock),
                                       socket.SHUT_RDWR)


def _close(http: client.HTTPConnection) -> None:
    """Close it, with its socket.

    With urllib3 2 the client leaves the socket to the garbage collector,
    which may take its time: the pool is only forgotten, and the last answer
    is in a circle of references.
    """
    if http.resp:
        http.resp.close()
    for pool in _pools(http):
        pool.close()
    http.close()
    # Ends the circle. Else the collector may come for the pool in one of
    # eventlet's native threads, where the end of a pool makes a hub, with a
    # descriptor, that stays as long as the thread.
    http.resp = None

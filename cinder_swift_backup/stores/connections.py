# SPDX-License-Identifier: Apache-2.0

"""Keeps connections to Swift alive between requests.

A network forgets an idle connection without a word: a balancer restarts, or
a router drops what was silent for minutes. The next request on it then breaks,
and so do those on all others that were idle at the time. So:

1. The connection that was used last is used next, and the others grow old.
2. None is used that was idle for :data:`LONGEST_IDLE` seconds.
3. When one breaks, all idle ones are closed.
"""

import contextlib
import dataclasses
import time

from swiftclient import client

from cinder_swift_backup import exceptions

# Seconds: below the minute after which common balancers forget a connection.
LONGEST_IDLE = 50.0
# Seconds for a connection to be made.
_CONNECT = 10.0


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """A connection; ``used`` tells whether it has answered before."""

    http: client.HTTPConnection
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
        self._idle: list[tuple[float, client.HTTPConnection]] = []

    def take(self, url: str) -> Connection:
        """A connection for one request, to an account's URL.

        :raises ConfigurationError: when the URL is none
        """
        with contextlib.suppress(IndexError):
            while True:
                since, http = self._idle.pop()
                fresh = time.monotonic() - since < LONGEST_IDLE
                # The account may have moved since, by a renewed login.
                if fresh and http.url == url:
                    return Connection(http, used=True)
                _close(http)
        return Connection(self._new(url))

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose last answer was read to its end."""
        self._idle.append((time.monotonic(), connection.http))

    @staticmethod
    def drop(connection: Connection) -> None:
        """Close a connection on which a request has failed."""
        _close(connection.http)

    def close_idle(self) -> None:
        """Close all connections but those of requests on their way."""
        with contextlib.suppress(IndexError):
            while True:
                _close(self._idle.pop()[1])

    def _new(self, url: str) -> client.HTTPConnection:
        try:
            return client.HTTPConnection(
                url, cacert=self._ca_file, insecure=self._insecure,
                timeout=self._timeout)
        except client.ClientException as err:
            raise exceptions.ConfigurationError(
                f'{url} is not the URL of an account in Swift',
                detail=str(err)) from err


def _close(http: client.HTTPConnection) -> None:
    """Close it, with its socket.

    With urllib3 2 the client leaves the socket to the garbage collector,
    which may take its time: the pool is only forgotten, and the last answer
    is in a circle of references.
    """
    if http.resp:
        http.resp.close()
    for adapter in http.request_session.adapters.values():
        pools = adapter.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 (it cannot be iterated)
            pool = pools.get(key)
            if pool is not None:
                pool.close()
    http.close()
    # Ends the circle. Else the collector may come for the pool in one of
    # eventlet's native threads, where the end of a pool makes a hub, with a
    # descriptor, that stays as long as the thread.
    http.resp = None

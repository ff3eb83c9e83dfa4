# SPDX-License-Identifier: Apache-2.0

"""Swift behind the contract of :mod:`cinder_swift_backup.stores.base`.

A request goes through these steps, and nothing outside this module repeats
a request:

1. Take the tokens of now and this thread's kept-alive connection.
2. Send; a refused token is renewed once where that is possible.
3. Turn the answer into a result or one of our errors.
4. Repeat what is marked :class:`~cinder_swift_backup.exceptions.Retryable`,
   waiting longer each time.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import threading
from typing import Any
from typing import TypeVar
import urllib.parse

import requests
from swiftclient import client
import tenacity
import urllib3

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import bodies
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


class SwiftStore:
    """Objects in one Swift account."""

    def __init__(self, credentials: credentials_.Credentials,
                 transport: Transport) -> None:
        self._credentials = credentials
        self._transport = transport
        self._local = threading.local()
        self._connections: list[client.HTTPConnection] = []

    def limits(self) -> base.Limits:
        """What ``/info`` says; nothing where the cluster hides it."""
        access = self._credentials.access()
        try:
            return self._retry(lambda: self._ask_limits(access))
        except exceptions.StoreUnavailable:
            raise
        except exceptions.StoreError:
            return base.Limits()

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None) -> None:
        """See the contract."""
        try:
            self._request(client.head_container, container)
            return
        except exceptions.ContainerNotFound:
            if not create:
                raise
        headers = ({'X-Storage-Policy': storage_policy}
                   if storage_policy else None)
        self._request(client.put_container, container, headers=headers)

    def put(self, container: str, name: str, body: bytes | base.Stream,
            md5: str | None = None) -> None:
        """See the contract."""
        def send(access: credentials_.Access) -> None:
            if isinstance(body, base.Stream):
                reader = bodies.StreamReader(body)
                answer = self._send(
                    access, client.put_object, container, name,
                    contents=reader, content_length=body.length)
                sent = reader.md5()
            else:
                sent = md5 or _md5(body)
                answer = self._send(
                    access, client.put_object, container, name,
                    contents=body, content_length=len(body), etag=sent)
            if answer.strip('"') != sent:
                raise exceptions.StoreUnavailable(
                    f'{name} was stored with MD5 {answer} and sent with '
                    f'{sent}.')
        try:
            self._retry(lambda: self._authorised(send))
        except exceptions.ObjectNotFound as err:
            raise exceptions.ContainerNotFound(
                f'There is no container {container}.') from err

    def get(self, container: str, name: str, max_size: int | None = None,
            ) -> bytes:
        """See the contract."""
        def read(access: credentials_.Access) -> bytes:
            headers, body = self._send(access, client.get_object, container,
                                       name, resp_chunk_size=bodies.PIECE)
            try:
                return self._read_body(name, headers, body, max_size)
            finally:
                body.close()
        return self._retry(lambda: self._authorised(read))

    def delete(self, container: str, name: str) -> None:
        """See the contract."""
        with contextlib.suppress(exceptions.ObjectNotFound):
            self._request(client.delete_object, container, name)

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract."""
        marker = None
        while True:
            _, page = self._request(client.get_container, container,
                                    prefix=prefix, marker=marker)
            if not page:
                return
            for entry in page:
                yield base.ObjectInfo(entry['name'], entry['bytes'],
                                      entry['hash'])
            marker = page[-1]['name']

    def close(self) -> None:
        """See the contract."""
        while self._connections:
            self._connections.pop().close()
        self._local = threading.local()

    def _request(self, call: Callable[..., _T], *where: str,
                 **options: Any) -> _T:
        return self._retry(lambda: self._authorised(
            lambda access: self._send(access, call, *where, **options)))

    def _retry(self, once: Callable[[], _T]) -> _T:
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(exceptions.Retryable),
            stop=tenacity.stop_after_attempt(self._transport.retries + 1),
            wait=tenacity.wait_exponential_jitter(
                initial=self._transport.backoff, max=_LONGEST_WAIT,
                jitter=self._transport.backoff / 2),
            reraise=True)
        return retrying(once)

    def _authorised(self, send: Callable[[credentials_.Access], _T]) -> _T:
        access = self._credentials.access()
        try:
            return send(access)
        except swift_errors.TokenRefused as err:
            refused = err
        try:
            if self._credentials.renew(access):
                return send(self._credentials.access())
        except swift_errors.TokenRefused as err:
            refused = err
        raise exceptions.AccessDenied(
            f'{refused} {self._credentials.remedy}') from refused

    def _send(self, access: credentials_.Access, call: Callable[..., _T],
              *where: str, **options: Any) -> _T:
        url = urllib.parse.urlparse(access.storage_url)
        connection = self._connection(access.storage_url)
        try:
            return call(access.storage_url, access.token, *where,
                        http_conn=(url, connection),
                        service_token=access.service_token, **options)
        except client.ClientException as err:
            raise swift_errors.translate(err, where) from err
        except _BROKEN as err:
            self._drop_connection()
            raise exceptions.StoreUnavailable(
                f'Swift at {url.netloc} cannot be reached or broke off '
                f'({"/".join(where) or "/info"}): {err}') from err
        except ValueError as err:
            self._drop_connection()
            raise exceptions.StoreUnavailable(
                f'What answers at {access.storage_url} is not Swift: '
                f'{err}') from err

    def _read_body(self, name: str, headers: dict[str, str], body: Any,
                   max_size: int | None) -> bytes:
        length = int(headers.get('content-length', -1))
        if length < 0:
            self._drop_connection()
            raise exceptions.StoreUnavailable(
                f'Swift did not say how long {name} is.')
        if max_size is not None and length > max_size:
            self._drop_connection()
            raise exceptions.LengthMismatch(
                f'{name} is {length} bytes, more than the {max_size} it can '
                f'be.')
        try:
            data: bytes = body.read()
        except _BROKEN as err:
            self._drop_connection()
            raise exceptions.StoreUnavailable(
                f'Swift broke off while sending {name}: {err}') from err
        if len(data) != length:
            self._drop_connection()
            raise exceptions.StoreUnavailable(
                f'Swift sent {len(data)} of {length} bytes of {name}.')
        return data

    def _ask_limits(self, access: credentials_.Access) -> base.Limits:
        answer = self._send(access, _get_info).get('swift', {})
        policies = answer.get('policies')
        return base.Limits(
            max_object_size=answer.get('max_file_size'),
            storage_policies=None if policies is None else _policy_names(
                policies))

    def _connection(self, url: str) -> client.HTTPConnection:
        connection = getattr(self._local, 'connection', None)
        if connection is None:
            connection = client.HTTPConnection(
                url, cacert=self._transport.ca_file,
                insecure=self._transport.insecure, timeout=_TIMEOUT)
            self._local.connection = connection
            self._connections.append(connection)
        return connection

    def _drop_connection(self) -> None:
        connection = self._local.connection
        self._local.connection = None
        self._connections.remove(connection)
        connection.close()


def _get_info(url: str, token: str,
              http_conn: tuple[urllib.parse.ParseResult,
                               client.HTTPConnection],
              service_token: str | None) -> dict[str, Any]:
    # Beside the root of the accounts, and open to all: no token is sent.
    root = http_conn[0].path.partition('/v1')[0]
    where = http_conn[0]._replace(path=f'{root}/info')
    found: dict[str, Any] = client.get_capabilities((where, http_conn[1]))
    return found


def _policy_names(policies: list[dict[str, str]]) -> tuple[str, ...]:
    # The aliases of a policy are in one string and may include its name.
    names = {}
    for policy in policies:
        for name in (policy['name'], *policy.get('aliases', '').split(',')):
            names[name.strip()] = True
    return tuple(name for name in names if name)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()

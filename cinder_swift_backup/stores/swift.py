# SPDX-License-Identifier: Apache-2.0

"""Swift behind the contract of :mod:`cinder_swift_backup.stores.base`.

This module knows what to send and what answers mean.
:mod:`cinder_swift_backup.stores.swift_session` sends it.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import datetime
import functools
import hashlib
import json
from typing import Any
from typing import TypeVar
import urllib.parse

from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import absence
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import bodies
from cinder_swift_backup.stores import downloads
from cinder_swift_backup.stores import headers
from cinder_swift_backup.stores import swift_answers
from cinder_swift_backup.stores import swift_errors
from cinder_swift_backup.stores import swift_exchange
from cinder_swift_backup.stores import swift_session

_T = TypeVar('_T')
_Purpose = absence.Purpose
# Headers as swiftclient gives them.
_SYNC_TO = 'x-container-sync-to'
_SYNC_KEY = 'x-container-sync-key'
# The client logs the headers of requests and answers, and shows up to half of
# the values of these unless told to show nothing.
if _SYNC_KEY not in client.LOGGER_SENSITIVE_HEADERS:
    client.LOGGER_SENSITIVE_HEADERS.append(_SYNC_KEY)
client.logger_settings['reveal_sensitive_prefix'] = 0


class SwiftStore(base.ExistsByStat):
    """Objects in one Swift account."""

    def __init__(self, session: swift_session.Session,
                 stop: base.Stop = base.NEVER) -> None:
        self._session = session
        self._stop = stop
        self.traffic = session.traffic

    def until(self, stop: base.Stop) -> 'SwiftStore':
        """See the contract; connections are shared."""
        return SwiftStore(self._session, stop)

    def capabilities(self) -> base.Capabilities:
        """What ``/info`` says; nothing where the cluster hides it."""
        def ask(exchange: swift_exchange.Exchange) -> base.Capabilities:
            try:
                return swift_answers.read(
                    (), swift_answers.capabilities,
                    lambda: exchange.call(_get_info))
            except exceptions.StoreUnavailable:
                raise
            except exceptions.StoreError:
                return base.Capabilities()
        # What the cluster allows is worth to know and not to wait for: some
        # gateways never tell.
        return self._session.request(
            swift_session.Request((), patient=False), ask, self._stop)

    def ensure_container(self, container: str, *, create: bool,
                         storage_policy: str | None = None,
                         like: str | None = None,
                         sync: base.Sync | None = None) -> None:
        """See the contract."""
        try:
            self._container(container)
            return
        except exceptions.ContainerNotFound:
            if not create:
                raise
        given = {}
        model = self._container(like) if like else {}
        policy = storage_policy or model.get('x-storage-policy')
        if policy:
            given['X-Storage-Policy'] = policy
        model_sync = _sync(model)
        target = (self.sync_target(container, sync) if sync
                  else model_sync and model_sync.beside(container))
        if target:
            given[_SYNC_TO] = target.to or ''
            given[_SYNC_KEY] = target.key
        if not headers.are_fit(*given.values()):
            raise exceptions.ConfigurationError(
                'the container cannot be created: a header value begins with '
                'a space or contains a line break', container=container)
        try:
            self._make(container, given)
        except exceptions.StoreError as err:
            # A status of no other meaning.
            if not target or type(err) is not exceptions.StoreError:
                raise
            raise exceptions.ConfigurationError(
                'Swift refuses to create the container with these sync '
                'settings', container=container,
                detail=f'to {target.to}: {err.what}',
                transaction=err.transaction,
                remedy=exceptions.Remedy.SYNC) from err

    def _container(self, container: str) -> dict[str, str]:
        """The headers of a container."""
        return self._ask((container,), swift_answers.container,
                         client.head_container)

    def _make(self, container: str, given: dict[str, str]) -> None:
        def send(exchange: swift_exchange.Exchange) -> None:
            answer: dict[str, Any] = {}
            exchange.call(client.put_container, headers=given or None,
                          response_dict=answer)
            swift_answers.read((container,), swift_answers.made,
                               lambda: answer)
        self._session.request(
            swift_session.Request((container,), _Purpose.MAKE), send,
            self._stop)

    def sync(self, container: str) -> base.Sync | None:
        """See the contract."""
        return _sync(self._container(container))

    def account(self) -> str:
        """See the contract."""
        return self._session.account(self._stop)

    def sync_target(self, container: str, sync: base.Sync) -> base.Sync:
        """See the contract."""
        return sync.completed(self.account(), container)

    def now(self) -> datetime.datetime | None:
        """See the contract; by the latest answer, of whatever it was."""
        clock = self._session.clock
        if clock.now() is None:
            self._ask((), swift_answers.account, client.head_account)
        return clock.now()

    def put(self, container: str, name: str, body: base.Body) -> str:
        """See the contract."""
        def send(exchange: swift_exchange.Exchange) -> str:
            with contextlib.closing(bodies.BodyReader(
                    name, body, self._stop,
                    self._session.upload_limit)) as reader:
                answer = _put(exchange, reader, body)
            if answer.strip('"') != reader.md5():
                raise swift_errors.Passing(
                    'the MD5 of a stored object differs from that of the '
                    'data sent',
                    container=container, name=name, expected=reader.md5(),
                    actual=answer)
            return reader.md5()
        md5 = self._make_object(container, name, send)
        self.traffic.put(body.length)
        return md5

    def put_large(self, container: str, name: str,
                  segments: Sequence[base.Segment]) -> None:
        """See the contract; a static large object."""
        manifest = json.dumps([
            {'path': f'/{segment.container}/{segment.name}',
             'etag': segment.md5, 'size_bytes': segment.size}
            for segment in segments]).encode()
        etag = hashlib.md5(''.join(
            segment.md5 for segment in segments).encode(),
            usedforsecurity=False).hexdigest()

        def send(exchange: swift_exchange.Exchange) -> None:
            try:
                answer: str = exchange.call(
                    client.put_object, contents=manifest,
                    query_string='multipart-manifest=put')
            except exceptions.StoreError as err:
                # A status of no other meaning: Swift also answers 400 when it
                # cannot see a segment for now.
                if type(err) is not exceptions.StoreError:
                    raise
                raise swift_errors.Passing(
                    err.what, detail=err.detail, container=container,
                    name=name, transaction=err.transaction) from err
            if answer.strip('"') != etag:
                raise swift_errors.Passing(
                    'the ETag of a stored large object does not match its '
                    'segments', container=container, name=name,
                    expected=etag, actual=answer)
        self._make_object(container, name, send)
        self.traffic.put(len(manifest))

    def _make_object(self, container: str, name: str,
                     send: swift_session.Work[_T]) -> _T:
        try:
            return self._session.request(
                swift_session.Request((container, name), _Purpose.MAKE),
                send, self._stop)
        except exceptions.ObjectNotFound as err:
            raise _no_container(container) from err

    def stat(self, container: str, name: str) -> base.Stat:
        """See the contract."""
        return self._ask((container, name), swift_answers.stat,
                         client.head_object)

    def annotate(self, container: str, name: str,
                 notes: Mapping[str, str]) -> None:
        """See the contract."""
        where = (container, name)
        given = {f'{swift_answers.NOTE}{key}': value
                 for key, value in notes.items()}

        def send(exchange: swift_exchange.Exchange) -> None:
            answer: dict[str, Any] = {}
            exchange.call(client.post_object, headers=given,
                          response_dict=answer)
            swift_answers.read(where, swift_answers.noted, lambda: answer)
        self._session.request(swift_session.Request(where), send, self._stop)

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...] | None:
        """See the contract."""
        if not self._ask((container, name), swift_answers.is_large,
                         client.head_object):
            return None
        seen: set[bytes] = set()

        def understand(answer: tuple[dict[str, str], bytes],
                       ) -> tuple[base.Segment, ...]:
            # What comes twice is how this server does it.
            if (not swift_answers.has_its_md5(answer)
                    and answer[1] not in seen):
                seen.add(answer[1])
                raise swift_errors.about(swift_errors.Passing(
                    'the list of segments of an object arrived damaged'),
                    (container, name))
            return swift_answers.segments(answer)

        return self._ask((container, name), understand, client.get_object,
                         query_string='multipart-manifest=get')

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False, rare: bool = False) -> _T:
        """See the contract."""
        download = downloads.Download((container, name), use, extent,
                                      compared=compared)
        try:
            return self._session.request(
                swift_session.Request(
                    (container, name),
                    _Purpose.GLANCE if rare else _Purpose.LOOK),
                download.receive, self._stop)
        except downloads.Damaged as err:
            raise err.error.about(container=container) from err

    def delete(self, container: str, name: str) -> None:
        """See the contract."""
        where = (container, name)

        def remove(exchange: swift_exchange.Exchange) -> None:
            answer: dict[str, Any] = {}
            exchange.call(client.delete_object, response_dict=answer)
            swift_answers.read(where, swift_answers.deleted, lambda: answer)
        with contextlib.suppress(exceptions.ObjectNotFound):
            self._session.request(
                swift_session.Request(where, _Purpose.REMOVE), remove,
                self._stop)

    def containers(self) -> Iterator[str]:
        """See the contract."""
        marker = None
        while page := self._page_of_account(marker):
            yield from page
            marker = page[-1]

    def _page_of_account(self, marker: str | None) -> list[str]:
        def ask(exchange: swift_exchange.Exchange) -> list[str]:
            try:
                return swift_answers.read(
                    (), functools.partial(_containers, marker),
                    lambda: exchange.call(client.get_account, marker=marker))
            except swift_errors.AccountNotFound as err:
                # No account is ever known to be absent: it may be another
                # URL, or for now only.
                raise exceptions.StoreUnavailable(
                    'Swift answered 404 for the account',
                    transaction=err.transaction,
                    remedy=exceptions.Remedy.ENDPOINT) from err
        return self._session.request(swift_session.Request(()), ask,
                                     self._stop)

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract."""
        marker = None
        while page := self._ask(
                (container,), functools.partial(_objects, marker),
                client.get_container, prefix=prefix, marker=marker):
            yield from page
            marker = page[-1].name

    def close(self) -> None:
        """See the contract."""
        self._session.close()

    def _ask(self, where: tuple[str, ...], understand: Callable[[Any], _T],
             function: Callable[..., Any], **options: Any) -> _T:
        """What an answer of Swift means, to one of swiftclient's calls."""
        return self._session.request(
            swift_session.Request(where),
            lambda exchange: swift_answers.read(
                where, understand,
                lambda: exchange.call(function, **options)), self._stop)


def _objects(marker: str | None,
             answer: tuple[object, object]) -> list[base.ObjectInfo]:
    return swift_answers.objects(answer[1], marker)


def _containers(marker: str | None,
                answer: tuple[object, object]) -> list[str]:
    return swift_answers.containers(answer[1], marker)


def _sync(headers: dict[str, str]) -> base.Sync | None:
    key = headers.get(_SYNC_KEY)
    return base.Sync(headers.get(_SYNC_TO), key) if key else None


def _no_container(container: str) -> exceptions.ContainerNotFound:
    return exceptions.ContainerNotFound(
        'there is no such container', container=container,
        remedy=exceptions.Remedy.CREATE_CONTAINER)


def _put(exchange: swift_exchange.Exchange, reader: bodies.BodyReader,
         body: base.Body) -> str:
    if not body.length:
        # The client does not read an empty body, and would not notice that
        # there is data in it.
        reader.read()
    try:
        etag: str = exchange.call(client.put_object, contents=reader,
                                  content_length=body.length, etag=body.md5)
        return etag
    except exceptions.StoreUnavailable:
        # The client turns errors of the body into errors of the network.
        if reader.error is not None:
            raise reader.error from None
        raise


def _get_info(url: str, token: str,
              http_conn: tuple[urllib.parse.ParseResult,
                               client.HTTPConnection],
              service_token: str | None) -> dict[str, Any]:
    # Beside the root of the accounts, and open to all: no token is sent.
    root = http_conn[0].path.partition('/v1')[0]
    where = http_conn[0]._replace(path=f'{root}/info')
    info: dict[str, Any] = client.get_capabilities((where, http_conn[1]))
    return info

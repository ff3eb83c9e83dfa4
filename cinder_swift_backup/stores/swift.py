# SPDX-License-Identifier: Apache-2.0

"""Swift behind the contract of :mod:`cinder_swift_backup.stores.base`.

This module knows what to send and what answers mean.
:mod:`cinder_swift_backup.stores.swift_session` sends it.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import datetime
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
from cinder_swift_backup.stores import swift_errors
from cinder_swift_backup.stores import swift_exchange
from cinder_swift_backup.stores import swift_session

_T = TypeVar('_T')
_Purpose = absence.Purpose
# Headers as swiftclient gives them.
_SYNC_TO = 'x-container-sync-to'
_SYNC_KEY = 'x-container-sync-key'
# The client logs the headers of requests and answers, except for these.
if _SYNC_KEY not in client.LOGGER_SENSITIVE_HEADERS:
    client.LOGGER_SENSITIVE_HEADERS.append(_SYNC_KEY)


class SwiftStore:
    """Objects in one Swift account."""

    def __init__(self, session: swift_session.Session,
                 stop: base.Stop = base.NEVER) -> None:
        self._session = session
        self._stop = stop

    def until(self, stop: base.Stop) -> 'SwiftStore':
        """See the contract; connections are shared."""
        return SwiftStore(self._session, stop)

    def capabilities(self) -> base.Capabilities:
        """What ``/info`` says; nothing where the cluster hides it."""
        def ask(exchange: swift_exchange.Exchange) -> base.Capabilities:
            try:
                return _read_info(exchange.call(_get_info))
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
                         sync: base.Sync | None = None) -> None:
        """See the contract."""
        try:
            self._call((container,), client.head_container)
            return
        except exceptions.ContainerNotFound:
            if not create:
                raise
        headers = {}
        if storage_policy:
            headers['X-Storage-Policy'] = storage_policy
        if sync is not None:
            target = self.sync_target(container, sync)
            headers[_SYNC_TO] = target.to or ''
            headers[_SYNC_KEY] = target.key
        try:
            self._call((container,), client.put_container, _Purpose.MAKE,
                       headers=headers or None)
        except exceptions.StoreError as err:
            # A status of no other meaning.
            if sync is None or type(err) is not exceptions.StoreError:
                raise
            raise exceptions.ConfigurationError(
                'Swift refuses to copy the container', container=container,
                detail=f'to {target.to}: {err.what}',
                transaction=err.transaction,
                remedy=exceptions.Remedy.SYNC) from err

    def sync(self, container: str) -> base.Sync | None:
        """See the contract."""
        found = self._call((container,), client.head_container)
        key = found.get(_SYNC_KEY)
        return base.Sync(found.get(_SYNC_TO), key) if key else None

    def sync_target(self, container: str, sync: base.Sync) -> base.Sync:
        """See the contract."""
        return sync.completed(self._session.account(), container)

    def put(self, container: str, name: str, body: base.Body) -> str:
        """See the contract."""
        def send(exchange: swift_exchange.Exchange) -> str:
            with contextlib.closing(bodies.BodyReader(
                    name, body, self._stop)) as reader:
                answer = _put(exchange, reader, body)
            if answer.strip('"') != reader.md5():
                raise exceptions.StoreUnavailable(
                    'an object was stored with another MD5 than it was sent '
                    'with',
                    container=container, name=name, expected=reader.md5(),
                    actual=answer)
            return reader.md5()
        try:
            return self._session.request(
                swift_session.Request((container, name), _Purpose.MAKE),
                send, self._stop)
        except exceptions.ObjectNotFound as err:
            raise _no_container(container) from err

    def put_large(self, container: str, name: str,
                  segments: Sequence[base.Segment]) -> None:
        """See the contract; a static large object."""
        manifest = json.dumps([
            {'path': f'/{segment.container}/{segment.name}',
             'etag': segment.md5, 'size_bytes': segment.size}
            for segment in segments]).encode()
        try:
            self._call((container, name), client.put_object, _Purpose.MAKE,
                       contents=manifest,
                       query_string='multipart-manifest=put')
        except exceptions.ObjectNotFound as err:
            raise _no_container(container) from err

    def stat(self, container: str, name: str) -> base.Stat:
        """See the contract."""
        found = self._call((container, name), client.head_object)
        return _read_stat(found, (container, name))

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...] | None:
        """See the contract."""
        found = self._call((container, name), client.head_object)
        if found.get('x-static-large-object', '').lower() != 'true':
            return None
        _, manifest = self._call((container, name), client.get_object,
                                 query_string='multipart-manifest=get')
        return _read_manifest(manifest)

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], _T],
             extent: types.Extent | None = None, *,
             compared: bool = False) -> _T:
        """See the contract."""
        download = downloads.Download((container, name), use, extent,
                                      compared=compared)
        try:
            return self._session.request(
                swift_session.Request((container, name)), download.receive,
                self._stop)
        except downloads.Damaged as err:
            raise err.error.about(container=container) from err

    def delete(self, container: str, name: str) -> None:
        """See the contract."""
        with contextlib.suppress(exceptions.ObjectNotFound):
            self._call((container, name), client.delete_object,
                       _Purpose.REMOVE)

    def containers(self) -> Iterator[str]:
        """See the contract."""
        marker = None
        while True:
            _, page = self._call((), client.get_account, marker=marker)
            if not page:
                return
            for entry in page:
                yield entry['name']
            marker = page[-1]['name']

    def list(self, container: str, prefix: str) -> Iterator[base.ObjectInfo]:
        """See the contract."""
        marker = None
        while True:
            _, page = self._call((container,), client.get_container,
                                 prefix=prefix, marker=marker)
            if not page:
                return
            for entry in page:
                yield base.ObjectInfo(
                    entry['name'], entry['bytes'], entry['hash'],
                    _utc(entry['last_modified']))
            marker = page[-1]['name']

    def close(self) -> None:
        """See the contract."""
        self._session.close()

    def _call(self, where: tuple[str, ...], function: Callable[..., _T],
              purpose: absence.Purpose = _Purpose.LOOK,
              **options: Any) -> _T:
        return self._session.request(
            swift_session.Request(where, purpose),
            lambda exchange: exchange.call(function, **options), self._stop)


def _utc(text: str) -> datetime.datetime:
    """A time in a listing, which is in UTC and mostly does not say so."""
    found = datetime.datetime.fromisoformat(text)
    return found.replace(tzinfo=found.tzinfo or datetime.UTC)


def _read_stat(answer: dict[str, str], where: tuple[str, str]) -> base.Stat:
    try:
        size = int(answer['content-length'])
        seconds = answer.get('x-delete-at')
        expires = None if seconds is None else datetime.datetime.fromtimestamp(
            float(seconds), datetime.UTC)
    except (KeyError, ValueError, OverflowError, OSError) as err:
        raise swift_errors.about(exceptions.StoreUnavailable(
            'what answers for an object is not Swift', detail=repr(err)),
            where) from err
    return base.Stat(size, answer.get('etag', '').strip('"'), expires)


def _no_container(container: str) -> exceptions.ContainerNotFound:
    return exceptions.ContainerNotFound(
        'there is no such container', container=container,
        remedy=exceptions.Remedy.CREATE_CONTAINER)


def _read_manifest(manifest: bytes) -> tuple[base.Segment, ...]:
    """The segments; none if Swift has to put them together."""
    found = []
    try:
        for entry in json.loads(manifest):
            if entry.get('sub_slo') or 'range' in entry or 'data' in entry:
                return ()
            container, _, path = entry['name'].lstrip('/').partition('/')
            found.append(base.Segment(container, path, entry['bytes'],
                                      entry['hash']))
    except (ValueError, KeyError, AttributeError, TypeError):
        # Another server's form of it: Ceph's gateway sends nothing.
        return ()
    return tuple(found)


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
    found: dict[str, Any] = client.get_capabilities((where, http_conn[1]))
    return found


def _read_info(answer: dict[str, Any]) -> base.Capabilities:
    swift = answer.get('swift')
    if swift is None:
        return base.Capabilities()
    policies = swift.get('policies')
    return base.Capabilities(
        max_object_size=swift.get('max_file_size'),
        storage_policies=None if policies is None else _policy_names(
            policies),
        max_segments=answer.get('slo', {}).get('max_manifest_segments', 0),
        bulk_delete='bulk_delete' in answer,
        symlink='symlink' in answer)


def _policy_names(policies: list[dict[str, str]]) -> tuple[str, ...]:
    # The aliases of a policy are in one string and may include its name.
    names = {}
    for policy in policies:
        for name in (policy['name'], *policy.get('aliases', '').split(',')):
            names[name.strip()] = True
    return tuple(name for name in names if name)

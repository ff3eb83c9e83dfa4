# SPDX-License-Identifier: Apache-2.0

"""Targets that read what Swift answers, or what answers in its place.

The first line of the input is a header; what follows are bodies. They go
through swiftclient as if they came from a connection.
"""

from collections.abc import Callable
from collections.abc import Iterator
import datetime
import http
from typing import Any
from unittest import mock

from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from tests.fuzz import checks

#: What stands between the pages of a listing.
BORDER = b'\x1e'
_URL = 'http://swift.test/v1/AUTH_p'
# Bytes of memory for each byte: of JSON an empty object is two, and a comma,
# and takes 72; swiftclient has bodies and texts besides.
_PARSED = 120


class _Answer:
    """A response, as swiftclient sees it."""

    status = http.HTTPStatus.OK.value
    reason = 'OK'

    def __init__(self, headers: dict[str, str], body: bytes) -> None:
        self.headers = headers
        self._rest = body

    def __len__(self) -> int:
        """How many bytes there are, with the headers."""
        return len(self._rest) + sum(map(len, self.headers.values()))

    def read(self, size: int | None = None) -> bytes:
        """More of the body."""
        size = len(self._rest) if size is None else size
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def getheaders(self) -> list[tuple[str, str]]:
        """All headers."""
        return list(self.headers.items())

    def getheader(self, name: str, default: str = '') -> str:
        """One of them."""
        return self.headers.get(name.lower(), default)

    def close(self) -> None:
        """Nothing is open."""


class _Connection:
    """Gives prepared answers, whatever is asked."""

    def __init__(self, answers: Iterator[_Answer]) -> None:
        self._answers = answers
        self.url = ''
        self.resp: _Answer | None = None
        self.request_session = mock.Mock(adapters={})

    def __call__(self, url: str, **options: Any) -> '_Connection':
        """Be opened."""
        self.url = url
        return self

    def request(self, *arguments: object, **options: object) -> None:
        """Take a request."""

    def getresponse(self) -> _Answer:
        """The next answer; at the end an empty listing."""
        self.resp = next(self._answers, _Answer({}, b'[]'))
        return self.resp

    def close(self) -> None:
        """Nothing is open."""


class _Credentials:
    remedy = exceptions.Remedy.LOGIN

    def access(self) -> credentials.Access:
        """Always the same."""
        return credentials.Access(_URL, 'token', None)

    def renew(self, refused: credentials.Access) -> bool:
        """Nothing can be renewed."""
        return False


def _asked(ask: Callable[[base.ObjectStore], Any],
           *answers: _Answer) -> Any:
    """What a store makes of answers; None if it is an error."""
    store = swift.SwiftStore(swift_session.Session(
        _Credentials(), transport.Transport(retries=0, backoff=0)))
    size = sum(map(len, answers))
    opened = _Connection(iter(answers))
    with (mock.patch.object(client, 'HTTPConnection', opened),
          checks.memory(_PARSED * size)):
        return checks.value_of(lambda: ask(store))


def _split(data: bytes) -> tuple[str, bytes]:
    line, _, rest = data.partition(b'\n')
    return line.decode('iso-8859-1'), rest


def _pages(data: bytes) -> list[_Answer]:
    """Bodies with a type, and an encoding if the type says so."""
    line, rest = _split(data)
    kind, _, encoding = line.partition('|')
    return [_Answer({'content-type': kind, 'content-encoding': encoding},
                    body) for body in rest.split(BORDER)]


def listing(data: bytes) -> None:
    """Pages of a container's listing."""
    found = _asked(lambda store: list(store.list('c', 'p')), *_pages(data))
    for info in found or ():
        info.name.encode()
        info.etag.encode()
        assert type(info.size) is int
        assert info.size >= 0
        assert info.modified.utcoffset() is not None
        # Ages are told of it.
        str(info.modified.astimezone())


def containers(data: bytes) -> None:
    """Pages of an account's listing."""
    found = _asked(lambda store: list(store.containers()), *_pages(data))
    for name in found or ():
        name.encode()


def info(data: bytes) -> None:
    """What the cluster can do."""
    found = _asked(lambda store: store.capabilities(), *_pages(data)[:1])
    if found is None:
        return
    for number in (found.max_object_size, found.max_segments):
        assert number is None or (type(number) is int and number >= 0)
    for name in found.storage_policies or ():
        name.encode()


def date(data: bytes) -> None:
    """What time it is."""
    found = _asked(lambda store: store.now(), _Answer(
        {'x-account-container-count': '1',
         'Date': data.decode('iso-8859-1')}, b''))
    if found is not None:
        assert found.utcoffset() == datetime.timedelta()
        str(found)


def large(data: bytes) -> None:
    """What a large object consists of."""
    line, rest = _split(data)
    headers = {'x-static-large-object': line or 'true'}
    found = _asked(lambda store: store.segments('c', 'o'),
                   _Answer({**headers, 'etag': '0' * 32}, b''),
                   _Answer(headers, rest))
    for segment in found or ():
        hash(segment)
        f'{segment.container}/{segment.name}{segment.md5}'.encode()
        assert type(segment.size) is int
        assert segment.size >= 0
        assert segment.container
        assert segment.name


def body(data: bytes) -> None:
    """An object; the header has its length, and a range if one is told."""
    line, rest = _split(data)
    length, _, extent = line.partition('|')
    headers = {'content-length': length}
    asked = None
    if extent:
        headers['content-range'] = extent
        asked = types.Extent(3, 5)
    found = _asked(lambda store: store.read('c', 'o', b''.join, asked),
                   _Answer(headers, rest))
    if found is not None:
        checks.same(len(found), int(length))
        assert asked is None or len(found) == asked.length

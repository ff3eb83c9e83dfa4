# SPDX-License-Identifier: Apache-2.0

"""What Swift's answers say, and whether it is Swift that answers.

A balancer in between may answer in Swift's place, with a page of its own or
half of Swift's, and the next request may be answered well. So what is not as
Swift makes it is an error that has the request repeated. It is never a short
listing, for what is not listed may be taken for gone.
"""

from collections.abc import Callable
import datetime
import hashlib
import http
import json
import re
from typing import Any
from typing import NoReturn
from typing import TypeVar
import zlib

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import network_errors
from cinder_swift_backup.stores import swift_errors

_T = TypeVar('_T')
_MD5 = re.compile('[0-9a-f]{32}')
# Those of S3's large objects count their parts, and a balancer that compresses
# makes an ETag weak. Web pages have others.
_ETAG = re.compile(f'(W/)?"?{_MD5.pattern}(-[0-9]+)?"?')
# What swiftclient raises besides errors that mean the same wherever they come
# from: an unknown encoding, JSON nested without end, a broken gzip file.
_UNREADABLE = (LookupError, RecursionError, EOFError, zlib.error)
# What JSON of another form gives rise to in here.
_ODD = (ValueError, LookupError, TypeError, AttributeError, OverflowError,
        RecursionError, OSError)
# What the headers of our notes begin with.
NOTE = 'x-object-meta-csb-'
# Characters of an answer that the text of an error shows.
_SHOWN = 80


def read(where: tuple[str, ...], understand: Callable[[Any], _T],
         ask: Callable[[], Any]) -> _T:
    """What ``understand`` makes of the answer that ``ask`` gets.

    :param where: container, or container and object; empty for others
    :raises StoreUnavailable: when it is not Swift's
    """
    try:
        answer = ask()
    except _UNREADABLE as err:
        raise _not_swift(where, err) from err
    try:
        return understand(answer)
    except _ODD as err:
        raise _not_swift(where, err) from err


def _not_swift(where: tuple[str, ...],
               err: Exception) -> exceptions.BackupError:
    return swift_errors.about(swift_errors.NotSwift(
        "the answer does not look like Swift's",
        detail=network_errors.detail(repr(err))), where)


def objects(page: object, marker: str | None) -> list[base.ObjectInfo]:
    """A page of a container's listing.

    :param marker: the name that it follows
    """
    return [base.ObjectInfo(
        name, _number(entry['bytes']), _text(entry['hash']),
        _utc(_text(entry['last_modified'])))
        for entry, name in _named(page, marker)]


def is_listed(container: str, answer: tuple[dict[str, str], object]) -> bool:
    """Whether the account has a container, by a listing that begins with it.

    A server that lists any others does not tell, and it may have it.
    """
    headers, page = answer
    account(headers)
    return any(name == container or not name.startswith(container)
               for name in containers(page, None))


def containers(page: object, marker: str | None) -> list[str]:
    """A page of an account's listing."""
    return [name for _, name in _named(page, marker)]


def _named(page: object, marker: str | None) -> list[tuple[Any, str]]:
    """The entries of a page, with their names."""
    named = [(entry, _text(entry['name'])) for entry in _list(page)]
    # Or it would be asked for the same page for ever.
    if named and marker is not None and (
            named[-1][1].encode() <= marker.encode()):
        raise ValueError('it does not go on')
    return named


def _utc(text: str) -> datetime.datetime:
    """A time in a listing, which is in UTC and mostly does not say so."""
    moment = datetime.datetime.fromisoformat(text)
    return moment.replace(tzinfo=moment.tzinfo or datetime.UTC).astimezone(
        datetime.UTC)


def has_its_md5(answer: tuple[dict[str, str], bytes]) -> bool:
    """Whether a small object has the MD5 that its ETag tells.

    Also if there is no such object, and if nothing of it came.
    """
    headers, body = answer
    return not body or recorded_md5(headers) in (None, hashlib.md5(
        body, usedforsecurity=False).hexdigest())


def recorded_md5(headers: dict[str, str]) -> str | None:
    """The MD5 that the ETag of an object tells; None if it tells none."""
    etag = headers.get('etag', '').strip('"')
    return etag if _MD5.fullmatch(etag) else None


def segments(answer: tuple[object, bytes]) -> tuple[base.Segment, ...]:
    """The parts of a large object, by its headers and its manifest.

    It has no parts here if Swift has to put them together, or if it is another
    server's form of a manifest: Ceph's gateway sends nothing.
    """
    _, manifest = answer
    listed = []
    try:
        for entry in _list(json.loads(manifest)):
            if entry.get('sub_slo') or 'range' in entry or 'data' in entry:
                return ()
            container, _, path = _text(entry['name']).lstrip('/').partition(
                '/')
            if container_names.fault(container) or not path:
                return ()
            listed.append(base.Segment(container, path, _number(
                entry['bytes']), _text(entry['hash'])))
    except _ODD:
        return ()
    return tuple(listed)


def capabilities(answer: Any) -> base.Capabilities:
    """What the cluster can do, by what ``/info`` says."""
    swift = answer.get('swift')
    if swift is None:
        return base.Capabilities()
    largest, policies = swift.get('max_file_size'), swift.get('policies')
    return base.Capabilities(
        max_object_size=None if largest is None else _number(largest),
        storage_policies=None if policies is None else _policy_names(
            policies),
        max_segments=_number(
            answer.get('slo', {}).get('max_manifest_segments', 0)))


def _policy_names(policies: object) -> tuple[str, ...]:
    # The aliases of a policy are in one string and may include its name.
    names = {}
    for policy in _list(policies):
        for name in (policy['name'], *policy.get('aliases', '').split(',')):
            names[_text(name).strip()] = True
    return tuple(name for name in names if name)


def account(headers: dict[str, str]) -> dict[str, str]:
    """The same headers, if they are those of an account."""
    return _with('x-account-container-count', headers)


def container(headers: dict[str, str]) -> dict[str, str]:
    """The same headers, if they are those of a container."""
    return _with('x-container-object-count', headers)


def _with(name: str, headers: dict[str, str]) -> dict[str, str]:
    if name not in headers:
        raise ValueError(f'it has no {name}')
    return headers


def is_large(headers: dict[str, str]) -> bool:
    """Whether they are those of a static large object.

    :raises ValueError: when they are not those of an object
    """
    _check_object(headers)
    return headers.get('x-static-large-object', '').lower() == 'true'


def _check_object(headers: dict[str, str]) -> None:
    etag = headers.get('etag', '')
    # A dynamic large object of very many segments has none.
    if 'x-object-manifest' not in headers and not _ETAG.fullmatch(etag):
        raise ValueError(f'{etag!r:.{_SHOWN}} is not the ETag of an object')


def stat(headers: dict[str, str]) -> base.Stat:
    """An object, by the headers of an answer to HEAD."""
    _check_object(headers)
    seconds = headers.get('x-delete-at')
    expires = None if seconds is None else datetime.datetime.fromtimestamp(
        float(seconds), datetime.UTC)
    return base.Stat(
        _length(headers), headers.get('etag', '').strip('"'), expires, {
            name.removeprefix(NOTE): value
            for name, value in headers.items() if name.startswith(NOTE)})


def noted(answer: dict[str, Any]) -> None:
    """Nothing, if it is how Swift answers to POST of an object."""
    if answer['status'] not in (http.HTTPStatus.ACCEPTED,
                                http.HTTPStatus.OK,
                                http.HTTPStatus.NO_CONTENT):
        raise ValueError(f'{answer["status"]} to a POST')


def made(answer: dict[str, Any]) -> None:
    """Nothing, if it is how Swift answers to PUT of a container."""
    if answer['status'] not in (http.HTTPStatus.CREATED,
                                http.HTTPStatus.ACCEPTED):
        raise ValueError(f'{answer["status"]} to a PUT')


def deleted(answer: dict[str, Any]) -> None:
    """Nothing, if it is how Swift answers to DELETE."""
    if answer['status'] != http.HTTPStatus.NO_CONTENT:
        raise ValueError(f'{answer["status"]} to a DELETE')


def body_length(name: str, headers: dict[str, str],
                extent: types.Extent | None) -> int:
    """How many bytes the body of an object has.

    :param extent: what was asked for; None for all of it
    :raises StoreUnavailable: when the answer does not tell
    :raises LengthMismatch: when it is another part of the object
    """
    try:
        length = _length(headers)
    except ValueError as err:
        raise exceptions.StoreUnavailable(
            'Swift did not say how long an object is', name=name) from err
    if extent is None:
        return length
    given = headers.get('content-range', '')
    expected = f'bytes {extent.offset}-{extent.end - 1}/'
    if length != extent.length or not given.startswith(expected):
        raise exceptions.LengthMismatch(
            'Swift sent a different byte range from the one requested',
            detail=f'requested {expected!r}, got {given[:_SHOWN]!r}',
            name=name, expected=extent.length, actual=length)
    return length


def _length(headers: dict[str, str]) -> int:
    """The length of a body.

    :raises ValueError: when it is not told
    """
    told = headers.get('content-length', '')
    # As many digits as any length has; "int" takes more than digits.
    if not told.isascii() or not told.isdecimal() or len(told) > 19:
        raise ValueError(f'{told!r:.{_SHOWN}} is not a length')
    return int(told)


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else _odd('a list', value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        _odd('text', value)
    value.encode()
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= types.LARGEST_OFFSET:
        _odd('a number of bytes', value)
    return value


def _odd(expected: str, value: object) -> NoReturn:
    raise TypeError(f'{type(value).__name__} instead of {expected}')

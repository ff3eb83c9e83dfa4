# SPDX-License-Identifier: Apache-2.0

"""Translates Swift's error responses to our errors."""

from collections.abc import Callable
import datetime
import functools
import logging
import re
from typing import Any
from typing import TypeVar

from swiftclient import client

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import clock

_E = TypeVar('_E', bound=exceptions.BackupError)
# The store repeats these: time-outs, a newer object by the clock of another
# proxy (409), a body that arrived damaged (422: it does not have the announced
# MD5), and a client that went away (499), which is a balancer. What is not
# implemented will not be, but for gateways.
_PASSING = frozenset((408, 409, 422, 499, 501, 505))
# Seconds, a year: no number that a gateway sends is too large.
_LONGEST_RETRY_AFTER = 365 * 86400.0
# Characters of what a server says.
_SHOWN = 110
# Rate limits; 498 is that of Swift's own.
_LIMITED = frozenset((429, 498))
# As Swift makes them (its "generate_trans_id"). Those of Ceph's gateway go on
# with its instance and zone ("unique_trans_id" in its sources), and so may
# Swift's with what its operator wants.
_SWIFTS_TRANSACTION = re.compile('tx[0-9a-f]{21}-[0-9a-f]{10}')
# What Swift, and Ceph's gateway, say of a storage policy that is not theirs.
_POLICY = re.compile('policy|InvalidLocationConstraint', re.IGNORECASE)


class TokenRefused(exceptions.AccessDenied):
    """A 401: the store tries to renew the token before it gives up."""


class Forbidden(exceptions.AccessDenied):
    """A 403: this user may not do that."""


class AccountNotFound(exceptions.StoreError):
    """A 404 of the account, or of the cluster's features."""


class NotSwift(exceptions.StoreUnavailable):
    """Somebody answers, and not as Swift does."""


class Passing(exceptions.StoreUnavailable):
    """An answer of a store that works, which may be another next time.

    It is repeated ``least`` times at least.
    """

    least = 0


class Slowed(exceptions.StoreUnavailable):
    """The store asks to wait.

    ``retry_after`` is in how many seconds it wants the request, or None.
    """

    def __init__(self, what: str, retry_after: float | None = None,
                 **fields: Any) -> None:
        super().__init__(what, **fields)
        self.retry_after = retry_after


class Limited(Slowed):
    """The request was one too many, or came too early, and others may work.

    Where the limit lasts for hours, nobody has to wait to learn that.
    """


class Again(exceptions.StoreUnavailable):
    """Says nothing about the store: the request is repeated, uncounted.

    ``seconds`` is how soon, ``level`` how much it matters in the log.
    """

    level = logging.INFO

    def __init__(self, what: str, seconds: float = 0, **fields: Any) -> None:
        super().__init__(what, **fields)
        self.seconds = seconds


class SecondLook(Again):
    """A 404 before it counts. Most are right, and nobody has to know."""

    level = logging.DEBUG


# By status, what nothing but the user can change.
_FINAL: dict[int, Callable[[str], exceptions.StoreError]] = {
    401: TokenRefused,
    413: functools.partial(exceptions.QuotaExceeded,
                           remedy=exceptions.Remedy.ROOM),
}


def translate(err: client.ClientException,
              where: tuple[str, ...]) -> exceptions.BackupError:
    """Our error for a refused request.

    :param where: container, or container and object; empty for others
    """
    return about(_kind(err, where), where).about(
        transaction=_headers(err).get('x-trans-id'))


def about(error: _E, where: tuple[str, ...]) -> _E:
    """The same error, with the container and the object as its fields."""
    container, name = (*where, None, None)[:2]
    return error.about(container=container, name=name)


def _kind(err: client.ClientException,
          where: tuple[str, ...]) -> exceptions.BackupError:
    status = err.http_status
    text = f'Swift answered {_answer(err)}'
    if status == 404:
        return _not_found(where, text)
    if status == 416 and len(where) == 2:
        return exceptions.LengthMismatch(
            'an object ends before the requested bytes')
    if status == 400 and len(where) == 1 and _POLICY.search(_body(err)):
        return exceptions.ConfigurationError(
            text, remedy=exceptions.Remedy.STORAGE_POLICY)
    if status == 403:
        return _forbidden(err, where)
    if status in _FINAL:
        return _FINAL[status](text)
    return _unavailable(err, text) or exceptions.StoreError(text)


def _forbidden(err: client.ClientException,
               where: tuple[str, ...]) -> Forbidden:
    """The error for a 403.

    Where Ceph's gateway gives projects no tenants of their own, the first to
    use the name of a container has it, in all of the cluster.
    """
    transaction = _headers(err).get('x-trans-id', '')
    if not where or _SWIFTS_TRANSACTION.fullmatch(transaction):
        return Forbidden(f'Swift answered {_answer(err)}',
                         remedy=exceptions.Remedy.ROLE)
    # There is a lot to do about it, so what else it says comes last.
    return Forbidden('Swift answered 403 Forbidden', detail=_said(err),
                     remedy=exceptions.Remedy.ROLE_OR_NAME)


def _not_found(where: tuple[str, ...], text: str) -> exceptions.StoreError:
    if not where:
        return AccountNotFound(text)
    if len(where) == 2:
        return exceptions.ObjectNotFound('there is no such object')
    return exceptions.ContainerNotFound(
        'there is no such container',
        remedy=exceptions.Remedy.CREATE_CONTAINER)


def _unavailable(err: client.ClientException,
                 text: str) -> exceptions.StoreUnavailable | None:
    """The error after which to repeat; None after any other."""
    status = err.http_status
    if status in _PASSING:
        return Passing(text)
    retry_after = _retry_after(err)
    if status in _LIMITED:
        return _asked_to_wait(Limited, text, retry_after)
    if status == 503 and retry_after is not None:
        return _asked_to_wait(Slowed, text, retry_after)
    if status and status < 400:
        return NotSwift(text)
    if not status or status >= 500:
        return exceptions.StoreUnavailable(text)
    return None


def _asked_to_wait(kind: type[Slowed], text: str,
                   retry_after: float | None) -> Slowed:
    if retry_after is not None:
        text = f'{text} and asks to wait for {_duration(retry_after)}'
    return kind(text, retry_after)


def _duration(seconds: float) -> str:
    """In the largest unit that there are two of."""
    for unit, size in (('hours', 3600), ('minutes', 60)):
        if seconds >= 2 * size:
            return f'{seconds / size:.0f} {unit}'
    return f'{seconds:.0f} s'


def _retry_after(err: client.ClientException) -> float | None:
    """Seconds, of either form of the header; None without or if senseless."""
    headers = _headers(err)
    text = headers.get('retry-after', '').strip()
    if text.isdecimal():
        return min(float(text), _LONGEST_RETRY_AFTER)
    until = clock.parse(text)
    if until is None:
        return None
    # By the clock of the server, which need not be the host's.
    now = clock.parse(headers.get('date', '')) or datetime.datetime.now(
        datetime.UTC)
    return min(max((until - now).total_seconds(), 0), _LONGEST_RETRY_AFTER)


def _answer(err: client.ClientException) -> str:
    words = [str(err.http_status), (err.http_reason or '')[:_SHOWN]]
    if said := _said(err):
        words.append(f'({said})')
    return ' '.join(word for word in words if word)


def _said(err: client.ClientException) -> str | None:
    """The beginning of what a server says, unless it is a web page."""
    body = _body(err).strip().splitlines()
    if not body or body[0].startswith('<'):
        return None
    return body[0][:_SHOWN]


def _headers(err: client.ClientException) -> dict[str, str]:
    return err.http_response_headers or {}


def _body(err: client.ClientException) -> str:
    content = err.http_response_content or b''
    if isinstance(content, bytes):
        return content.decode('utf-8', 'replace')
    return str(content)

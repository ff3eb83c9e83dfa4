# SPDX-License-Identifier: Apache-2.0

"""Translates Swift's error responses to our errors."""

import re

from swiftclient import client

from cinder_swift_backup import exceptions

# The store repeats these: time-outs, rate limits (498 is Swift's own), and a
# body that arrived damaged (422: it does not have the announced MD5).
_PASSING = frozenset((408, 422, 429, 498))
# What Swift, and Ceph's gateway, say of a storage policy that is not theirs.
_POLICY = re.compile('policy|InvalidLocationConstraint', re.IGNORECASE)


class TokenRefused(exceptions.AccessDenied):
    """A 401: the store tries to renew the token before it gives up."""


def translate(err: client.ClientException,
              where: tuple[str, ...]) -> exceptions.BackupError:
    """Our error for a refused request.

    :param where: container, or container and object; empty for ``/info``
    """
    return about(_kind(err, where), where)


def about(error: exceptions.BackupError,
          where: tuple[str, ...]) -> exceptions.BackupError:
    """The same error, with the container and the object as its fields."""
    container, name = (*where, None, None)[:2]
    return error.about(container=container, name=name)


def _kind(err: client.ClientException,
          where: tuple[str, ...]) -> exceptions.BackupError:
    status = err.http_status
    text = f'Swift answered {_answer(err)}'
    if status == 401:
        return TokenRefused(text)
    if status == 403:
        return exceptions.AccessDenied(
            text, remedy=exceptions.Remedy.ROLE)
    if status == 404 and len(where) == 1:
        return exceptions.ContainerNotFound(
            'there is no such container',
            remedy=exceptions.Remedy.CREATE_CONTAINER)
    if status == 404 and len(where) == 2:
        return exceptions.ObjectNotFound('there is no such object')
    if status == 416 and len(where) == 2:
        return exceptions.LengthMismatch(
            'it ends before the bytes that were asked for')
    if status == 413:
        return exceptions.QuotaExceeded(
            text, remedy=exceptions.Remedy.ROOM)
    if status == 400 and _POLICY.search(_body(err)):
        return exceptions.ConfigurationError(
            text, remedy=exceptions.Remedy.STORAGE_POLICY)
    if not status or status >= 500 or status in _PASSING:
        return exceptions.StoreUnavailable(text)
    return exceptions.StoreError(text)


def _answer(err: client.ClientException) -> str:
    body = _body(err).strip().splitlines()
    words = [str(err.http_status), err.http_reason or '']
    if body and not body[0].startswith('<'):
        words.append(f'({body[0][:120]})')
    transaction = (err.http_response_headers or {}).get('x-trans-id')
    if transaction:
        words.append(f'[transaction {transaction}]')
    return ' '.join(word for word in words if word)


def _body(err: client.ClientException) -> str:
    content = err.http_response_content or b''
    if isinstance(content, bytes):
        return content.decode('utf-8', 'replace')
    return str(content)

# SPDX-License-Identifier: Apache-2.0

"""Logs in for the first time, while somebody waits for it.

By then the URL is wrong more often than the identity service is away, so
nothing is repeated.

1. Ask the URL who is there, without credentials. A host that is there accepts
   a connection within seconds, and Keystone lists its versions at once.
2. Where keystoneauth has to ask the URL for its versions, refuse one that
   wants credentials for that: keystoneauth (5.15) then logs in within a
   login, and waits for its own lock for ever.
3. Log in. If that fails, and is not refused, after a web page was the answer,
   the URL is wrong.
"""

from keystoneauth1.identity import generic
import requests

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import network_errors

# Seconds in which a host accepts a connection, or is not there: a lost packet
# is sent again after one second, and after three.
_CONNECT = 5.0
# Seconds in which it answers, or is too busy to wait for without patience.
_ANSWER = 10.0
_UNAUTHORIZED = 401


class NobodyThere(exceptions.StoreUnavailable):
    """There is no identity service where one would log in."""


def log_in(who: credentials.SessionCredentials, url: str | None) -> None:
    """Have a token, or say why there is none.

    :param url: of the identity service, if that is known
    :raises AccessDenied: when it refuses the login
    :raises ConfigurationError: when there is something else at the URL, or no
        account in the catalog
    :raises NobodyThere: when nobody is at the URL
    :raises StoreUnavailable: when it fails, which may pass
    """
    try:
        _access(who, _look(who, url) if url else None)
    except exceptions.StoreUnavailable as err:
        if not network_errors.is_nobody(err):
            raise
        raise NobodyThere(
            f'the identity service cannot be reached '
            f'({network_errors.reason(err)})', detail=url,
            remedy=exceptions.Remedy.LOGIN_URL) from err


def _access(who: credentials.SessionCredentials,
            doubt: exceptions.ConfigurationError | None) -> None:
    """Log in.

    :param doubt: why the URL may be wrong, which explains any failure but a
        refusal
    """
    try:
        who.access()
    except (exceptions.ConfigurationError,
            exceptions.StoreUnavailable) as err:
        if doubt is None:
            raise
        raise doubt from err


def _look(who: credentials.SessionCredentials,
          url: str) -> exceptions.ConfigurationError | None:
    """See what answers; return why the URL may be wrong.

    :raises ConfigurationError: when asking it for versions would never end
    """
    answer = credentials.ask(lambda: who.session.get(
        url, authenticated=False, raise_exc=False,
        headers={'Accept': 'application/json'},
        timeout=(_CONNECT, _ANSWER)))
    if not isinstance(who.session.auth, generic.BaseGenericPlugin):
        return None
    if answer.status_code == _UNAUTHORIZED:
        raise _not_keystone('it requires a login just to list its versions',
                            url)
    if answer.ok and not _is_json(answer):
        return _not_keystone('its answer is not JSON', url)
    return None


def _is_json(answer: requests.Response) -> bool:
    try:
        answer.json()
    except requests.JSONDecodeError:
        return False
    return True


def _not_keystone(why: str, url: str) -> exceptions.ConfigurationError:
    return exceptions.ConfigurationError(
        f'the server at the login URL is not Keystone: {why}',
        detail=url, remedy=exceptions.Remedy.LOGIN_URL)

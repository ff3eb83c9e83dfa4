# SPDX-License-Identifier: Apache-2.0

"""The account's URL and its tokens, and how to renew them.

A token is valid for about an hour, and a backup may take a day. The store
calls :meth:`Credentials.access` before each request, and
:meth:`Credentials.renew` when Swift refuses a token. These classes know
whether another token can be had.
"""

from collections.abc import Callable
import copy
import dataclasses
import threading
import time
from typing import Generic
from typing import Protocol
from typing import TypeVar

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import plugin
from keystoneauth1 import session as ksa_session
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import network_errors

LOG = logging.getLogger(__name__)
_T = TypeVar('_T')
# Seconds until an identity service that is away is asked again, as long as
# there is a token in hand.
_AWAY = 10.0
_REFUSED = (ksa_exceptions.Unauthorized, ksa_exceptions.Forbidden,
            ksa_exceptions.MissingAuthPlugin)
# Of a wrong certificate, login and URL, by whether they are the service's.
_REMEDIES = {
    False: (exceptions.Remedy.CERTIFICATE, exceptions.Remedy.LOGIN,
            exceptions.Remedy.LOGIN_URL),
    True: (exceptions.Remedy.SERVICE_CERTIFICATE,
           exceptions.Remedy.SERVICE_LOGIN,
           exceptions.Remedy.SERVICE_LOGIN)}
# What keystoneauth raises for an answer that lacks something or is other JSON.
_ODD = (LookupError, TypeError, AttributeError, ValueError)
_UNFIT = (ksa_exceptions.NotFound, ksa_exceptions.BadRequest,
          ksa_exceptions.DiscoveryFailure)


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """URL and tokens for a request. Its representation shows no tokens."""

    storage_url: str
    token: str = dataclasses.field(repr=False)
    service_token: str | None = dataclasses.field(default=None, repr=False)


class Credentials(Protocol):
    """Gives access to one account of the object store."""

    @property
    def remedy(self) -> exceptions.Remedy:
        """What can be done when access is denied for good."""

    def access(self) -> Access:
        """The account's URL and the tokens to use now.

        :raises AccessDenied: when no token can be had
        :raises ConfigurationError: when the account cannot be found
        :raises StoreUnavailable: when the identity service is unavailable
        """

    def renew(self, refused: Access) -> bool:
        """Discard refused tokens; return whether others can be had.

        When a token expires, Swift refuses several workers at once. Each
        passes what was refused, so that only the first renews it.
        """


class _Held(Generic[_T]):
    """What the identity service last gave, kept while it is away.

    A token is renewed minutes before it expires. If that fails for a reason
    that passes, the token in hand is still good, until Swift refuses it. Those
    who have none wait for one answer together, also when it is a failure: one
    after the other they would wait for as many time-outs.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: _T | None = None
        self._not_before = 0.0
        self._failures = 0
        self._failure: exceptions.StoreUnavailable | None = None

    def get(self, fetch: Callable[[], _T]) -> _T:
        """The current value.

        :param fetch: asks for it; not kept, for in a circle with its owner
            it would leave a session to the garbage collector
        :raises StoreUnavailable: when there is none, and none can be had
        """
        held = self._value
        if held is None:
            return self._first(fetch)
        if time.monotonic() < self._not_before:
            return held
        # Somebody else may be waiting for an answer already.
        if not self._lock.acquire(blocking=False):
            return held
        try:
            return self._get(fetch, held)
        finally:
            self._lock.release()

    def _first(self, fetch: Callable[[], _T]) -> _T:
        failures = self._failures
        with self._lock:
            if self._failure is not None and self._failures > failures:
                raise copy.copy(self._failure)
            return self._get(fetch, self._value)

    def _get(self, fetch: Callable[[], _T], held: _T | None) -> _T:
        try:
            self._value = fetch()
        except (exceptions.StoreUnavailable,
                exceptions.ConfigurationError) as err:
            # The latter may be a service that is being restarted.
            if held is None:
                if not isinstance(err, exceptions.StoreUnavailable):
                    raise
                # Without the traceback, and what that holds.
                self._failure = copy.copy(err)
                self._failures += 1
                raise
            self._not_before = time.monotonic() + _AWAY
            LOG.warning('The token cannot be renewed for now, so the current '
                        'one is kept: %s', err)
            return held
        return self._value

    def refuse(self, value: _T | None, forget: Callable[[], bool]) -> bool:
        """Have another fetched, since Swift has refused this one.

        :param forget: has whoever is asked forget it, too
        :returns: whether there may be another
        """
        with self._lock:
            self._not_before = 0
            if self._value != value:
                # That others had refused, too.
                return True
            self._value = None
            return forget()


class ServiceToken:
    """The token that Cinder sends beside a user's, from its own account.

    Swift accepts a user's token past its expiry while a valid service token
    comes with it, so renewing this one keeps a long backup going.
    """

    def __init__(self, auth: plugin.BaseAuthPlugin,
                 session: ksa_session.Session) -> None:
        self._auth = auth
        self._session = session
        self._held = _Held[str]()

    def token(self) -> str:
        """The current service token, fetched when there is none."""
        return self._held.get(self._fetch)

    def renew(self, refused: str | None) -> bool:
        """See :class:`Credentials`; ``refused`` is the service token."""
        return self._held.refuse(refused,
                                 lambda: bool(self._auth.invalidate()))

    def _fetch(self) -> str:
        return identify(lambda: self._auth.get_token(self._session),
                        service=True)


class UserCredentials:
    """The token that came with a request, for an account by its URL."""

    remedy = exceptions.Remedy.TOKEN

    def __init__(self, storage_url: str, token: str,
                 service_token: ServiceToken | None = None) -> None:
        self._storage_url = storage_url
        self._token = token
        self._service_token = service_token

    def access(self) -> Access:
        """See :class:`Credentials`."""
        service = self._service_token
        return Access(self._storage_url, self._token,
                      service.token() if service else None)

    def renew(self, refused: Access) -> bool:
        """Only the service token can be renewed, the user's cannot."""
        return (self._service_token is not None
                and self._service_token.renew(refused.service_token))


class SessionCredentials:
    """The account of a login that can be repeated."""

    remedy = exceptions.Remedy.LOGIN

    def __init__(self, session: ksa_session.Session, *, service_type: str,
                 interface: str, region: str | None,
                 service_token: ServiceToken | None = None,
                 url: str | None = None) -> None:
        """Prepare.

        :param url: of the account, instead of that in the catalog
        """
        self.session = session
        self._service_type = service_type
        self._interface = interface
        self._region = region
        self._service_token = service_token
        self._url = url
        self._held = _Held[Access]()

    def access(self) -> Access:
        """See :class:`Credentials`."""
        service = self._service_token
        return dataclasses.replace(
            self._held.get(self._fetch),
            service_token=service.token() if service else None)

    def _fetch(self) -> Access:
        # First, for without one there is no catalog, whatever the reason.
        token = identify(self.session.get_token)
        return Access(self._url or identify(self._endpoint), token)

    def renew(self, refused: Access) -> bool:
        """Log in again for the next request."""
        if self._service_token is not None:
            self._service_token.renew(refused.service_token)
        self._held.refuse(dataclasses.replace(refused, service_token=None),
                          lambda: bool(self.session.invalidate()))
        return True

    def _endpoint(self) -> str | None:
        # As it is in the catalog: discovery would ask for version documents,
        # which Swift does not have.
        try:
            endpoint: str | None = self.session.get_endpoint(
                service_type=self._service_type, interface=self._interface,
                region_name=self._region, skip_discovery=True)
        except ksa_exceptions.EmptyCatalog as err:
            raise exceptions.ConfigurationError(
                'the login names no project, so there is no account',
                remedy=exceptions.Remedy.PROJECT) from err
        except ksa_exceptions.CatalogException:
            endpoint = None
        if endpoint is None:
            where = f' in region {self._region}' if self._region else ''
            raise exceptions.ConfigurationError(
                f'the service catalog has no {self._interface} endpoint for '
                f'{self._service_type}{where}',
                remedy=exceptions.Remedy.ENDPOINT)
        return endpoint


def identify(call: Callable[[], str | None], *, service: bool = False) -> str:
    """Have the identity service say something, such as a token.

    :param service: whether it is about the service token
    :raises AccessDenied: when it does not accept the credentials, or says
        nothing
    :raises StoreUnavailable: as :func:`ask`
    :raises ConfigurationError: as :func:`ask`
    """
    answer = ask(call, service=service)
    if not answer:
        raise exceptions.AccessDenied('the identity service gave no token')
    return answer


def ask(call: Callable[[], _T], *, service: bool = False) -> _T:
    """Call the identity service and raise only our own errors.

    :param service: whether it is about the service token
    :raises AccessDenied: when it does not accept the credentials
    :raises StoreUnavailable: when it cannot be reached or fails
    :raises ConfigurationError: when it cannot be asked at all
    """
    try:
        return call()
    except (ksa_exceptions.ClientException, OSError) as err:
        raise _identity_error(err, service) from err
    except _ODD as err:
        raise exceptions.StoreUnavailable(
            'the identity service failed (unexpected answer)',
            detail=network_errors.detail(repr(err))) from err


def _identity_error(err: Exception, service: bool) -> exceptions.BackupError:
    certificate, login, url = _REMEDIES[service]
    if network_errors.is_distrust(err):
        return exceptions.ConfigurationError(
            'the identity service is not trusted: '
            f'{network_errors.reason(err)}',
            detail=network_errors.detail(str(err)), remedy=certificate)
    if isinstance(err, _REFUSED):
        return exceptions.AccessDenied(
            'the identity service refused the credentials',
            detail=network_errors.detail(str(err)), remedy=login)
    if isinstance(err, _UNFIT) and not _is_discovery_of_nothing(err):
        unfit = login if isinstance(err, ksa_exceptions.BadRequest) else url
        return exceptions.ConfigurationError(
            'the identity service cannot serve the configured credentials',
            detail=network_errors.detail(_with_url(err)), remedy=unfit)
    if isinstance(err, ksa_exceptions.ClientException):
        return exceptions.StoreUnavailable(
            f'the identity service failed ({network_errors.reason(err)})',
            detail=network_errors.detail(str(err)))
    # Such as a file of certificates that may not be read.
    return exceptions.ConfigurationError(
        'no request can be sent to the identity service '
        f'({network_errors.reason(err)})',
        detail=network_errors.detail(str(err)), remedy=login)


def _with_url(err: Exception) -> str:
    url = getattr(err, 'url', None)
    return f'{err}, {url}' if url else str(err)


def _is_discovery_of_nothing(err: Exception) -> bool:
    """Whether versions could not be discovered because nobody answered."""
    return isinstance(err, ksa_exceptions.DiscoveryFailure) and any(
        isinstance(origin, (ksa_exceptions.ConnectionError,
                            ksa_exceptions.HttpServerError))
        for origin in network_errors.origins(err))

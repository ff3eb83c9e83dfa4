# SPDX-License-Identifier: Apache-2.0

"""Opens the store in the right account, for a request and the settings.

* ``per_user``: the token of the request, at ``backup_swift_url`` or at the
  endpoint of the request's catalog, in the account of the project that owns
  the backup. An administrator who deletes somebody else's backup therefore
  deletes its objects, or gets an error if Swift does not permit it. In the
  administrator's own account there would be nothing to delete, and the
  objects would stay for ever.
* ``single_user``: an account of the service's own, by auth version 1, 2 or 3.
"""

import contextlib

from cinder import service_auth
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import identity
from keystoneauth1 import loading
from keystoneauth1 import session as ksa_session
from oslo_config import cfg
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import catalog
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import first_login
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_errors
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import version_1

CONF = cfg.CONF
LOG = logging.getLogger(__name__)


def make_store(context, owner_project_id, general, purpose=''):
    """The store for a request on a backup of a project.

    :param general: the :class:`settings.Settings`
    :param purpose: what the store is for, for the log
    :raises ConfigurationError: when the catalog has no such endpoint
    :raises AccessDenied: when the request brings no credentials
    """
    if general.account.login is not None:
        return single_user_store(context, general, purpose)
    if not context.auth_token:
        raise exceptions.AccessDenied(
            'the request has no token for Swift, as when Cinder resumes a '
            'delete at startup',
            remedy=exceptions.Remedy.OTHER_USER)
    url = _account_url(context, owner_project_id, general.account)
    return _store(credentials.UserCredentials(
        url, context.auth_token, _service_token(general)), general, purpose)


@contextlib.contextmanager
def explained(context, owner_project_id, general):
    """Say of a 403 in the account of another project that it is another's.

    :param general: the :class:`settings.Settings`
    :raises AccessDenied: instead of that
    """
    try:
        yield
    except swift_errors.Forbidden as err:
        if (general.account.login is not None
                or context.project_id == owner_project_id):
            raise
        raise exceptions.AccessDenied(
            'the backup is in the account of another project, which this user '
            'may not use', container=err.container,
            transaction=err.transaction,
            detail=f'project {owner_project_id}; {err.what}',
            remedy=exceptions.Remedy.OTHER_USER) from err


def single_user_store(context, general, purpose=''):
    """The store in the service's own account.

    :param purpose: as that of :func:`make_store`
    :raises ConfigurationError: when the catalog has no identity service
    """
    return _store(_single_user(context, general), general, purpose)


def logged_in_store(context, general):
    """The same, where somebody waits for the first login.

    :raises StoreUnavailable: when nobody is where the service would log in
    :raises AccessDenied: when it is refused
    :raises ConfigurationError: when something else is there, or the catalog
        has no object store
    """
    who = _single_user(context, general)
    first_login.log_in(who, general.account.login.auth_url)
    return _store(who, general)


def _single_user(context, general):
    account = general.account
    session = ksa_session.Session(
        auth=_password_plugin(context, account), verify=account.verify,
        timeout=general.transport.login_timeout)
    return credentials.SessionCredentials(
        session, service_type=account.swift.service_type,
        interface=account.swift.interface, region=account.region,
        service_token=_service_token(general))


def anonymous_store(general):
    """A store without a token, for asking for the cluster's capabilities."""
    nobody = credentials.UserCredentials(general.account.url, '')
    return _store(nobody, general)


def _store(who, general, purpose=''):
    return swift.SwiftStore(swift_session.Session(who, general.transport,
                                                  purpose))


def _account_url(context, owner_project_id, account):
    if account.url:
        return f'{account.url}{owner_project_id}'
    url = catalog.find_endpoint(context.service_catalog, account.swift,
                                account.region, exceptions.Remedy.ENDPOINT)
    if context.project_id == owner_project_id:
        return url
    if not context.project_id or context.project_id not in url:
        raise exceptions.AccessDenied(
            'the backup is in the account of another project, whose URL '
            'cannot be derived from the URL of Swift',
            detail=f'project {owner_project_id}, {url}',
            remedy=exceptions.Remedy.OTHER_USER)
    return url.replace(context.project_id, owner_project_id)


def _service_token(general):
    if not general.account.with_service_token:
        return None
    try:
        plugin = service_auth.get_service_auth_plugin()
    except ksa_exceptions.ClientException as err:
        raise exceptions.ConfigurationError(
            '[service_user] cannot be used', detail=str(err)) from err
    if plugin is None:
        LOG.warning('backup_swift_service_auth is set but has no effect, '
                    'because [service_user] send_service_user_token is not '
                    'set.')
        return None
    # As Cinder's own session, which has no time-out unless one is set.
    session = loading.load_session_from_conf_options(
        CONF, service_auth.SERVICE_USER_GROUP, auth=plugin,
        timeout=(CONF.service_user.timeout
                 or general.transport.login_timeout))
    return credentials.ServiceToken(plugin, session)


def _password_plugin(context, account):
    login = account.login
    url = login.auth_url or catalog.find_endpoint(
        context.service_catalog, account.keystone, account.region,
        exceptions.Remedy.LOGIN_ENDPOINT)
    if login.version == '1':
        return version_1.plugin(url, login.user, login.key)
    if login.version == '2':
        return identity.V2Password(
            _versioned(url, 'v2.0'), username=login.user, password=login.key,
            tenant_name=login.project)
    return identity.V3Password(
        _versioned(url, 'v3'), username=login.user, password=login.key,
        project_name=login.project, **_domain('user', login.user_domain),
        **_domain('project', login.project_domain))


def _domain(kind, name):
    # Keystone's first domain has the id 'default', whatever its name.
    if name:
        return {f'{kind}_domain_name': name}
    return {f'{kind}_domain_id': 'default'}


def _versioned(url, version):
    url = url.rstrip('/')
    last = url.rpartition('/')[2]
    return url if last in ('v2.0', 'v3') else f'{url}/{version}'

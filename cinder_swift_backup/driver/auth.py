# SPDX-License-Identifier: Apache-2.0

"""From Cinder's configuration and request to a store in the right account.

* ``per_user``: the token of the request, at ``backup_swift_url`` or at the
  endpoint of the request's catalog, in the account of the project that owns
  the backup. An administrator who deletes or restores somebody else's backup
  thus gets at its objects, if Swift lets them, or is told that it does not;
  looking into the administrator's own account would find nothing and call
  that a success.
* ``single_user``: an account of the service's own, by auth version 1, 2 or 3.
"""

from cinder import service_auth
from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import identity
from keystoneauth1 import session as ksa_session
from oslo_config import cfg
from oslo_log import log as logging
from swiftclient import authv1

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import catalog
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session

CONF = cfg.CONF
LOG = logging.getLogger(__name__)
_TIMEOUT = 60


def make_store(context, owner_project_id):
    """The store for a request on a backup of a project.

    :raises ConfigurationError: when a setting is missing
    :raises AccessDenied: when the request brings no credentials
    """
    if CONF.backup_swift_auth == 'single_user':
        return single_user_store(context)
    if not context.auth_token:
        raise exceptions.AccessDenied(
            'The request has no token to use Swift with, as when Cinder '
            'resumes a delete at its start. Repeat it as a user who may use '
            'the account of the project')
    url = _account_url(context, owner_project_id)
    return _store(credentials.UserCredentials(url, context.auth_token,
                                              _service_token()))


def single_user_store(context):
    """The store in the service's own account.

    :raises ConfigurationError: naming the option that is missing
    """
    target = catalog.parse_info('swift_catalog_info')
    session = ksa_session.Session(
        auth=_password_plugin(context), verify=_verify(), timeout=_TIMEOUT)
    return _store(
        credentials.SessionCredentials(
            session, service_type=target.service_type,
            interface=target.interface, region=CONF.backup_swift_region_name,
            service_token=_service_token()))


def anonymous_store(url):
    """A store good for nothing but asking the cluster what it can do."""
    return _store(credentials.UserCredentials(url, ''))


def _store(who):
    return swift.SwiftStore(swift_session.Session(who, transport()))


def transport():
    """How the configuration wants requests to be sent."""
    return swift_session.Transport(
        ca_file=CONF.backup_swift_ca_cert_file,
        insecure=CONF.backup_swift_auth_insecure,
        retries=CONF.backup_swift_retry_attempts,
        backoff=CONF.backup_swift_retry_backoff)


def _account_url(context, owner_project_id):
    if CONF.backup_swift_url:
        return f'{CONF.backup_swift_url}{owner_project_id}'
    url = catalog.find_endpoint(
        context.service_catalog, catalog.parse_info('swift_catalog_info'),
        CONF.backup_swift_region_name, 'backup_swift_url')
    if context.project_id == owner_project_id:
        return url
    if not context.project_id or context.project_id not in url:
        raise exceptions.AccessDenied(
            f'The backup is in the account of project {owner_project_id}, '
            f'and the URL of Swift, {url}, does not say how to get there. '
            f'Repeat the request as a user of that project')
    return url.replace(context.project_id, owner_project_id)


def _service_token():
    if not CONF.backup_swift_service_auth:
        return None
    try:
        plugin = service_auth.get_service_auth_plugin()
    except ksa_exceptions.ClientException as err:
        raise exceptions.ConfigurationError(
            f'[service_user] cannot be used: {err}') from err
    if plugin is None:
        LOG.warning('backup_swift_service_auth is set and has no effect, '
                    'because [service_user] send_service_user_token is not.')
        return None
    return credentials.ServiceToken(plugin,
                                    service_auth.get_service_session())


def _verify():
    if CONF.backup_swift_auth_insecure:
        return False
    return CONF.backup_swift_ca_cert_file or True


def _password_plugin(context):
    version = CONF.backup_swift_auth_version.split('.')[0]
    if version not in ('1', '2', '3'):
        raise exceptions.ConfigurationError(
            f'backup_swift_auth_version is {version!r} and has to be 1, 2 '
            f'or 3')
    user = required('backup_swift_user')
    key = required('backup_swift_key')
    url = _auth_url(context)
    if version == '1':
        return authv1.PasswordPlugin(url, user, key)
    if version == '2':
        return _v2_plugin(url, user, key)
    return _v3_plugin(url, user, key)


def _v2_plugin(url, user, key):
    tenant = CONF.backup_swift_tenant
    if not tenant and ':' in user:
        tenant, _, user = user.partition(':')
    tenant = tenant or required('backup_swift_tenant')
    return identity.V2Password(_versioned(url, 'v2.0'), username=user,
                               password=key, tenant_name=tenant)


def _v3_plugin(url, user, key):
    project = CONF.backup_swift_project or CONF.backup_swift_tenant
    project = project or required('backup_swift_project')
    return identity.V3Password(
        _versioned(url, 'v3'), username=user, password=key,
        project_name=project,
        **_domain('user', CONF.backup_swift_user_domain),
        **_domain('project', CONF.backup_swift_project_domain))


def _domain(kind, name):
    # Keystone's first domain has the id 'default', whatever its name.
    if name:
        return {f'{kind}_domain_name': name}
    return {f'{kind}_domain_id': 'default'}


def _versioned(url, version):
    url = url.rstrip('/')
    last = url.rpartition('/')[2]
    return url if last in ('v2.0', 'v3') else f'{url}/{version}'


def _auth_url(context):
    if CONF.backup_swift_auth_url:
        return CONF.backup_swift_auth_url
    return catalog.find_endpoint(
        context.service_catalog, catalog.parse_info('keystone_catalog_info'),
        CONF.backup_swift_region_name, 'backup_swift_auth_url')


def required(option):
    """The value of an option that single_user mode cannot do without."""
    value = getattr(CONF, option)
    if not value:
        raise exceptions.ConfigurationError(
            f'{option} is not set and backup_swift_auth = single_user with '
            f'backup_swift_auth_version = {CONF.backup_swift_auth_version} '
            f'needs it')
    return value

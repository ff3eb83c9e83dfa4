# SPDX-License-Identifier: Apache-2.0

"""Which account to look into, and how to log in.

1. If ``ST_AUTH`` is set and no cloud is named, not in ``OS_CLOUD`` either:
   Swift's version 1 authentication, with ``ST_USER`` and ``ST_KEY``.
2. Otherwise, like every OpenStack client: ``--os-*`` options, ``clouds.yaml``,
   or ``OS_*`` variables. An ``object_store_endpoint_override`` in there, the
   URL of an account, is for a site that the catalog does not name.
3. Log in at once.
"""

import argparse
from collections.abc import Mapping
import dataclasses

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import session as ksa_session
import openstack.config
import openstack.config.cloud_region
import openstack.exceptions
from oslo_log import log as logging
import yaml  # type: ignore[import-untyped]

from cinder_swift_backup import exceptions
from cinder_swift_backup.cli import logins
from cinder_swift_backup.stores import bandwidth
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import first_login
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from cinder_swift_backup.stores import version_1

LOG = logging.getLogger(__name__)
_SERVICE = 'object-store'
_NO_FILE = 'there is no readable clouds.yaml'
# What openstacksdk ends in when a file has another structure.
_MISSHAPEN = (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError)


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """A store, and the region that it is in, where that has a name."""

    store: swift.SwiftStore
    region: str | None


def open_account(options: argparse.Namespace, environment: Mapping[str, str],
                 patience: float, rate: int = 0) -> Account:
    """The account of a login.

    :param options: of the command line, see :mod:`.logins`
    :param patience: for how many seconds to wait for a Swift that works
    :param rate: how many bytes a second to move, each way; 0 for any number
    :raises ConfigurationError: when nothing says which account it is
    :raises AccessDenied: when the login is refused
    :raises StoreUnavailable: when there is nobody to log in at
    """
    limits = bandwidth.Bandwidth(rate)
    if is_version_1(options, environment):
        how = transport.Transport(
            options.os_cacert or environment.get('ST_CACERT'),
            insecure=bool(options.insecure), patience=patience,
            bandwidth=limits)
        region = options.os_region_name
        session = _version_1(environment, how, options.timeout)
        return Account(_store(session, region, 'public', how,
                              login_url=environment['ST_AUTH']), region)
    return _keystone(options, patience, limits)


def is_version_1(options: argparse.Namespace,
                 environment: Mapping[str, str]) -> bool:
    """Whether the login is one of Swift's version 1 authentication."""
    if 'cloud' in options:
        return False
    named = logins.is_named(options) or environment.get('OS_CLOUD')
    return not named and bool(environment.get('ST_AUTH'))


def find_cloud(options: argparse.Namespace, patience: float,
               ) -> openstack.config.cloud_region.CloudRegion:
    """What is known of a cloud, with how to log in.

    Its ``api_timeout`` limits how long its services may be silent. If it has
    none, the patience sets the limit: openstacksdk would wait for ever.

    :param options: of the command line, see :mod:`.logins`; or with a
        ``cloud`` that is known already
    :raises ConfigurationError: when nothing says so
    """
    try:
        cloud = _cloud(options)
        session = cloud.get_session()
    except (openstack.exceptions.ConfigException,
            ksa_exceptions.ClientException) as err:
        raise exceptions.ConfigurationError(
            'the login cannot be used', detail=str(err),
            remedy=exceptions.Remedy.LOGIN) from err
    except _MISSHAPEN as err:
        raise exceptions.ConfigurationError(
            'the login cannot be used: something in clouds.yaml or the '
            'OS_* variables is missing or wrong', detail=str(err),
            remedy=exceptions.Remedy.LOGIN) from err
    if session.timeout is None:
        session.timeout = transport.Transport(patience=patience).login_timeout
    return cloud


def _cloud(options: argparse.Namespace,
           ) -> openstack.config.cloud_region.CloudRegion:
    if 'cloud' in options:
        found: openstack.config.cloud_region.CloudRegion = options.cloud
        return found
    logins.check_options(options)
    known = openstack.config.OpenStackConfig()
    name = options.os_cloud or known.default_cloud
    if name:
        _check_name(known, name)
    in_file = known.config_filename and name != known.envvar_key
    cloud = name if in_file else None
    if not (cloud or logins.is_named(options)
            or known.envvar_key in known.get_cloud_names()):
        raise exceptions.ConfigurationError(
            'there is no login: set the OS_* or ST_* variables, or name a '
            'cloud of clouds.yaml with --os-cloud',
            detail=None if known.config_filename else _NO_FILE)
    # It takes its own option only where it has read the command line itself.
    silence = {'api_timeout': options.timeout} if options.timeout else {}
    # Some plugins end in a TypeError without what they need.
    logins.check(known.get_one(argparse=options, validate=False).config,
                 cloud)
    try:
        return known.get_one(argparse=options, **silence)
    except ksa_exceptions.MissingRequiredOptions as err:
        raise logins.incomplete([option.dest for option in err.options],
                                cloud) from err


def _check_name(known: openstack.config.OpenStackConfig, name: str) -> None:
    names = known.get_cloud_names()
    if name in names:
        return
    raise exceptions.ConfigurationError(
        f'there is no cloud {name!r} in clouds.yaml',
        detail=(f'{known.config_filename} has {", ".join(sorted(names))}'
                if known.config_filename else _NO_FILE))


def _version_1(environment: Mapping[str, str],
               how: transport.Transport,
               silence: float | None) -> ksa_session.Session:
    missing = [name for name in ('ST_USER', 'ST_KEY')
               if not environment.get(name)]
    if missing:
        raise exceptions.ConfigurationError(
            f'ST_AUTH is set, so set {" and ".join(missing)}, too')
    logins.check_url(environment['ST_AUTH'], 'ST_AUTH')
    plugin = version_1.plugin(environment['ST_AUTH'], environment['ST_USER'],
                              environment['ST_KEY'])
    return ksa_session.Session(
        auth=plugin, timeout=silence or how.login_timeout,
        verify=False if how.insecure else how.ca_file or True)


def _keystone(options: argparse.Namespace, patience: float,
              limits: bandwidth.Bandwidth) -> Account:
    cloud = find_cloud(options, patience)
    region = cloud.get_region_name(_SERVICE)
    verify = cloud.get_requests_verify_args()[0]
    return Account(_store(
        cloud.get_session(), region, _interface(cloud), transport.Transport(
            verify if isinstance(verify, str) else None,
            insecure=verify is False, patience=patience, bandwidth=limits),
        url=(getattr(options, 'os_endpoint_override', None)
             or cloud.get_endpoint(_SERVICE)),
        login_url=cloud.config.get('auth', {}).get('auth_url')), region)


def _interface(cloud: openstack.config.cloud_region.CloudRegion) -> str:
    """The kind of endpoint; of several that will do, the first."""
    interface = cloud.get_interface(_SERVICE) or 'public'
    return interface if isinstance(interface, str) else interface[0]


def _store(session: ksa_session.Session, region: str | None, interface: str,
           how: transport.Transport, *, login_url: str | None,
           url: str | None = None) -> swift.SwiftStore:
    who = credentials.SessionCredentials(
        session, service_type=_SERVICE, interface=interface, region=region,
        url=url)
    try:
        first_login.log_in(who, login_url)
    except first_login.NobodyThere:
        raise
    except exceptions.StoreUnavailable as err:
        LOG.warning('The login failed, so the command will try again: %s',
                    err)
    return swift.SwiftStore(swift_session.Session(who, how))

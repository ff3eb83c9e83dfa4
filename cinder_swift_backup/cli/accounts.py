# SPDX-License-Identifier: Apache-2.0

"""Which account to look into, and how to log in.

1. If ``ST_AUTH`` is set and no cloud is named, not in ``OS_CLOUD`` either:
   Swift's version 1 authentication, with ``ST_USER`` and ``ST_KEY``.
2. Else as all clients of OpenStack do it: ``--os-cloud`` and ``clouds.yaml``,
   or ``OS_*`` variables. An ``object_store_endpoint_override`` in there, the
   URL of an account, is for a site that the catalog does not name.
"""

from collections.abc import Mapping

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import session as ksa_session
import openstack.config
import openstack.config.cloud_region
import openstack.exceptions

from cinder_swift_backup import exceptions
from cinder_swift_backup.stores import credentials
from cinder_swift_backup.stores import swift
from cinder_swift_backup.stores import swift_session
from cinder_swift_backup.stores import transport
from cinder_swift_backup.stores import version_1

_SERVICE = 'object-store'


def open_store(cloud: str | None, region: str | None,
               environment: Mapping[str, str],
               patience: float) -> swift.SwiftStore:
    """The store in the account of a login.

    :param cloud: its name in ``clouds.yaml``
    :param patience: for how many seconds to wait for a Swift that works
    :raises ConfigurationError: when nothing says which account it is
    """
    if is_version_1(cloud, environment):
        how = transport.Transport(environment.get('ST_CACERT'),
                                  patience=patience)
        return _store(_version_1(environment, how), region, 'public', how)
    return _keystone(cloud, region, patience)


def is_version_1(cloud: str | None, environment: Mapping[str, str]) -> bool:
    """Whether the login is one of Swift's version 1 authentication."""
    named = cloud or environment.get('OS_CLOUD')
    return not named and bool(environment.get('ST_AUTH'))


def find_cloud(cloud: str | None, region: str | None, patience: float,
               ) -> openstack.config.cloud_region.CloudRegion:
    """What is known of a cloud, with how to log in.

    Its ``api_timeout`` limits how long its services may be silent. If it has
    none, the patience sets the limit: openstacksdk would wait for ever.

    :raises ConfigurationError: when nothing says so
    """
    try:
        found = openstack.config.OpenStackConfig().get_one(
            cloud, region_name=region)
        session = found.get_session()
    except (openstack.exceptions.ConfigException,
            ksa_exceptions.ClientException,
            # What a file of another structure ends in.
            AttributeError, KeyError, TypeError, ValueError) as err:
        raise exceptions.ConfigurationError(
            'there is no login to use', detail=str(err),
            remedy=exceptions.Remedy.LOGIN) from err
    if session.timeout is None:
        session.timeout = transport.Transport(patience=patience).login_timeout
    return found


def _version_1(environment: Mapping[str, str],
               how: transport.Transport) -> ksa_session.Session:
    missing = [name for name in ('ST_USER', 'ST_KEY')
               if not environment.get(name)]
    if missing:
        raise exceptions.ConfigurationError(
            f'ST_AUTH is set, and {" and ".join(missing)} is not')
    plugin = version_1.plugin(environment['ST_AUTH'], environment['ST_USER'],
                              environment['ST_KEY'])
    return ksa_session.Session(
        auth=plugin, timeout=how.login_timeout,
        verify=how.ca_file or True)


def _keystone(cloud: str | None, region: str | None,
              patience: float) -> swift.SwiftStore:
    found = find_cloud(cloud, region, patience)
    verify = found.get_requests_verify_args()[0]
    return _store(found.get_session(), found.get_region_name(_SERVICE),
                  _interface(found),
                  transport.Transport(
                      verify if isinstance(verify, str) else None,
                      insecure=verify is False, patience=patience),
                  url=found.get_endpoint(_SERVICE))


def _interface(found: openstack.config.cloud_region.CloudRegion) -> str:
    """The kind of endpoint; of several that will do, the first."""
    interface = found.get_interface(_SERVICE) or 'public'
    return interface if isinstance(interface, str) else interface[0]


def _store(session: ksa_session.Session, region: str | None, interface: str,
           how: transport.Transport,
           url: str | None = None) -> swift.SwiftStore:
    who = credentials.SessionCredentials(
        session, service_type=_SERVICE, interface=interface, region=region,
        url=url)
    return swift.SwiftStore(swift_session.Session(who, how))

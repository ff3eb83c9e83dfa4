# SPDX-License-Identifier: Apache-2.0

"""The configuration as a value, read and checked at one place.

Each operation of the driver reads it once, so that nothing changes under way
when an operator has Cinder reload its configuration.
"""

import dataclasses

from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import catalog
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import swift_session

CONF = cfg.CONF


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """How the service logs in to an account of its own ('single_user').

    ``version`` is that of the protocol: 1, 2 or 3. Without ``auth_url``, the
    identity service is that of each request's catalog.
    """

    version: str
    auth_url: str | None
    user: str
    key: str = dataclasses.field(repr=False)
    project: str | None
    user_domain: str | None
    project_domain: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class Account:
    """Where Swift is, and in whose name it is used.

    ``login`` is None in 'per_user' mode, where the request's token is used.
    ``url`` is that of all accounts, to which the project is added.
    """

    login: Login | None
    url: str | None
    swift: catalog.CatalogInfo
    keystone: catalog.CatalogInfo
    region: str | None
    with_service_token: bool
    verify: bool | str


@dataclasses.dataclass(frozen=True, slots=True)
class Notifications:
    """How often progress is notified: each so many chunks, and seconds.

    ``interval`` is None where time alone is no reason.
    """

    chunks: int
    interval: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """All that an operator can choose."""

    container: str
    create_container: bool
    storage_policy: str | None
    availability_zone: str
    geometry: types.Geometry
    compression: str
    level: codecs.Level
    workers: int
    verify_restore: bool
    notifications: Notifications
    transport: swift_session.Transport
    account: Account


def read():
    """The settings of now.

    :raises ConfigurationError: when one is missing or they do not fit
        together
    """
    return Settings(
        container=CONF.backup_swift_container,
        create_container=CONF.backup_create_containers,
        storage_policy=CONF.backup_swift_create_storage_policy,
        availability_zone=CONF.storage_availability_zone,
        geometry=types.Geometry(CONF.backup_swift_object_size,
                                CONF.backup_swift_block_size),
        compression=_compression(),
        level=codecs.Level(CONF.backup_swift_compression_level),
        workers=CONF.backup_swift_workers,
        verify_restore=CONF.backup_swift_verify_restore,
        notifications=_notifications(),
        transport=swift_session.Transport(
            ca_file=CONF.backup_swift_ca_cert_file,
            insecure=CONF.backup_swift_auth_insecure,
            retries=CONF.backup_swift_retry_attempts,
            backoff=CONF.backup_swift_retry_backoff),
        account=_account())


def _notifications():
    timer = CONF.backup_swift_enable_progress_timer
    return Notifications(
        chunks=CONF.backup_object_number_per_notification,
        interval=CONF.backup_timer_interval if timer else None)


def _account():
    single = CONF.backup_swift_auth == 'single_user'
    return Account(
        login=_login() if single else None,
        url=CONF.backup_swift_url,
        swift=catalog.parse_info('swift_catalog_info'),
        keystone=catalog.parse_info('keystone_catalog_info'),
        region=CONF.backup_swift_region_name,
        with_service_token=CONF.backup_swift_service_auth,
        verify=(not CONF.backup_swift_auth_insecure
                and (CONF.backup_swift_ca_cert_file or True)))


def _compression():
    # Codecs are found by their word; this one has to be known.
    word = CONF.backup_compression_algorithm
    codecs.Codecs().find(word)
    return word


def _login():
    version = CONF.backup_swift_auth_version.split('.')[0]
    if version not in ('1', '2', '3'):
        raise exceptions.ConfigurationError(
            f'backup_swift_auth_version is {version!r} and has to be 1, 2 '
            f'or 3')
    user = _required('backup_swift_user')
    key = _required('backup_swift_key')
    project = None
    if version == '2':
        project, user = _tenant(user)
    if version == '3':
        project = (CONF.backup_swift_project or CONF.backup_swift_tenant
                   or _required('backup_swift_project'))
    return Login(
        version=version, auth_url=CONF.backup_swift_auth_url, user=user,
        key=key, project=project,
        user_domain=CONF.backup_swift_user_domain,
        project_domain=CONF.backup_swift_project_domain)


def _tenant(user):
    """Tenant and user of version 2, where a user may name both."""
    tenant = CONF.backup_swift_tenant
    if not tenant and ':' in user:
        tenant, _, user = user.partition(':')
    return tenant or _required('backup_swift_tenant'), user


def _required(option):
    value = getattr(CONF, option)
    if not value:
        raise exceptions.ConfigurationError(
            f'{option} is not set and backup_swift_auth = single_user with '
            f'backup_swift_auth_version = {CONF.backup_swift_auth_version} '
            f'needs it')
    return value

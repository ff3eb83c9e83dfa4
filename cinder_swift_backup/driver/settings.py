# SPDX-License-Identifier: Apache-2.0

"""Reads and validates the configuration, and returns it as a value.

Each operation of the driver reads it once, and only what it needs. So it does
not change during the operation when Cinder reloads its configuration, and a
restore works although an option for making backups is wrong.
"""

import dataclasses
import re

from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import catalog
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import headers
from cinder_swift_backup.stores import transport

CONF = cfg.CONF


@dataclasses.dataclass(frozen=True, slots=True)
class Login:
    """The login of the service's own account ('single_user').

    ``version`` is that of the protocol: 1, 2 or 3. If ``auth_url`` is None,
    the identity service is taken from the catalog of each request.
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
    """Where the account is, and how to get access to it.

    ``login`` is None in 'per_user' mode, which uses the request's token.
    ``url`` is the beginning of all accounts' URLs, before the project's id.
    ``swift`` and ``keystone`` say which endpoints of the catalog to use; they
    are None where a URL takes their place.
    """

    login: Login | None
    url: str | None
    swift: catalog.CatalogInfo | None
    keystone: catalog.CatalogInfo | None
    region: str | None
    with_service_token: bool
    verify: bool | str


@dataclasses.dataclass(frozen=True, slots=True)
class Notifications:
    """How often to notify progress: numbers of chunks and of seconds.

    ``interval`` is None to notify by chunks only.
    """

    chunks: int
    interval: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What every operation needs."""

    workers: int
    verify_restore: bool
    spool_directory: str
    track_changes: bool
    transport: transport.Transport
    account: Account


@dataclasses.dataclass(frozen=True, slots=True)
class BackupSettings:
    """What making a backup needs besides."""

    container: str
    containers: base.NewContainers
    availability_zone: str
    geometry: types.Geometry
    compression: str
    level: codecs.Level
    read_all: bool
    notifications: Notifications


def read():
    """The current settings for every operation.

    :raises ConfigurationError: when one is missing or wrong, or they
        contradict each other
    """
    return Settings(
        workers=CONF.backup_swift_workers,
        verify_restore=CONF.backup_swift_verify_restore,
        spool_directory=CONF.backup_swift_spool_directory,
        track_changes=CONF.backup_swift_rbd_cbt,
        transport=transport.Transport(
            ca_file=CONF.backup_swift_ca_cert_file,
            insecure=CONF.backup_swift_auth_insecure,
            retries=CONF.backup_swift_retry_attempts,
            backoff=CONF.backup_swift_retry_backoff,
            patience=read_patience()),
        account=read_account())


def read_patience():
    """How many seconds to wait for what is away, the database included."""
    return CONF.backup_swift_patience


def read_for_backup():
    """The current settings for making backups.

    :raises ConfigurationError: when one is wrong, or they contradict each
        other
    :raises FormatError: when the compression is not known
    """
    return BackupSettings(
        container=_container(),
        containers=base.NewContainers(
            allowed=CONF.backup_create_containers,
            storage_policy=CONF.backup_swift_create_storage_policy,
            sync=_sync()),
        availability_zone=CONF.storage_availability_zone,
        geometry=_geometry(),
        compression=_compression(),
        level=codecs.Level(CONF.backup_swift_compression_level),
        read_all=CONF.backup_swift_read_all,
        notifications=_notifications())


def _container():
    name = CONF.backup_swift_container
    if fault := container_names.fault_of_new(name or ''):
        raise exceptions.ConfigurationError(
            f'backup_swift_container cannot be the name of a container: it '
            f'{fault}', detail=repr(name))
    return name


def _geometry():
    size = CONF.backup_swift_block_size
    if 0 < size < types.SMALLEST_BLOCK:
        raise exceptions.ConfigurationError(
            f'backup_swift_block_size is {size} and has to be at least '
            f'{types.SMALLEST_BLOCK}')
    return types.Geometry(CONF.backup_swift_object_size, size)


def _sync():
    to = CONF.backup_swift_container_sync_to
    key = CONF.backup_swift_container_sync_key
    if not to and not key:
        return None
    if not to or not key:
        raise exceptions.ConfigurationError(
            'backup_swift_container_sync_to and '
            'backup_swift_container_sync_key have no effect without each '
            'other')
    if not re.fullmatch(r'//[^/]+/[^/]+(/[^/]+)?', to):
        raise exceptions.ConfigurationError(
            f'backup_swift_container_sync_to is {to!r} and has to be '
            f'//REALM/CLUSTER or //REALM/CLUSTER/ACCOUNT')
    if not headers.are_fit(key):
        raise exceptions.ConfigurationError(
            'backup_swift_container_sync_key begins with a space, or has a '
            'line break in it, and goes into a header')
    return base.Sync(to, key)


def _notifications():
    timer = CONF.backup_swift_enable_progress_timer
    return Notifications(
        chunks=CONF.backup_object_number_per_notification,
        interval=CONF.backup_timer_interval if timer else None)


def read_account():
    """The current settings of the account.

    :raises ConfigurationError: when one is missing or wrong, or they
        contradict each other
    """
    login = _login() if CONF.backup_swift_auth == 'single_user' else None
    swift = keystone = None
    if login or not CONF.backup_swift_url:
        swift = catalog.parse_info('swift_catalog_info',
                                   CONF.swift_catalog_info)
    if login and not login.auth_url:
        keystone = catalog.parse_info('keystone_catalog_info',
                                      CONF.keystone_catalog_info)
    return Account(
        login=login, url=CONF.backup_swift_url, swift=swift,
        keystone=keystone,
        region=CONF.backup_swift_region_name,
        with_service_token=CONF.backup_swift_service_auth,
        verify=(not CONF.backup_swift_auth_insecure
                and (CONF.backup_swift_ca_cert_file or True)))


def _compression():
    # Only to refuse unknown words; the engine takes the word.
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

# SPDX-License-Identifier: Apache-2.0

"""Reads and validates the configuration, and returns it as a value.

Each operation of the driver reads it once, and only what it needs. So it does
not change during the operation when Cinder reloads its configuration, and a
restore works although an option for making backups is wrong.

An operation ends with the first thing that is wrong. Somebody who writes a
configuration wants to know all of them: see :func:`account_faults` and
:func:`backup_faults`.
"""

import contextlib
import dataclasses
import datetime
import functools
import re
import urllib.parse

from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import catalog
from cinder_swift_backup.driver import limits
from cinder_swift_backup.driver import option_values
from cinder_swift_backup.engine import budget
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import container_names
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import headers
from cinder_swift_backup.stores import transport

CONF = cfg.CONF
_read = option_values.read
_VERSION = re.compile(r'v([123])(\.\d+)?')


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
    sweep_grace: datetime.timedelta
    memory: budget.Budget
    transport: transport.Transport
    account: Account


@dataclasses.dataclass(frozen=True, slots=True)
class BackupSettings:
    """What making a backup needs besides.

    ``full_after`` is how many incrementals a chain in chunks has at most; 0
    for any number.
    """

    container: str
    containers: base.NewContainers
    availability_zone: str
    geometry: types.Geometry
    form: chains.Form
    encryption_key_ids: tuple[str, ...]
    compression: str
    level: codecs.Level
    read_all: bool
    full_after: int
    notifications: Notifications


def read():
    """The current settings for every operation.

    :raises ConfigurationError: when one is missing or wrong, or they
        contradict each other
    """
    return Settings(
        workers=_read('backup_swift_workers'),
        verify_restore=_read('backup_swift_verify_restore'),
        spool_directory=_read('backup_swift_spool_directory'),
        track_changes=_read('backup_swift_rbd_cbt'),
        sweep_grace=datetime.timedelta(
            hours=_read('backup_swift_sweep_grace')),
        memory=limits.memory(),
        transport=transport.Transport(
            ca_file=_read('backup_swift_ca_cert_file'),
            insecure=_read('backup_swift_auth_insecure'),
            retries=_read('backup_swift_retry_attempts'),
            backoff=_read('backup_swift_retry_backoff'),
            patience=read_patience(),
            bandwidth=limits.speed()),
        account=read_account())


def read_patience():
    """How many seconds to wait for what is away, the database included."""
    return _read('backup_swift_patience')


def read_for_backup():
    """The current settings for making backups.

    :raises ConfigurationError: when one is wrong, or they contradict each
        other
    :raises FormatError: when the compression is not known
    """
    return BackupSettings(
        container=_container(),
        containers=base.NewContainers(
            allowed=_read('backup_create_containers'),
            storage_policy=_read('backup_swift_create_storage_policy'),
            sync=_sync()),
        availability_zone=CONF.storage_availability_zone,
        geometry=_geometry(),
        form=chains.Form(_read('backup_swift_form')),
        encryption_key_ids=_encryption_key_ids(),
        compression=_compression(),
        level=codecs.Level(_read('backup_swift_compression_level')),
        read_all=_read('backup_swift_read_all'),
        full_after=_read('backup_swift_full_after'),
        notifications=_notifications())


def _encryption_key_ids():
    """The ids of keys, that of today first; none for no encryption."""
    name = 'backup_swift_encryption_key_id'
    key_ids = tuple(filter(None, _read(name)))
    for key_id in key_ids:
        if not documents.is_identifier(key_id):
            raise exceptions.ConfigurationError(
                f'{name} has {documents.shown(key_id)}, which cannot be the '
                f'id of a key')
    form = chains.Form(_read('backup_swift_form'))
    if key_ids and form is not chains.Form.PACKS:
        raise exceptions.ConfigurationError(
            f'{name} is set, but only backups in packs can be encrypted: set '
            f'backup_swift_form to packs, or remove the key')
    return key_ids


def _container():
    name = _read('backup_swift_container')
    if fault := container_names.fault_of_new(name or ''):
        raise exceptions.ConfigurationError(
            'backup_swift_container is not a usable container name: it '
            f'{fault}', detail=repr(name))
    return name


def _geometry():
    _check_size('backup_swift_block_size')
    _check_size('backup_swift_object_size')
    return _sizes()


def _check_size(option):
    size = _read(option)
    if 0 < size < types.SMALLEST_BLOCK:
        raise exceptions.ConfigurationError(
            f'{option} is {size} but must be at least '
            f'{types.SMALLEST_BLOCK}')


def _sizes():
    return types.Geometry(_read('backup_swift_object_size'),
                          _read('backup_swift_block_size'))


def _sync():
    to = _read('backup_swift_container_sync_to')
    key = _read('backup_swift_container_sync_key')
    if not to and not key:
        return None
    if not to or not key:
        raise exceptions.ConfigurationError(
            'backup_swift_container_sync_to and '
            'backup_swift_container_sync_key must be set together')
    if not re.fullmatch(r'//[^/]+/[^/]+(/[^/]+)?', to):
        raise exceptions.ConfigurationError(
            f'backup_swift_container_sync_to is {to!r} but must be '
            f'//REALM/CLUSTER or //REALM/CLUSTER/ACCOUNT')
    if not headers.are_fit(key):
        raise exceptions.ConfigurationError(
            'backup_swift_container_sync_key cannot go into a header: it '
            'begins with a space or contains a line break')
    return base.Sync(to, key)


def _notifications():
    timer = _read('backup_swift_enable_progress_timer')
    return Notifications(
        chunks=_read('backup_object_number_per_notification'),
        interval=_read('backup_timer_interval') if timer else None)


def read_account():
    """The current settings of the account.

    :raises ConfigurationError: when one is missing or wrong, or they
        contradict each other
    """
    login = _login() if _is_single_user() else None
    url = _url('backup_swift_url')
    return Account(
        login=login, url=url, swift=_swift_info(), keystone=_keystone_info(),
        region=_read('backup_swift_region_name'),
        with_service_token=_read('backup_swift_service_auth'),
        verify=(not _read('backup_swift_auth_insecure')
                and (_read('backup_swift_ca_cert_file') or True)))


def account_faults():
    """Everything that is wrong with the settings of the account.

    An error may come more than once.
    """
    single_user = []
    with contextlib.suppress(exceptions.ConfigurationError):
        if _is_single_user():
            single_user = [
                _version, _auth_url,
                functools.partial(_required, 'backup_swift_user'),
                functools.partial(_required, 'backup_swift_key'), _project]
    return _faults(functools.partial(_url, 'backup_swift_url'), *single_user,
                   _swift_info, _keystone_info, limits.memory, limits.speed,
                   read)


def backup_faults():
    """Everything that is wrong with the settings for making backups.

    An error may come more than once.
    """
    return _faults(
        _container, _sync,
        functools.partial(_check_size, 'backup_swift_block_size'),
        functools.partial(_check_size, 'backup_swift_object_size'),
        _sizes, _compression, _encryption_key_ids, _notifications,
        read_for_backup)


def _faults(*parts):
    for part in parts:
        try:
            part()
        except exceptions.BackupError as err:
            yield err


def _is_single_user():
    return _read('backup_swift_auth') == 'single_user'


def _swift_info():
    """How Swift is found in a catalog; None where a URL takes its place."""
    if not _is_single_user() and _read('backup_swift_url'):
        return None
    return _catalog_info('swift_catalog_info')


def _keystone_info():
    """The same of the identity service."""
    if not _is_single_user() or _read('backup_swift_auth_url'):
        return None
    return _catalog_info('keystone_catalog_info')


def _catalog_info(option):
    return catalog.parse_info(option, _read(option))


def _url(option):
    """The value of an option that is a URL, or None."""
    url = _read(option)
    if url and not url.lower().startswith(('http://', 'https://')):
        raise exceptions.ConfigurationError(
            f'{option} has to be a URL that begins with http:// or https://',
            detail=f'it is {url}')
    return url


def _compression():
    # Only to refuse unknown words; the engine takes the word.
    word = _read('backup_compression_algorithm')
    codecs.find(word)
    return word


def _login():
    version = _version()
    auth_url = _auth_url()
    user = _required('backup_swift_user')
    key = _required('backup_swift_key')
    project, user = _project(), _user_without_tenant(version, user)
    return Login(
        version=version, auth_url=auth_url, user=user, key=key,
        project=project, user_domain=_read('backup_swift_user_domain'),
        project_domain=_read('backup_swift_project_domain'))


def _version():
    version = _read('backup_swift_auth_version').split('.')[0]
    if version not in ('1', '2', '3'):
        raise exceptions.ConfigurationError(
            f'backup_swift_auth_version is {version!r} but must be 1, 2 '
            f'or 3')
    return version


def _auth_url():
    """The URL to log in at, which may end in the version of the protocol.

    Those of Keystone end in v2.0 or v3, those of Swift's own users in v1.0.
    """
    url = _url('backup_swift_auth_url')
    version = _version()
    last = urllib.parse.urlsplit(url or '').path.rstrip('/').rpartition('/')[2]
    match = _VERSION.fullmatch(last)
    if match is not None and match.group(1) != version:
        raise exceptions.ConfigurationError(
            f'backup_swift_auth_version is {version}, but '
            f'backup_swift_auth_url ends in /{last}, which needs version '
            f'{match.group(1)}', detail=f'the URL is {url}')
    return url


def _project():
    """The project of versions 2 and 3; None for version 1, which has none."""
    version = _version()
    if version == '2':
        return _read('backup_swift_tenant') or _tenant_of_user() or (
            _required('backup_swift_tenant'))
    if version == '3':
        return (_read('backup_swift_project') or _read('backup_swift_tenant')
                or _required('backup_swift_project'))
    return None


def _tenant_of_user():
    """The tenant, where a user of version 2 names both."""
    tenant, colon, _ = (_read('backup_swift_user') or '').partition(':')
    return tenant if colon else ''


def _user_without_tenant(version, user):
    if version != '2' or _read('backup_swift_tenant') or ':' not in user:
        return user
    return user.partition(':')[2]


def _required(option):
    value = _read(option)
    if not value:
        version = _read('backup_swift_auth_version')
        raise exceptions.ConfigurationError(
            f'{option} is not set, but backup_swift_auth = single_user with '
            f'backup_swift_auth_version = {version} needs it',
            remedy=exceptions.Remedy.SET)
    return value

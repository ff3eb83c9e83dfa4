# SPDX-License-Identifier: Apache-2.0

"""Checks the configuration when the service starts."""

import contextlib
import dataclasses

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import auth
from cinder_swift_backup.driver import encryption
from cinder_swift_backup.driver import option_values
from cinder_swift_backup.driver import settings
from cinder_swift_backup.engine import spool
from cinder_swift_backup.format import naming
from cinder_swift_backup.stores import base
from cinder_swift_backup.stores import network_errors
from cinder_swift_backup.stores import swift_errors

LOG = logging.getLogger(__name__)


def check(context):
    """Check the options, and the cluster as far as it can be reached.

    In 'per_user' mode without ``backup_swift_url`` only a user's request
    knows where Swift is, so the cluster is not asked. One that is away is no
    reason to stay down: Cinder asks only once, so its service would not come
    back when Swift does. The same goes for a key manager.

    :raises ConfigurationError: saying in one line what to correct
    :raises KeyUnavailable: when there is no key to encrypt backups by
    :raises SpoolError: when there cannot be temporary files
    :raises StoreError: when Swift or the identity service refuse us
    """
    for fault in option_values.unknown():
        LOG.warning('%s, in %s: %s', fault.name, ', '.join(fault.files),
                    fault.problem)
    general = settings.read()
    for_backup = settings.read_for_backup()
    spool.check(general.spool_directory)
    _check_key(for_backup.encryption_key_ids)
    try:
        _check_cluster(context, general, for_backup)
    except exceptions.StoreUnavailable as err:
        LOG.error('Swift or Keystone failed or cannot be reached. The '
                  'service starts anyway; the options were not checked '
                  'against the cluster: %s', err)


def _check_key(key_ids):
    ring = encryption.of_service() if key_ids else None
    if ring is None:
        return
    try:
        encryption.get(ring, key_ids[0])
    except exceptions.KeyManagerError as err:
        LOG.error('The service starts without the key that encrypts backups: '
                  '%s', err)
        return
    for key_id in key_ids[1:]:
        try:
            encryption.get(ring, key_id)
        except (exceptions.KeyUnavailable, exceptions.KeyManagerError) as err:
            LOG.warning('No incremental can build on a backup whose key is '
                        '%s: %s', key_id, err)


def _check_cluster(context, general, for_backup):
    store = open_store(context, general)
    if store is None:
        LOG.info('Swift is found through the catalog of each request; it is '
                 'not contacted at start.')
        return
    with contextlib.closing(store):
        check_capabilities(ask_capabilities(store), for_backup)
        if general.account.login is not None:
            check_sync(store, for_backup.container, for_backup.containers)


def ask_capabilities(store):
    """What the cluster says of itself; nothing where a gateway keeps that.

    Some let through what belongs to accounts, and answer everything else
    themselves: with a page, a redirect, or as if Swift were down.

    :raises StoreUnavailable: when Swift is down
    """
    why = 'it does not report them'
    try:
        limits = store.capabilities()
        if limits != base.Capabilities():
            return limits
    except swift_errors.NotSwift as err:
        why = err
    except exceptions.StoreUnavailable as err:
        if not _answers(store):
            if network_errors.is_nobody(err):
                err.remedy = exceptions.Remedy.SWIFT_URL
            raise
        why = err
    LOG.warning('The limits of the cluster are not known, so the options '
                'were not checked against them: %s', why)
    return base.Capabilities()


def _answers(store):
    """Whether Swift answers for the account, be it that we may not look."""
    try:
        next(store.containers(), None)
    except exceptions.AccessDenied:
        return True
    except exceptions.StoreError:
        return False
    return True


def check_sync(store, container, containers):
    """Make sure that a container is copied to where it should be.

    That of its segments, too. One that does not exist is made so later.

    :raises ConfigurationError: when it is not
    """
    if containers.sync is None:
        return
    for name in (container, naming.segments_container(container)):
        _check_sync(store, name, containers)


def _check_sync(store, container, containers):
    try:
        actual = store.sync(container)
    except exceptions.ContainerNotFound:
        return
    expected = store.sync_target(container, containers.sync)
    if actual is None or actual.to is None:
        raise exceptions.ConfigurationError(
            'the container exists, but is not set up to be copied to '
            'backup_swift_container_sync_to', container=container,
            detail=f'expected {expected.to}',
            remedy=exceptions.Remedy.SYNC_HEADERS)
    if _place(actual.to) != _place(expected.to):
        raise exceptions.ConfigurationError(
            'the container is set up to be copied elsewhere, not to '
            'backup_swift_container_sync_to', container=container,
            expected=expected.to, actual=actual.to,
            remedy=exceptions.Remedy.SYNC_HEADERS)
    if actual.key != expected.key:
        raise exceptions.ConfigurationError(
            "the container's X-Container-Sync-Key differs from "
            'backup_swift_container_sync_key', container=container,
            remedy=exceptions.Remedy.SYNC_HEADERS)


def _place(to):
    """Where a container is copied to; Swift takes realms in any case."""
    parts = to.rstrip('/').split('/')
    return [part.upper() for part in parts[:4]] + parts[4:]


def open_store(context, general):
    """The store, as far as it can be reached without a user's request.

    It is None where it cannot. It repeats a request once at most, since
    somebody waits for the answer.

    :raises ConfigurationError: when it cannot be because of an option
    :raises AccessDenied: when the login is refused
    :raises StoreUnavailable: when nobody is where the service would log in
    """
    general = dataclasses.replace(general, transport=dataclasses.replace(
        general.transport, patience=0,
        retries=min(1, general.transport.retries)))
    login = general.account.login
    if login is not None:
        if not login.auth_url and not context.service_catalog:
            LOG.warning('backup_swift_auth_url is not set: the identity '
                        'service is taken from the catalog of each request '
                        'and not contacted at start.')
            return None
        return auth.logged_in_store(context, general)
    if general.account.url:
        return auth.anonymous_store(general)
    return None


def check_capabilities(cluster, for_backup):
    """Make sure that a cluster takes what backups will be made of.

    :raises ConfigurationError: when it does not
    """
    largest = cluster.max_object_size
    size = for_backup.geometry.chunk_size
    if largest is not None and size > largest:
        raise exceptions.ConfigurationError(
            f'backup_swift_object_size is {size}, but the cluster accepts '
            f'objects of at most {largest} bytes')
    policy = for_backup.containers.storage_policy
    if policy and cluster.storage_policies is not None and (
            policy not in cluster.storage_policies):
        raise exceptions.ConfigurationError(
            f'backup_swift_create_storage_policy is {policy!r}, which the '
            f'cluster does not have',
            detail=f'it has {", ".join(cluster.storage_policies)}')

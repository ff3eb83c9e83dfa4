# SPDX-License-Identifier: Apache-2.0

"""What is wrong with the configuration, before the first backup finds out."""

from oslo_config import cfg
from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import auth
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import types

CONF = cfg.CONF
LOG = logging.getLogger(__name__)


def geometry():
    """The configured sizes, in bytes.

    :raises ConfigurationError: when they do not fit together
    """
    return types.Geometry(CONF.backup_swift_object_size,
                          CONF.backup_swift_block_size)


def level():
    """How much the configured codec is to spend on few bytes."""
    return codecs.Level(CONF.backup_swift_compression_level)


def check(context):
    """Check the options, and the cluster as far as it can be reached.

    In 'per_user' mode without ``backup_swift_url`` only a user's request
    knows where Swift is, so the cluster is not asked.

    :raises ConfigurationError: saying in one line what to correct
    :raises StoreError: when Swift or the identity service refuse us or
        cannot be reached
    """
    sizes = geometry()
    codecs.Codecs().find(CONF.backup_compression_algorithm)
    store = _store(context)
    if store is None:
        LOG.info('Swift is found through the catalog of each request; it is '
                 'not contacted at start.')
        return
    try:
        _check_limits(store.capabilities(), sizes)
    finally:
        store.close()


def _store(context):
    if CONF.backup_swift_auth == 'single_user':
        auth.required('backup_swift_user')
        auth.required('backup_swift_key')
        if not CONF.backup_swift_auth_url and not context.service_catalog:
            LOG.warning('backup_swift_auth_url is not set: the identity '
                        'service is taken from the catalog of each request '
                        'and not contacted at start.')
            return None
        return auth.single_user_store(context)
    if CONF.backup_swift_url:
        return auth.anonymous_store(CONF.backup_swift_url)
    return None


def _check_limits(limits, sizes):
    largest = limits.max_object_size
    if largest is not None and sizes.chunk_size > largest:
        raise exceptions.ConfigurationError(
            f'backup_swift_object_size is {sizes.chunk_size} and the '
            f'cluster takes objects of at most {largest} bytes')
    policy = CONF.backup_swift_create_storage_policy
    if policy and limits.storage_policies is not None and (
            policy not in limits.storage_policies):
        raise exceptions.ConfigurationError(
            f'backup_swift_create_storage_policy is {policy!r} and the '
            f'cluster has {", ".join(limits.storage_policies)}')

# SPDX-License-Identifier: Apache-2.0

"""The keys of encrypted backups, from the key manager that Cinder uses.

1. Log in as ``[key_manager]`` says, if it does. The operator's key is not that
   of the users who make backups, so their tokens do not open it.
2. Otherwise use the token of the user, for key managers that ask for none.

A line of recovery points has one data key: an incremental takes that of its
parent, and encrypts it by the operator's key of today. So the operator can
take another key at any time, and needs the old one as long as there are
backups of that time.

Source: castellan's key managers and its ``credential_factory``.
"""

import secrets

from castellan import key_manager
from castellan.common import exception as castellan_exception
from castellan.common import utils as castellan_utils
from oslo_config import cfg

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.format import encryption

CONF = cfg.CONF
_GROUP = 'key_manager'


class KeyManager:
    """See the engine's KeyRing."""

    def __init__(self, context):
        self._context = context

    def get(self, key_id):
        """The operator's key with an id.

        :raises KeyUnavailable: when there is none, or not one of this length
        :raises KeyManagerError: when the key manager fails or refuses
        """
        try:
            found = key_manager.API(CONF).get(_context(self._context), key_id)
            key = found.get_encoded()
        except castellan_exception.ManagedObjectNotFoundError as err:
            raise exceptions.KeyUnavailable(
                f'the key manager has no key {key_id}',
                detail=f'{type(err).__name__}: {err}',
                remedy=exceptions.Remedy.KEY_ID) from err
        # Each backend has errors of its own besides.
        except Exception as err:
            raise exceptions.KeyManagerError(
                f'the key manager does not give key {key_id}',
                detail=f'{type(err).__name__}: {err}',
                remedy=exceptions.Remedy.KEY_MANAGER) from err
        if not isinstance(key, bytes) or len(key) != encryption.KEY:
            raise exceptions.KeyUnavailable(
                f'key {key_id} is not one of {encryption.KEY * 8} bits',
                remedy=exceptions.Remedy.KEY_ID)
        return key


def of_service():
    """The key manager with the login of the service; None if it has none."""
    if not _has_login():
        return None
    try:
        _context(None)
    except castellan_exception.InsufficientCredentialDataError:
        # The tokens are those of requests.
        return None
    return KeyManager(None)


def _has_login():
    CONF.register_opts(castellan_utils.credential_opts, group=_GROUP)
    return CONF.key_manager.auth_type is not None


def _context(context):
    if not _has_login():
        return context
    return castellan_utils.credential_factory(conf=CONF, context=context)


def choose(keys, ring, key_id, parent):
    """How a new backup is encrypted; None if it is not.

    :param keys: the engine's, which unlock encrypted backups
    :param ring: has the operator's keys
    :param key_id: of the operator's key of today; None for no encryption
    :param parent: what the backup builds on; None for a full one
    :raises KeyUnavailable: when there is no key of today
    :raises KeyManagerError: when the key manager fails
    """
    if key_id is None:
        return None
    data_key = None
    if parent is not None:
        data_key = keys.unlock(parent.manifest.point.encryption)
    if data_key is None:
        data_key = encryption.DataKey(secrets.token_bytes(encryption.KEY))
    return jobs.Encryption(data_key, data_key.wrap(
        ring.get(key_id), key_id, secrets.token_bytes(encryption.NONCE)))

# SPDX-License-Identifier: Apache-2.0

"""The keys of encrypted backups, from the key manager that Cinder uses.

1. Log in as ``[key_manager]`` says, if it does. The operator's key is not that
   of the users who make backups, so their tokens do not open it.
2. Otherwise use the token of the user, for key managers that ask for none.
3. Ask in a thread of its own, for so long: castellan waits for ever.

A line of recovery points has one data key: an incremental takes that of its
parent, and encrypts it by the operator's key of today. So the operator can
take another key at any time, and needs the old one as long as there are
backups of that time.

Source: castellan's key managers and its ``credential_factory``.
"""

import secrets
import threading

from castellan import key_manager
from castellan.common import exception as castellan_exception
from castellan.common import utils as castellan_utils
from oslo_config import cfg
from oslo_utils import uuidutils

from cinder_swift_backup import exceptions
from cinder_swift_backup.driver import option_values
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.format import encryption

CONF = cfg.CONF
_GROUP = 'key_manager'
# Seconds.
_PATIENCE = 60


class KeyManager:
    """See the engine's KeyRing."""

    def __init__(self, context):
        self._context = context

    def get(self, key_id):
        """The operator's key with an id.

        :raises KeyUnavailable: when there is none, or not one of this length
        :raises KeyManagerError: when the key manager fails, refuses, or does
            not answer
        """
        key = _in_time(lambda: self._ask(key_id), key_id)
        if not isinstance(key, bytes) or len(key) != encryption.KEY:
            raise exceptions.KeyUnavailable(
                f'key {key_id} is not {encryption.KEY * 8} bits long')
        return key

    def _ask(self, key_id):
        try:
            return key_manager.API(CONF).get(
                _context(self._context), key_id).get_encoded()
        # Each backend has errors of its own.
        except Exception as err:
            detail = f'{type(err).__name__}: {err}'
            if _is_no_such_key(err, key_id):
                raise exceptions.KeyUnavailable(
                    f'the key manager has no key {key_id}',
                    detail=detail) from err
            raise exceptions.KeyManagerError(
                f'the key manager did not return key {key_id}', detail=detail,
                remedy=exceptions.Remedy.KEY_MANAGER) from err


def _is_no_such_key(err, key_id):
    """Whether a key manager is sure that it has no key of this id.

    Barbican's client raises ValueError for ids that are no UUIDs; but also
    for an answer that is no JSON, which a proxy may have given.
    """
    if isinstance(err, castellan_exception.ManagedObjectNotFoundError):
        return True
    return isinstance(err, ValueError) and not uuidutils.is_uuid_like(key_id)


def _in_time(ask, key_id):
    """What a function returns or raises, unless that takes too long."""
    found = []

    def work():
        try:
            found.append((ask(), None))
        except exceptions.BackupError as err:
            found.append((None, err))

    thread = threading.Thread(target=work, daemon=True, name='key-manager')
    thread.start()
    thread.join(_PATIENCE)
    if not found:
        raise exceptions.KeyManagerError(
            f'the key manager has not answered within {_PATIENCE} s when '
            f'asked for key {key_id}', remedy=exceptions.Remedy.KEY_MANAGER)
    (key, err), = found
    if err is not None:
        raise err
    return key


def of_service():
    """The key manager with the login of the service; None if it has none.

    :raises ConfigurationError: when an option of the login is of a wrong type
    """
    try:
        if not _has_login():
            return None
        _context(None)
    except castellan_exception.InsufficientCredentialDataError:
        # The tokens are those of requests.
        return None
    except (cfg.NoSuchOptError, cfg.NoSuchGroupError,
            cfg.TemplateSubstitutionError) as err:
        # Its text may be part of the password.
        raise exceptions.ConfigurationError(
            'the login of the key manager refers to an option that does not '
            'exist ("$$" stands for "$")',
            remedy=exceptions.Remedy.KEY_MANAGER) from err
    except (cfg.Error, castellan_exception.CastellanException) as err:
        # Which of them, that depends on the release.
        raise exceptions.ConfigurationError(
            'the login of the key manager cannot be read',
            detail=option_values.plain(err),
            remedy=exceptions.Remedy.KEY_MANAGER) from err
    return KeyManager(None)


def _has_login():
    CONF.register_opts(castellan_utils.credential_opts, group=_GROUP)
    return CONF.key_manager.auth_type is not None


def _context(context):
    if not _has_login():
        return context
    return castellan_utils.credential_factory(conf=CONF, context=context)


def get(ring, key_id):
    """A key that backup_swift_encryption_key_id names.

    :raises KeyUnavailable: when there is none
    :raises KeyManagerError: when the key manager fails
    """
    try:
        return ring.get(key_id)
    except exceptions.KeyUnavailable as err:
        err.about(remedy=exceptions.Remedy.KEY_ID)
        raise


def choose(keys, ring, key_ids, parent):
    """How a new backup is encrypted; None if it is not.

    :param keys: the engine's, which unlock encrypted backups
    :param ring: has the operator's keys
    :param key_ids: of the operator's keys, that of today first; none for no
        encryption
    :param parent: what the backup builds on; None for a full one
    :raises KeyUnavailable: when there is no key of today
    :raises KeyManagerError: when the key manager fails
    """
    if not key_ids:
        return None
    data_key = None
    if parent is not None:
        data_key = keys.unlock(parent.manifest.point.encryption)
    if data_key is None:
        data_key = encryption.DataKey(secrets.token_bytes(encryption.KEY))
    return jobs.Encryption(data_key, data_key.wrap(
        get(ring, key_ids[0]), key_ids[0],
        secrets.token_bytes(encryption.NONCE)))

# SPDX-License-Identifier: Apache-2.0

"""Encrypted backups in the form of packs.

1. The operator has a key of 32 bytes, which a key manager or a file keeps, and
   which has an id.
2. A line of recovery points has a data key of 32 random bytes. Each manifest,
   and each pack, has it encrypted by the operator's key, with the id of that:
   it is *wrapped*.
3. Of the data key there are two more, by HKDF with SHA-256: one for digests,
   and one for each pack, for which the end of the pack's name is the
   information.
4. A chunk is compressed, then encrypted by AES-256-GCM with the key of its
   pack: a random nonce of 12 bytes, as many bytes as there were, and a tag of
   16 bytes.
5. The digest of a block is the HMAC-SHA256 of its number on the volume and
   itself. So nobody without the key sees which blocks are equal, knows a block
   by its digest, or can move it. Blocks of zeros have none, as ever.

What is not encrypted: which parts of a volume have data, how long the chunks
are, when they were stored, and the names of volumes and backups.
"""

import base64
import binascii
from collections.abc import Iterator
import dataclasses
import hmac
from typing import cast

from cryptography import exceptions as crypto_exceptions
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import aead
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.kdf import hkdf

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import streams

# Bytes of keys, of a nonce and a tag, and by how much a chunk is longer.
KEY = 32
NONCE = 12
TAG = 16
# Bytes of the number of a block.
_NUMBER = 8
# Bytes of a block of AES.
_BLOCK = 16
OVERHEAD = NONCE + TAG
_DIGESTS = b'cinder-swift-backup digests'
_PACK = b'cinder-swift-backup pack '
_WRAPPED = b'cinder-swift-backup data key of '


@dataclasses.dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it is stored: encrypted by the key with an id."""

    key_id: str
    wrapped: bytes

    def encode(self) -> dict[str, str]:
        """It as the value of a field."""
        return {'key_id': self.key_id,
                'wrapped': base64.b64encode(self.wrapped).decode()}


def decode(name: str, value: object) -> Wrapped:
    """A wrapped key.

    :param name: of the object that has it
    :raises FormatError: when it is none
    """
    if isinstance(value, dict):
        key_id, text = value.get('key_id'), value.get('wrapped')
        if documents.is_identifier(key_id) and documents.is_text(text):
            try:
                wrapped = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                wrapped = b''
            if len(wrapped) == KEY + OVERHEAD:
                return Wrapped(key_id, wrapped)
    raise documents.damaged(
        name, f'{documents.shown(value)} is no encrypted key')


class DataKey:
    """Encrypts the chunks of a line of recovery points; for any threads."""

    def __init__(self, secret: bytes) -> None:
        """Prepare.

        :param secret: of :data:`KEY` bytes
        """
        if len(secret) != KEY:
            raise ValueError(f'{len(secret)} bytes instead of {KEY}')
        self._secret = secret
        self._of_digests = _derive(secret, _DIGESTS)
        self._hmac = hmac.new(self._of_digests, digestmod='sha256')

    def __eq__(self, other: object) -> bool:
        """Whether it is the same key."""
        return (isinstance(other, DataKey)
                and hmac.compare_digest(self._secret, other._secret))

    def __hash__(self) -> int:
        """Of the same key the same."""
        return hash(self._of_digests)

    def wrap(self, key: bytes, key_id: str, nonce: bytes) -> Wrapped:
        """It as it is stored.

        :param key: the operator's, of :data:`KEY` bytes
        :param nonce: of :data:`NONCE` random bytes
        """
        return Wrapped(key_id, nonce + aead.AESGCM(key).encrypt(
            nonce, self._secret, _WRAPPED + key_id.encode()))

    def digest(self, block: bytes | memoryview, number: int) -> bytes:
        """The digest of a block that is not zeros.

        :param number: of the block on the volume, from 0
        """
        digest = self._hmac.copy()
        digest.update(number.to_bytes(_NUMBER, 'little'))
        digest.update(block)
        return digest.digest()

    def of_pack(self, rest: str) -> 'PackKey':
        """The key of a pack.

        :param rest: the end of its name
        """
        return PackKey(_derive(self._secret, _PACK + rest.encode()))


class PackKey:
    """Encrypts the chunks of one pack; for any threads."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = aead.AESGCM(key)

    def encrypt(self, stored: bytes, nonce: bytes) -> bytes:
        """A chunk as it is in the pack.

        :param nonce: of :data:`NONCE` random bytes
        """
        return nonce + self._cipher.encrypt(nonce, stored, None)

    def decryption(self, nonce: bytes) -> ciphers.AEADDecryptionContext:
        """What decrypts a chunk piece by piece, and takes its tag then."""
        return ciphers.Cipher(algorithms.AES(self._key),
                              modes.GCM(nonce)).decryptor()


class Decrypter:
    """A :class:`streams.Decoder` of a chunk that is encrypted.

    It gives what it decrypts at once, and :meth:`finish` tells whether that
    was what was encrypted. Memory: the buffer.
    """

    def __init__(self, decoder: streams.Decoder, key: PackKey, name: str,
                 length: int, buffer: bytearray, *,
                 is_checked: bool = True) -> None:
        """Prepare.

        :param decoder: of what was encrypted
        :param name: of the pack
        :param length: of the chunk in the pack, in bytes
        :param buffer: see :func:`make_buffer`
        :param is_checked: whether its tag is
        :raises FormatError: when no chunk has this length
        """
        if length < OVERHEAD:
            raise documents.damaged(
                name, f'{length} bytes are no encrypted chunk')
        self._decoder = decoder
        self._key = key
        self._name = name
        self._buffer = memoryview(buffer)
        self._is_checked = is_checked
        # How much is left of what was encrypted.
        self._left = length - OVERHEAD
        self._nonce = b''
        self._tag = b''
        self._decryption: ciphers.AEADDecryptionContext | None = None

    def feed(self, stored: bytes | memoryview, /,
             ) -> Iterator[bytes | memoryview]:
        """See :class:`streams.Decoder`."""
        rest = memoryview(stored)
        if self._decryption is None:
            missing = NONCE - len(self._nonce)
            self._nonce += rest[:missing]
            if len(self._nonce) < NONCE:
                return
            self._decryption = self._key.decryption(self._nonce)
            rest = rest[missing:]
        body = rest[:self._left]
        self._left -= len(body)
        self._tag += rest[len(body):]
        for start in range(0, len(body), streams.PIECE):
            # It takes any buffers, whatever its types say.
            length = self._decryption.update_into(
                cast(bytes, body[start:start + streams.PIECE]),
                cast(bytes, self._buffer))
            yield from self._decoder.feed(self._buffer[:length])

    def finish(self) -> None:
        """See :class:`streams.Decoder`.

        :raises FormatError: when it is cut off, or cannot be decoded
        :raises IntegrityError: when it is not what was encrypted
        """
        if self._decryption is None or len(self._tag) != TAG:
            raise documents.damaged(self._name, 'a chunk is cut off')
        if self._is_checked:
            try:
                self._decryption.finalize_with_tag(self._tag)
            except crypto_exceptions.InvalidTag as err:
                # What was decrypted may be right all the same.
                raise exceptions.IntegrityError(
                    'a pack is damaged: a chunk is not what was encrypted',
                    name=self._name,
                    remedy=exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED,
                ) from err
        self._decoder.finish()


def make_buffer() -> bytearray:
    """What a :class:`Decrypter` needs, one after the other the same.

    New memory for each piece takes longer than its decryption.
    """
    # The library wants room for part of a block besides.
    return bytearray(streams.PIECE + _BLOCK - 1)


def unwrap(wrapped: Wrapped, key: bytes) -> DataKey:
    """A data key.

    :param key: the operator's, of :data:`KEY` bytes
    :raises WrongKey: when it was wrapped by another
    """
    try:
        secret = aead.AESGCM(key).decrypt(
            wrapped.wrapped[:NONCE], wrapped.wrapped[NONCE:],
            _WRAPPED + wrapped.key_id.encode())
    except crypto_exceptions.InvalidTag as err:
        raise exceptions.WrongKey(
            f'key {wrapped.key_id} is not the one that encrypted the backup',
        ) from err
    return DataKey(secret)


def _derive(secret: bytes, information: bytes) -> bytes:
    return hkdf.HKDF(hashes.SHA256(), KEY, None, information).derive(secret)

# SPDX-License-Identifier: Apache-2.0

"""What only whoever has the key can read."""

import hashlib
import hmac
import itertools

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import encryption

_KEYS = st.binary(min_size=32, max_size=32)
_NONCES = st.binary(min_size=12, max_size=12)
_NAME = 'volume_v/packs/b-000001'


class DataKeyTest(base.BaseTestCase):
    """A key that is stored encrypted."""

    @given(_KEYS, _KEYS, _NONCES, st.text('abc-ä', min_size=1, max_size=40))
    def test_round_trip(self, secret, key, nonce, key_id):
        before = encryption.DataKey(secret)
        wrapped = before.wrap(key, key_id, nonce)
        stored = encryption.decode(_NAME, wrapped.encode())
        self.assertEqual(wrapped, stored)
        self.assertNotIn(secret, stored.wrapped)
        after = encryption.unwrap(stored, key)
        self.assertEqual(before.digest(b'block', 7),
                         after.digest(b'block', 7))
        self.assertEqual({before}, {before, after})

    def test_another_key(self):
        wrapped = encryption.DataKey(b's' * 32).wrap(
            b'k' * 32, 'id', b'n' * 12)
        for changed, key in (
                (wrapped, b'x' * 32),
                (encryption.Wrapped('other', wrapped.wrapped), b'k' * 32),
                (encryption.Wrapped('id', wrapped.wrapped[:-1] + b'?'),
                 b'k' * 32)):
            err = self.assertRaises(exceptions.WrongKey, encryption.unwrap,
                                    changed, key)
            self.assertIn(changed.key_id, str(err))

    def test_what_is_no_wrapped_key(self):
        good = encryption.DataKey(b's' * 32).wrap(
            b'k' * 32, 'id', b'n' * 12).encode()
        for value in (None, [], {}, {**good, 'key_id': 7},
                      {**good, 'key_id': 'a\nb'}, {**good, 'wrapped': 'x'},
                      {**good, 'wrapped': '!' + good['wrapped'][1:]},
                      {**good, 'wrapped': good['wrapped'][:40]},
                      {**good, 'wrapped': None}):
            err = self.assertRaises(exceptions.FormatError,
                                    encryption.decode, _NAME, value)
            self.assertEqual(_NAME, err.name)

    def test_digests_are_keyed(self):
        key = encryption.DataKey(b's' * 32)
        self.assertNotEqual(hashlib.sha256(b'x').digest(),
                            key.digest(b'x', 0))
        self.assertNotEqual(encryption.DataKey(b't' * 32).digest(b'x', 0),
                            key.digest(b'x', 0))
        # A block that is elsewhere is another one.
        self.assertEqual(1000, len({key.digest(b'x', number)
                                    for number in range(1000)}))
        self.assertEqual(key.digest(b'xy', 1),
                         key.digest(memoryview(b'xy'), 1))
        self.assertEqual(32, len(key.digest(b'', 1 << 60)))
        # By the page about the form, in other words.
        derived = hmac.digest(
            hmac.digest(bytes(32), b's' * 32, 'sha256'),
            b'cinder-swift-backup digests\x01', 'sha256')
        self.assertEqual(
            hmac.digest(derived, b'\x02\x01' + bytes(6) + b'x', 'sha256'),
            key.digest(b'x', 0x102))

    def test_its_length(self):
        self.assertRaises(ValueError, encryption.DataKey, b'short')


class PackKeyTest(base.BaseTestCase):
    """Chunks of a pack."""

    @given(_KEYS, _NONCES, st.binary(max_size=200), st.data())
    def test_round_trip_and_damage(self, secret, nonce, stored, drawn):
        key = encryption.DataKey(secret).of_pack('b-000001')
        encrypted = key.encrypt(stored, nonce)
        self.assertEqual(len(stored) + encryption.OVERHEAD, len(encrypted))
        self.assertEqual(stored, self.decrypted(key, encrypted, drawn))
        at = drawn.draw(st.integers(0, len(encrypted) - 1))
        damaged = bytearray(encrypted)
        damaged[at] ^= drawn.draw(st.integers(1, 255))
        other = encryption.DataKey(secret).of_pack('b-000002')
        for one, data in ((key, bytes(damaged)), (other, encrypted)):
            err = self.assertRaises(exceptions.IntegrityError, self.decrypted,
                                    one, data, drawn)
            self.assertEqual(_NAME, err.name)
            self.assertIs(exceptions.Remedy.OTHER_BACKUP_OR_UNVERIFIED,
                          err.remedy)
        err = self.assertRaises(exceptions.FormatError, self.decrypted, key,
                                b'', drawn)
        self.assertEqual(_NAME, err.name)
        # It is cut off, or there is more of it.
        for data in (encrypted[:-1], encrypted + b'x'):
            self.assertRaises(exceptions.FormatError, self.decrypted, key,
                              data, drawn, len(encrypted))

    @staticmethod
    def decrypted(key, stored, drawn, length=None):
        """What comes of a chunk, which is fed in any pieces."""
        length = len(stored) if length is None else length
        buffer = encryption.make_buffer()
        decrypter = encryption.Decrypter(
            codecs.NONE.decoder(max(length - encryption.OVERHEAD, 0)), key,
            _NAME, length, buffer)
        ends = sorted(drawn.draw(st.sets(st.integers(0, len(stored)))))
        found = b''
        for start, end in itertools.pairwise([0, *ends, len(stored)]):
            found += b''.join(map(bytes, decrypter.feed(stored[start:end])))
        decrypter.finish()
        return found

# SPDX-License-Identifier: Apache-2.0

"""The digest file, and telling changed blocks by it."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from tests.fakes import documents
from tests.unit.format import strategies

_PREFIX = documents.PREFIX
_TABLES = st.builds(
    digests.DigestTable, st.integers(1, 1 << 20),
    st.lists(st.binary(min_size=32, max_size=32), max_size=6).map(b''.join))


def _sha256(data):
    return hashlib.sha256(data).digest()


def _decode(stored):
    return digests.decode(_PREFIX, stored)


class EncodeTest(base.BaseTestCase):
    """What we write we read, and it is as long as announced."""

    @given(strategies.headers, _TABLES)
    def test_round_trip(self, header, table):
        stored = b''.join(digests.encode(header, table))
        self.assertEqual(table, _decode(stored))

    @given(strategies.headers, _TABLES)
    def test_length_is_known_beforehand(self, header, table):
        stored = b''.join(digests.encode(header, table))
        self.assertEqual(len(stored),
                         digests.encoded_length(header, table))

    def test_many_digests_come_in_many_pieces(self):
        for count in (999, 1000, 1001, 2000, 2500):
            table = digests.DigestTable(
                32768, b''.join(_sha256(bytes([index % 251]))
                                for index in range(count)))
            header = types.BackupHeader('b', 'v', None, None, '')
            pieces = list(digests.encode(header, table))
            self.assertLess(max(map(len, pieces)), 100000)
            stored = b''.join(pieces)
            self.assertEqual(digests.encoded_length(header, table),
                             len(stored))
            self.assertEqual(table, _decode(stored))

    @given(strategies.headers, _TABLES)
    def test_stock_form(self, header, table):
        fields = json.loads(b''.join(digests.encode(header, table)))
        self.assertEqual('1.0.0', fields['version'])
        self.assertEqual(header.backup_id, fields['backup_id'])
        self.assertEqual(header.volume_id, fields['volume_id'])
        self.assertEqual(header.backup_name, fields['backup_name'])
        self.assertEqual(table.block_size, fields['chunk_size'])
        self.assertEqual(
            [bytes(table.digest(block)).hex()
             for block in range(len(table))], fields['sha256s'])

    def test_of_a_bytearray(self):
        header = types.BackupHeader('b', 'v', None, None, '')
        packed = bytearray(_sha256(b'x') * 3)
        stored = b''.join(digests.encode(
            header, digests.DigestTable(16, packed)))
        self.assertEqual(bytes(packed), _decode(stored).packed)


class DecodeTest(base.BaseTestCase):
    """Files of the stock driver, and files that are none."""

    def test_stock_file_with_indentation(self):
        words = [_sha256(bytes([index])).hex() for index in range(5)]
        table = _decode(documents.digest_file(words, 32768))
        self.assertEqual(32768, table.block_size)
        self.assertEqual(5, len(table))
        self.assertEqual(words[3], table.digest(3).hex())

    def _refused(self, stored):
        err = self.assertRaises(exceptions.FormatError, _decode, stored)
        self.assertIn(f'{_PREFIX}_sha256file', str(err))

    def test_bad_digests(self):
        good = _sha256(b'').hex()
        for word in (None, 1, '', good[:-1], good + '0', good + '\n',
                     'g' * 64,
                     good[:-2] + '\n0', ' ' + good[1:], [good],
                     '\u0661' * 64):
            self._refused(documents.digest_file([good, word], 32768))

    def test_bad_fields(self):
        for key, value in (('sha256s', None), ('sha256s', {}),
                           ('chunk_size', 0), ('chunk_size', -5),
                           ('chunk_size', '32768'), ('chunk_size', True),
                           ('chunk_size', None), ('version', '2.0.0')):
            self._refused(documents.digest_file([], 32768, **{key: value}))

    def test_cut_off(self):
        good = documents.digest_file([_sha256(b'').hex()] * 3, 32768)
        for end in (0, 10, len(good) // 2, len(good) - 1):
            self._refused(good[:end])

    @given(st.binary(max_size=200))
    def test_any_bytes(self, stored):
        self._refused(stored)

    @given(strategies.json_values)
    def test_any_json(self, value):
        self._refused(json.dumps(value).encode())

    @given(st.sampled_from(('sha256s', 'chunk_size', 'version')),
           strategies.json_values)
    def test_any_json_in_a_field(self, key, value):
        good = [_sha256(b'').hex()]
        stored = documents.digest_file(good, 32768, **{key: value})
        try:
            table = _decode(stored)
        except exceptions.FormatError:
            return
        self.assertGreater(table.block_size, 0)


class HashTest(base.BaseTestCase):
    """Hashing blocks and finding the changed ones."""

    @given(st.binary(max_size=100), st.integers(1, 20))
    def test_hash_blocks(self, data, block_size):
        expected = b''.join(_sha256(data[start:start + block_size])
                            for start in range(0, len(data), block_size))
        self.assertEqual(
            expected, digests.hash_blocks(memoryview(data), block_size))

    @given(st.lists(st.integers(0, 2), max_size=8),
           st.lists(st.integers(0, 2), max_size=8))
    def test_changed_blocks(self, before, now):
        # A naive model: compare one by one, a missing one has changed.
        before_digests = [_sha256(bytes([value])) for value in before]
        now_digests = [_sha256(bytes([value])) for value in now]
        expected = [
            index for index, digest in enumerate(now_digests)
            if index >= len(before_digests)
            or before_digests[index] != digest]
        self.assertEqual(expected, digests.changed_blocks(
            b''.join(now_digests), b''.join(before_digests)))

    def test_nothing_changed(self):
        packed = _sha256(b'a') + _sha256(b'b')
        self.assertEqual([], digests.changed_blocks(packed, packed))
        self.assertEqual([], digests.changed_blocks(bytearray(packed),
                                                    packed))

    def test_table(self):
        table = digests.DigestTable(16, _sha256(b'a') + _sha256(b'b'))
        self.assertEqual(2, len(table))
        self.assertEqual(_sha256(b'b'), table.digest(1))
        self.assertEqual(_sha256(b'a'), table.run(0, 1))
        self.assertEqual(_sha256(b'b'), table.run(1, 9))
        self.assertEqual(b'', table.run(2, 9))

# SPDX-License-Identifier: Apache-2.0

"""The digest file, written and read as a stream."""

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types
from tests.fakes import documents
from tests.fakes import process_memory
from tests.unit.format import strategies

_PREFIX = documents.PREFIX
_TABLES = st.builds(
    digests.DigestTable, st.integers(1, 1 << 20),
    st.lists(st.binary(min_size=32, max_size=32), max_size=6).map(b''.join))


def _sha256(data):
    return hashlib.sha256(data).digest()


def _decode(stored, step=None, size=1 << 60, most=1 << 30):
    reader = digest_file.Reader(_PREFIX, size, most,
                                lambda zeros: bytearray())
    for start in range(0, len(stored), step or len(stored) or 1):
        reader.feed(stored[start:start + (step or len(stored))])
    return reader.finish()


class EncodeTest(base.BaseTestCase):
    """What we write we read, and it is as long as announced."""

    @given(strategies.headers, _TABLES)
    def test_round_trip(self, header, table):
        stored = b''.join(digest_file.encode(header, table))
        self.assertEqual(table, _decode(stored))

    @given(strategies.headers, _TABLES)
    def test_length_is_known_beforehand(self, header, table):
        stored = b''.join(digest_file.encode(header, table))
        self.assertEqual(len(stored),
                         digest_file.encoded_length(
            header, table.block_size, len(table)))

    def test_many_digests_come_in_many_pieces(self):
        for count in (14999, 15000, 15001, 30000, 31000):
            table = digests.DigestTable(
                32768, b''.join(_sha256(bytes([index % 251]))
                                for index in range(count)))
            header = types.BackupHeader('b', 'v', None, None, '')
            pieces = list(digest_file.encode(header, table))
            self.assertLessEqual(max(map(len, pieces)), 1 << 20)
            stored = b''.join(pieces)
            self.assertEqual(digest_file.encoded_length(
            header, table.block_size, len(table)),
                             len(stored))
            self.assertEqual(table, _decode(stored))

    @given(strategies.headers, _TABLES)
    def test_stock_form(self, header, table):
        fields = json.loads(b''.join(digest_file.encode(header, table)))
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
        stored = b''.join(digest_file.encode(
            header, digests.DigestTable(16, packed)))
        self.assertEqual(packed, _decode(stored).packed)


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

    @given(st.integers(1, 200), st.lists(st.binary(
        min_size=32, max_size=32), max_size=5), st.sampled_from((None, 2)),
        st.booleans())
    def test_pieces_may_end_anywhere(self, step, found, indent, sorted_keys):
        fields = json.loads(documents.digest_file(
            [digest.hex() for digest in found], 32768,
            backup_name='"sha256s": [ \\'))
        stored = json.dumps(fields, sort_keys=sorted_keys,
                            indent=indent).encode()
        self.assertEqual(
            digests.DigestTable(32768, b''.join(found)),
            _decode(stored, step))

    @given(st.binary(max_size=200), st.integers(1, 50))
    def test_what_json_refuses_is_refused(self, junk, step):
        good = documents.digest_file([_sha256(b'').hex()] * 2, 32768)
        for at in (0, good.index(b'['), good.index(b'[') + 70,
                   good.index(b']'), len(good)):
            stored = good[:at] + junk + good[at:]
            try:
                json.loads(stored.decode())
            except ValueError:
                self.assertRaises(exceptions.FormatError, _decode, stored,
                                  step)

    def test_list_that_ends_in_a_comma(self):
        word = f'"{_sha256(b"").hex()}"'.encode()
        good = documents.digest_file([], 32768)
        self.assertEqual(1, len(_decode(good.replace(
            b'[]', b'[%b]' % word))))
        for wrong in (b'[%b,]', b'[,%b]', b'[%b %b]', b'[%b,,%b]'):
            count = wrong.count(b'%b')
            self._refused(good.replace(b'[]', wrong % ((word,) * count)))

    def test_a_second_list(self):
        good = documents.digest_file([_sha256(b'').hex()], 32768)
        self._refused(good.replace(b'"version"', b'"sha256s": ["a"], '
                                                 b'"version"'))

    def test_more_digests_than_the_volume_has_blocks(self):
        stored = documents.digest_file(['0' * 64] * 5, 1000)
        self.assertEqual(5, len(_decode(stored, size=4001)))
        self.assertRaises(exceptions.FormatError, _decode, stored,
                          size=4000)
        self.assertRaises(exceptions.FormatError, _decode, stored,
                          size=3000)

    def test_more_digests_than_any_file_of_such_a_volume_has(self):
        # The file itself says how small its blocks are, so it may say 1.
        stored = documents.digest_file(['0' * 64] * 5, 1)
        self.assertEqual(5, len(_decode(stored, most=5)))
        self.assertRaises(exceptions.FormatError, _decode, stored, most=4)

    def test_most_digests(self):
        # The smallest blocks there are, of a file longer than its volume.
        for size in (0, 1 << 30, 1 << 40):
            self.assertGreaterEqual(digest_file.most_digests(size),
                                    size * 3 // 2 // types.SMALLEST_BLOCK)
            self.assertLessEqual(
                digest_file.most_digests(size) * digests.DIGEST_SIZE,
                size // 8 + (64 << 20))

    def test_credible_size(self):
        gib = 1 << 30
        for recorded, told, expected in (
                (None, 5 * gib, 5 * gib), (gib, 7, gib), (gib, gib, gib),
                (gib, gib + 8192, gib + 8192), (gib, 8 * gib, 8 * gib),
                (gib, 1 << 62, 10 * gib)):
            self.assertEqual(expected, digest_file.credible_size(
                recorded, told))

    def test_white_space_without_end(self):
        # Where two expressions match the same, trying takes for ever.
        word = f'"{_sha256(b"").hex()}"'.encode()
        good = documents.digest_file([], 32768)
        self._refused(good.replace(b'[]', b'[%b%b' % (
            word, b' ' * (1 << 20))))

    def test_blocks_that_are_too_large_for_memory(self):
        self._refused(documents.digest_file(
            [], types.LARGEST_BLOCK + 1))
        _decode(documents.digest_file([], types.LARGEST_BLOCK))


_MEMORY = '''
from cinder_swift_backup.format import digest_file
from tests.fakes import documents
from tests.fakes import process_memory

MIB = 1 << 20
opening, closing = documents.digest_file([], 32768).split(b'[]')
words = b'"%b",\\n    ' % (b'0' * 64) * 10000

def pieces():
    yield opening + b'['
    for _ in range(100):
        yield words
    yield b'"%b"]' % (b'0' * 64) + closing

def read(feed):
    reader = digest_file.Reader(documents.PREFIX, 1 << 40, 1 << 30,
                                lambda zeros: bytearray())
    for piece in feed:
        reader.feed(piece)
    return reader.finish()

before = process_memory.resident()
table = read(pieces())
print(len(table), (process_memory.peak() - before) // MIB)
del table
process_memory.reset_peak()
before = process_memory.resident()
for endless in (b'0' * MIB, b' ' * MIB, words):
    try:
        read([opening + b'['] + [endless] * 500)
    except Exception as err:
        print(type(err).__name__, (process_memory.peak() - before) // MIB)
'''


class MemoryTest(base.BaseTestCase):
    """32 bytes for each digest, and no more for what is none."""

    def test_bounded(self):
        words = process_memory.printed(_MEMORY)
        lines = list(zip(words[::2], words[1::2], strict=True))
        self.assertEqual('1000001', lines[0][0])
        self.assertLess(int(lines[0][1]), 46)
        self.assertEqual(['FormatError'] * 3, [line[0] for line in lines[1:]])
        for line in lines[1:3]:
            self.assertLess(int(line[1]), 16)

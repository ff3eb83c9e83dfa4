# SPDX-License-Identifier: Apache-2.0

"""Documents that somebody made to take memory, or to be read in two ways."""

import json
import tracemalloc

from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import manifest
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests.fakes import documents

_PREFIX = documents.PREFIX
_MIB = 1 << 20
_WORD = b'"%b"' % (b'0a' * 32)


def _read_manifest(pieces):
    reader = manifest.Reader(_PREFIX)
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def _read_digests(pieces):
    reader = digest_file.Reader(_PREFIX, 1 << 40, 1 << 30,
                                lambda zeros: bytearray())
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def _in_pieces(stored, step):
    return (stored[start:start + step]
            for start in range(0, len(stored), step))


class _Case(base.BaseTestCase):
    def _refused(self, read, stored):
        err = self.assertRaises(exceptions.FormatError, read, [stored])
        self.assertTrue(str(err).isprintable(), str(err))
        self.assertLess(len(str(err)), 400)

    def _peak(self, work, *arguments):
        """The most bytes that some work takes."""
        self.addCleanup(tracemalloc.stop)
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work(*arguments)
        return tracemalloc.get_traced_memory()[1] - before


class MemoryTest(_Case):
    """A few bytes must not become many."""

    def test_many_values_in_the_fields(self):
        for value in (b'{},', b'[],', b'[0,0],', b'1000,'):
            for at in (b'"objects"', b'"version"'):
                many = b'"more": [%b0], ' % (value * (15 * _MIB // len(value)))
                stored = documents.manifest([], parent_id=None).replace(
                    at, many + at)
                self.assertLess(self._peak(
                    self._refused, _read_manifest, stored), 80 * _MIB)

    def test_long_text_in_the_fields(self):
        text = '\U0001f600' + 'x' * 15 * _MIB
        stored = documents.manifest([], parent_id=None, volume_meta=text)
        found = []
        self.assertLess(self._peak(lambda: found.append(
            _read_manifest([stored]))), 160 * _MIB)
        self.assertEqual(text, found[0].volume_meta)

    def test_fields_before_and_after_the_list(self):
        text = 'x' * 9 * _MIB
        stored = json.dumps({'version': '1.0.0', 'a': text, 'objects': [],
                             'b': text}).encode()
        self._refused(_read_manifest, stored)
        _read_manifest([stored.replace(b'x' * 2 * _MIB, b'')])

    def test_words_of_codecs(self):
        def entries(words):
            return documents.manifest([
                documents.chunk(number, number, 1, word)
                for number, word in enumerate(words)], parent_id=None)

        self._refused(_read_manifest, entries(['z' * 41]))
        self._refused(_read_manifest, entries(map(str, range(101))))
        self.assertEqual(100, len(_read_manifest(
            [entries(map(str, range(100)))]).chunks))

    def test_names_of_chunks(self):
        for digits, good in (('0' * 17 + '1', True), ('0' * 18 + '1', False),
                             ('1' * 60000, False)):
            entry = {f'{_PREFIX}-{digits}': {
                'offset': 0, 'length': 1, 'compression': 'none'}}
            stored = documents.manifest([entry], parent_id=None)
            if good:
                self.assertEqual([*entry], list(
                    _read_manifest([stored]).chunks.names()))
            else:
                self._refused(_read_manifest, stored)

    def test_names_in_another_order(self):
        count = 100000
        table = chunk_table.ChunkTable(_PREFIX, (
            types.ChunkRecord(naming.chunk_name(_PREFIX, number),
                              types.Extent(0, 1), 'none')
            for number in reversed(range(count))))
        self.assertLess(self._peak(table.names_twice), 30 * count)
        self.assertFalse(table.names_twice())
        table.append(table[count // 2])
        self.assertTrue(table.names_twice())


class PiecesTest(_Case):
    """How a document comes does not decide whether it is read."""

    def _same(self, read, stored, good):
        for step in (len(stored), 65536, 30011):
            if good:
                read(_in_pieces(stored, step))
            else:
                self.assertRaises(exceptions.FormatError, read,
                                  _in_pieces(stored, step))

    def test_white_space_around_digests(self):
        empty = documents.digest_file([], 32768)
        for count, good in ((1024, True), (1025, False)):
            space = b' ' * count
            for items in ((space + _WORD, _WORD), (_WORD + space, _WORD),
                          (_WORD, space + _WORD), (_WORD, _WORD + space),
                          (_WORD,) * 970 + (space + _WORD, _WORD)):
                self._same(_read_digests, empty.replace(
                    b'[]', b'[%b]' % b','.join(items)), good)

    def test_long_entries(self):
        empty = documents.manifest([], parent_id=None)
        entries = [json.dumps(documents.chunk(number, 0, 1)).encode()
                   for number in (1, 2)]
        for count, good in ((65000, True), (66000, False)):
            for at in (0, 1):
                for long in (b' ' * count + entries[at],
                             entries[at] + b' ' * count,
                             entries[at].replace(
                                 b'"none"', b'"none", "x": "%b"'
                                 % (b'x' * count))):
                    both = [*entries]
                    both[at] = long
                    self._same(_read_manifest, empty.replace(
                        b'[]', b'[%b]' % b','.join(both)), good)
            self._same(_read_manifest, empty.replace(
                b'[]', b'[%b]' % (b' ' * count)), good)

    def test_many_fields(self):
        for read, most in ((_read_manifest, 16 * _MIB),
                           (_read_digests, _MIB)):
            key = ('objects' if read is _read_manifest else 'sha256s')
            for where in ('a', 'z'):
                empty = json.dumps({
                    'version': '1.0.0', 'chunk_size': 1, where: '', key: [],
                    }, sort_keys=True).encode()
                for more in (0, 3):
                    text = b'x' * (most - len(empty) + 1 + more)
                    self._same(read, empty.replace(b'""', b'"%b"' % text),
                               not more)


class MeaningTest(_Case):
    """What readers understand in different ways is refused."""

    def test_names_twice(self):
        for read, stored, key in (
                (_read_manifest, documents.manifest(
                    [documents.chunk(1, 0, 1)], parent_id=None), 'objects'),
                (_read_digests, documents.digest_file(['0a' * 32], 512),
                 'sha256s')):
            read([stored])
            for more in (f'"{key}": [], "a": 0', '"version": "1.0.0"',
                         '"x": {"a": 1, "a": 1}'):
                at = stored.rindex(b'}')
                self._refused(read, b'%b, %b}' % (
                    stored[:at], more.encode()))

    def test_halves_of_characters(self):
        for key in ('backup_id', 'volume_id', 'backup_name', 'created_at',
                    'backup_description', 'parent_id', 'volume_meta',
                    'version'):
            self._refused(_read_manifest,
                          documents.manifest([], **{key: 'a\udc80'}))
        for key in ('backup_id', 'volume_id', 'container', 'prefix'):
            self._refused(_read_manifest, documents.manifest(
                [], csb_parent={key: '\ud800'}))
        self._refused(_read_manifest, documents.manifest(
            [documents.chunk(1, 0, 1, '\ud800')]))
        for key in ('image', 'snapshot'):
            mark = {'image': 'i', 'snapshot': 's', 'changes': []}
            for value, good in (('\udfff', False), ('\xe4', True)):
                self.assertEqual(good, _read_manifest([documents.manifest(
                    [], csb_mark={**mark, key: value})]).mark is not None)

    def test_ids_for_a_terminal(self):
        for value in ('a\n', '\x1b[2J', 'x' * 256):
            for key in ('backup_id', 'volume_id', 'parent_id',
                        'csb_encryption_key_id'):
                self._refused(_read_manifest,
                              documents.manifest([], **{key: value}))
            for key in ('backup_id', 'volume_id'):
                self._refused(_read_manifest, documents.manifest(
                    [], csb_parent={key: value}))

    def test_version_for_a_terminal(self):
        self._refused(_read_manifest, documents.manifest(
            [], version='\x1b[2J\n'))

    def test_deep_values(self):
        # Reading one and telling of it may end at different depths.
        for depth in range(700, 1000):
            for key in ('offset', 'compression'):
                entry = documents.chunk(1, 0, 1, **{})
                entry[f'{_PREFIX}-00001'][key] = 'here'
                stored = documents.manifest([entry], parent_id=None)
                self._refused(_read_manifest, stored.replace(
                    b'"here"', b'[' * depth + b']' * depth))

    def test_deep_fields(self):
        for depth in range(700, 1000):
            deep = b'[' * depth + b']' * depth
            for key in (b'volume_meta', b'version'):
                stored = b'{"version": "1.0.0", "objects": [], "%b": %b}' % (
                    key, deep)
                if key == b'version':
                    stored = stored.replace(b'"version": "1.0.0", ', b'')
                self._refused(_read_manifest, stored)

    def test_forgotten_md5s(self):
        # From 2015.1 on they are of the data.
        found = _read_manifest([documents.manifest(
            [documents.chunk(1, 0, 1)], parent_id=None)])
        self.assertEqual(found, _read_manifest(manifest.encode(found)))

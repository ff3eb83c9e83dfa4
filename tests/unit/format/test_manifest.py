# SPDX-License-Identifier: Apache-2.0

"""The manifest: ours, the stock driver's of every release, and rubbish."""

import datetime
import json

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from tests.fakes import documents
from tests.fakes import process_memory
from tests.unit.format import strategies

_PREFIX = documents.PREFIX


def _encode(manifest):
    return b''.join(manifest_format.encode(manifest))


def _decode(stored, step=1 << 20):
    reader = manifest_format.Reader(_PREFIX)
    for start in range(0, len(stored), step):
        reader.feed(stored[start:start + step])
    return reader.finish()


def _extents(manifest):
    return [(chunk.extent.offset, chunk.extent.length)
            for chunk in manifest.chunks]


class RoundTripTest(base.BaseTestCase):
    """What we write we read."""

    @given(strategies.manifests)
    def test_round_trip(self, manifest):
        self.assertEqual(manifest,
                         _decode(_encode(manifest)))

    @given(strategies.manifests, st.integers(1, 100),
           st.sampled_from((None, 2)), st.booleans())
    def test_pieces_may_end_anywhere(self, manifest, step, indent, in_order):
        fields = json.loads(_encode(manifest))
        fields['extra_metadata'] = {'"objects": [': {'objects': [{}]}}
        stored = json.dumps(fields, indent=indent, sort_keys=in_order,
                            ensure_ascii=False).encode()
        self.assertEqual(manifest, _decode(stored, step))

    def test_smallest_objects_and_longest_names_are_within_the_bound(self):
        block = types.SMALLEST_BLOCK
        count = 1 << 16
        for zone in ('nova', '\u4e2d' * 250):
            prefix = naming.backup_prefix(
                'v' * 36, 'b' * 36, zone, datetime.datetime(2026, 1, 1))
            chunks = chunk_table.ChunkTable(prefix, (
                types.ChunkRecord(naming.chunk_name(prefix, number),
                                  types.Extent(number * block, block),
                                  'none', block, 'f' * 32)
                for number in range(count)))
            size = manifests.encoded_length(chains.Manifest(
                header=types.BackupHeader('bak-1', 'vol-1', None, None, 'now'),
                chunks=chunks))
            self.assertGreater(size, 16 << 20)
            self.assertLess(size, manifest_format.largest(
                count * block, prefix))

    def test_has_what_the_stock_reader_looks_at(self):
        manifest = chains.Manifest(
            header=types.BackupHeader('bak-1', 'vol-1', None, None, 'now'),
            chunks=chunk_table.ChunkTable(_PREFIX, [types.ChunkRecord(
                f'{_PREFIX}-00001', types.Extent(10, 20), 'zlib', 15,
                'ab' * 16)]),
            parent_id='bak-0', volume_meta='{"a": 1}', volume_size=30)
        fields = json.loads(_encode(manifest))
        self.assertEqual('1.0.0', fields['version'])
        self.assertEqual('bak-0', fields['parent_id'])
        self.assertEqual('{"a": 1}', fields['volume_meta'])
        self.assertNotIn('extra_metadata', fields)
        (entry,) = fields['objects']
        (name, chunk), = entry.items()
        self.assertEqual(f'{_PREFIX}-00001', name)
        self.assertEqual(
            (10, 20, 'zlib'),
            (chunk['offset'], chunk['length'], chunk['compression']))

    def test_mark_of_another_form_is_none(self):
        fields = json.loads(_encode(chains.Manifest(
            header=types.BackupHeader('b', 'v', None, None, ''),
            chunks=chunk_table.ChunkTable(_PREFIX))))
        for mark in (None, 'x', [], {}, {'image': 'x'},
                     {'image': 'x', 'snapshot': 'x'},
                     {'image': 1, 'snapshot': 'x', 'changes': []},
                     *({'image': 'x', 'snapshot': 'x', 'changes': changes}
                       for changes in (None, [1], [[1]], [[1, -1]],
                                       [[1, True]], [[1, 2, 3]], {}))):
            fields['csb_mark'] = mark
            self.assertIsNone(_decode(json.dumps(fields).encode()).mark)

    def test_md5_of_the_data(self):
        # Where it costs nothing, because the data is stored as it is.
        for word, md5 in (('none', 'ab' * 16), ('zlib', None)):
            manifest = chains.Manifest(
                header=types.BackupHeader('b', 'v', None, None, ''),
                chunks=chunk_table.ChunkTable(_PREFIX, [types.ChunkRecord(
                    f'{_PREFIX}-00001', types.Extent(0, 1), word, 1,
                    'ab' * 16)]))
            fields = json.loads(_encode(manifest))
            ((_, chunk),) = fields['objects'][0].items()
            self.assertEqual(md5, chunk.get('md5'))

    def test_our_own_keys_cannot_clash(self):
        stock = {'version', 'backup_id', 'volume_id', 'backup_name',
                 'backup_description', 'created_at', 'parent_id',
                 'volume_meta', 'objects'}
        manifest = chains.Manifest(
            header=types.BackupHeader('b', 'v', None, None, ''),
            chunks=chunk_table.ChunkTable(_PREFIX), volume_size=1,
            parent=types.BackupRef('a', 'b', 'c', 'd'), key_id='key')
        for key in set(json.loads(_encode(manifest))) - stock:
            self.assertTrue(key.startswith('csb_'), key)


class StockTest(base.BaseTestCase):
    """Manifests that Cinder's own driver wrote."""

    def test_today(self):
        manifest = _decode(documents.manifest(
            [documents.chunk(1, 0, 100, 'zlib'),
             documents.chunk(2, 100, 50)],
            parent_id=None, volume_meta='{}'))
        self.assertEqual([(0, 100), (100, 50)], _extents(manifest))
        self.assertEqual('zlib', manifest.chunks[0].compression)
        self.assertIsNone(manifest.volume_size)
        self.assertIsNone(manifest.parent)
        self.assertIsNone(manifest.chunks[0].stored_length)
        self.assertEqual('{}', manifest.volume_meta)
        self.assertEqual('nightly', manifest.header.backup_name)

    def test_order_is_kept(self):
        manifest = _decode(documents.manifest(
            [documents.chunk(2, 100, 50), documents.chunk(1, 0, 100)],
            parent_id=None))
        self.assertEqual([(100, 50), (0, 100)], _extents(manifest))

    def test_keys_we_do_not_know_are_tolerated(self):
        manifest = _decode(documents.manifest(
            [documents.chunk(1, 0, 5, something=['else'])],
            parent_id=None, extra_metadata={'a': 1}, other=7))
        self.assertEqual([(0, 5)], _extents(manifest))

    def test_grizzly(self):
        # No parent_id, no volume_meta, offsets are starts.
        manifest = _decode(documents.manifest(
            [documents.chunk(1, 0, 100), documents.chunk(2, 100, 50)]))
        self.assertEqual([(0, 100), (100, 50)], _extents(manifest))
        self.assertIsNone(manifest.parent_id)
        self.assertIsNone(manifest.volume_meta)

    def test_grizzly_of_one_chunk(self):
        manifest = _decode(documents.manifest([documents.chunk(1, 0, 7)]))
        self.assertEqual([(0, 7)], _extents(manifest))

    def test_juno_offsets_are_ends(self):
        manifest = _decode(documents.manifest(
            [documents.chunk(1, 100, 100, 'bz2'),
             documents.chunk(2, 200, 100), documents.chunk(3, 230, 30)],
            volume_meta='{}'))
        self.assertEqual([(0, 100), (100, 100), (200, 30)],
                         _extents(manifest))
        self.assertEqual('bz2', manifest.chunks[0].compression)
        self.assertEqual(230, manifest.end)

    @given(st.lists(st.integers(1, 1000), min_size=1, max_size=8))
    def test_juno_and_grizzly_come_out_the_same(self, lengths):
        starts, ends, position = [], [], 0
        for number, length in enumerate(lengths, 1):
            starts.append(documents.chunk(number, position, length))
            position += length
            ends.append(documents.chunk(number, position, length))
        self.assertEqual(_decode(documents.manifest(starts)),
                         _decode(documents.manifest(ends)))

    def test_later_incremental_is_not_shifted(self):
        # Its first extent may well begin at its own length.
        for parent in ('bak-0', None):
            manifest = _decode(documents.manifest(
                [documents.chunk(1, 100, 100),
                 documents.chunk(2, 300, 100)], parent_id=parent))
            self.assertEqual([(100, 100), (300, 100)], _extents(manifest))

    def test_our_own_incremental_is_not_shifted(self):
        manifest = chains.Manifest(
            header=types.BackupHeader('b', 'v', None, None, ''),
            chunks=chunk_table.ChunkTable(_PREFIX, [types.ChunkRecord(
                f'{_PREFIX}-00001', types.Extent(64, 64), 'none')]),
            parent_id='a')
        self.assertEqual(
            [(64, 64)], _extents(_decode(_encode(manifest))))


class BadManifestTest(base.BaseTestCase):
    """Whatever is wrong is a FormatError that names the object."""

    def _refused(self, stored, *words):
        err = self.assertRaises(exceptions.FormatError, _decode, stored)
        for word in (*words, _PREFIX):
            self.assertIn(word, str(err))
        self.assertIn(err.name, str(err))

    def _refused_chunk(self, entry, *words):
        self._refused(documents.manifest([entry], parent_id=None), *words)

    def test_not_json(self):
        good = documents.manifest([])
        for stored in (b'', b'{', good[:-1], good + b'}', b'\xff\xfe',
                       b'\xef\xbb\xbf' + good, b'[' * 100000):
            self._refused(stored, 'not valid JSON')

    def test_number_too_long_to_read(self):
        self._refused(b'{"version": "1.0.0", "objects": ['
                      + b'9' * 5000 + b']}')

    def test_not_an_object(self):
        for stored in (b'[]', b'7', b'null', b'"1.0.0"'):
            self._refused(stored, 'not a JSON object')

    def test_version(self):
        for version in ('2.0.0', '1.0', 1, None, ['1.0.0']):
            stored = documents.manifest([], version=version)
            self._refused(stored, 'version', 'instead of 1.0.0')

    def test_objects(self):
        for objects in (None, {}, 'x', 3):
            self._refused(documents.manifest(objects), 'objects')

    def test_entries(self):
        two = {**documents.chunk(1, 0, 1), **documents.chunk(2, 1, 1)}
        for entry in (None, [], {}, 'x', two, {f'{_PREFIX}-00001': None},
                      {f'{_PREFIX}-00001': []}):
            self._refused_chunk(entry)

    def test_fields_of_an_entry(self):
        good = {'offset': 0, 'length': 4, 'compression': 'none', 'md5': None}
        bad = {'offset': (None, -1, '0', 0.5, True, [], float('nan')),
               'length': (None, -1, 0, '4', 4.0, False, {}),
               'compression': (None, 1, [], False),
               'csb_stored_length': (-1, '1', True, 1 << 63),
               'csb_stored_md5': (1, {}, 'ab', 'x' * 32)}
        for key, values in bad.items():
            for value in values:
                self._refused_chunk(
                    {f'{_PREFIX}-00001': {**good, key: value}})

    def test_md5_of_an_old_entry(self):
        for md5 in (1, [], True, 'ab', 'x' * 32):
            self._refused(documents.manifest([{f'{_PREFIX}-00001': {
                'offset': 0, 'length': 4, 'compression': 'none',
                'md5': md5}}]))

    def test_extents_that_no_volume_has(self):
        for offset, length in ((0, 1 << 63), (1 << 64, 1), (0, 1 << 64),
                               ((1 << 63) - 1, 1)):
            self._refused_chunk({f'{_PREFIX}-00001': {
                'offset': offset, 'length': length, 'compression': 'none'}})

    def test_numbers_with_thousands_of_digits(self):
        digits = b'9' * 4300
        for key in (b'offset', b'length', b'csb_stored_length'):
            entry = b'{"%b-00001": {"offset": 0, "length": 1, %b: %b}}' % (
                _PREFIX.encode(), b'"compression": "none", "%b"' % key,
                digits)
            err = self.assertRaises(
                exceptions.FormatError, _decode,
                documents.manifest([]).replace(b'[]', b'[%b]' % entry))
            self.assertLess(len(str(err)), 400)

    def test_errors_are_short(self):
        text = 'x' * 50000
        for stored in (
                documents.manifest([], version=text),
                documents.manifest([{text: {}}]),
                documents.manifest([{f'{_PREFIX}-{"1" * 5000}': {}}]),
                documents.manifest([documents.chunk(1, 0, 1, text, md5=5)])):
            err = self.assertRaises(exceptions.FormatError, _decode, stored)
            self.assertLess(len(str(err)), 400)

    def test_old_manifest_without_its_first_entry(self):
        # It could be of a release that noted where chunks end.
        for first in (1, 2):
            manifest = _decode(documents.manifest(
                [documents.chunk(first, 64, 64),
                 documents.chunk(first + 1, 128, 64)]))
            self.assertEqual(0 if first == 1 else 64,
                             manifest.chunks[0].extent.offset)

    def test_data_past_the_size_of_the_volume(self):
        for entry in (documents.chunk(1, 0, 101), documents.chunk(1, 100, 1)):
            self._refused(documents.manifest(
                [documents.chunk(0, 0, 50), entry], parent_id=None,
                csb_volume_size=100), '101', '100')
        self.assertEqual(100, _decode(documents.manifest(
            [documents.chunk(1, 0, 100)], parent_id=None,
            csb_volume_size=100)).end)

    def test_missing_fields_of_an_entry(self):
        good = {'offset': 0, 'length': 4, 'compression': 'none'}
        for key in good:
            self._refused_chunk({f'{_PREFIX}-00001': {
                other: value for other, value in good.items()
                if other != key}})

    def test_md5_may_be_missing(self):
        stored = documents.manifest(
            [{f'{_PREFIX}-00001': {'offset': 0, 'length': 4,
                                   'compression': 'none'}}])
        self.assertIsNone(_decode(stored).chunks[0].stored_md5)

    def test_names_of_others(self):
        for name in ('other-00001', f'{_PREFIX}2-00001', f'{_PREFIX}-1', '',
                     f'../{_PREFIX}-00001', f'{_PREFIX}_metadata',
                     f'{_PREFIX}_sha256file'):
            self._refused_chunk({name: {'offset': 0, 'length': 1,
                                        'compression': 'none'}},
                                'not an object of this backup')

    def test_name_twice(self):
        self._refused(documents.manifest(
            [documents.chunk(1, 0, 5), documents.chunk(1, 5, 5)],
            parent_id=None), 'twice')

    def test_field_of_an_entry_twice(self):
        stored = documents.manifest([documents.chunk(1, 0, 5)], parent_id=None)
        for field in (b'"offset": 0', b'"length": 5'):
            self.assertEqual(1, stored.count(field))
            self._refused(stored.replace(field, field + b', ' + field),
                          'entry 0 of "objects" is not valid JSON (a field '
                          'name occurs twice)')

    def test_fields_of_the_manifest(self):
        bad = {'backup_id': 1, 'volume_id': [], 'backup_name': {},
               'backup_description': True, 'created_at': 5,
               'parent_id': 17, 'volume_meta': {}, 'csb_volume_size': -1,
               'csb_parent': 'x', 'csb_file_format': 5,
               'csb_encryption_key_id': 5}
        for key, value in bad.items():
            self._refused(documents.manifest([], **{key: value}), key)

    def test_fields_of_the_parent(self):
        for key in ('backup_id', 'volume_id', 'container', 'prefix'):
            self._refused(documents.manifest([], csb_parent={key: 1}), key)

    def test_entries_that_are_cut(self):
        good = documents.manifest(
            [documents.chunk(1, 0, 5), documents.chunk(2, 5, 5)],
            parent_id=None)
        for end in range(len(good)):
            self._refused(good[:end])

    def test_commas(self):
        good = documents.manifest([], parent_id=None)
        entries = [json.dumps(documents.chunk(number, number, 1)).encode()
                   for number in (1, 2)]
        one, other = entries
        for wrong in (b'%b,' % one, b',%b' % one, b'%b %b' % (one, other),
                      b'%b,,%b' % (one, other), b',', b'%b]' % one):
            self._refused(good.replace(b'[]', b'[%b]' % wrong))
        self.assertEqual([(1, 1), (2, 1)], _extents(_decode(good.replace(
            b'[]', b'[ %b\t,\r\n%b ]' % (one, other)))))

    def test_entry_without_end(self):
        good = documents.manifest([], parent_id=None)
        endless = good.replace(b'[]', b'[{"' + b'x' * 200000 + b'": {}}]')
        self._refused(endless, 'entry 0')

    def test_fields_without_end(self):
        self._refused(b'{"version": "' + b'x' * (17 << 20) + b'"}')

    @given(st.binary(max_size=200))
    def test_any_bytes(self, stored):
        self.assertRaises(exceptions.FormatError, _decode, stored)

    @given(strategies.json_values)
    def test_any_json(self, value):
        self.assertRaises(exceptions.FormatError, _decode,
                          json.dumps(value).encode())

    @given(st.sampled_from(
        ('backup_id', 'volume_id', 'backup_name', 'backup_description',
         'created_at', 'parent_id', 'volume_meta', 'objects',
         'csb_volume_size', 'csb_parent', 'csb_file_format',
         'csb_encryption_key_id', 'version')),
        strategies.json_values)
    def test_any_json_in_a_field(self, key, value):
        self._format_error_or_manifest(
            documents.manifest([documents.chunk(1, 0, 5)], **{key: value}))

    @given(st.sampled_from(('offset', 'length', 'compression', 'md5',
                            'csb_stored_length', 'csb_stored_md5')),
           strategies.json_values)
    def test_any_json_in_an_entry(self, key, value):
        entry = documents.chunk(1, 0, 5)
        entry[f'{_PREFIX}-00001'][key] = value
        self._format_error_or_manifest(documents.manifest([entry]))

    @given(st.lists(strategies.json_values, max_size=4))
    def test_any_entries(self, entries):
        self._format_error_or_manifest(documents.manifest(entries))

    def _format_error_or_manifest(self, stored):
        try:
            manifest = _decode(stored)
        except exceptions.FormatError:
            return
        for chunk in manifest.chunks:
            self.assertGreaterEqual(chunk.extent.offset, 0)
            self.assertGreater(chunk.extent.length, 0)


_MEMORY = '''
from cinder_swift_backup.format import manifest
from tests.fakes import documents
from tests.fakes import process_memory

COUNT = 200000
opening, closing = documents.manifest([], parent_id=None).split(b'[]')
entry = (b'{"%b-%%07d": {"compression": "zlib", "length": 32768, '
         b'"md5": "00112233445566778899aabbccddeeff", "offset": %%d}}'
         % documents.PREFIX.encode())

def pieces():
    yield opening + b'['
    for number in range(COUNT):
        if number:
            yield b',\\n    '
        yield entry % (number + 1000000, number * 32768)
    yield b']' + closing

reader = manifest.Reader(documents.PREFIX)
before = process_memory.resident()
for piece in pieces():
    reader.feed(piece)
found = reader.finish()
print(len(found.chunks), (process_memory.peak() - before) * 1000 // COUNT)
'''


class MemoryTest(base.BaseTestCase):
    """Some bytes for each chunk, however long the manifest is."""

    def test_bounded(self):
        count, each = map(int, process_memory.printed(_MEMORY))
        self.assertEqual(200000, count)
        self.assertLess(each, 120000)

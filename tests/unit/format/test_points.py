# SPDX-License-Identifier: Apache-2.0

"""The manifest of a backup in the form of packs."""

import dataclasses
import hashlib
import json
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import points
from cinder_swift_backup.format import types
from tests import selection
from tests.fakes import documents
from tests.unit.format import strategies

_PREFIX = documents.PREFIX
_BLOCK = 1 << 15
_PAGE = 1 << 30
_HEX = '5a' * 16


def _read(stored, step=1 << 20, kind=points.Reader):
    reader = kind(_PREFIX)
    for start in range(0, len(stored), step):
        reader.feed(stored[start:start + step])
    return reader.finish()


def _encode(manifest):
    return b''.join(manifests.encode(manifest))


def _manifest():
    """One of two pages in one object, and of one pack."""
    name = naming.chunk_name(_PREFIX, 0)
    objects = chunk_table.ChunkTable(_PREFIX, [types.ChunkRecord(
        name, types.Extent(0, 3 * _PAGE), pages.WORD, 15, _HEX)])
    return chains.Manifest(
        types.BackupHeader('bak-1', 'vol-1', 'nightly', None, 'now'),
        chunk_table.ChunkTable(_PREFIX), volume_size=4 * _PAGE,
        point=chains.Point(
            _BLOCK, _PAGE, pack_table.PackTable(_PREFIX, [packs.Pack(
                3, naming.pack_name(_PREFIX, 'bak-1', 1), 900, _HEX, 100,
                bytes(32), 2, 20)]),
            (pages.Page(types.Extent(0, _PAGE), name, types.Extent(0, 10),
                        bytes(32)),
             pages.Page(types.Extent(2 * _PAGE, _PAGE), name,
                        types.Extent(10, 5), bytes(32))),
            objects, {'zlib': chains.Stored(2, 200, 20)}))


def _sum(fields):
    """Other fields, with a sum that is right."""
    fields.pop('csb_sha256')
    body = json.dumps(fields)[:-1]
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f'{body}, "csb_sha256": "{digest}"}}'.encode()


class RoundTripTest(base.BaseTestCase):
    """What we write we read."""

    @given(strategies.points(), st.integers(1, 1000))
    def test_round_trip(self, manifest, step):
        stored = _encode(manifest)
        self.assertEqual(manifest, _read(stored, step))
        self.assertEqual(manifest, _read(stored, step, manifests.Reader))
        self.assertEqual(manifest.end, manifest.volume_size)
        self.assertFalse(manifest.has_digest_file)
        self.assertIs(manifest.point.objects, manifest.objects)

    @selection.takes_long
    def test_as_many_pages_as_there_may_be(self):
        # With an availability zone of the longest name.
        prefix = _PREFIX.replace('az_', 'az_' + 'z' * 250)
        count, length = 16, 5 << 20
        names = [naming.chunk_name(prefix, number)
                 for number in range(0, pages.MOST, count)]
        manifest = dataclasses.replace(
            _manifest(), volume_size=pages.MOST * _PAGE,
            chunks=chunk_table.ChunkTable(prefix), point=dataclasses.replace(
                _manifest().point, packs=pack_table.PackTable(prefix),
                objects=chunk_table.ChunkTable(prefix, (
                    types.ChunkRecord(
                        name, types.Extent(place * count * _PAGE,
                                           count * _PAGE),
                        pages.WORD, count * length, _HEX)
                    for place, name in enumerate(names))),
                pages=tuple(
                    pages.Page(types.Extent(number * _PAGE, _PAGE),
                               names[number // count],
                               types.Extent(number % count * length, length),
                               b'\xa5' * 32)
                    for number in range(pages.MOST))))
        reader = points.Reader(prefix)
        for piece in manifests.encode(manifest):
            reader.feed(piece)
        found = reader.finish()
        self.assertEqual(pages.MOST, len(found.point.pages))
        self.assertEqual(manifest.point.pages[-1], found.point.pages[-1])

    @given(strategies.manifests, st.integers(1, 1000))
    def test_the_other_form(self, manifest, step):
        stored = _encode(manifest)
        self.assertEqual(manifest, _read(stored, step, manifests.Reader))
        self.assertEqual(b''.join(manifest_format.encode(manifest)), stored)
        self.assertIs(manifest.chunks, manifest.objects)

    def test_as_the_stock_driver_orders_fields(self):
        stored = documents.manifest([])
        self.assertEqual('bak-1', _read(
            stored, kind=manifests.Reader).header.backup_id)
        # Shorter than what tells the form.
        self.assertRaises(exceptions.FormatError, _read, b'{}',
                          kind=manifests.Reader)
        self.assertRaises(exceptions.FormatError, _read, b'',
                          kind=manifests.Reader)

    def test_fields(self):
        fields = json.loads(_encode(_manifest()))
        self.assertEqual(
            ('version', 'csb_sha256'), (next(iter(fields)), list(fields)[-1]))
        self.assertEqual('2.0.0', fields['version'])
        self.assertEqual((_BLOCK, _PAGE), (
            fields['csb_block_size'], fields['csb_page_size']))
        self.assertEqual(
            [[3, 'bak-1-000001', 900, _HEX, 100, '0' * 64, 2, 20]],
            fields['csb_packs'])
        self.assertEqual([{f'{_PREFIX}-00000': {
            'compression': 'pages', 'csb_stored_length': 15,
            'csb_stored_md5': _HEX,
            'csb_pages': [[0, 10, '0' * 64], [2, 5, '0' * 64]]}}],
            fields['objects'])
        self.assertEqual([['zlib', 2, 200, 20]], fields['csb_stored'])


class DamageTest(base.BaseTestCase):
    """What is no such manifest is refused."""

    def _refused(self, change, why=''):
        fields = json.loads(_encode(_manifest()))
        change(fields)
        err = self.assertRaises(exceptions.FormatError, _read, _sum(fields))
        self.assertIn(why, str(err))
        self.assertTrue(str(err).isprintable())
        self.assertLess(len(str(err)), 600)

    def test_each_field(self):
        for key, value in (
                ('csb_block_size', 0), ('csb_block_size', 1 << 29),
                ('csb_block_size', None), ('csb_block_size', 'x'),
                ('csb_page_size', 0), ('csb_page_size', _PAGE + 1),
                ('csb_page_size', (1 << 18) * _BLOCK),
                ('csb_volume_size', None), ('csb_volume_size', 2 * _PAGE),
                ('parent_id', 'bak-0'), ('version', '2.1.0'),
                ('version', '1.0.0'), ('csb_encryption', {}),
                ('objects', None), ('objects', [5]),
                ('csb_stored', [['zlib', 1, 2]]), ('csb_stored', None),
                ('csb_stored', [['rar', 1, 2, 3]]),
                ('csb_stored', [['zlib', 1, 2, -3]]),
                ('csb_stored', [['zlib', 1, 2, True]])):
            self._refused(lambda fields, key=key, value=value:
                          fields.update({key: value}))

    def test_each_part_of_an_object(self):
        name = f'{_PREFIX}-00000'

        def change(key, value):
            def apply(fields):
                fields['objects'][0][name][key] = value
            return apply

        digest = '0' * 64
        for key, value in (
                ('compression', 'zlib'), ('csb_stored_length', 16),
                ('csb_stored_length', None), ('csb_stored_md5', None),
                ('csb_stored_md5', 'x'), ('csb_pages', None),
                ('csb_pages', []), ('csb_pages', [[0, 15]]),
                ('csb_pages', [[0, 15, 'x']]),
                ('csb_pages', [[0, 10, digest], [0, 5, digest]]),
                ('csb_pages', [[2, 10, digest], [0, 5, digest]]),
                ('csb_pages', [[-1, 15, digest]]),
                ('csb_pages', [[4, 15, digest]]),
                ('csb_pages', [[0, 0, digest], [1, 15, digest]]),
                ('csb_pages', [[0, 1 << 40, digest]])):
            self._refused(change(key, value))
        for other in ('volume_vol-2/x-00000', f'{_PREFIX}_metadata', 'x',
                      f'{_PREFIX}-00000/x'):
            self._refused(lambda fields, other=other: fields.update(
                objects=[{other: fields['objects'][0][name]}]))
        self._refused(lambda fields: fields['objects'].extend(
            [{name: {**fields['objects'][0][name], 'csb_pages': [
                [3, 15, digest]]}}]), 'an object twice')

    def test_each_part_of_a_pack(self):
        good = [0, 'b-000001', 9, _HEX, 1, '0' * 64, 1, 5]
        self.assertEqual(1, len(_read(_sum({
            **json.loads(_encode(_manifest())), 'csb_packs': [good]},
        )).point.packs))
        for place, values in enumerate((
                (-1, True, '0', 1 << 64),
                ('b-1', '../b-000001', 5, 'b-0000001'),
                (0, True, 1 << 40, None), ('x', None), (10, 0, 1 << 30),
                ('0' * 63, None), (-1, 1 << 17), (-1, 10))):
            for value in values:
                pack = [*good[:place], value, *good[place + 1:]]
                self._refused(lambda fields, pack=pack: fields.update(
                    csb_packs=[pack]), 'is no pack')
        for pack in ([], None, 'x', good[:-1], [*good, 1]):
            self._refused(lambda fields, pack=pack: fields.update(
                csb_packs=[pack]), 'is no pack')
        self._refused(lambda fields: fields.update(
            csb_packs=[good, good]), 'is no pack')
        self._refused(lambda fields: fields.update(
            csb_packs=[good, [1, *good[1:]]]), 'a pack twice')

    def test_a_sum_that_differs(self):
        stored = _encode(_manifest())
        for changed in (stored.replace(b'nightly', b'nightlx'),
                        stored + b' ', stored[:-1] + b' }',
                        stored.replace(b', "csb_sha', b',"csb_sha')):
            self.assertNotEqual(stored, changed)
            err = self.assertRaises(exceptions.FormatError, _read, changed)
            self.assertIn('its SHA-256 differs', str(err))

    @given(strategies.points(), st.data())
    def test_any_damage(self, manifest, data):
        stored = bytearray(_encode(manifest))
        at = data.draw(st.integers(0, len(stored) - 1))
        stored[at] ^= data.draw(st.integers(1, 255))
        err = self.assertRaises(exceptions.FormatError, _read, bytes(stored),
                                kind=manifests.Reader)
        self.assertTrue(str(err).isprintable())

    @selection.takes_long
    def test_memory(self):
        count = 100_000
        manifest = _manifest()
        table = pack_table.PackTable(_PREFIX, (packs.Pack(
            number, naming.pack_name(_PREFIX, 'b' * 36, number), 48 << 20,
            _HEX, 1 << 16, bytes(32)) for number in range(count)))
        point = manifest.point
        reader = points.Reader(_PREFIX)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, _ = tracemalloc.get_traced_memory()
        for piece in points.encode(manifest, chains.Point(
                point.block_size, point.page_size, table, point.pages,
                point.objects, point.stored)):
            reader.feed(piece)
        self.assertLess(
            tracemalloc.get_traced_memory()[1] - before, 140 * count)
        # To see that none is twice takes more, but not for long.
        self.assertEqual(count, len(reader.finish().point.packs))

# SPDX-License-Identifier: Apache-2.0

"""Names of objects: the stock driver's, and nobody else's."""

import datetime

from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup.format import naming

_PREFIX = 'volume_v/20260801120005/az_nova_backup_b'


class NamingTest(base.BaseTestCase):
    """The layout of a backup's names."""

    def test_prefix(self):
        now = datetime.datetime(2026, 8, 1, 12, 0, 5)
        self.assertEqual(_PREFIX,
                         naming.backup_prefix('v', 'b', 'nova', now))

    def test_chunks_have_five_digits_at_least(self):
        self.assertEqual(f'{_PREFIX}-00001', naming.chunk_name(_PREFIX, 1))
        self.assertEqual(f'{_PREFIX}-123456',
                         naming.chunk_name(_PREFIX, 123456))

    def test_documents(self):
        self.assertEqual(f'{_PREFIX}_metadata',
                         naming.manifest_name(_PREFIX))
        self.assertEqual(f'{_PREFIX}_sha256file',
                         naming.digest_file_name(_PREFIX))

    @given(st.integers(1, 10 ** 7))
    def test_all_its_names_belong_to_a_backup(self, number):
        for name in (naming.chunk_name(_PREFIX, number),
                     naming.manifest_name(_PREFIX),
                     naming.digest_file_name(_PREFIX)):
            self.assertTrue(naming.belongs_to(name, _PREFIX), name)

    def test_other_names_do_not_belong(self):
        for name in ('', _PREFIX, 'x-00001', f'x{_PREFIX}-00001',
                     f'{_PREFIX}x-00001', f'{_PREFIX}2_metadata',
                     f'{_PREFIX}-1', f'{_PREFIX}-0001x',
                     f'{_PREFIX}-00001\n', f'{_PREFIX}-00001/00002',
                     f'{_PREFIX}-00001_metadata', f'{_PREFIX}_metadata2',
                     f'{_PREFIX}_metadata\n', f'{_PREFIX}-\u0661\u0662345',
                     f'{_PREFIX}/../other-00001'):
            self.assertFalse(naming.belongs_to(name, _PREFIX), name)

    def test_note_of_packs(self):
        name = naming.condemned_name('volume_vol-1/20260801120000/az_n')
        self.assertEqual('volume_vol-1/packs/condemned', name)
        self.assertEqual('vol-1', naming.volume_of_note(name))
        for other in ('volume_/packs/condemned', 'vol-1/packs/condemned',
                      f'{name}-000001', f'a/{name}', 'volume_vol-1/packs/',
                      'volume_a/b/packs/condemned', ''):
            self.assertIsNone(naming.volume_of_note(other), other)


class ConvertedTest(base.BaseTestCase):
    """A backup in another form has a prefix of its own, always the same."""

    @given(st.text(st.sampled_from('az-_.09 '), max_size=12),
           st.sampled_from(('chunks', 'packs')))
    def test_prefixes(self, zone, form):
        before = naming.backup_prefix(
            'vol', 'bak', zone, datetime.datetime(2026, 11, 29))
        found = naming.converted(before, form)
        self.assertNotEqual(before, found)
        self.assertTrue(naming.is_converted(found))
        self.assertFalse(naming.is_converted(before))
        place = naming.place(naming.manifest_name(found))
        self.assertEqual(('vol', 'bak', found), (
            place.volume_id, place.backup_id, place.prefix))
        self.assertEqual(
            place.created,
            naming.place(naming.manifest_name(before)).created)
        # Neither listing shows objects of the other.
        self.assertFalse(found.startswith(before))
        self.assertFalse(before.startswith(found))
        (other,) = {'chunks', 'packs'} - {form}
        self.assertEqual(naming.converted(before, other),
                         naming.converted(found, other))
        self.assertTrue(naming.is_converted(found, form))
        self.assertFalse(naming.is_converted(found, other))
        # A zone may be called so, though nothing was converted.
        self.assertNotEqual(found, naming.converted(found, form))

    def test_other_names(self):
        for name in ('', 'volume_v/packs/b-000001', 'volume_v/2026/az_b'):
            self.assertRaises(ValueError, naming.converted, name, 'packs')
            self.assertFalse(naming.is_converted(name))

    @given(st.integers(0, (1 << 32) - 1), st.integers(1, 999_999_999))
    def test_other_makers(self, unique, number):
        maker = naming.another_maker('b', unique)
        name = naming.pack_name('volume_v/', maker, number)
        self.assertEqual(('v', 'b'), naming.maker(name))
        self.assertEqual((maker, number), naming.pack_maker(
            name.removeprefix('volume_v/packs/')))
        self.assertEqual('b', naming.backup_of(maker))
        self.assertEqual('b', naming.backup_of('b'))


class PlaceTest(base.BaseTestCase):
    """A name tells which backup its object is of."""

    @given(st.uuids().map(str), st.uuids().map(str),
           st.from_regex(r'\A[a-zA-Z0-9_:./ -]{1,20}\Z'),
           st.datetimes(datetime.datetime(2013, 1, 1),
                        datetime.datetime(2099, 1, 1)),
           st.integers(0, 10 ** 7))
    def test_all_names_of_a_backup(self, volume, backup, zone, now, number):
        now = now.replace(microsecond=0)
        prefix = naming.backup_prefix(volume, backup, zone, now)
        expected = naming.Place(prefix, volume, backup,
                                now.replace(tzinfo=datetime.UTC))
        for name in (naming.chunk_name(prefix, number),
                     naming.manifest_name(prefix),
                     naming.digest_file_name(prefix)):
            self.assertEqual(expected, naming.place(name), name)
            self.assertIsNone(naming.place_of_segment(name), name)
            self.assertTrue(name.startswith(naming.ALL))
        self.assertEqual(expected, naming.place_of_segment(
            naming.digest_segment_name(prefix, number)))

    def test_other_names(self):
        for name in ('', _PREFIX, f'{_PREFIX}-1', f'x{_PREFIX}-00001',
                     f'{_PREFIX}_metadata\n', f'{_PREFIX}/x-00001',
                     'volume_v/20269901120005/az_nova_backup_b-00001',
                     'volume_v/x/az_nova_backup_b-00001',
                     'volume_/20260801120005/az_nova_backup_b-00001',
                     f'{_PREFIX}_sha256file-000001',
                     'volume_v/20260801120005/az_nova_backup_-00001'):
            self.assertIsNone(naming.place(name), name)

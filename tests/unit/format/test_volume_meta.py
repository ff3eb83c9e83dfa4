# SPDX-License-Identifier: Apache-2.0

"""What Cinder notes of volumes."""

import json

from hypothesis import given
from hypothesis import strategies
from oslotest import base

from cinder_swift_backup.format import volume_meta


def _noted(**fields):
    return json.dumps({'version': 2, 'volume-base-metadata': fields,
                       'volume-metadata': {}})


class ReadTest(base.BaseTestCase):
    """Size, names, type and key, where they are noted."""

    def test_as_cinder_notes_it(self):
        self.assertEqual(
            volume_meta.Volume(2, 20, 'disk of Ø', 'the-project', 'the-type',
                               'the-key'),
            volume_meta.read(_noted(
                size=20, id='x', display_name='disk of Ø',
                project_id='the-project', volume_type_id='the-type',
                encryption_key_id='the-key')))

    def test_what_its_owner_noted(self):
        for noted, expected in (
                ({'backup_policy': 'gold', 'of': ''},
                 {'backup_policy': 'gold', 'of': ''}),
                ({'a': 7, 'b': 'a\ud800', 'c': None}, {}), ([], {}),
                (None, {})):
            self.assertEqual(expected, volume_meta.read(json.dumps({
                'volume-base-metadata': {},
                'volume-metadata': noted})).metadata)

    def test_volume_that_is_not_encrypted(self):
        self.assertEqual(
            volume_meta.Volume(2, 20, type_id='the-type'),
            volume_meta.read(_noted(size=20, volume_type_id='the-type',
                                    encryption_key_id=None)))

    def test_anything_else(self):
        for text in (None, '', 'x', '[]', '3', '{}',
                     '{"volume-base-metadata": []}',
                     '{"volume-base-metadata": "size"}',
                     '{"version": true, "volume-base-metadata": {}}',
                     '[' * 100000):
            self.assertEqual(volume_meta.Volume(), volume_meta.read(text))

    def test_fields_of_other_types(self):
        for fields in ({}, {'size': '20'}, {'size': True}, {'size': -1},
                       {'display_name': 7}, {'display_name': ''},
                       {'display_name': 'a\ud800'},
                       {'project_id': []}, {'volume_type_id': 5},
                       {'encryption_key_id': []}, {'encryption_key_id': ''},
                       {'encryption_key_id': '\x1b[2J'},
                       {'volume_type_id': 'x' * 256}):
            self.assertEqual(volume_meta.Volume(2),
                             volume_meta.read(_noted(**fields)))

    @given(strategies.recursive(
        strategies.none() | strategies.integers() | strategies.text(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(
            strategies.sampled_from([
                'volume-base-metadata', 'size', 'encryption_key_id',
                'volume_type_id', 'display_name', 'x']),
            inner)))
    def test_any_json(self, value):
        found = volume_meta.read(json.dumps(value))
        self.assertTrue(found.size is None or found.size > 0)
        for each in (found.name, found.type_id, found.key_id):
            self.assertTrue(each is None or each.encode())

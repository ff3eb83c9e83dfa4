# SPDX-License-Identifier: Apache-2.0

"""What Cinder notes of volumes."""

import json

from hypothesis import given
from hypothesis import strategies
from oslotest import base

from cinder_swift_backup.format import volume_meta


class ReadTest(base.BaseTestCase):
    """The size, the name and the project, where there are any."""

    def test_as_cinder_notes_it(self):
        self.assertEqual(
            volume_meta.Noted(20, 'disk of Ø', 'p-1'),
            volume_meta.read(json.dumps(
                {'version': 2, 'volume-base-metadata': {
                    'size': 20, 'id': 'x', 'display_name': 'disk of Ø',
                    'project_id': 'p-1'}, 'volume-metadata': {}})))

    def test_anything_else(self):
        for text in (None, '', 'x', '[]', '3', '{}',
                     '{"volume-base-metadata": []}',
                     '{"volume-base-metadata": {"size": "20"}}',
                     '{"volume-base-metadata": {"size": true}}',
                     '{"volume-base-metadata": {"size": -1}}',
                     '{"volume-base-metadata": {"display_name": 7}}',
                     '{"volume-base-metadata": {"project_id": ""}}',
                     '[' * 100000):
            self.assertEqual(volume_meta.Noted(), volume_meta.read(text))

    def test_what_cannot_be_written_down(self):
        found = volume_meta.read(
            '{"volume-base-metadata": {"display_name": "a\\ud800"}}')
        self.assertEqual('a?', found.name)

    @given(strategies.recursive(
        strategies.none() | strategies.integers() | strategies.text(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(
            strategies.sampled_from([
                'volume-base-metadata', 'size', 'display_name', 'x']),
            inner)))
    def test_any_json(self, value):
        found = volume_meta.read(json.dumps(value))
        self.assertTrue(found.size is None or found.size > 0)
        self.assertTrue(found.name is None or found.name.encode())

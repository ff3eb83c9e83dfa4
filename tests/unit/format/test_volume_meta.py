# SPDX-License-Identifier: Apache-2.0

"""What Cinder notes of volumes."""

import json

from hypothesis import given
from hypothesis import strategies
from oslotest import base

from cinder_swift_backup.format import volume_meta


class SizeTest(base.BaseTestCase):
    """The size, where there is one."""

    def test_as_cinder_notes_it(self):
        self.assertEqual(20, volume_meta.size(json.dumps(
            {'version': 2, 'volume-base-metadata': {'size': 20, 'id': 'x'},
             'volume-metadata': {}})))

    def test_anything_else(self):
        for text in (None, '', 'x', '[]', '3', '{}',
                     '{"volume-base-metadata": []}',
                     '{"volume-base-metadata": {"size": "20"}}',
                     '{"volume-base-metadata": {"size": true}}',
                     '{"volume-base-metadata": {"size": -1}}',
                     '[' * 100000):
            self.assertIsNone(volume_meta.size(text))

    @given(strategies.recursive(
        strategies.none() | strategies.integers() | strategies.text(),
        lambda inner: strategies.lists(inner) | strategies.dictionaries(
            strategies.sampled_from(['volume-base-metadata', 'size', 'x']),
            inner)))
    def test_any_json(self, value):
        found = volume_meta.size(json.dumps(value))
        self.assertTrue(found is None or found > 0)

# SPDX-License-Identifier: Apache-2.0

"""Who provides which part of a volume."""

import collections
from unittest import mock

from hypothesis import assume
from hypothesis import given
from hypothesis import strategies as st
from oslotest import base

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.survey import layers
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types
from tests.unit.engine import strategies


def _find(chain, count):
    repo = mock.Mock(
        resolve=mock.Mock(return_value=chain),
        operation=mock.Mock(call=lambda function, *rest: function(*rest)))
    return layers.find(repo, [link.ref for link in chain.links], count)


class FindTest(base.BaseTestCase):
    """Against looking at each byte."""

    @given(strategies.chains_of_any_kind(), st.integers(1, 70))
    def test_each_byte_counts_once(self, chain, count):
        size = max(link.manifest.end for link in chain.links)
        assume(size)
        # A full backup covers its volume.
        chain = chains.Chain((
            strategies.link(20, [types.Extent(0, size)]), *chain.links))
        owners = {}
        for number, link in enumerate(chain.links):
            for record in link.manifest.chunks:
                owners.update(dict.fromkeys(range(
                    record.extent.offset, record.extent.end), number))
        found = _find(chain, count)
        self.assertEqual(size, found.size)
        self.assertEqual(tuple(link.ref.backup_id for link in chain.links),
                         found.backup_ids)
        self.assertEqual(
            [list(owners.values()).count(number)
             for number in range(len(chain.links))], list(found.provided))
        cells = collections.defaultdict(collections.Counter)
        for offset, number in owners.items():
            cells[offset * count // size][number] += 1
        self.assertEqual(len(cells), len(found.cells))
        for cell, number in zip(sorted(cells), found.cells, strict=True):
            self.assertEqual(max(cells[cell].values()), cells[cell][number])

    def test_gap(self):
        chain = chains.Chain((strategies.link(1, [types.Extent(5, 5)]),))
        self.assertRaises(exceptions.ChainError, _find, chain, 4)

# SPDX-License-Identifier: Apache-2.0

"""Chains of any kind, for hypothesis."""

from hypothesis import strategies as st

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import types
from tests.unit.engine import base as engine_base

_EXTENTS = st.builds(types.Extent, st.integers(0, 50), st.integers(1, 20))


def link(number, extents, volume_size=None):
    """A backup that stores some extents."""
    where = engine_base.ref(number)
    return chains.ChainLink(where, chains.Manifest(
        header=engine_base.header(where), volume_size=volume_size,
        chunks=chunk_table.ChunkTable(where.prefix, (
            types.ChunkRecord(f'{where.prefix}-{index:05d}', extent, 'none')
            for index, extent in enumerate(extents, 1)))))


@st.composite
def chains_of_any_kind(draw):
    """A base that covers some bytes and incrementals anywhere."""
    links = draw(st.lists(st.lists(_EXTENTS, max_size=6), min_size=1,
                          max_size=5))
    return chains.Chain(tuple(link(number, extents)
                              for number, extents in enumerate(links)))

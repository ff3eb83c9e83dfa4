# SPDX-License-Identifier: Apache-2.0

"""Chains and histories of any kind, for hypothesis."""

import random

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


def _state(draw, before):
    """What a volume may hold after it held something else."""
    data = bytearray(before)
    length = draw(st.integers(0, 700))
    del data[length:]
    data += bytes(length - len(data))
    noise = random.Random(draw(st.integers(0, 9)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, 700))
        part = draw(st.integers(0, 200))
        piece = draw(st.sampled_from((bytes(part), noise.randbytes(part),
                                      b'text' * 50)))[:part]
        data[start:start + part] = piece
        del data[length:]
    return bytes(data)


@st.composite
def histories(draw):
    """For each backup what it holds, and which it is compared with."""
    history = []
    for number in range(draw(st.integers(1, 5))):
        parent = draw(st.none() | st.integers(0, number - 1)
                      if number else st.none())
        before = b'' if parent is None else history[parent][0]
        history.append((_state(draw, before), parent))
    return history

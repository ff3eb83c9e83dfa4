# SPDX-License-Identifier: Apache-2.0

"""What hypothesis makes examples of the stored format from."""

import dataclasses
import string

from hypothesis import strategies as st

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import pages as pages_
from cinder_swift_backup.format import types
from tests.fakes import documents

# Volumes are up to 128 TiB and more; the format has no bound.
_SIZES = st.integers(0, 1 << 47)
_IDS = st.text(string.ascii_lowercase + string.digits + '-', max_size=36)
_NAMES = st.none() | st.text(max_size=20)
_HEX = st.text('0123456789abcdef', min_size=32, max_size=32)

#: Any value that JSON can hold.
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12)

headers = st.builds(
    types.BackupHeader, backup_id=_IDS, volume_id=_IDS, backup_name=_NAMES,
    backup_description=_NAMES, created_at=st.text(max_size=30))

refs = st.builds(types.BackupRef, backup_id=_IDS, volume_id=_IDS,
                 container=st.text(max_size=20), prefix=st.text(max_size=20))


@st.composite
def _chunks(draw):
    numbers = draw(st.lists(st.integers(1, 200000), unique=True,
                            max_size=5))
    return chunk_table.ChunkTable(documents.PREFIX, (
        types.ChunkRecord(
            name=naming.chunk_name(documents.PREFIX, number),
            extent=types.Extent(draw(_SIZES), draw(st.integers(1, 1 << 30))),
            compression=draw(st.sampled_from(('none', 'zlib', 'zstd'))),
            stored_length=draw(st.none() | _SIZES),
            stored_md5=draw(st.none() | _HEX))
        for number in numbers))


def _fitting(manifest):
    """The same manifest, of a volume that holds all of its chunks."""
    if manifest.volume_size is None:
        return manifest
    return dataclasses.replace(
        manifest, volume_size=max(manifest.volume_size, manifest.end))


manifests = st.builds(
    chains.Manifest, header=headers, chunks=_chunks(),
    parent_id=st.none() | _IDS, volume_meta=_NAMES,
    volume_size=st.none() | _SIZES, parent=st.none() | refs,
    mark=st.none() | st.builds(
        types.Mark, image=_IDS, snapshot=st.text(max_size=20),
        written_since=st.lists(st.builds(types.Extent, _SIZES, _SIZES),
                         max_size=3).map(tuple)),
    key_id=st.none() | _IDS,
).map(_fitting)

_PACK_NAMES = st.builds(
    naming.pack_name, st.just(documents.PREFIX),
    st.text(string.ascii_lowercase + string.digits + '-', min_size=1,
            max_size=36), st.integers(0, 10 ** 9 - 1))
# Bytes of an index are at most as many as the pack has.
_PACK_SIZES = st.tuples(st.integers(1, 1 << 20), st.integers(0, 1 << 30))

#: Packs of the volume that the documents are of.
packs = st.builds(
    lambda key, name, sizes, md5, sha256, living: packs_.Pack(
        key, name, sum(sizes), md5, sizes[0], sha256, living,
        sizes[1] if living else 0),
    st.integers(0, 1 << 60), _PACK_NAMES, _PACK_SIZES, _HEX,
    st.binary(min_size=32, max_size=32), st.integers(0, packs_.MOST))

#: Lists of packs in the order of their keys.
pack_lists = st.lists(packs, max_size=8, unique_by=lambda pack: pack.key).map(
    lambda some: sorted(some, key=lambda pack: pack.key))


@st.composite
def points(draw):
    """A manifest in the form of packs, of a volume of any size."""
    block_size = draw(st.sampled_from((1, 512, 1 << 15, 1 << 28)))
    page_size = block_size * draw(st.integers(1, 1 << 17))
    end = draw(st.integers(0, page_size * 40))
    count = -(-end // page_size)
    objects = chunk_table.ChunkTable(documents.PREFIX)
    pages = []
    start = 0
    while start < count and draw(st.booleans()):
        stop = draw(st.integers(start + 1, count))
        numbers = sorted(draw(st.lists(st.integers(start, stop - 1),
                                       min_size=1, unique=True, max_size=5)))
        place = 0
        for number in numbers:
            length = draw(st.integers(1, 1 << 20))
            offset = number * page_size
            pages.append(pages_.Page(
                types.Extent(offset, min(page_size, end - offset)),
                naming.chunk_name(documents.PREFIX, start),
                types.Extent(place, length),
                draw(st.binary(min_size=32, max_size=32))))
            place += length
        first = pages[-len(numbers)].extent.offset
        objects.append(types.ChunkRecord(
            pages[-1].name,
            types.Extent(first, pages[-1].extent.end - first), 'pages',
            place, draw(_HEX)))
        start = stop
    manifest = draw(manifests)
    return dataclasses.replace(
        manifest, chunks=chunk_table.ChunkTable(documents.PREFIX),
        parent_id=None, volume_size=end,
        point=chains.Point(
            block_size, page_size,
            pack_table.PackTable(documents.PREFIX, {
                pack.name: pack for pack in draw(pack_lists)}.values()),
            tuple(pages), objects, draw(st.dictionaries(
                st.sampled_from(packed_chunks.WORDS),
                st.builds(chains.Stored, _SIZES, _SIZES, _SIZES)))))

# SPDX-License-Identifier: Apache-2.0

"""The worst recovery point there can be: each block is a chunk by itself.

So it ends when 1 % of a volume changes everywhere each night for a year. Its
manifest and its pages are made up, and all pages are alike, so that 16 TiB of
them take a minute to make; what reads, plans and writes them is real.

1. Load the manifest.
2. Compare all pages, as a restore does before it begins.
3. Plan the restore of all of the volume.
4. Write the pages of an incremental that has changed 1 % of the blocks of
   each page.
"""

import hashlib
import random

from cinder_swift_backup import engine as engines
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import packer
from cinder_swift_backup.engine.backup import page_writer
from cinder_swift_backup.engine.restore import planning
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from tests.bench import counting
from tests.bench import gauge
from tests.fakes import blobs

_BLOCK = 32768
_PAGE = pages.size(_BLOCK)
_IN_PAGE = _PAGE // _BLOCK
_IN_PACK = packer.FULL // _BLOCK
_INDEX = 50000
# Over so many nights the blocks of a page were stored.
_NIGHTS = 100


class Scattered:
    """The measurements on a recovery point of a volume of some size."""

    def __init__(self, size: int) -> None:
        # Whole pages.
        self._size = size // _PAGE * _PAGE
        self._store = counting.CountingStore()
        self._engine = engines.Engine(self._store, pipelines.Runtime(), 4)
        self._before = self._ref('bak-before')

    def run(self) -> None:
        """Make it; then read, plan and write it, and print what it took."""
        self._make()
        count = self._size // _BLOCK
        table = gauge.Gauge(
            f'A synthetic recovery point of {self._size / gauge.TIB:g} TiB, '
            f'in {count / 1e6:.0f} million chunks', self._store)
        link = table.measure('manifest', lambda: self._engine.repository
                             .resolve([self._before]).tip)
        plan = planning.PointPlan(
            self._engine.repository.operation, link.ref,
            link.manifest.point, link.manifest.end)
        table.measure('all pages compared', lambda: plan.of_each_codec(
            self._engine.repository.operation.call))
        planned = table.measure('all pages planned', lambda: sum(
            len(part) for part in plan.parts()))
        if planned != count:
            raise SystemExit(f'The plan has {planned} of {count} chunks.')
        table.measure('pages of an incremental', lambda: self._write(link))
        self._store.close()

    def _ref(self, name: str) -> types.BackupRef:
        return types.BackupRef(
            name, 'vol', 'backups',
            f'volume_vol/20260801120000/az_nova_backup_{name}', self._size)

    def _make(self) -> None:
        """Store a manifest and its pages."""
        ref = self._before
        count = self._size // _BLOCK // _IN_PACK
        table = pack_table.PackTable(ref.prefix, (
            packs.Pack(key, naming.pack_name(ref.prefix, f'bak-{key // 5000}',
                                             key % 5000 + 1),
                       packer.FULL + _INDEX, f'{key:032x}', _INDEX,
                       key.to_bytes(32), _IN_PACK, packer.FULL)
            for key in range(count)))
        encoded = self._page(count)
        digest = hashlib.sha256(encoded).digest()
        objects = chunk_table.ChunkTable(ref.prefix)
        made: list[pages.Page] = []
        length = page_writer.IN_OBJECT * _PAGE
        for number, extent in enumerate(
                types.Extent(0, self._size).parts(length)):
            name = naming.chunk_name(ref.prefix,
                                     number * page_writer.IN_OBJECT)
            made += [pages.Page(part, name, types.Extent(
                place * len(encoded), len(encoded)), digest)
                for place, part in enumerate(extent.parts(_PAGE))]
            body = encoded * (extent.length // _PAGE)
            blobs.put(self._store, ref.container, name, body)
            objects.append(types.ChunkRecord(
                name, extent, pages.WORD, len(body), hashlib.md5(
                    body, usedforsecurity=False).hexdigest()))
        stored = self._size // _BLOCK
        manifest = chains.Manifest(
            types.BackupHeader(ref.backup_id, 'vol', None, None, ''),
            chunk_table.ChunkTable(ref.prefix), volume_size=self._size,
            point=chains.Point(
                _BLOCK, _PAGE, table, tuple(made), objects,
                {'none': chains.Stored(stored, self._size, self._size)}))
        blobs.put(self._store, ref.container,
                  naming.manifest_name(ref.prefix),
                  b''.join(manifests.encode(manifest)))

    @staticmethod
    def _page(count: int) -> bytes:
        """A page, each block of which was stored in one of many nights.

        :param count: of packs
        """
        source = random.Random(1)
        nights = sorted(source.sample(range(count), min(_NIGHTS, count)))
        blocks: dict[int, list[int]] = {}
        for block in range(_IN_PAGE):
            blocks.setdefault(source.choice(nights), []).append(block)
        table = packed_chunks.PackedChunks(str)
        for key in nights:
            # In the order of the volume, as a night stores them.
            for place, block in enumerate(blocks.get(key, ())):
                table.add(types.Extent(block * _BLOCK, _BLOCK), 'none', key,
                          types.Extent(place * _BLOCK, _BLOCK))
        return pages.encode(table, _BLOCK, types.Extent(0, _PAGE))

    def _write(self, link: chains.ChainLink) -> None:
        """Write the pages of another recovery point."""
        writer = page_writer.PageWriter(
            self._engine.repository.operation, self._ref('bak-now'), _BLOCK,
            self._size, link)
        self._engine.repository.operation.run(
            (pipelines.Task(lambda stop, number=number: writer.write(
                number, self._added(number, len(link.manifest.point.packs)),
                stop), 1) for number in range(writer.objects)),
            lambda written: None, full=1)

    @staticmethod
    def _added(number: int, key: int,
               ) -> dict[int, packed_chunks.PackedChunks]:
        """New chunks for 1 % of the blocks, by their pages."""
        added = {}
        for page in range(number * page_writer.IN_OBJECT,
                          (number + 1) * page_writer.IN_OBJECT):
            table = packed_chunks.PackedChunks(str)
            for place, block in enumerate(range(0, _IN_PAGE, 100)):
                table.add(types.Extent(page * _PAGE + block * _BLOCK, _BLOCK),
                          'none', key, types.Extent(place * _BLOCK, _BLOCK))
            added[page] = table
        return added

# SPDX-License-Identifier: Apache-2.0

"""Writes backups in the form of packs, all of a small volume at once.

It keeps what it has written, so that tests know which chunk is where.
"""

import dataclasses
import hashlib
from typing import Any

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs as packs_
from cinder_swift_backup.format import pages as pages_
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base
from tests.fakes import blobs


@dataclasses.dataclass(frozen=True)
class Chunk:
    """A stored chunk, and the name of its pack."""

    extent: types.Extent
    word: str
    pack: str
    place: types.Extent


@dataclasses.dataclass(frozen=True)
class Written:
    """A backup: its data, its chunks in their order, and its packs."""

    ref: types.BackupRef
    data: bytes
    chunks: tuple[Chunk, ...] = ()
    packs: tuple[packs_.Pack, ...] = ()


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How a volume is cut, in blocks; a pack in chunks."""

    block: int = 16
    chunk: int = 4
    page: int = 8
    pack: int = 3
    pages_in_object: int = 2


class Writer:
    """Writes to one container of a store."""

    def __init__(self, store: base.ObjectStore, sizes: Sizes = Sizes(),
                 word: str = 'none') -> None:
        self._store = store
        self._sizes = sizes
        self._word = word

    def write(self, ref: types.BackupRef, data: bytes,
              parent: Written | None = None, **fields: Any) -> Written:
        """Store a backup.

        :param parent: what of it has not changed is not stored again
        :param fields: of the manifest
        """
        made = self._new_chunks(ref, data, parent)
        older = parent.chunks if parent else ()
        chunks, known = self._living(data, (*older, *(
            chunk for chunk, _ in made)))
        before = parent.packs if parent else ()
        new = self._put_packs(
            ref, before[-1].key + 1 if before else 0, made, packs_.Origin(
                len(data), tuple(dict.fromkeys(
                    _maker(pack.name) for pack in before))))
        used = tuple(
            dataclasses.replace(pack, living=len(needed),
                                living_bytes=sum(needed))
            for pack in (*before, *new)
            if (needed := known.get(pack.name)))
        written = Written(ref, data, chunks, used)
        self._put_manifest(written, fields)
        return written

    def _new_chunks(self, ref: types.BackupRef, data: bytes,
                    parent: Written | None) -> list[tuple[Chunk, bytes]]:
        """What has changed, each with its stored bytes."""
        size, made = self._sizes, []
        number, place = 1, 0
        for first, count in self._changes(data, parent):
            plain = data[first * size.block:(first + count) * size.block]
            word, stored = self._encode(plain)
            if len(made) % size.pack == 0 and made:
                number, place = number + 1, 0
            made.append((Chunk(
                types.Extent(first * size.block, len(plain)), word,
                naming.pack_name(ref.prefix, ref.backup_id, number),
                types.Extent(place, len(stored))), stored))
            place += len(stored)
        return made

    def _encode(self, plain: bytes) -> tuple[str, bytes]:
        if not any(plain):
            return packed_chunks.ZEROS, b''
        encoder = codecs.find(self._word).encoder(
            len(plain), codecs.Level.FAST)
        return self._word, b''.join((encoder.feed(memoryview(plain)),
                                     encoder.finish()))

    def _changes(self, data: bytes,
                 parent: Written | None) -> list[tuple[int, int]]:
        """Runs of changed blocks, all zeros or none, within pages."""
        size = self._sizes
        before = b'' if parent is None else parent.data
        runs: list[tuple[int, int]] = []
        for block in range(-(-len(data) // size.block)):
            now = data[block * size.block:(block + 1) * size.block]
            then = before[block * size.block:(block + 1) * size.block]
            # Zeros are noted where there may have been others before.
            if now == then or (parent is None and not any(now)):
                continue
            if runs:
                first, count = runs[-1]
                last = data[(block - 1) * size.block:block * size.block]
                if (first + count == block and count < size.chunk
                        and block % size.page and any(last) == any(now)):
                    runs[-1] = first, count + 1
                    continue
            runs.append((block, 1))
        return runs

    def _living(self, data: bytes, chunks: tuple[Chunk, ...],
                ) -> tuple[tuple[Chunk, ...], dict[str, list[int]]]:
        """The chunks that have a block; what is needed of each, by packs."""
        owners: dict[int, Chunk] = {}
        for chunk in chunks:
            for block in range(*chunk.extent.block_range(self._sizes.block)):
                owners[block] = chunk
        provided: dict[Chunk, int] = {}
        for extent in types.Extent(0, len(data)).parts(self._sizes.block):
            chunk = owners.get(extent.offset // self._sizes.block)
            if chunk is not None:
                provided[chunk] = provided.get(chunk, 0) + extent.length
        kept = tuple(chunk for chunk in chunks if chunk in provided)
        needed: dict[str, list[int]] = {}
        for chunk in kept:
            needed.setdefault(chunk.pack, []).append(
                chunk.place.length * provided[chunk] // chunk.extent.length)
        return kept, needed

    def _put_packs(self, ref: types.BackupRef, first: int,
                   made: list[tuple[Chunk, bytes]],
                   origin: packs_.Origin) -> list[packs_.Pack]:
        """Store chunks in packs, whose keys rise from ``first`` on."""
        found = []
        names = dict.fromkeys(chunk.pack for chunk, _ in made)
        for key, name in enumerate(names, first):
            table = packed_chunks.PackedChunks(lambda _, name=name: name)
            packed, body = b'', b''
            for chunk, stored in made:
                if chunk.pack != name:
                    continue
                table.add(chunk.extent, chunk.word, 0, chunk.place)
                body += stored
                if stored:
                    plain = codecs.find(chunk.word).decoder(
                        chunk.extent.length).feed(stored)
                    packed += digests.hash_blocks(
                        memoryview(b''.join(plain)), self._sizes.block)
            index = packs_.encode(packs_.Index(self._sizes.block, table,
                                               packed, origin))
            pack = body + index
            blobs.put(self._store, ref.container, name, pack)
            found.append(packs_.Pack(
                key, name, len(pack),
                hashlib.md5(pack, usedforsecurity=False).hexdigest(),
                len(index), packs_.sha256(index)))
        return found

    def _put_manifest(self, written: Written, fields: dict[str, Any]) -> None:
        ref, size = written.ref, self._sizes
        page_size = size.block * size.page
        keys = {pack.name: pack.key for pack in written.packs}
        pages: list[pages_.Page] = []
        objects = chunk_table.ChunkTable(ref.prefix)
        step = page_size * size.pages_in_object
        for extent in types.Extent(0, len(written.data)).parts(step):
            name = naming.chunk_name(ref.prefix, extent.offset // page_size)
            body, first = b'', len(pages)
            for part in extent.parts(page_size):
                page = self._page(written, part, keys)
                if page is None:
                    continue
                pages.append(pages_.Page(
                    part, name, types.Extent(len(body), len(page)),
                    hashlib.sha256(page).digest()))
                body += page
            if not body:
                continue
            blobs.put(self._store, ref.container, name, body)
            start = pages[first].extent.offset
            objects.append(types.ChunkRecord(
                name, types.Extent(start, pages[-1].extent.end - start),
                pages_.WORD, len(body),
                hashlib.md5(body, usedforsecurity=False).hexdigest()))
        manifest = chains.Manifest(
            types.BackupHeader(ref.backup_id, ref.volume_id, None, None, ''),
            chunk_table.ChunkTable(ref.prefix),
            volume_size=len(written.data), point=chains.Point(
                size.block, page_size,
                pack_table.PackTable(ref.prefix, written.packs),
                tuple(pages), objects, _stored(written)))
        blobs.put(self._store, ref.container,
                  naming.manifest_name(ref.prefix), b''.join(manifests.encode(
                      dataclasses.replace(manifest, **fields))))

    def _page(self, written: Written, extent: types.Extent,
              keys: dict[str, int]) -> bytes | None:
        table = packed_chunks.PackedChunks(str)
        for chunk in written.chunks:
            if extent.overlap(chunk.extent):
                table.add(chunk.extent, chunk.word, keys[chunk.pack],
                          chunk.place)
        return pages_.encode(table, self._sizes.block,
                             extent) if table else None


def _stored(written: Written) -> dict[str, chains.Stored]:
    found: dict[str, chains.Stored] = {}
    for chunk in written.chunks:
        before = found.get(chunk.word, chains.Stored(0, 0, 0))
        found[chunk.word] = chains.Stored(
            before.chunks + 1, before.bytes + chunk.extent.length,
            (before.stored_bytes or 0) + chunk.place.length)
    return found


def _maker(name: str) -> str:
    found = naming.maker(name)
    assert found is not None
    return found[1]

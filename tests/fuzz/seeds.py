# SPDX-License-Identifier: Apache-2.0

"""Writes what fuzzing starts from: ``python -m tests.fuzz.seeds``.

Examples are what our encoders make, and the stock driver of all times.
Their names begin with ``seed-``; what was found has other names.
"""

import bz2
from collections.abc import Iterator
import dataclasses
import datetime
import hashlib
import itertools
import json
import zlib

from backports import zstd
import zstd as stock_zstd

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import condemned
from cinder_swift_backup.format import digest_file
from cinder_swift_backup.format import digest_segments
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import manifest
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zero_form
from cinder_swift_backup.stores import memory
from tests.fakes import blobs
from tests.fakes import documents
from tests.fakes import eras
from tests.fakes import points
from tests.fuzz import answers
from tests.fuzz import decoding
from tests.fuzz import documents as document_targets
from tests.fuzz import targets

_REF = types.BackupRef('bak-1', 'vol-1', 'c', documents.PREFIX)
_HEADER = types.BackupHeader('bak-1', 'vol-1', 'nightly', None,
                             '2026-08-01 12:00:00+00:00')
_TEXT = b'the quick brown fox jumps over the lazy dog\n' * 4
_NOISE = b''.join(hashlib.sha256(bytes([number])).digest()
                  for number in range(80))
_VOLUME = _TEXT + bytes(200) + _NOISE[:100]
_MD5 = hashlib.md5(b'', usedforsecurity=False).hexdigest()
# Targets, names of examples, and what is in them.
_Seeds = Iterator[tuple[str, str, bytes]]


def _all() -> _Seeds:
    yield from _of_eras()
    yield from _of_ours()
    yield from _of_packs()
    yield from _of_chunks()
    yield from _of_answers()
    yield from _of_texts()


def _of_eras() -> _Seeds:
    """The documents of the stock driver, up to Liberty and from then on."""
    for era, word in itertools.product(eras.ERAS, ('zlib', 'none')):
        stored: dict[str, bytes] = {}
        eras.Writer(era, stored.__setitem__, word, 256, 64,
                    metadata={'key': 'wert: \xe4'}).write(
            _REF, lambda extent: _VOLUME[extent.offset:extent.end],
            len(_VOLUME))
        for target, name in (
                ('manifest', naming.manifest_name(_REF.prefix)),
                ('digest_file', naming.digest_file_name(_REF.prefix))):
            if name in stored:
                yield target, f'{era.name}-{word}', stored[name]
    chunks = [documents.chunk(1, 0, 64, 'zstd'), documents.chunk(2, 64, 9)]
    yield 'manifest', 'stock', documents.manifest(
        chunks, parent_id='bak-0', volume_meta='{"version": 2}')
    yield 'digest_file', 'stock', documents.digest_file(
        [hashlib.sha256(bytes([each])).hexdigest() for each in range(5)],
        32768)


def _of_ours() -> _Seeds:
    chunks = chunk_table.ChunkTable(_REF.prefix, (
        types.ChunkRecord(naming.chunk_name(_REF.prefix, number),
                          types.Extent(number * 100, 60), word, 17, _MD5)
        for number, word in enumerate(('none', 'zlib', 'bz2', 'zstd'))))
    for name, fields in (
            ('ours', {}),
            ('ours-incremental', {
                'parent_id': 'bak-0', 'volume_size': 1 << 20,
                'volume_meta': '{"volume-base-metadata": {"size": 1}}',
                'parent': types.BackupRef('bak-0', 'vol-1', 'c', 'p'),
                'mark': types.Mark('image', 'backup.snap', (
                    types.Extent(0, 4096), types.Extent(8192, 1)))})):
        yield 'manifest', name, b''.join(manifest.encode(
            chains.Manifest(_HEADER, chunks, **fields)))
    zeros = digests.of_zeros(512)
    table = digests.DigestTable(512, bytearray(
        hashlib.sha256(b'').digest() + zeros * 8 + hashlib.sha256(
            b'x').digest()))
    yield 'digest_file', 'ours', b''.join(digest_file.encode(_HEADER, table))
    yield 'segments', 'one', b''.join(digest_file.encode(_HEADER, table))
    parts = [digest_segments.Part(first, first + 2)
             for first in range(0, len(table), 2)]
    yield 'segments', 'zeros', document_targets.BORDER.join(
        b''.join(digest_file.encode(_HEADER, table, part)) for part in parts)


def _of_encrypted(store: memory.MemoryStore, prefix: str,
                  pack: packs.Pack) -> _Seeds:
    """What is added where a backup is encrypted."""
    wrapped = encryption.Wrapped('a-key', bytes(
        encryption.KEY + encryption.OVERHEAD))
    reader = manifests.Reader(prefix)
    reader.feed(blobs.get(store, 'c', naming.manifest_name(prefix)))
    found = reader.finish()
    assert found.point is not None
    yield 'point', 'encrypted', b''.join(manifests.encode(dataclasses.replace(
        found, point=dataclasses.replace(found.point, encryption=wrapped))))
    index = packs.decode(pack, blobs.get(
        store, 'c', pack.name)[-pack.index_length:])
    yield 'index', 'encrypted', packs.encode(dataclasses.replace(
        index, origin=dataclasses.replace(index.origin, encryption=wrapped)))
    for length in (0, 28, 29, 100):
        yield 'encrypted', f'{length}', bytes(length)


def _of_packs() -> _Seeds:
    store = memory.MemoryStore()
    store.ensure_container('c', create=True)
    ref = dataclasses.replace(_REF, container='c')
    writer = points.Writer(store, word='zlib')
    volumes = bytes(600) + _VOLUME, _VOLUME[:300] + bytes(200) + _VOLUME[500:]
    before = dataclasses.replace(ref, backup_id='bak-0', prefix=(
        f'{ref.prefix.rpartition("bak-1")[0]}bak-0'))
    written = writer.write(before, volumes[0])
    writer.write(ref, volumes[1], written, parent_id=None, mark=types.Mark(
        'image', 'backup.snap', ()))
    yield 'point', 'ours', blobs.get(store, 'c', naming.manifest_name(
        ref.prefix))
    yield 'point', 'of-the-other-form', documents.manifest([])
    yield from _of_encrypted(store, ref.prefix, written.packs[0])
    for number, pack in enumerate(written.packs[:2]):
        stored = blobs.get(store, 'c', pack.name)
        yield 'index', f'{number}', stored[-pack.index_length:]
    table = packed_chunks.PackedChunks(str)
    for number, word in enumerate(packed_chunks.WORDS):
        table.add(types.Extent((1 << 20) + number * 1024, 512 + number), word,
                  number // 2, types.Extent(
                      9 * number, 0 if word == packed_chunks.ZEROS else 9))
    extent = types.Extent(1 << 20, 1 << 20)
    for count in (0, 5):
        page = pages.encode(table if count else packed_chunks.PackedChunks(
            str), 512, extent)
        yield 'page', f'{count}', page
        yield 'note', f'{count}', condemned.encode(dict.fromkeys(
            (f'bak-1-{number:06d}' for number in range(count)),
            datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC)))
        yield 'columns', f'{count}', zlib.decompress(page[4:])


def _of_chunks() -> _Seeds:
    stock = {'zlib': zlib.compress, 'bz2': bz2.compress,
             'zstd': stock_zstd.compress, 'none': bytes}
    kinds = {'text': _TEXT, 'mixed': _VOLUME, 'noise': _NOISE,
             'zeros': bytes(3000)}
    for (word, compress), (kind, data) in itertools.product(
            stock.items(), kinds.items()):
        length = len(data).to_bytes(decoding.LENGTH, 'little')
        yield word, f'stock-{kind}', length + compress(data)
        encoder = codecs.find(word).encoder(len(data), codecs.Level.FAST)
        yield word, f'ours-{kind}', b''.join((
            length, encoder.feed(memoryview(data)), encoder.finish()))
    untold = zstd.ZstdCompressor()
    yield 'zstd', 'without-length', b''.join((
        len(_VOLUME).to_bytes(decoding.LENGTH, 'little'),
        untold.compress(_VOLUME), untold.flush()))
    bomb = (1 << 20) + 5
    for word in ('zlib', 'zstd'):
        yield word, 'bomb', b''.join((
            bomb.to_bytes(decoding.LENGTH, 'little'),
            zero_form.make(word, bomb).data))
    yield 'bz2', 'bomb', b''.join((
        bomb.to_bytes(decoding.LENGTH, 'little'),
        bz2.compress(bytes(bomb))))
    for number, (kind, data) in enumerate(kinds.items()):
        yield 'stored', kind, bytes((number, 40)) + data[:500]


def _of_answers() -> _Seeds:
    pages = [[_entry(name) for name in names] for names in ('ab', 'c')]
    json_type = b'application/json; charset=utf-8\n'
    yield 'listing', 'pages', json_type + answers.BORDER.join(
        json.dumps(page).encode() for page in pages)
    yield 'containers', 'pages', json_type + json.dumps([
        {'name': 'c', 'count': 2, 'bytes': 9, 'last_modified': '2026'},
        {'name': '\xe4'}]).encode()
    yield 'containers', 'zipped', (
        b'text/plain|gzip\n' + zlib.compress(b'[]', wbits=31))
    yield 'info', 'swift', json_type + json.dumps({
        'swift': {'max_file_size': 5 << 30, 'policies': [
            {'name': 'gold', 'aliases': 'gold, yellow', 'default': True},
            {'name': 'other'}]},
        'slo': {'max_manifest_segments': 1000}, 'bulk_delete': {},
        'symlink': {}}).encode()
    yield 'info', 'nothing', b'\n{}'
    yield 'date', 'http', b'Sat, 01 Aug 2026 12:00:00 GMT'
    yield 'date', 'zone', b'Fri, 31 Dec 9999 23:59:59 -2359'
    yield 'date', 'last', b'Fri, 31 Dec 9999 23:59:59 GMT'
    yield 'large', 'segments', b'\n' + json.dumps([
        {'name': '/c_segments/o-000000', 'bytes': 5, 'hash': _MD5,
         'content_type': 'application/octet-stream',
         'last_modified': '2026-08-01T12:00:00.000000'}] * 2).encode()
    yield 'large', 'of-others', b'true\n' + json.dumps([
        {'name': '/c/o', 'bytes': 5, 'hash': _MD5, 'sub_slo': True},
        {'data': 'AAAA'}]).encode()
    yield 'body', 'whole', b'5\nabcde'
    yield 'body', 'part', b'5|bytes 3-7/10\nabcde'


def _entry(name: str) -> dict[str, object]:
    return {'name': f'p-{name}', 'bytes': 5, 'hash': _MD5,
            'content_type': 'application/octet-stream',
            'last_modified': '2026-08-01T12:00:00.500000'}


def _of_texts() -> _Seeds:
    yield 'volume_meta', 'cinder', json.dumps({
        'version': 2, 'volume-base-metadata': {
            'size': 5, 'id': 'v', 'display_name': 'disk', 'project_id': 'p',
            'volume_type_id': 't', 'encryption_key_id': 'k'},
        'volume-metadata': {'key': 'value'}}).encode()
    for number, suffix in enumerate((
            '-00001', '_sha256file', '_metadata', '_sha256file-000001')):
        yield 'names', f'{number}', f'{_REF.prefix}{suffix}'.encode()


def main() -> None:
    """Write them all."""
    for target, name, data in _all():
        directory = targets.examples(target)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f'seed-{name}').write_bytes(data)


if __name__ == '__main__':
    main()

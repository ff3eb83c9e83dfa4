# SPDX-License-Identifier: Apache-2.0

"""Targets that read what a backup in the form of packs consists of."""

from collections.abc import Iterable
import dataclasses
import datetime
import hashlib
import struct
import zlib

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import condemned
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types
from tests.fakes import documents
from tests.fuzz import checks

_PREFIX = documents.PREFIX
_NAME = naming.pack_name(_PREFIX, 'bak-1', 1)
_BLOCK = 512
_KEY = encryption.DataKey(bytes(encryption.KEY)).of_pack('bak-1-000001')
_BUFFER = encryption.make_buffer()
_NOW = datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC)
_PAGE = types.Extent(1 << 20, 1 << 20)
# Bytes of memory for each byte that is read, and besides. A byte of a zlib
# stream may become a thousand, within what the number of chunks allows.
_PARSED = 100
_COLUMNS = 16 << 20
# Bytes that the columns of a chunk take.
_RECORD = 37


def point(data: bytes) -> None:
    """The object ``_metadata``, in whichever form."""
    with checks.memory(_PARSED * len(data)):
        found = checks.value_of(lambda: _read_manifest([data]))
    checks.same(found,
                checks.value_of(lambda: _read_manifest(checks.cut(data))))
    if found is None or found.point is None:
        return
    for name in (*found.point.packs.names(), *found.objects.names()):
        assert name.startswith('volume_vol-1/')
        assert naming.is_pack(name) != naming.belongs_to(name, _PREFIX)
    for page in found.point.pages:
        assert 0 <= page.extent.offset < page.extent.end <= found.end
    stored = b''.join(manifests.encode(found))
    checks.same(found, _read_manifest(checks.cut(stored)))


def _read_manifest(pieces: Iterable[bytes]) -> chains.Manifest:
    reader = manifests.Reader(_PREFIX)
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def index(data: bytes) -> None:
    """What is behind the chunks of a pack, with a sum that is right."""
    body = data[:-44]
    pack = packs.Pack(7, _NAME, 5000 + len(data), '0' * 32, len(data),
                      hashlib.sha256(body).digest())
    with checks.memory(_PARSED * len(data) + _COLUMNS):
        found = checks.value_of(lambda: packs.decode(pack, data))
    if found is None:
        return
    for extent, packed in found.digests():
        first, end = extent.block_range(found.block_size)
        checks.same((end - first) * digests.DIGEST_SIZE, len(packed))
    encoded = packs.encode(found)
    again = packs.decode(dataclasses.replace(
        pack, length=5000 + len(encoded), index_length=len(encoded),
        index_sha256=packs.sha256(encoded)), encoded)
    _check_chunks(found.chunks, again.chunks)


def page(data: bytes) -> None:
    """A page of a manifest, with a sum that is right."""
    table = pack_table.PackTable(_PREFIX, [
        packs.Pack(number, naming.pack_name(_PREFIX, 'bak-1', number), 1 << 20,
                   '0' * 32, 100, bytes(32)) for number in range(3)])
    described = pages.Page(_PAGE, f'{_PREFIX}-00000',
                           types.Extent(0, len(data)),
                           hashlib.sha256(data).digest())
    with checks.memory(_PARSED * len(data) + _COLUMNS):
        found = checks.value_of(lambda: pages.decode(
            described, data, _BLOCK, _PAGE.length, table))
    if found is None:
        return
    for record in found:
        assert _PAGE.offset <= record.extent.offset
        assert record.extent.end <= _PAGE.end
        assert record.place is not None
        assert record.place.end <= (1 << 20) - 100
        assert record.name in table.names()


def columns(data: bytes) -> None:
    """The columns of a table of chunks, as they are in a zlib stream."""
    count = len(data) // _RECORD
    table = struct.pack('<I', count) + zlib.compress(data[:count * _RECORD], 1)
    found = checks.value_of(lambda: packed_chunks.decode(
        _NAME, memoryview(table), _BLOCK, str, count))
    if found is not None:
        _check_chunks(found, packed_chunks.decode(
            _NAME, memoryview(found.encode(_BLOCK)), _BLOCK, str, count))


def encrypted(data: bytes) -> None:
    """A chunk that is encrypted, or that ought to be."""
    checks.same(None, checks.value_of(lambda: _decrypted(data)))
    if not data:
        return
    stored = bytearray(_KEY.encrypt(data, bytes(encryption.NONCE)))
    checks.same(data, _decrypted(bytes(stored)))
    stored[zlib.crc32(data) % len(stored)] ^= 1
    checks.same(None, checks.value_of(lambda: _decrypted(bytes(stored))))


def _decrypted(stored: bytes) -> bytes:
    decoder = encryption.Decrypter(
        codecs.find('none').decoder(max(len(stored) - encryption.OVERHEAD, 0)),
        _KEY, _NAME, len(stored), _BUFFER)
    with checks.memory(3 * len(stored)):
        data = b''.join(bytes(piece) for part in checks.cut(stored)
                        for piece in decoder.feed(part))
        decoder.finish()
    return data


def note(data: bytes) -> None:
    """The note of packs that nobody names."""
    with checks.memory(_PARSED * len(data)):
        found = condemned.decode(data)
    for rest, moment in found.items():
        assert naming.is_pack(f'{naming.packs(_PREFIX)}{rest}'), rest
        # As a sweep does.
        assert min(moment, _NOW) <= _NOW
        assert _NOW - moment < _NOW - datetime.datetime.min.replace(
            tzinfo=datetime.UTC) + datetime.timedelta(days=2)
    again = condemned.decode(condemned.encode(found))
    checks.same(again, {rest: moment.replace(microsecond=0)
                        for rest, moment in found.items()})


def _check_chunks(found: packed_chunks.PackedChunks,
                  again: packed_chunks.PackedChunks) -> None:
    checks.same(list(found), list(again))
    for record in found:
        assert record.extent.offset >= 0
        assert record.extent.length > 0
        assert record.extent.end <= types.LARGEST_OFFSET

# SPDX-License-Identifier: Apache-2.0

"""Reading and writing the manifest, the ``_metadata`` object.

The stock driver looks at ``version``, ``extra_metadata``, ``objects`` and
``volume_meta``, and in each entry of ``objects`` at ``offset`` and
``compression``; it tolerates any other key. What only we need goes under
keys that start with ``csb_``.

Reading takes these steps:

1. Parse the JSON and check its version.
2. Turn each one-key dictionary of ``objects`` into a record; refuse names
   outside the backup's own prefix and names that occur twice.
3. Put right what releases before 2015.1 meant by some fields: ``md5`` was
   that of the stored bytes, and ``offset``, in Havana, Icehouse and Juno,
   where a chunk ends instead of where it starts.
"""

import dataclasses
import json
from typing import Any

from cinder_swift_backup.format import documents
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

_STORED_LENGTH = 'csb_stored_length'
_STORED_MD5 = 'csb_stored_md5'
_VOLUME_SIZE = 'csb_volume_size'
_PARENT = 'csb_parent'


def encode(manifest: types.Manifest) -> bytes:
    """The manifest as the bytes to store."""
    fields: dict[str, Any] = dict(documents.header_fields(manifest.header))
    fields['parent_id'] = manifest.parent_id
    fields['volume_meta'] = manifest.volume_meta
    fields['objects'] = [_encode_chunk(chunk) for chunk in manifest.chunks]
    fields[_VOLUME_SIZE] = manifest.volume_size
    if manifest.parent is not None:
        fields[_PARENT] = {
            'backup_id': manifest.parent.backup_id,
            'volume_id': manifest.parent.volume_id,
            'container': manifest.parent.container,
            'prefix': manifest.parent.prefix,
        }
    return json.dumps(fields).encode('utf-8')


def _encode_chunk(chunk: types.ChunkRecord) -> dict[str, dict[str, Any]]:
    fields = {
        'offset': chunk.extent.offset,
        'length': chunk.extent.length,
        'compression': chunk.compression,
        _STORED_LENGTH: chunk.stored_length,
        _STORED_MD5: chunk.stored_md5,
    }
    if chunk.md5 is not None:
        fields['md5'] = chunk.md5
    return {chunk.name: fields}


def largest(volume_size: int) -> int:
    """An upper bound for the size of a manifest, in bytes.

    An entry takes less than 512 bytes and stands for at least one block.
    Blocks are 32 KiB by default; this bound holds down to 8 KiB. The constant
    covers the fields that do not depend on the volume's size.

    :param volume_size: in bytes
    """
    return volume_size // 16 + (16 << 20)


def decode(prefix: str, stored: bytes) -> types.Manifest:
    """The manifest of the backup at ``prefix`` from its stored bytes.

    :raises FormatError: when it is damaged, of an unknown version, or names
        objects outside ``prefix``
    """
    name = naming.manifest_name(prefix)
    fields = documents.parse(name, stored)
    entries = fields.get('objects')
    if not isinstance(entries, list):
        raise documents.damaged(name, '"objects" is not a list')
    chunks = tuple(_decode_chunk(name, prefix, entry) for entry in entries)
    if len({chunk.name for chunk in chunks}) != len(chunks):
        raise documents.damaged(name, 'it names an object twice')
    volume_size = documents.optional_size(name, fields, _VOLUME_SIZE)
    for chunk in chunks:
        if volume_size is not None and chunk.extent.end > volume_size:
            raise documents.damaged(
                name, f'{chunk.name!r} ends at {chunk.extent.end}, and the '
                      f'volume at {volume_size}')
    # The release that introduced digests introduced this field, too.
    era = (types.Era.DIGESTS if 'parent_id' in fields
           else types.Era.BEFORE_DIGESTS)
    return types.Manifest(
        header=documents.read_header(name, fields),
        chunks=(chunks if era is types.Era.DIGESTS
                else _before_digests(chunks)),
        era=era,
        parent_id=documents.text(name, fields, 'parent_id'),
        volume_meta=documents.text(name, fields, 'volume_meta'),
        volume_size=volume_size,
        parent=_decode_parent(name, fields.get(_PARENT)))


def _decode_chunk(name: str, prefix: str, entry: object) -> types.ChunkRecord:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise documents.damaged(
            name, 'an entry of "objects" is not a one-key object')
    (chunk_name, fields), = entry.items()
    if not isinstance(fields, dict):
        raise documents.damaged(
            name, f'the entry of {chunk_name!r} is not an object')
    if not naming.belongs_to(chunk_name, prefix):
        raise documents.damaged(
            name, f'it names {chunk_name!r}, which is not an object of this '
                  f'backup')
    compression = documents.text(chunk_name, fields, 'compression')
    if compression is None:
        raise documents.damaged(
            name, f'the entry of {chunk_name!r} has no compression')
    length = documents.size(chunk_name, fields, 'length')
    if not length:
        raise documents.damaged(
            name, f'the entry of {chunk_name!r} has a length of zero')
    extent = types.Extent(
        documents.size(chunk_name, fields, 'offset'), length)
    if extent.end > types.LARGEST_OFFSET:
        raise documents.damaged(
            name, f'the entry of {chunk_name!r} ends at {extent.end}, where '
                  f'no volume does')
    return types.ChunkRecord(
        name=chunk_name, extent=extent,
        compression=compression,
        md5=documents.text(chunk_name, fields, 'md5'),
        stored_length=documents.optional_size(
            chunk_name, fields, _STORED_LENGTH),
        stored_md5=documents.text(chunk_name, fields, _STORED_MD5))


def _before_digests(
        chunks: tuple[types.ChunkRecord, ...],
) -> tuple[types.ChunkRecord, ...]:
    ends = _are_ends(chunks)
    return tuple(dataclasses.replace(
        chunk,
        extent=types.Extent(
            chunk.extent.offset - (chunk.extent.length if ends else 0),
            chunk.extent.length),
        # Since Cinder 7.0 it is of the uncompressed data.
        md5=None, stored_md5=chunk.md5) for chunk in chunks)


def _are_ends(chunks: tuple[types.ChunkRecord, ...]) -> bool:
    # Cinder 2013.2 to 2014.2 noted the position after reading a chunk. Those
    # releases knew no parents and only made full backups, so the first chunk
    # tells: it begins at 0, or at its own length where the quirk applies.
    if not chunks or chunks[0].extent.offset != chunks[0].extent.length:
        return False
    return all(chunk.extent.offset >= chunk.extent.length
               for chunk in chunks)


def _decode_parent(name: str, fields: object) -> types.BackupRef | None:
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise documents.damaged(name, f'{_PARENT!r} is not an object')
    return types.BackupRef(
        backup_id=documents.text(name, fields, 'backup_id') or '',
        volume_id=documents.text(name, fields, 'volume_id') or '',
        container=documents.text(name, fields, 'container') or '',
        prefix=documents.text(name, fields, 'prefix') or '')

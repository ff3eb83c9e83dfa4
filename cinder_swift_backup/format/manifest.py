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

import json
import operator
from typing import Any

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

_STORED_LENGTH = 'csb_stored_length'
_STORED_MD5 = 'csb_stored_md5'
_VOLUME_SIZE = 'csb_volume_size'
_PARENT = 'csb_parent'


def encode(manifest: chains.Manifest) -> bytes:
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
    # Since Cinder 7.0 this is of the data, not of the stored bytes. No driver
    # reads it, and computing it would take a sixth of the time. Where data is
    # stored plain it costs nothing.
    if chunk.compression == codecs.NONE.word:
        fields['md5'] = chunk.stored_md5
    return {chunk.name: fields}


def largest(volume_size: int) -> int:
    """An upper bound for the size of a manifest, in bytes.

    An entry takes less than 512 bytes and stands for at least one block.
    Blocks are 32 KiB by default; this bound holds down to 8 KiB. The constant
    covers the fields that do not depend on the volume's size.

    :param volume_size: in bytes
    """
    return volume_size // 16 + (16 << 20)


def decode(prefix: str, stored: bytes) -> chains.Manifest:
    """The manifest of the backup at ``prefix`` from its stored bytes.

    :raises FormatError: when it is damaged, of an unknown version, or names
        objects outside ``prefix``
    """
    name = naming.manifest_name(prefix)
    fields = documents.parse(name, stored)
    entries = fields.get('objects')
    if not isinstance(entries, list):
        raise documents.damaged(name, '"objects" is not a list')
    # The release that introduced digests introduced this field, too.
    era = (chains.Era.DIGESTS if 'parent_id' in fields
           else chains.Era.BEFORE_DIGESTS)
    chunks = chunk_table.ChunkTable(prefix)
    for entry in entries:
        chunks.append(_decode_chunk(name, prefix, era, entry))
    if chunks.names_twice():
        raise documents.damaged(name, 'it names an object twice')
    if era is chains.Era.BEFORE_DIGESTS:
        _correct_offsets(chunks)
    volume_size = documents.optional_size(name, fields, _VOLUME_SIZE)
    if volume_size is not None and chunks.end > volume_size:
        raise documents.damaged(
            name, f'an object ends at {chunks.end}, and the volume at '
                  f'{volume_size}')
    return chains.Manifest(
        header=documents.read_header(name, fields),
        chunks=chunks, era=era,
        parent_id=documents.text(name, fields, 'parent_id'),
        volume_meta=documents.text(name, fields, 'volume_meta'),
        volume_size=volume_size,
        parent=_decode_parent(name, fields.get(_PARENT)))


def _decode_chunk(name: str, prefix: str, era: chains.Era,
                  entry: object) -> types.ChunkRecord:
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
    stored_length = documents.optional_size(chunk_name, fields,
                                            _STORED_LENGTH)
    if (stored_length or 0) > types.LARGEST_OFFSET:
        raise documents.damaged(
            name, f'the entry of {chunk_name!r} has a stored length that no '
                  f'object has')
    # Since Cinder 7.0 "md5" is of the uncompressed data.
    stored_md5 = _STORED_MD5 if era is chains.Era.DIGESTS else 'md5'
    return types.ChunkRecord(
        name=chunk_name, extent=extent,
        compression=compression,
        stored_length=stored_length,
        stored_md5=documents.text(chunk_name, fields, stored_md5))


def _correct_offsets(chunks: chunk_table.ChunkTable) -> None:
    # Cinder 2013.2 to 2014.2 noted the position after reading a chunk. Those
    # releases knew no parents and only made full backups, so the first chunk
    # tells: it begins at 0, or at its own length where the quirk applies.
    if not chunks or chunks.offsets[0] != chunks.lengths[0]:
        return
    if any(map(operator.lt, chunks.offsets, chunks.lengths)):
        return
    for index, length in enumerate(chunks.lengths):
        chunks.offsets[index] -= length


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

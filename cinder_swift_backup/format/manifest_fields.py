# SPDX-License-Identifier: Apache-2.0

"""The fields of a manifest besides what it lists, in whichever form it is.

``version`` to ``created_at``, ``parent_id`` and ``volume_meta`` are the stock
driver's, see :mod:`cinder_swift_backup.format.documents`. What only we need
goes under keys that start with ``csb_``.
"""

from typing import Any

from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import types

_VOLUME_SIZE = 'csb_volume_size'
_PARENT = 'csb_parent'
_MARK = 'csb_mark'
_FILE_FORMAT = 'csb_file_format'
_KEY_ID = 'csb_encryption_key_id'


def encode(manifest: chains.Manifest,
           version: str = documents.VERSION) -> dict[str, Any]:
    """These fields of a manifest, ready for JSON."""
    fields: dict[str, Any] = dict(documents.header_fields(
        manifest.header, version))
    fields['parent_id'] = manifest.parent_id
    fields['volume_meta'] = manifest.volume_meta
    fields[_VOLUME_SIZE] = manifest.volume_size
    if manifest.parent is not None:
        fields[_PARENT] = {
            'backup_id': manifest.parent.backup_id,
            'volume_id': manifest.parent.volume_id,
            'container': manifest.parent.container,
            'prefix': manifest.parent.prefix,
        }
    if manifest.mark is not None:
        fields[_MARK] = {
            'image': manifest.mark.image,
            'snapshot': manifest.mark.snapshot,
            'changes': [[extent.offset, extent.length]
                        for extent in manifest.mark.written_since],
        }
    if manifest.file_format is not None:
        fields[_FILE_FORMAT] = manifest.file_format
    if manifest.key_id is not None:
        fields[_KEY_ID] = manifest.key_id
    return fields


def decode(name: str, fields: dict[str, Any],
           chunks: chunk_table.ChunkTable) -> chains.Manifest:
    """A manifest of these fields, and of the objects that it lists.

    :param name: of the stored manifest
    :raises FormatError: when a field is damaged
    """
    volume_size = documents.optional_size(name, fields, _VOLUME_SIZE)
    if volume_size is not None and chunks.end > volume_size:
        raise documents.damaged(
            name, f'an object ends at {chunks.end}, and the volume at '
                  f'{volume_size}')
    return chains.Manifest(
        header=documents.read_header(name, fields),
        chunks=chunks,
        parent_id=documents.identifier(name, fields, 'parent_id'),
        volume_meta=documents.text(name, fields, 'volume_meta'),
        volume_size=volume_size,
        parent=_decode_parent(name, fields.get(_PARENT)),
        mark=_decode_mark(fields.get(_MARK)),
        file_format=documents.text(name, fields, _FILE_FORMAT),
        key_id=documents.identifier(name, fields, _KEY_ID))


def _decode_parent(name: str, fields: object) -> types.BackupRef | None:
    if fields is None:
        return None
    if not isinstance(fields, dict):
        raise documents.damaged(name, f'{_PARENT!r} is not an object')
    return types.BackupRef(
        backup_id=documents.identifier(name, fields, 'backup_id') or '',
        volume_id=documents.identifier(name, fields, 'volume_id') or '',
        container=documents.text(name, fields, 'container') or '',
        prefix=documents.text(name, fields, 'prefix') or '')


def _decode_mark(fields: object) -> types.Mark | None:
    """The mark; None if it is not as we write it, which costs time only."""
    if not isinstance(fields, dict):
        return None
    image, snapshot = fields.get('image'), fields.get('snapshot')
    if not documents.is_text(image) or not documents.is_text(snapshot):
        return None
    changes = fields.get('changes')
    if not isinstance(changes, list) or not all(map(_is_extent, changes)):
        return None
    return types.Mark(image, snapshot,
                      tuple(types.Extent(*pair) for pair in changes))


def _is_extent(value: object) -> bool:
    return (isinstance(value, list) and len(value) == 2
            and all(type(number) is int and 0 <= number <= types.LARGEST_OFFSET
                    for number in value))

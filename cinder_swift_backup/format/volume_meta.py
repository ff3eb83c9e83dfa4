# SPDX-License-Identifier: Apache-2.0

"""What Cinder notes of a volume in the manifest of its backup.

It is JSON in a string, which this package stores and restores as it is. In it
``volume-base-metadata`` has the fields of the volume's record, as they were
when it was backed up, and ``volume-metadata`` what its user noted with it.
Source: the class ``BackupMetadataAPI`` of Cinder.
"""

from collections.abc import Mapping
import dataclasses
import json

from cinder_swift_backup.format import documents

_BASE = 'volume-base-metadata'
_METADATA = 'volume-metadata'


@dataclasses.dataclass(frozen=True, slots=True)
class Volume:
    """A volume by its own record; each is None where that is not noted.

    It was backed up without metadata then, or by another release of Cinder.
    ``version`` is that of the notes; Cinder puts keys back from 2 on. ``size``
    is in GiB. ``key_id`` is that of the key of an encrypted volume, which
    ends with the volume: the backup has a copy under another id.
    ``metadata`` is what the volume's owner noted with it.
    """

    version: int | None = None
    size: int | None = None
    name: str | None = None
    project_id: str | None = None
    type_id: str | None = None
    key_id: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


def read(text: str | None) -> Volume:
    """What can be known from such a text."""
    try:
        notes = json.loads(text or '{}')
        fields = notes[_BASE]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Volume()
    if not isinstance(fields, dict):
        return Volume()
    version, size = notes.get('version'), fields.get('size')
    name = fields.get('display_name')
    return Volume(
        version=version if type(version) is int else None,
        size=size if type(size) is int and size > 0 else None,
        name=name if documents.is_text(name) and name else None,
        project_id=_identifier(fields.get('project_id')),
        type_id=_identifier(fields.get('volume_type_id')),
        key_id=_identifier(fields.get('encryption_key_id')),
        metadata=_texts(notes.get(_METADATA)))


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: text for name, text in value.items()
            if documents.is_text(text)}


def _identifier(value: object) -> str | None:
    return value if value and documents.is_identifier(value) else None

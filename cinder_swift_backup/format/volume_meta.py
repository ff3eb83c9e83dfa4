# SPDX-License-Identifier: Apache-2.0

"""What Cinder notes of a volume in the manifest of its backup.

It is JSON in a string, which this package stores and restores as it is. In it
``volume-base-metadata`` has the fields of the volume's record. Source: the
class ``BackupMetadataAPI`` of Cinder.
"""

import dataclasses
import json
from typing import Any

_BASE = 'volume-base-metadata'


@dataclasses.dataclass(frozen=True, slots=True)
class Noted:
    """What is noted; each is None where it is not.

    The volume was backed up without metadata then, or by another release of
    Cinder. ``size`` is in GiB.
    """

    size: int | None = None
    name: str | None = None
    project_id: str | None = None


def read(text: str | None) -> Noted:
    """What the metadata of a volume say, whoever wrote them."""
    try:
        fields = json.loads(text or '{}')[_BASE]
    except (ValueError, KeyError, TypeError, RecursionError):
        return Noted()
    if not isinstance(fields, dict):
        return Noted()
    size = fields.get('size')
    return Noted(size if type(size) is int and size > 0 else None,
                 _words(fields.get('display_name')),
                 _words(fields.get('project_id')))


def _words(value: Any) -> str | None:
    """A text that is one, and can be written down."""
    if not isinstance(value, str):
        return None
    return value.encode(errors='replace').decode() or None

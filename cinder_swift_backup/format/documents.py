# SPDX-License-Identifier: Apache-2.0

"""What the two JSON documents of a backup have in common.

Both begin with a version and the same five fields. Others may be able to
write to the account, so the type of every field is checked before it is used.
Field names: Cinder's ``chunkeddriver``.
"""

from collections.abc import Sequence
import json
from typing import Any
from typing import TypeGuard

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

VERSION = '1.0.0'
# Characters of a wrong value that the text of an error shows.
_SHOWN = 80
# Characters of an id. Those of Cinder have 36.
_LONGEST_ID = 255
# What is nested deeper than can be shown.
_DEEP = '...'


def parse(name: str, stored: bytes,
          known: Sequence[str] = (VERSION,)) -> dict[str, Any]:
    """The fields of the document ``stored`` under ``name``.

    :param known: the versions that it may be of

    :raises FormatError: when it is not a JSON object in UTF-8, or is of a
        version this release cannot read
    """
    try:
        fields = json.loads(stored.decode('utf-8'),
                            object_pairs_hook=unique)
    except (ValueError, RecursionError) as err:
        raise damaged(name, f'it is not valid JSON ({err})') from err
    if not isinstance(fields, dict):
        raise damaged(name, 'it is not a JSON object')
    version = fields.get('version')
    if version not in known:
        raise exceptions.FormatError(
            f'{_noun(name)} is of a version that this release cannot read',
            name=name, expected=' or '.join(known),
            actual=shown(version)[1:-1],
            remedy=exceptions.Remedy.NEWER_RELEASE)
    return fields


class FieldTwice(ValueError):
    """A field name occurs twice; readers do not agree on what that means."""


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON.

    :raises FieldTwice: when one of its names occurs twice
    """
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise FieldTwice('a field name occurs twice')
    return fields


def damaged(name: str, what: str) -> exceptions.FormatError:
    """The error for a document with wrong content."""
    return exceptions.FormatError(
        f'{_noun(name)} is damaged: {what}', name=name,
        remedy=exceptions.Remedy.OTHER_BACKUP)


def _noun(name: str) -> str:
    if name.endswith(naming.manifest_name('')):
        return 'the manifest'
    if naming.is_pack(name):
        return 'a pack'
    if name.endswith(naming.digest_file_name('')):
        return 'the digest file'
    return 'a page of the manifest'


def header_fields(header: types.BackupHeader,
                  version: str = VERSION) -> dict[str, str | None]:
    """The opening fields of a document, ready for JSON."""
    return {
        'version': version,
        'backup_id': header.backup_id,
        'volume_id': header.volume_id,
        'backup_name': header.backup_name,
        'backup_description': header.backup_description,
        'created_at': header.created_at,
    }


def read_header(name: str, fields: dict[str, Any]) -> types.BackupHeader:
    """The opening fields of a parsed document.

    :raises FormatError: when a field is of the wrong type
    """
    return types.BackupHeader(
        backup_id=identifier(name, fields, 'backup_id') or '',
        volume_id=identifier(name, fields, 'volume_id') or '',
        backup_name=text(name, fields, 'backup_name'),
        backup_description=text(name, fields, 'backup_description'),
        created_at=text(name, fields, 'created_at') or '')


def check_owner(name: str, ref: types.BackupRef, owner: str) -> None:
    """Refuse the document of another backup.

    The record of a backup may have got another id, and its prefix has not.

    :param owner: the id that the document tells, if it tells any
    :raises FormatError: when it is another's
    """
    if owner != ref.backup_id and not ref.prefix.endswith(owner):
        raise exceptions.FormatError(
            f'{_noun(name)} belongs to a different backup', name=name,
            expected=ref.backup_id, actual=owner,
            remedy=exceptions.Remedy.OTHER_BACKUP)


def text(name: str, fields: dict[str, Any], key: str) -> str | None:
    """A field that is a string, null or absent."""
    value = fields.get(key)
    if value is None or is_text(value):
        return value
    raise _wrong(name, key, 'a string', value)


def identifier(name: str, fields: dict[str, Any], key: str) -> str | None:
    """A field that is an id, null or absent; texts of errors have it whole."""
    value = text(name, fields, key)
    if value is None or is_identifier(value):
        return value
    raise _wrong(name, key, 'an id', value)


def is_identifier(value: object) -> TypeGuard[str]:
    """Whether a value may be an id: short, and on one line."""
    return (is_text(value) and len(value) <= _LONGEST_ID
            and value.isprintable())


def is_text(value: object) -> TypeGuard[str]:
    """Whether a value is a string, of characters that can be stored.

    JSON can have halves of them, which nothing else takes.
    """
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def size(name: str, fields: dict[str, Any], key: str) -> int:
    """A field that is a number of bytes, which a volume may have."""
    value = fields.get(key)
    if (isinstance(value, int) and not isinstance(value, bool)
            and 0 <= value <= types.LARGEST_OFFSET):
        return value
    raise _wrong(name, key, 'a number of bytes', value)


def optional_size(name: str, fields: dict[str, Any], key: str) -> int | None:
    """A field that is a number of bytes, null or absent."""
    return None if fields.get(key) is None else size(name, fields, key)


def shown(value: object) -> str:
    """A value of a document for the text of an error, which has to be short.

    Others may be able to write documents, of any size.
    """
    try:
        text = str(value)
    except RecursionError:
        text = _DEEP
    return repr(text[:_SHOWN])


def _wrong(name: str, key: str, expected: str,
           value: object) -> exceptions.FormatError:
    return damaged(name, f'{key!r} should be {expected} and is {shown(value)}')

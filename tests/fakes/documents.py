# SPDX-License-Identifier: Apache-2.0

"""The two JSON documents of a backup as Cinder's own driver writes them.

Built from the field names and layout of its stored format, so that what our
reader accepts is not just what our writer makes.
"""

import hashlib
import json
from typing import Any

PREFIX = 'volume_vol-1/20260801120000/az_nova_backup_bak-1'


def chunk(number: int, offset: int, length: int, compression: str = 'none',
          **more: Any) -> dict[str, dict[str, Any]]:
    """An entry of ``objects``."""
    return {f'{PREFIX}-{number:05d}': {
        'offset': offset, 'length': length, 'compression': compression,
        'md5': hashlib.md5(b'', usedforsecurity=False).hexdigest(), **more}}


def _opening() -> dict[str, Any]:
    return {
        'version': '1.0.0',
        'backup_id': 'bak-1',
        'volume_id': 'vol-1',
        'backup_name': 'nightly',
        'backup_description': None,
        'created_at': '2026-08-01 12:00:00+00:00',
    }


def manifest(objects: Any, /, **more: Any) -> bytes:
    """A manifest with the fields that every release wrote, and ``more``."""
    fields = {**_opening(), 'objects': objects, **more}
    return json.dumps(fields, sort_keys=True, indent=2).encode('utf-8')


def digest_file(digests: list[Any], block_size: int, /,
                **more: Any) -> bytes:
    """A digest file, whose digests are in hex."""
    fields = {**_opening(), 'chunk_size': block_size, 'sha256s': digests,
              **more}
    return json.dumps(fields, sort_keys=True, indent=2).encode('utf-8')

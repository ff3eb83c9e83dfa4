# SPDX-License-Identifier: Apache-2.0

"""What Cinder notes of a volume in the manifest of its backup.

It is JSON in a string, which this package stores and restores as it is. In it
``volume-base-metadata`` has the fields of the volume's record. Source: the
class ``BackupMetadataAPI`` of Cinder.
"""

import json

_BASE = 'volume-base-metadata'


def size(text: str | None) -> int | None:
    """The size of the volume in GiB; None where it is not noted.

    It was backed up without metadata then, or by another release of Cinder.
    """
    try:
        found = json.loads(text or '{}')[_BASE]['size']
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if type(found) is int and found > 0 else None

# SPDX-License-Identifier: Apache-2.0

"""The note of packs that no manifest of their volume names.

It is a JSON object ``volume_<volume_id>/packs/condemned`` with ``version``,
"1.0.0", and ``condemned``: for each such pack the end of its name, behind
``packs/``, and when it was first found so, in UTC.

Whatever is wrong with a note only makes packs stay for longer, so it is never
an error: what cannot be read was not noted.
"""

from collections.abc import Mapping
import datetime
import json

from cinder_swift_backup.format import naming

VERSION = '1.0.0'
# Bytes: more than a note has of the packs of any volume.
LARGEST = 256 << 20


def encode(noted: Mapping[str, datetime.datetime]) -> bytes:
    """A note as stored.

    :param noted: by the ends of the names of packs
    """
    return json.dumps({'version': VERSION, 'condemned': {
        rest: moment.isoformat(timespec='seconds')
        for rest, moment in sorted(noted.items())}}).encode()


def decode(stored: bytes) -> dict[str, datetime.datetime]:
    """What a note says, as far as it can be read."""
    try:
        fields = json.loads(stored)
        if fields['version'] != VERSION:
            return {}
        found = {rest: datetime.datetime.fromisoformat(moment)
                 for rest, moment in fields['condemned'].items()
                 if naming.pack_maker(rest)}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}
    # One without a zone cannot be compared with the store's.
    return {rest: moment for rest, moment in found.items() if moment.tzinfo}

# SPDX-License-Identifier: Apache-2.0

"""Says in a line what a table amounts to, and where that is.

An empty table looks like good news. It is not, where the login is for another
account than the backups are in.
"""

import collections
from collections.abc import Iterable
from collections.abc import Sequence

from cinder_swift_backup import quantities
from cinder_swift_backup.engine.survey import backups as backups_
from cinder_swift_backup.engine.survey import inventory


def nothing(place: str) -> str:
    """That there are no backups at all.

    :param place: the account and what belongs to it
    """
    return f'There are no backups in {place}.'


def kind(backup: backups_.Backup) -> str:
    """What a backup consists of, as far as its manifest tells."""
    if backup.summary is None:
        return '-'
    if backup.is_point:
        return 'packs'
    return 'full' if backup.summary.parent_id is None else 'incremental'


def by_word(words: Iterable[str]) -> str:
    """How many there are of each word."""
    return ', '.join(f'{number} {word}' for word, number in
                     sorted(collections.Counter(words).items()))


def of(place: str, backups: Sequence[inventory.Listed],
       words: Iterable[str]) -> str:
    """What backups are, how many, and how much they take.

    :param words: what each of them is
    """
    states = by_word(words)
    stored = quantities.size(sum(backup.stored_bytes for backup in backups))
    count = quantities.counted(len(backups), 'backup')
    return f'{count} in {place}: {states}; {stored} stored.'

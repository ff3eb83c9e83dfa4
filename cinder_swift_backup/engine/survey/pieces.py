# SPDX-License-Identifier: Apache-2.0

"""What is fetched at a time to verify everything: a backup, or a pack."""

from collections.abc import Iterator
import dataclasses
import datetime

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import rounds
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import naming


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Something to fetch with others of its kind.

    ``backup`` has to be fetched, or is one that names the pack with a
    ``number`` in its manifest, of which ``rest`` is the end of the name.
    ``verified`` is when it was fetched before, in UTC, ``tried`` when that was
    tried, if later, and ``is_damaged`` whether it was not as it was stored
    then. ``key`` is what rounds know the key of a pack by. ``locked`` says why
    nobody can read the backup, if it has no key.
    """

    backup: backups.Backup
    stored_bytes: int
    verified: datetime.datetime = rounds.NEVER
    tried: datetime.datetime = rounds.NEVER
    number: int | None = None
    rest: str = ''
    key: str = ''
    is_damaged: bool = False
    locked: exceptions.KeyUnavailable | None = None

    @property
    def name(self) -> str:
        """The name of its pack."""
        return f'{naming.packs(self.backup.ref.prefix)}{self.rest}'


def of_point(backup: backups.Backup, point: chains.Point) -> Iterator[Piece]:
    """The packs of a recovery point.

    :param point: that of its manifest
    """
    for number, name in enumerate(point.packs.names()):
        yield Piece(backup, point.packs.stored(number)[0], number=number,
                    rest=name.removeprefix(point.packs.root))

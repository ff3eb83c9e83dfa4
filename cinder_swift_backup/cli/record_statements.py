# SPDX-License-Identifier: Apache-2.0

"""SQL that has Cinder's records point to backups in their new form.

Cinder's API cannot change where a record points to (``service_metadata``).

1. A record moves only if the records of all that build on its backup do: for
   these, Cinder looks up what they build on by its record.
2. A backup that has moved builds on nothing.
3. The number of those that build on a backup is corrected where one has moved
   (``num_dependent_backups``; see :mod:`.dependents`).
4. Each statement changes nothing if the record does not point to the old
   backup any more, so that it does no harm to run it twice, or late.

Names of columns: Cinder's table ``backups``.
"""

from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine.survey import backups
from cinder_swift_backup.engine.survey import lineages
from cinder_swift_backup.format import chains


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """A backup, and the same one in another form."""

    source: backups.Backup
    link: chains.ChainLink


def movable(lineage: lineages.Lineage,
            moves: Iterable[Move]) -> list[Move]:
    """Those of which all that builds on them moves as well."""
    by_ref = {move.source.ref: move for move in moves}
    # What builds on a backup comes after it.
    for backup in reversed(lineage.backups):
        if any(dependent.ref not in by_ref
               for dependent in lineage.dependents(backup)):
            by_ref.pop(backup.ref, None)
    return list(by_ref.values())


def lines(lineage: lineages.Lineage, moves: Iterable[Move]) -> Iterator[str]:
    """The statements for some records, a line each.

    :param moves: that are :func:`movable`
    :raises SelectionError: when a prefix cannot be written in SQL
    """
    moves = list(moves)
    moved = {move.source.ref for move in moves}
    yield '-- Run this in the database of Cinder.'
    for move in moves:
        source, ref = move.source.ref, move.link.ref
        count = move.link.manifest.own_objects
        yield (
            f'UPDATE backups SET service_metadata = {_quoted(ref.prefix)}, '
            f'object_count = {count}, parent_id = NULL, '
            f'num_dependent_backups = 0 WHERE id = {_quoted(ref.backup_id)} '
            f'AND service_metadata = {_quoted(source.prefix)};')
    for backup in lineage.backups:
        dependents = lineage.dependents(backup)
        left = [other for other in dependents if other.ref not in moved]
        if backup.ref not in moved and len(left) < len(dependents):
            yield (
                f'UPDATE backups SET num_dependent_backups = {len(left)} '
                f'WHERE id = {_quoted(backup.ref.backup_id)} AND '
                f'service_metadata = {_quoted(backup.ref.prefix)};')


def _quoted(text: str) -> str:
    # Databases do not agree on what a backslash means.
    if '\\' in text or not text.isprintable():
        raise exceptions.SelectionError(
            f'{text!r} cannot be written in SQL')
    return "'" + text.replace("'", "''") + "'"

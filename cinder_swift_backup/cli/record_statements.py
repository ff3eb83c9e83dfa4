# SPDX-License-Identifier: Apache-2.0

"""SQL that has Cinder's records point to backups in their new form.

Cinder's API cannot change where a record points to (``service_metadata``).

1. A record moves only if the records of all that build on its backup do: for
   these, Cinder looks up what they build on by its record. So the newest moves
   first, and names no parent from then on; and one moves only if no record
   names it as its parent, whatever was made since.
2. It moves only if it points to the old backup, and is available.
3. The number of those that build on a backup is counted anew where one has
   moved (``num_dependent_backups``; see :mod:`.dependents`).

All of it is one transaction. So it does no harm to run it twice, or late.

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


_NO_CHILD = (
    'id NOT IN (SELECT parent_id FROM (SELECT parent_id FROM backups WHERE '
    'parent_id IS NOT NULL AND NOT deleted) AS children)')
_COUNT = (
    '(SELECT COUNT(*) FROM (SELECT parent_id FROM backups WHERE NOT deleted) '
    'AS children WHERE children.parent_id = backups.id)')


def lines(lineage: lineages.Lineage, moves: Iterable[Move]) -> Iterator[str]:
    """The statements for some records, a line each.

    :param moves: that are :func:`movable`
    :raises SelectionError: when a prefix cannot be written in SQL
    """
    by_ref = {move.source.ref: move for move in moves}
    yield '-- Run this in the database of Cinder.'
    yield 'BEGIN;'
    # What builds on a backup comes after it.
    for backup in reversed(lineage.backups):
        if backup.ref in by_ref:
            yield _moving(by_ref[backup.ref])
    for backup in lineage.backups:
        if any(dependent.ref in by_ref
               for dependent in lineage.dependents(backup)):
            yield (f'UPDATE backups SET num_dependent_backups = {_COUNT} '
                   f'WHERE id = {quoted(backup.ref.backup_id)};')
    yield 'COMMIT;'


def _moving(move: Move) -> str:
    source, ref = move.source.ref, move.link.ref
    return (
        f'UPDATE backups SET service_metadata = {quoted(ref.prefix)}, '
        f'object_count = {move.link.manifest.own_objects}, parent_id = NULL, '
        f'num_dependent_backups = 0 WHERE id = {quoted(ref.backup_id)} AND '
        f"service_metadata = {quoted(source.prefix)} AND status = "
        f"'available' AND {_NO_CHILD};")


def quoted(text: str) -> str:
    """A text as SQL has it.

    :raises SelectionError: when databases would not agree on it
    """
    # Databases do not agree on what a backslash means.
    if '\\' in text or not text.isprintable():
        raise exceptions.SelectionError(
            f'{text!r} cannot be written in SQL')
    return "'" + text.replace("'", "''") + "'"

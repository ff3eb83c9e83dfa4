# SPDX-License-Identifier: Apache-2.0

"""A backup as it is known from the store, and what that makes of it.

What is missing may still be on its way: while a backup is made, its manifest
is; while a container is copied to another site, anything is. After some time
it is lost.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import enum

from cinder_swift_backup.engine.survey import inventory
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import types
from cinder_swift_backup.format import volume_meta


class State(enum.Enum):
    """What can be said of a backup, from the best to the worst."""

    COMPLETE = 'complete'
    ARRIVING = 'arriving'
    ORPHANED = 'orphaned'
    DAMAGED = 'damaged'

    def worst(self, other: 'State') -> 'State':
        """The worse one of two."""
        order = list(State)
        return max(self, other, key=order.index)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a backup, and what that makes of it."""

    state: State
    what: str
    container: str | None = None
    name: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Summary:
    """A manifest without its chunks.

    ``end`` is where the last chunk ends, in bytes of the volume.
    ``by_codec`` is by the words of codecs. ``is_point`` is whether the backup
    is in the form of packs. ``key_id`` is that of the backup's
    own copy of a key, ``volume`` what Cinder noted of the volume.
    ``own_objects`` and ``own_bytes`` are as those of the manifest.
    ``encrypted_by`` is the id of the key of an encrypted backup.
    """

    header: types.BackupHeader
    era: chains.Era
    parent_id: str | None
    parent: types.BackupRef | None
    volume_size: int | None
    file_format: str | None
    end: int
    volume: volume_meta.Volume
    key_id: str | None
    by_codec: Mapping[str, chains.Stored]
    is_point: bool = False
    own_objects: int = 0
    own_bytes: int | None = None
    encrypted_by: str | None = None

    @property
    def is_ours(self) -> bool:
        """Whether this package wrote it."""
        return self.volume_size is not None


@dataclasses.dataclass(frozen=True, slots=True)
class Backup:
    """A backup, and what was found out about it alone.

    ``listed`` is what listings show. ``summary`` is None where the manifest
    cannot be read. ``strays`` are the names of objects that look like the
    backup's and are not in its manifest. They do no harm, but for the stock
    driver refusing to restore it.
    """

    listed: inventory.Listed
    summary: Summary | None
    findings: tuple[Finding, ...] = ()
    strays: tuple[str, ...] = ()

    @property
    def ref(self) -> types.BackupRef:
        """Where it is."""
        return self.listed.ref

    @property
    def is_point(self) -> bool:
        """Whether it is certainly in the form of packs."""
        return self.summary is not None and self.summary.is_point

    @property
    def state(self) -> State:
        """The worst that was found."""
        state = State.COMPLETE
        for finding in self.findings:
            state = state.worst(finding.state)
        return state


@dataclasses.dataclass(frozen=True, slots=True)
class Patience:
    """For how long what is missing may still arrive.

    ``now`` is in UTC, by the store's clock as the times of objects are. Where
    ``grace`` is 0, nothing is waited for. ``copies`` are the containers that
    another site is copied to. ``shared`` are those that are copied elsewhere,
    and perhaps the other way, too.
    """

    now: datetime.datetime
    grace: datetime.timedelta
    copies: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()

    def is_late(self, modified: datetime.datetime) -> bool:
        """Whether an object is older than what may still be worked on."""
        # A store tells its time to the second, and that of objects better.
        return not self.grace or self.now - modified >= self.grace

    def without_manifest(self, listed: inventory.Listed) -> State:
        """The state of a backup that has none.

        In a copy the manifest may come at any time, whatever the age of what
        is there: objects keep the time of their originals.
        """
        if self._is_young(listed):
            return State.ARRIVING
        return (State.DAMAGED if listed.ref.container in self.copies
                else State.ORPHANED)

    def incomplete(self, listed: inventory.Listed) -> State:
        """The state of a backup that lacks something else.

        The manifest is written last, but need not be copied last.
        """
        if listed.ref.container in self.copies and self._is_young(listed):
            return State.ARRIVING
        return State.DAMAGED

    def _is_young(self, listed: inventory.Listed) -> bool:
        return not self.is_late(listed.modified)


def summarise(manifest: chains.Manifest) -> Summary:
    """A manifest without its chunks."""
    return Summary(
        header=manifest.header, era=manifest.era,
        parent_id=manifest.parent_id, parent=manifest.parent,
        volume_size=manifest.volume_size, file_format=manifest.file_format,
        end=manifest.end,
        volume=volume_meta.read(manifest.volume_meta),
        key_id=manifest.key_id,
        by_codec=_by_codec(manifest.chunks) if manifest.point is None
        else manifest.point.stored,
        is_point=manifest.point is not None,
        own_objects=manifest.own_objects, own_bytes=manifest.own_bytes,
        encrypted_by=None if manifest.point is None
        or manifest.point.encryption is None
        else manifest.point.encryption.key_id)


def _by_codec(table: chunk_table.ChunkTable) -> dict[str, chains.Stored]:
    by_codec: dict[str, chains.Stored] = {}
    for record in table:
        before = by_codec.get(record.compression, chains.Stored(0, 0, 0))
        stored = None
        if record.stored_length is not None and (
                before.stored_bytes is not None):
            stored = before.stored_bytes + record.stored_length
        by_codec[record.compression] = chains.Stored(
            before.chunks + 1, before.bytes + record.extent.length, stored)
    return by_codec

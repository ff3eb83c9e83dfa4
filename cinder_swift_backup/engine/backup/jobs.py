# SPDX-License-Identifier: Apache-2.0

"""What a backup is told before it begins."""

from collections.abc import Iterable
import dataclasses
import datetime

from cinder_swift_backup.engine import sweeping
from cinder_swift_backup.engine.backup import parents
from cinder_swift_backup.engine.volumes import format_checks
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import encryption as encryption_
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base


@dataclasses.dataclass(frozen=True, slots=True)
class Encryption:
    """How a backup is encrypted: the data key, and it as it is stored."""

    key: encryption_.DataKey
    wrapped: encryption_.Wrapped


@dataclasses.dataclass(frozen=True, slots=True)
class ArchiveJob:
    """What to back up, under which names, and on top of what.

    ``compression`` is the word of a codec. A ``parent`` is in the same
    ``form``. ``containers`` is what a container
    for segments of digests is like. ``mark`` has exactly what the volume holds
    as long as it is read. ``track`` says whether to ask the volume what
    differs from the parent's mark, ``read_all`` that nothing is asked.
    ``told`` is what may differ by the word of somebody else; None if nobody
    knows. ``recorded`` is what Cinder has noted of the volume. ``key_id`` is
    that of the backup's own copy of the key, if the volume is encrypted.
    ``grace`` is that of sweeps. A copy of a backup in another form is one of
    the manifest ``copy_of``. Its ``maker`` puts its packs; of others that is
    the id of the backup. ``encryption`` is for packs only. Its data key is
    that of the parent, which is encrypted if and only if this backup is.
    """

    ref: types.BackupRef
    header: types.BackupHeader
    geometry: types.Geometry
    compression: str
    level: codecs.Level = codecs.Level.BALANCED
    form: chains.Form = chains.Form.CHUNKS
    parent: parents.Parent | None = None
    volume_meta: str | None = None
    containers: base.NewContainers = base.ANY
    mark: types.Mark | None = None
    track: bool = False
    read_all: bool = False
    told: Iterable[types.Extent] | None = None
    recorded: format_checks.Recorded = format_checks.NOTHING
    key_id: str | None = None
    grace: datetime.timedelta = sweeping.GRACE
    copy_of: chains.Manifest | None = None
    maker: str | None = None
    encryption: Encryption | None = None

    def __post_init__(self) -> None:
        """Make sure that nothing is stored plain that should not be.

        :raises ValueError: when only one of the backup and its parent is to be
            encrypted, or when the form cannot be
        """
        point = None if self.parent is None else self.parent.manifest.point
        was = self.encryption if point is None else point.encryption
        if self.encryption is not None and (
                self.form is not chains.Form.PACKS):
            raise ValueError('only packs can be encrypted')
        if (was is None) is not (self.encryption is None):
            raise ValueError('one of backup and parent would be encrypted')

    @property
    def pack_maker(self) -> str:
        """Who puts its packs."""
        return self.maker or self.ref.backup_id

# SPDX-License-Identifier: Apache-2.0

"""Reads what cannot be verified as it is, and notes what is doubtful of it.

1. Compare an object as in any restore: what arrives damaged is read again, and
   may be intact another time.
2. If it is stored so, read it once more, hand on all of it, and note which of
   its extents do not match.
3. Where there are no digests, the MD5 in the manifest tells, and all of an
   object is doubtful or nothing. Note what has no MD5 either.

What cannot be decoded, or is not there, is not restored this way either.
"""

import dataclasses

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import chunk_reader
from cinder_swift_backup.engine.restore import doubts as doubts_
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class _Noting(verification.DigestCheck):
    """Notes what a strict check refuses."""

    doubts: doubts_.Doubts

    def check(self, name: str, offset: int, data: memoryview) -> None:
        """See the base; raises nothing."""
        extent = types.Extent(offset, len(data))
        if self.is_whole(extent):
            self.doubts.note(name, self.mismatches(extent, data),
                             is_wrong=True)
        else:
            self.doubts.note(name, (extent,), is_wrong=False)


class Reader:
    """Reads the chunks of a plan; may be used by several workers."""

    def __init__(self, operation: operations.Operation,
                 check: verification.Check, doubts: doubts_.Doubts) -> None:
        """Prepare.

        :param check: what there is to compare chunks with
        :param doubts: where to note what is doubtful
        """
        self._strict = chunk_reader.ChunkReader(operation, check)
        noting = None
        if check.digests is not None:
            noting = _Noting(check.digests.table, check.digests.end, doubts)
        self._lenient = chunk_reader.ChunkReader(
            operation, verification.Check(noting, stored=False,
                                          key=check.key))
        self._has_digests = noting is not None
        self._doubts = doubts

    def read(self, group: groups.Group, use: chunk_reader.Use,
             stop: pipelines.StopFlag) -> None:
        """See :class:`chunk_reader.ChunkReader`; damage is only noted.

        :raises BackupError: when the object is not there, or a chunk cannot be
            decoded to the length that it should have
        """
        try:
            self._strict.read(group, use, stop)
        except exceptions.ChunkMissing:
            raise
        except exceptions.IntegrityError:
            self._lenient.read(group, _Again(use), stop)
            if not self._has_digests:
                self._doubts.note(group.name, group.extents, is_wrong=True)
            return
        if not self._has_digests and any(
                chunk.record.stored_md5 is None for chunk in group.chunks):
            self._doubts.note(group.name, group.extents, is_wrong=False)


@dataclasses.dataclass(frozen=True, slots=True)
class _Again:
    """Has it known that other data may have come before."""

    use: chunk_reader.Use

    def __call__(self, offset: int, data: memoryview, *,
                 repeated: bool) -> None:
        self.use(offset, data, repeated=True)

# SPDX-License-Identifier: Apache-2.0

"""An extent of the volume in, encoded chunks of what has changed out.

1. Read the extent in pieces, and hash each block.
2. Compare the digests with the parent's, or with those of zeros where there is
   no parent. What has no digest there has changed.
3. Encode each run of changed blocks from the very buffer, as chunks of at most
   a MiB or one block. Zeros are only noted.

So each block is read and hashed once. Nothing is stored here; see
:mod:`cinder_swift_backup.engine.backup.packer`.

Memory: the encoded chunks of the extent, and a few MiB for each worker.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses

from cinder_swift_backup.engine import intervals
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import block_reader
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import types


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """A chunk to store: its data, and the digests of its blocks.

    ``word`` is that of a codec, or :data:`packed_chunks.ZEROS`, of which there
    is neither data nor a digest.
    """

    extent: types.Extent
    word: str
    data: bytes = b''
    packed: bytes = b''


class PackEncoder:
    """Encodes what has changed; may be used by several workers."""

    def __init__(self, operation: operations.Operation, job: jobs.ArchiveJob,
                 source: volumes.VolumeReader,
                 before: digests.DigestTable | None) -> None:
        """Prepare.

        :param before: the digests of the parent; None for a full backup
        :raises FormatError: when the codec is not known
        """
        self._call = operation.call
        self._codec = codecs.find(job.compression)
        self._level = job.level
        self._block_size = job.geometry.block_size
        self._chunk_size = pages.largest_chunk(self._block_size)
        self._page_size = pages.size(self._block_size)
        self._reader = block_reader.BlockReader(
            source, self._block_size, self._chunk_size,
            operation.volume_traffic.add_read,
            digests.sha256 if job.encryption is None
            else job.encryption.key.digest)
        self._before = before

    def look(self, extent: types.Extent, stop: pipelines.StopFlag,
             parts: Sequence[types.Extent] | None = None,
             anew: Sequence[types.Extent] = ()) -> list[Encoded]:
        """What has changed in an extent, and what to store anew.

        :param parts: of the extent, whole blocks in order: the rest is the
            same for certain, and not read; all of it by default
        :param anew: of the extent, whole blocks in order, whether they have
            changed or not
        :raises VolumeError: when the volume cannot be read
        :raises SpoolError: when digests cannot be read
        :raises Cancelled: when ``stop`` is set
        """
        return self._call(
            self._look, [extent] if parts is None else _joined(parts, anew),
            anew, stop)

    def look_at_zeros(self, extent: types.Extent, stop: pipelines.StopFlag,
                      anew: Sequence[types.Extent] = ()) -> list[Encoded]:
        """What of an extent that is all zeros was none before.

        :param anew: as of :meth:`look`
        :raises SpoolError: when digests cannot be read
        :raises Cancelled: when ``stop`` is set
        """
        return self._call(self._look_at_zeros, extent, anew, stop)

    # These run offloaded, so they must not log and do not use the store.

    def _look(self, parts: Sequence[types.Extent],
              anew: Sequence[types.Extent],
              stop: pipelines.StopFlag) -> list[Encoded]:
        found: list[Encoded] = []
        for part in parts:
            for extent, piece, packed in self._reader.pieces(part, stop):
                for run, is_zero in self._changes(extent, packed, anew):
                    found.extend(self._encode(run, is_zero, extent, piece,
                                              packed))
        return found

    def _look_at_zeros(self, extent: types.Extent,
                       anew: Sequence[types.Extent],
                       stop: pipelines.StopFlag) -> list[Encoded]:
        if self._before is None or (
                not anew and self._before.are_zeros(extent, stop.check)):
            return []
        found: list[Encoded] = []
        step = digests.STEP * self._block_size
        for part in extent.parts(step):
            stop.check()
            packed = digests.packed_zeros(part.length, self._block_size)
            found.extend(
                Encoded(zeros, packed_chunks.ZEROS)
                for run, _ in self._changes(part, packed, anew)
                for zeros in run.aligned_parts(self._page_size))
        return found

    def _changes(self, extent: types.Extent, packed: bytes,
                 anew: Sequence[types.Extent] = (),
                 ) -> Iterator[tuple[types.Extent, bool]]:
        """The runs to store, each with whether it is zeros."""
        block_size = self._block_size
        if self._before is None:
            before = digests.packed_zeros(extent.length, block_size)
        else:
            before = self._before.of(extent)
        start = end = 0
        was_zero = False
        blocks = digests.changed_blocks(packed, before)
        if anew:
            blocks = sorted({*blocks, *self._blocks(extent, anew)})
        for block in blocks:
            length = min(block_size, extent.length - block * block_size)
            at = block * digests.DIGEST_SIZE
            is_zero = (packed[at:at + digests.DIGEST_SIZE]
                       == digests.of_zeros(length))
            if block != end or is_zero != was_zero:
                if start < end:
                    yield self._run(extent, start, end), was_zero
                start, was_zero = block, is_zero
            end = block + 1
        if start < end:
            yield self._run(extent, start, end), was_zero

    def _blocks(self, extent: types.Extent,
                anew: Sequence[types.Extent]) -> Iterator[int]:
        """The numbers of blocks within an extent."""
        first = extent.offset // self._block_size
        for each in anew:
            shared = each.overlap(extent)
            if shared is not None:
                start, end = shared.block_range(self._block_size)
                yield from range(start - first, end - first)

    def _run(self, extent: types.Extent, first: int,
             end: int) -> types.Extent:
        start = extent.offset + first * self._block_size
        stop = min(extent.offset + end * self._block_size, extent.end)
        return types.Extent(start, stop - start)

    def _encode(self, run: types.Extent, is_zero: bool, extent: types.Extent,
                piece: memoryview, packed: bytes) -> Iterator[Encoded]:
        """The chunks of a run of a piece, which is of an extent."""
        if is_zero:
            for zeros in run.aligned_parts(self._page_size):
                yield Encoded(zeros, packed_chunks.ZEROS)
            return
        for part in run.aligned_parts(self._chunk_size):
            start = part.offset - extent.offset
            word, data = stored_form.encode(
                self._codec, self._level, piece[start:start + part.length])
            first = start // self._block_size
            blocks = -(-part.length // self._block_size)
            yield Encoded(part, word, data, packed[
                first * digests.DIGEST_SIZE:
                (first + blocks) * digests.DIGEST_SIZE])


def _joined(some: Sequence[types.Extent],
            others: Sequence[types.Extent]) -> Sequence[types.Extent]:
    """What is in any of some extents, in order."""
    if not others:
        return some
    found = intervals.IntervalSet()
    for extent in (*some, *others):
        found.claim(extent)
    return found.extents()

# SPDX-License-Identifier: Apache-2.0

"""An extent of the volume in, stored objects out.

1. Ask the volume where it may have data. Nothing else is read: the digests of
   zeros are a constant.
2. Read the data in pieces of 2 MiB into one buffer, hash every block and
   encode. Only the stored form of a chunk is kept. Nothing is read twice for
   one object, because the volume may change in between.
3. If everything was zeros, leave it to the caller, who can store the zeros of
   several chunks as one object; see
   :mod:`cinder_swift_backup.format.zero_form`.
4. Put the object under the number of its first block, so that a listing shows
   where it belongs and a repeated put replaces it.

For an incremental, the writer first reads an extent to hash it and compares
the result with the parent's digests. Then the caller has it store the runs of
changed blocks, and the digests are those of this second read.

Memory: the stored form of one chunk and a few MiB for each worker. A block
above 2 MiB is held whole.
"""

from collections.abc import Callable
from collections.abc import Sequence

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import block_reader
from cinder_swift_backup.engine.backup import jobs
from cinder_swift_backup.engine.backup import merging
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import types
from cinder_swift_backup.format import zero_form
from cinder_swift_backup.format import zeros
from cinder_swift_backup.stores import base


class ChunkWriter:
    """Stores extents of one volume; may be used by several workers."""

    def __init__(self, operation: operations.Operation, job: jobs.ArchiveJob,
                 source: volumes.VolumeReader, table: digests.DigestTable,
                 announce: Callable[[int], None]) -> None:
        """Prepare.

        :param table: takes the digests of all blocks
        :param announce: called with the number of the first block of each
            object before it is put
        :raises FormatError: when the codec is not known
        """
        self._store = operation.store
        self._call = operation.call
        self._job = job
        self._codec = codecs.find(job.compression)
        self._block_size = job.geometry.block_size
        self._reader = block_reader.BlockReader(
            source, self._block_size, self._block_size,
            operation.volume_traffic.add_read)
        self._table = table
        self._announce = announce

    def take_over(self, extent: types.Extent, before: digests.DigestTable,
                  stop: pipelines.StopFlag) -> None:
        """Take the digests of an extent from the parent, unread.

        :param extent: whole blocks, up to the end of both volumes
        :raises SpoolError: when digests cannot be written or read
        :raises Cancelled: when ``stop`` is set
        """
        self._call(self._take_over, extent, before, stop)

    def compare(self, extent: types.Extent, before: digests.DigestTable,
                stop: pipelines.StopFlag,
                parts: Sequence[types.Extent] | None = None,
                ) -> list[types.Extent]:
        """Hash an extent; return the parts that differ from the parent.

        :param before: the digests of the parent, fewer where the volume has
            grown
        :param parts: of the extent, whole blocks in order: the rest is the
            same for certain, and not read; all of it by default
        :raises VolumeError: when the volume cannot be read
        :raises SpoolError: when digests cannot be written or read
        :raises Cancelled: when ``stop`` is set
        """
        return self._call(self._compare, extent, before, stop,
                          [extent] if parts is None else parts)

    def write(self, extent: types.Extent,
              stop: pipelines.StopFlag) -> types.ChunkRecord | None:
        """Store an extent; None if it is all zeros, and nothing was stored.

        :raises VolumeError: when the volume cannot be read
        :raises SpoolError: when digests cannot be written
        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        form = self._call(self._encode, extent, stop)
        return None if form is None else self._put(extent, form, stop)

    def write_zeros(self, extent: types.Extent,
                    stop: pipelines.StopFlag) -> types.ChunkRecord:
        """Store zeros for an extent, whose digests are there already.

        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        return self._put(extent, self._call(
            zero_form.make, self._job.compression, extent.length), stop)

    def runs(self, extent: types.Extent,
             least: int) -> list[tuple[types.Extent, bool]]:
        """Split an extent into data and holes; see :func:`layout.runs`.

        :raises VolumeError: when the volume cannot be asked
        """
        return self._call(self._reader.runs, extent, least)

    def _put(self, extent: types.Extent, form: stored_form.StoredForm,
             stop: pipelines.StopFlag) -> types.ChunkRecord:
        stop.check()
        ref = self._job.ref
        number = extent.offset // self._block_size
        name = naming.chunk_name(ref.prefix, number)
        self._announce(number)
        self._store.until(stop).put(
            ref.container, name,
            base.Body(len(form.data), lambda: (form.data,), form.md5))
        return types.ChunkRecord(
            name=name, extent=extent, compression=form.compression,
            stored_length=len(form.data), stored_md5=form.md5)

    # These run offloaded, so they must not log and do not use the store.

    def _take_over(self, extent: types.Extent, before: digests.DigestTable,
                   stop: pipelines.StopFlag) -> None:
        first, end = extent.block_range(self._block_size)
        for start in range(first, end, digests.STEP):
            stop.check()
            stop_at = min(start + digests.STEP, end)
            # Digests of zeros are there already, and take no room.
            if not before.repeat_zeros(start, stop_at):
                self._table.put(start, before.run(start, stop_at))

    def _compare(self, extent: types.Extent, before: digests.DigestTable,
                 stop: pipelines.StopFlag, parts: Sequence[types.Extent],
                 ) -> list[types.Extent]:
        block_size = self._block_size
        first, end = extent.block_range(block_size)
        then = before.run(first, end)
        # Where the volume has grown, all of it is in the parts.
        size = (end - first) * digests.DIGEST_SIZE
        hashes = bytearray(then.ljust(size, b'\0'))
        for part in parts:
            at = (part.offset // block_size - first) * digests.DIGEST_SIZE
            for _, _, packed in self._reader.pieces(part, stop):
                hashes[at:at + len(packed)] = packed
                at += len(packed)
        now = bytes(hashes)
        self._table.put(first, now)
        return merging.merge_blocks(digests.changed_blocks(now, then),
                                    block_size, extent)

    def _encode(self, extent: types.Extent,
                stop: pipelines.StopFlag) -> stored_form.StoredForm | None:
        maker = None
        parts = []
        # Zeros at the beginning, which perhaps nobody has to encode.
        blank = 0
        for _, piece, packed in self._reader.pieces(
                extent, stop, again=self._job.parent is not None):
            parts.append(packed)
            if maker is None:
                if packed == digests.packed_zeros(len(piece),
                                                  self._block_size):
                    blank += len(piece)
                    continue
                maker = stored_form.StoredFormMaker(
                    self._codec, self._job.level, extent.length)
                self._feed_zeros(maker, blank, stop)
            maker.feed(piece)
        self._table.put(extent.offset // self._block_size,
                        b''.join(parts))
        return None if maker is None else maker.finish()

    def _feed_zeros(self, maker: stored_form.StoredFormMaker, length: int,
                    stop: pipelines.StopFlag) -> None:
        for piece in zeros.pieces(length):
            stop.check()
            maker.feed(piece)

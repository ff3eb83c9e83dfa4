# SPDX-License-Identifier: Apache-2.0

"""An extent of the volume in, stored objects out.

1. Read the extent in pieces of 2 MiB into one buffer, hash every block and
   encode. Only the stored form of a chunk is kept. Nothing is read twice for
   one object, because the volume may change in between.
2. Put the object under the number of its first block, so that a listing shows
   where it belongs and a repeated put replaces it.

For an incremental, the writer first reads the extent to hash it and compares
the result with the parent's digests. It then does both steps for each run of
changed blocks, and takes the digests from this second read.

Memory: the stored form of one chunk and a few MiB for each worker. A block
above 2 MiB is held whole.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses

from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import planner
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import stored_form
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

# Bytes read at once: large enough for few calls, small enough to stay in the
# processor's cache from hashing to encoding.
_PIECE = 2 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class ChunkForm:
    """Where chunks go and in which form.

    ``block_size`` is in bytes, ``compression`` the word of a codec.
    """

    container: str
    prefix: str
    block_size: int
    compression: str
    level: codecs.Level


class ChunkWriter:
    """Stores extents of one volume; may be used by several workers."""

    def __init__(self, store: base.ObjectStore, runtime: pipelines.Runtime,
                 known: codecs.Codecs, form: ChunkForm,
                 source: volumes.VolumeReader, table: digests.DigestTable,
                 announce: Callable[[str], None]) -> None:
        """Prepare.

        :param known: the codecs that chunks may be stored with
        :param table: takes the digests of all blocks
        :param announce: called with each name before it is put
        :raises FormatError: when the codec is not known
        """
        self._store = store
        self._runtime = runtime
        self._form = form
        self._codec = known.find(form.compression)
        self._source = source
        self._table = table
        self._announce = announce

    def changes(self, extent: types.Extent, before: digests.DigestTable,
                stop: pipelines.StopFlag) -> list[types.Extent]:
        """Hash an extent; return the parts that differ from the parent.

        :param before: the digests of the parent, fewer where the volume has
            grown
        :raises VolumeError: when the volume cannot be read
        :raises SpoolError: when digests cannot be written or read
        :raises Cancelled: when ``stop`` is set
        """
        return self._runtime.call(self._changes, extent, before, stop)

    def write(self, extent: types.Extent,
              stop: pipelines.StopFlag) -> types.ChunkRecord:
        """Store an extent.

        :raises VolumeError: when the volume cannot be read
        :raises SpoolError: when digests cannot be written
        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        found = self._runtime.call(self._encode, extent, stop)
        stop.check()
        form = self._form
        name = naming.chunk_name(form.prefix,
                                 extent.offset // form.block_size)
        self._announce(name)
        self._store.until(stop).put(
            form.container, name,
            base.Body(len(found.data), lambda: (found.data,), found.md5))
        return types.ChunkRecord(
            name=name, extent=extent, compression=found.compression,
            stored_length=len(found.data), stored_md5=found.md5)

    # These run offloaded, so they must not log and do not use the store.

    def _changes(self, extent: types.Extent, before: digests.DigestTable,
                 stop: pipelines.StopFlag) -> list[types.Extent]:
        block_size = self._form.block_size
        now = b''.join(digests.hash_blocks(piece, block_size)
                       for piece in self._read(extent, stop))
        first = extent.offset // block_size
        self._table.put(first, now)
        end = first + len(now) // digests.DIGEST_SIZE
        return planner.merge_blocks(
            digests.changed_blocks(now, before.run(first, end)), block_size,
            extent)

    def _encode(self, extent: types.Extent,
                stop: pipelines.StopFlag) -> stored_form.StoredForm:
        form = self._form
        maker = stored_form.StoredFormMaker(self._codec, form.level,
                                            extent.length)
        packed = []
        for piece in self._read(extent, stop):
            packed.append(digests.hash_blocks(piece, form.block_size))
            maker.feed(piece)
        self._table.put(extent.offset // form.block_size, b''.join(packed))
        return maker.finish()

    def _read(self, extent: types.Extent,
              stop: pipelines.StopFlag) -> Iterator[memoryview]:
        block_size = self._form.block_size
        size = max(_PIECE // block_size, 1) * block_size
        buffer = bytearray(min(size, extent.length))
        for offset in range(extent.offset, extent.end, size):
            stop.check()
            yield self._source.read(
                types.Extent(offset, min(size, extent.end - offset)), buffer)

# SPDX-License-Identifier: Apache-2.0

"""Reads a volume in pieces of whole blocks, and hashes each block.

A hole is not read: the digests of zeros are a constant.
"""

from collections.abc import Callable
from collections.abc import Iterator

from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.backup import layout
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import types

# Bytes read at once: large enough for few calls, small enough to stay in the
# processor's cache from hashing to encoding.
PIECE = 2 << 20
# Bytes: a smaller hole between data is read, which takes no longer than to
# leave it out.
HOLE = 256 << 10


class BlockReader:
    """Reads one volume; may be used by several workers.

    Its functions run offloaded: they do not log, and use no store.
    """

    def __init__(self, source: volumes.VolumeReader, block_size: int,
                 unit: int, count: Callable[[int], None],
                 digest: digests.Digest = digests.sha256) -> None:
        """Prepare.

        :param count: called with how many bytes were read
        :param unit: bytes of which pieces are whole multiples, by the offset
            on the volume: whole blocks
        :param digest: gives that of a block
        """
        self._digest = digest
        self._count = count
        self._source = source
        self._block_size = block_size
        self._piece = types.whole(PIECE, unit)
        self._blank = memoryview(bytes(self._piece))

    def pieces(self, extent: types.Extent, stop: pipelines.StopFlag, *,
               again: bool = False,
               ) -> Iterator[tuple[types.Extent, memoryview, bytes]]:
        """An extent in pieces, each with the packed digests of its blocks.

        A piece is valid until the next one is asked for.

        :param extent: begins with a block
        :param again: whether it was read before, and is counted
        :raises VolumeError: when the volume cannot be read
        :raises Cancelled: when ``stop`` is set
        """
        buffer = bytearray(min(self._piece, extent.length))
        source = volumes.until(self._source, stop)
        for run, has_data in self.runs(extent, HOLE):
            for part in run.aligned_parts(self._piece):
                stop.check()
                if not has_data:
                    yield part, self._blank[:part.length], (
                        digests.packed_zeros(part.length, self._block_size))
                    continue
                piece = source.read(part, buffer)
                if not again:
                    self._count(part.length)
                yield part, piece, digests.hash_blocks(
                    piece, self._block_size, self._digest, part.offset)

    def runs(self, extent: types.Extent,
             least: int) -> list[tuple[types.Extent, bool]]:
        """Split an extent into data and holes; see :func:`layout.runs`.

        :raises VolumeError: when the volume cannot be asked
        """
        return list(layout.runs(self._source, extent, self._block_size,
                                least))

# SPDX-License-Identifier: Apache-2.0

"""A planned chunk in, verified pieces out.

1. Read the object in pieces; decode each as it comes.
2. Put what was decoded together to whole blocks of the volume.
3. Compare every block that the plan takes with the tip's digests.
4. Only then hand it on, with its offset.
5. When everything that the plan takes was handed on, decode no further.
6. At the end, compare the length of the stored object where the manifest
   records it, and its MD5 where the backup has no digests. By then the data
   was written, so this can only report damage, not prevent it.

When the store repeats a request, the reader starts with the object's first
piece again, and hands on the same extents again.

Memory: a few MiB for each worker, whatever the size of the chunk. A block
above 2 MiB is held whole.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import functools
from typing import Protocol

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import types


class Use(Protocol):
    """Takes verified data; the reader calls it where computation runs."""

    def __call__(self, offset: int, data: memoryview, *,
                 repeated: bool) -> None:
        """Take data at an offset of the volume.

        :param repeated: an earlier call may have passed other data for the
            same offset, if the data cannot be verified
        """


class Reader(Protocol):
    """Reads the chunks of a plan."""

    def read(self, chunk: planner.PlannedChunk, use: Use,
             stop: pipelines.StopFlag) -> None:
        """Hand the planned extents of a chunk to ``use``, in their order.

        :raises BackupError: when not all of them can be had
        """


class ChunkReader:
    """Reads the chunks of a plan; may be used by several workers."""

    def __init__(self, operation: operations.Operation,
                 check: verification.Check) -> None:
        """Prepare.

        :param check: what chunks are compared with
        """
        self._store = operation.store
        self._call = operation.call
        self._check = check

    def read(self, chunk: planner.PlannedChunk, use: Use,
             stop: pipelines.StopFlag) -> None:
        """Hand the planned extents of a chunk to ``use``, in their order.

        :raises ChunkMissing: when the object is not there
        :raises FormatError: when it cannot be decoded
        :raises LengthMismatch: when it does not hold what it should
        :raises DigestMismatch: when a block is damaged; it and what comes
            after it are not handed on. Without digests: when the object is
            damaged, after all of it was handed on
        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        record = chunk.record
        codec = find_codec(record)
        repeated = False

        def consume(pieces: Iterator[bytes]) -> None:
            nonlocal repeated
            blocks = _Blocks(chunk, codec, self._check,
                             functools.partial(use, repeated=repeated))
            repeated = True
            for piece in pieces:
                self._call(blocks.feed, piece)
            self._call(blocks.finish)

        try:
            self._store.until(stop).read(chunk.container, record.name,
                                         consume)
        except exceptions.ObjectNotFound as err:
            raise exceptions.ChunkMissing(
                'an object that the manifest names is missing',
                container=chunk.container, name=record.name,
                offset=record.extent.offset, end=record.extent.end,
                remedy=exceptions.Remedy.OTHER_BACKUP) from err
        except exceptions.VolumeError:
            # It is not about the object.
            raise
        except exceptions.BackupError as err:
            err.about(container=chunk.container)
            raise


class _Blocks:
    """Turns the pieces of one object into verified pieces of the volume.

    Runs offloaded: no logging, no store.
    """

    def __init__(self, chunk: planner.PlannedChunk, codec: codecs.Codec,
                 check: verification.Check,
                 use: Callable[[int, memoryview], None]) -> None:
        self._record = chunk.record
        self._decoder = codec.decoder(chunk.record.extent.length)
        self._stored = check.of_stored(chunk.record)
        self._check = check.digests
        self._use = use
        self._extents = list(reversed(chunk.extents))
        self._block_size = 1
        # The volume ends here, so the last block may be short.
        self._end = chunk.record.extent.end
        if self._check is not None:
            self._block_size = self._check.table.block_size
            self._end = self._check.end
        # Decoded and not yet handed on: the beginning of a block.
        self._rest = bytearray()
        self._position = chunk.record.extent.offset

    def feed(self, stored: bytes) -> None:
        self._stored.feed(stored)
        if self._has_all():
            return
        with _naming(self._record):
            for data in self._decoder.feed(stored):
                self._take(memoryview(data))
                if self._has_all():
                    return

    def finish(self) -> None:
        if not self._has_all():
            with _naming(self._record):
                self._decoder.finish()
            self._hand_on(memoryview(self._rest))
        self._stored.finish()

    def _has_all(self) -> bool:
        """Whether the rest of the data is for nobody, if there is any."""
        return (not self._extents
                and self._position < self._record.extent.end)

    def _take(self, data: memoryview) -> None:
        if self._rest:
            filled = (self._position + len(self._rest)) % self._block_size
            missing = min(
                self._block_size - filled,
                self._end - self._position - len(self._rest))
            self._rest += data[:missing]
            if len(data) < missing:
                return
            data = data[missing:]
            rest, self._rest = self._rest, bytearray()
            self._hand_on(memoryview(rest))
        whole = ((self._position + len(data)) // self._block_size
                 * self._block_size - self._position)
        if self._position + len(data) >= self._end:
            whole = len(data)
        if whole > 0:
            self._hand_on(data[:whole])
            data = data[whole:]
        self._rest += data

    def _hand_on(self, data: memoryview) -> None:
        """Verify and use what the plan takes of data at the position."""
        run = types.Extent(self._position, len(data))
        self._position = run.end
        while self._extents and self._extents[-1].offset < run.end:
            part = self._extents[-1].overlap(run)
            if part is not None:
                piece = data[part.offset - run.offset:part.end - run.offset]
                if self._check is not None:
                    self._check.check(self._record.name, part.offset, piece)
                self._use(part.offset, piece)
            if self._extents[-1].end > run.end:
                return
            self._extents.pop()


def find_codec(record: types.ChunkRecord) -> codecs.Codec:
    """The codec of a chunk.

    :raises FormatError: when it is not known
    """
    with _naming(record):
        return codecs.find(record.compression)


@contextlib.contextmanager
def _naming(record: types.ChunkRecord) -> Iterator[None]:
    """Add the object and its extent to errors of a codec."""
    try:
        yield
    except (exceptions.FormatError, exceptions.LengthMismatch) as err:
        err.about(name=record.name, offset=record.extent.offset,
                  end=record.extent.end)
        raise

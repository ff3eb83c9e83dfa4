# SPDX-License-Identifier: Apache-2.0

"""A group of planned chunks in, verified pieces out.

1. Read the object, or the part of it that has the chunks, in pieces. Cut them
   where a chunk ends, and decode each as it comes.
2. Put what was decoded together to whole blocks of the volume.
3. Compare every block that the plan takes with the tip's digests.
4. Only then hand it on, with its offset.
5. When everything that the plan takes of a chunk was handed on, decode no
   further.
6. At the end, compare the length of the stored chunk where the manifest
   records it, its MD5 where the backup has no digests, and its tag where it is
   encrypted and all of it was decoded. By then the data was written, so this
   can only report damage, not prevent it.

When the store repeats a request, the reader starts with the group's first
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
from cinder_swift_backup.engine.restore import groups
from cinder_swift_backup.engine.restore import planner
from cinder_swift_backup.engine.restore import verification
from cinder_swift_backup.format import codecs
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import streams
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

    def read(self, group: groups.Group, use: Use,
             stop: pipelines.StopFlag) -> None:
        """Hand the planned extents of chunks to ``use``, in their order.

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

    def read(self, group: groups.Group, use: Use,
             stop: pipelines.StopFlag) -> None:
        """Hand the planned extents of chunks to ``use``, in their order.

        :raises ChunkMissing: when the object is not there
        :raises FormatError: when a chunk cannot be decoded
        :raises LengthMismatch: when it does not hold what it should
        :raises DigestMismatch: when a block is damaged; it and what comes
            after it are not handed on. Without digests: when the object is
            damaged, after all of it was handed on
        :raises IntegrityError: when the tag of an encrypted chunk is wrong,
            after all of it was handed on
        :raises StoreError: when the store fails
        :raises Cancelled: when ``stop`` is set
        """
        for chunk in group.chunks:
            find_codec(chunk.record)
        repeated = False

        def consume(pieces: Iterator[bytes]) -> None:
            nonlocal repeated
            cutter = _Cutter(group, self._check,
                             functools.partial(use, repeated=repeated))
            repeated = True
            for piece in pieces:
                self._call(cutter.feed, piece)
            self._call(cutter.finish)

        try:
            self._store.until(stop).read(group.container, group.name,
                                         consume, group.place)
        except exceptions.ObjectNotFound as err:
            first, last = group.extents[0], group.extents[-1]
            raise exceptions.ChunkMissing(
                'an object that the manifest names is missing',
                container=group.container, name=group.name,
                offset=first.offset, end=last.end,
                remedy=exceptions.Remedy.OTHER_BACKUP) from err
        except exceptions.VolumeError:
            # It is not about the object.
            raise
        except exceptions.BackupError as err:
            err.about(container=group.container)
            raise


class _Cutter:
    """Cuts what comes of an object where a chunk of the group ends.

    Runs offloaded: no logging, no store.
    """

    def __init__(self, group: groups.Group, check: verification.Check,
                 use: Callable[[int, memoryview], None]) -> None:
        buffer = encryption.make_buffer() if check.key else bytearray()
        self._all = (_Blocks(chunk, check, buffer, use)
                     for chunk in group.chunks)
        self._blocks: _Blocks | None = next(self._all)
        # Where in the object the next piece begins.
        self._position = group.place.offset if group.place else 0

    def feed(self, piece: bytes) -> None:
        view = memoryview(piece)
        end = self._position + len(piece)
        while self._blocks is not None:
            place = self._blocks.place
            if place is None or place.end >= end:
                break
            self._feed_up_to(place.end, view, end)
            self._blocks.finish()
            self._blocks = next(self._all, None)
        self._feed_up_to(end, view, end)
        self._position = end

    def _feed_up_to(self, stop: int, piece: memoryview, end: int) -> None:
        """Feed the bytes of a piece that the chunk has before ``stop``."""
        if self._blocks is None:
            return
        place = self._blocks.place
        start = self._position if place is None else max(place.offset,
                                                         self._position)
        if start < stop:
            begin = end - len(piece)
            self._blocks.feed(piece[start - begin:stop - begin])

    def finish(self) -> None:
        if self._blocks is not None:
            self._blocks.finish()


class _Blocks:
    """Turns the pieces of one chunk into verified pieces of the volume.

    Runs offloaded: no logging, no store.
    """

    def __init__(self, chunk: planner.PlannedChunk, check: verification.Check,
                 buffer: bytearray,
                 use: Callable[[int, memoryview], None]) -> None:
        self._record = chunk.record
        self._decoder = _decoder(chunk.record, check, buffer)
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

    @property
    def place(self) -> types.Extent | None:
        """Where the chunk is in its object, if it is not all of it."""
        return self._record.place

    def feed(self, stored: memoryview) -> None:
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


def _decoder(record: types.ChunkRecord, check: verification.Check,
             buffer: bytearray) -> streams.Decoder:
    decoder = find_codec(record).decoder(record.extent.length)
    if check.key is None or record.place is None:
        return decoder
    return encryption.Decrypter(
        decoder, check.key.of_pack(naming.rest_of_pack(record.name)),
        record.name, record.place.length, buffer, is_checked=check.stored)


def find_codec(record: types.ChunkRecord) -> codecs.Codec:
    """The codec of a chunk.

    :raises FormatError: when it is not known
    """
    with _naming(record):
        return codecs.find(record.compression)


def check_codecs(plan: planner.RestorePlan, call: pipelines.Call) -> None:
    """Make sure that all that is planned can be decoded.

    :param call: calls what computes
    :raises FormatError: when a codec is not known
    """
    for chunk in plan.of_each_codec(call):
        if not chunk.record.is_zeros:
            find_codec(chunk.record)


@contextlib.contextmanager
def _naming(record: types.ChunkRecord) -> Iterator[None]:
    """Add the object and its extent to errors of a codec."""
    try:
        yield
    except (exceptions.FormatError, exceptions.IntegrityError) as err:
        err.about(name=record.name, offset=record.extent.offset,
                  end=record.extent.end)
        raise

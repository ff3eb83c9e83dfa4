# SPDX-License-Identifier: Apache-2.0

"""Collects encoded chunks to packs, and puts these.

1. The coordinator adds chunks as they come. When a pack is full, it is sealed:
   its chunks are put in the order of the volume, so that neighbours on the
   volume are neighbours in the pack, and get their places.
2. A worker makes the index, and puts all of it with its MD5. Its pieces are
   sent as they are, and never copied to one. If the backup is encrypted, each
   piece is encrypted when it is needed, for the MD5 and for each attempt to
   put the pack: always with the same nonce, so that the same bytes come.

Memory: the pack that is being filled, and those that are being put.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import hashlib
import itertools
import secrets

from cinder_swift_backup.engine import operations
from cinder_swift_backup.engine import pipelines
from cinder_swift_backup.engine.backup import pack_encoder
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import types
from cinder_swift_backup.stores import base

# Stored bytes of a pack, with which it is sealed.
FULL = 48 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Sealed:
    """A pack to put: its key in manifests, its name, its chunks in order.

    ``data_key`` is that of an encrypted backup.
    """

    key: int
    name: str
    chunks: tuple[pack_encoder.Encoded, ...]
    origin: packs.Origin
    data_key: encryption.DataKey | None = None

    @property
    def length(self) -> int:
        """Stored bytes of all chunks."""
        return sum(map(self._length, self.chunks))

    def _length(self, chunk: pack_encoder.Encoded) -> int:
        if self.data_key is None or not chunk.data:
            return len(chunk.data)
        return len(chunk.data) + encryption.OVERHEAD

    def places(self) -> Iterator[tuple[pack_encoder.Encoded, types.Extent]]:
        """The chunks, each with its place in the pack."""
        position = 0
        for chunk in self.chunks:
            length = self._length(chunk)
            yield chunk, types.Extent(position, length)
            position += length


class Packer:
    """Fills one pack after the other; for the coordinator alone."""

    def __init__(self, prefix: str, maker: str, page_size: int,
                 first_key: int, origin: packs.Origin,
                 data_key: encryption.DataKey | None = None) -> None:
        """Prepare.

        :param prefix: of the backup
        :param maker: who puts the packs, see :mod:`.naming`
        :param page_size: bytes of the volume that a page is of
        :param first_key: of the first pack
        :param origin: what the packs tell of the backup
        :param data_key: that of an encrypted backup
        """
        self._prefix = prefix
        self._maker = maker
        self._page_size = page_size
        self._key = first_key
        self._origin = origin
        self._data_key = data_key
        self._number = 1
        self._clear()

    def _clear(self) -> None:
        self._chunks: list[pack_encoder.Encoded] = []
        self._stored = 0
        self._blocks = 0
        # The numbers of the pages that its chunks are of.
        self.pages: set[int] = set()

    def add(self, chunks: Iterable[pack_encoder.Encoded],
            ) -> Iterator[Sealed]:
        """Add chunks; gives the packs that have become full."""
        for chunk in chunks:
            blocks = len(chunk.packed) // digests.DIGEST_SIZE
            if (len(self._chunks) == packs.MOST
                    or self._blocks + blocks > packs.MOST):
                yield from self.seal()
            self._chunks.append(chunk)
            self._stored += len(chunk.data)
            self._blocks += blocks
            self.pages.add(chunk.extent.offset // self._page_size)
            if self._stored >= FULL:
                yield from self.seal()

    def seal(self) -> Iterator[Sealed]:
        """The pack with what was added, if anything was."""
        if not self._chunks:
            return
        self._chunks.sort(key=lambda chunk: chunk.extent)
        name = naming.pack_name(self._prefix, self._maker, self._number)
        sealed = Sealed(self._key, name, tuple(self._joined()), self._origin,
                        self._data_key)
        self._key += 1
        self._number += 1
        self._clear()
        yield sealed

    def _joined(self) -> Iterator[pack_encoder.Encoded]:
        """The chunks, neighbouring zeros of a page as one."""
        zeros: types.Extent | None = None
        for chunk in self._chunks:
            extent = chunk.extent
            if chunk.word != packed_chunks.ZEROS:
                if zeros is not None:
                    yield pack_encoder.Encoded(zeros, packed_chunks.ZEROS)
                    zeros = None
                yield chunk
            elif (zeros is not None and zeros.end == extent.offset
                  and extent.offset % self._page_size):
                zeros = types.Extent(zeros.offset, extent.end - zeros.offset)
            else:
                if zeros is not None:
                    yield pack_encoder.Encoded(zeros, packed_chunks.ZEROS)
                zeros = extent
        if zeros is not None:
            yield pack_encoder.Encoded(zeros, packed_chunks.ZEROS)


def put(operation: operations.Operation, container: str, block_size: int,
        sealed: Sealed, stop: pipelines.StopFlag) -> packs.Pack:
    """Put a pack.

    :raises StoreError: when the store fails
    :raises Cancelled: when ``stop`` is set
    """
    stop.check()
    key = (None if sealed.data_key is None
           else sealed.data_key.of_pack(naming.rest_of_pack(sealed.name)))
    stored = _Stored(sealed.chunks, key, secrets.token_bytes(
        0 if key is None else len(sealed.chunks) * encryption.NONCE))
    index, md5 = operation.call(_finish, block_size, sealed, stored)
    length = sealed.length + len(index)
    operation.store.until(stop).put(
        container, sealed.name, base.Body(
            length, lambda: itertools.chain(stored, (index,)), md5))
    return packs.Pack(sealed.key, sealed.name, length, md5, len(index),
                      packs.sha256(index))


@dataclasses.dataclass(frozen=True, slots=True)
class _Stored:
    """What a pack has of some chunks, the same each time it is asked for.

    ``key`` is that of an encrypted pack, for which there are as many
    ``nonces`` as chunks, one behind the other.
    """

    chunks: Sequence[pack_encoder.Encoded]
    key: encryption.PackKey | None
    nonces: bytes

    def __iter__(self) -> Iterator[bytes]:
        size = encryption.NONCE
        for number, chunk in enumerate(self.chunks):
            if not chunk.data:
                continue
            yield chunk.data if self.key is None else self.key.encrypt(
                chunk.data, self.nonces[number * size:(number + 1) * size])


def _finish(block_size: int, sealed: Sealed,
            stored: _Stored) -> tuple[bytes, str]:
    """The index of a pack, and the MD5 of all of it, in hex."""
    table = packed_chunks.PackedChunks(lambda _: sealed.name)
    for chunk, place in sealed.places():
        table.add(chunk.extent, chunk.word, 0, place)
    index = packs.encode(packs.Index(block_size, table, b''.join(
        chunk.packed for chunk in sealed.chunks), sealed.origin))
    digest = hashlib.md5(usedforsecurity=False)
    for piece in itertools.chain(stored, (index,)):
        digest.update(piece)
    return index, digest.hexdigest()

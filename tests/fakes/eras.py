# SPDX-License-Identifier: Apache-2.0

"""Backups as releases of Cinder wrote them up to 2015: a writer for each era.

Each writes chunks, then the digest file if its era has one, then the
manifest, with the quirks of its time:

* Grizzly to Juno make full backups only. They have neither digests nor a
  ``parent_id``.
* Havana, Icehouse and Juno note the position after a chunk was read, which is
  its end. Icehouse adds the metadata of the volume.
* Kilo adds incrementals and digests, and notes positions right.
* Up to Kilo, the MD5 is of the stored bytes, and these are compressed even
  where that is larger. Liberty keeps the plain ones then, and has the MD5 of
  the data.
* The number of objects in Cinder's record is one too high.
"""

import bz2
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import functools
import hashlib
import json
import zlib

from cinder_swift_backup.format import types

_CODECS: dict[str, Callable[[bytes], bytes]] = {
    'zlib': zlib.compress, 'bz2': bz2.compress, 'none': bytes}
BLOCK = 32768
NAME = 'as it was called'


@dataclasses.dataclass(frozen=True)
class Era:
    """What the releases of an era did.

    ``service`` is the driver's name in Cinder's record.
    """

    name: str
    service: str = 'cinder.backup.drivers.swift'
    offsets_are_ends: bool = False
    volume_meta: bool = True
    incrementals: bool = False
    plain_if_smaller: bool = False


ERAS = (
    Era('Grizzly', 'cinder.backup.services.swift', volume_meta=False),
    Era('Havana', offsets_are_ends=True, volume_meta=False),
    Era('Icehouse', offsets_are_ends=True),
    Era('Juno', offsets_are_ends=True),
    Era('Kilo', incrementals=True),
    Era('Liberty', incrementals=True, plain_if_smaller=True),
)


@dataclasses.dataclass(frozen=True)
class Writer:
    """Writes backups of one era.

    ``put`` stores an object. Sizes are in bytes. ``metadata`` is what the
    user gave to the volume.
    """

    era: Era
    put: Callable[[str, bytes], None]
    word: str
    chunk_size: int
    block_size: int = BLOCK
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def write(self, where: types.BackupRef, read: Callable[[types.Extent],
              bytes], size: int, parent_id: str | None = None,
              changes: Sequence[types.Extent] | None = None) -> int:
        """Write a backup; returns the number of objects for its record.

        :param read: gives an extent of the volume
        :param changes: what an incremental stores
        """
        objects = []
        for number, extent in enumerate(self._chunks(size, changes), 1):
            name = f'{where.prefix}-{number:05d}'
            data = read(extent)
            word, stored = self._stored(data)
            self.put(name, stored)
            objects.append({name: {
                'compression': word,
                'length': extent.length,
                'md5': hashlib.md5(
                    data if self.era.plain_if_smaller else stored,
                    usedforsecurity=False).hexdigest(),
                'offset': (extent.end if self.era.offsets_are_ends
                           else extent.offset)}})
        if self.era.incrementals:
            self._put(f'{where.prefix}_sha256file', where, {
                'chunk_size': self.block_size,
                'sha256s': list(self._digests(read, size))})
        fields: dict[str, object] = {'objects': objects}
        if self.era.volume_meta:
            fields['volume_meta'] = json.dumps(self._volume(where, size))
        if self.era.incrementals:
            fields['parent_id'] = parent_id
        self._put(f'{where.prefix}_metadata', where, fields)
        return len(objects) + 1

    def _volume(self, where: types.BackupRef, size: int) -> dict[str, object]:
        """What was noted of the volume: all but what Glance knew."""
        return {
            'version': 1,
            'volume-base-metadata': {
                'id': where.volume_id, 'display_name': NAME,
                'display_description': None, 'size': -(-size >> 30)},
            'volume-metadata': dict(self.metadata)}

    def _chunks(self, size: int, changes: Sequence[types.Extent] | None,
                ) -> Iterator[types.Extent]:
        whole = [types.Extent(0, size)] if changes is None else changes
        for extent in whole:
            yield from extent.parts(self.chunk_size)

    def _stored(self, data: bytes) -> tuple[str, bytes]:
        stored = _compressed(self.word, data)
        if self.era.plain_if_smaller and len(stored) >= len(data):
            return 'none', data
        return self.word, stored

    def _digests(self, read: Callable[[types.Extent], bytes],
                 size: int) -> Iterator[str]:
        for extent in types.Extent(0, size).parts(self.chunk_size):
            data = read(extent)
            for start in range(0, len(data), self.block_size):
                yield hashlib.sha256(
                    data[start:start + self.block_size]).hexdigest()

    def _put(self, name: str, where: types.BackupRef,
             fields: dict[str, object]) -> None:
        """Store a document, with the white space of Python 2."""
        self.put(name, json.dumps({
            'version': '1.0.0', 'backup_id': where.backup_id,
            'volume_id': where.volume_id, 'backup_name': None,
            'backup_description': None, 'created_at': '2014-11-26 12:00:00',
            **fields}, sort_keys=True, indent=2,
            separators=(', ', ': ')).encode())


@functools.lru_cache(maxsize=2)
def _compressed(word: str, data: bytes) -> bytes:
    """What is stored; remembered, since most of a volume is zeros."""
    return _CODECS[word](data)

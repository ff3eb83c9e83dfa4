# SPDX-License-Identifier: Apache-2.0

"""Targets that read the two documents of a backup."""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
import dataclasses
import hashlib
import json
from typing import Any
from typing import Self

from cinder_swift_backup.engine import digest_objects
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import digest_file as digest_file_format
from cinder_swift_backup.format import digests
from cinder_swift_backup.format import documents as document_format
from cinder_swift_backup.format import manifest as manifest_format
from cinder_swift_backup.format import manifests
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types
from cinder_swift_backup.format import volume_meta as volume_meta_format
from cinder_swift_backup.stores import base
from tests.fakes import documents
from tests.fakes import operations
from tests.fakes import tables
from tests.fuzz import checks

_PREFIX = documents.PREFIX
_REF = types.BackupRef('bak-1', 'vol-1', 'c', _PREFIX)
# Bytes of memory for each byte of JSON: an empty object is two, and a comma,
# and takes 72. Some of it is there twice.
_PARSED = 100
# Bytes: more blocks than this there are not.
_VOLUME = 1 << 24
#: What stands between the segments of a large object.
BORDER = b'\x1e'


def manifest(data: bytes) -> None:
    """The object ``_metadata``."""
    with checks.memory(_PARSED * len(data)):
        found = checks.value_of(lambda: _read_manifest([data]))
    checks.same(found,
                checks.value_of(lambda: _read_manifest(checks.cut(data))))
    if found is None:
        return
    _check_manifest(found)
    _compare_with_stock(found, json.loads(data))
    stored = b''.join(manifest_format.encode(found))
    checks.same(manifests.encoded_length(found), len(stored))
    # Ours tells of each MD5 what it is of.
    checks.same(dataclasses.replace(found, era=chains.Era.DIGESTS),
                _read_manifest(checks.cut(stored)))


def _read_manifest(pieces: Iterable[bytes]) -> chains.Manifest:
    reader = manifest_format.Reader(_PREFIX)
    for piece in pieces:
        reader.feed(piece)
    return reader.finish()


def _check_manifest(found: chains.Manifest) -> None:
    for record in found.chunks:
        assert naming.belongs_to(record.name, _PREFIX)
        assert record.extent.offset >= 0
        assert record.extent.length > 0
        assert record.extent.end <= types.LARGEST_OFFSET
    # What is printed, or sent to Swift or Ceph, has to be UTF-8.
    repr(found).encode()
    for text in (found.parent_id, found.volume_meta,
                 *_texts(found.header), *_texts(found.parent),
                 *_texts(found.mark)):
        if isinstance(text, str):
            text.encode()


def _texts(value: object) -> list[object]:
    return [] if value is None else [
        getattr(value, field.name)
        for field in dataclasses.fields(value)]


def _compare_with_stock(found: chains.Manifest,
                        fields: dict[str, Any]) -> None:
    """The stock driver reads the same chunks of it."""
    entries = [entry for each in fields['objects']
               for entry in each.items()]
    checks.same([name for name, _ in entries], list(found.chunks.names()))
    for record, (_, entry) in zip(found.chunks, entries, strict=True):
        checks.same(entry['length'], record.extent.length)
        checks.same(entry['compression'], record.compression)
        offset = record.extent.offset
        ends = entry['offset'] == offset + record.extent.length
        assert entry['offset'] == offset or (
            ends and found.era is chains.Era.BEFORE_DIGESTS)


def digest_file(data: bytes) -> None:
    """The object ``_sha256file``."""
    with checks.memory(_PARSED * len(data)):
        found = checks.value_of(lambda: _read_digests([data]))
    checks.same(found,
                checks.value_of(lambda: _read_digests(checks.cut(data))))
    if found is None:
        return
    _check_digests(found, json.loads(data))


def _check_digests(found: digests.DigestTable,
                   fields: dict[str, Any]) -> None:
    """It has what the stock driver reads, and can be stored again."""
    checks.same(fields['chunk_size'], found.block_size)
    checks.same([bytes.fromhex(word) for word in fields['sha256s']],
                list(map(found.digest, range(len(found)))))
    header = types.BackupHeader('b', 'v', None, None, '')
    stored = b''.join(digest_file_format.encode(header, found))
    checks.same(found, _read_digests(checks.cut(stored)))


def _read_digests(pieces: Iterable[bytes],
                  ref: types.BackupRef | None = None) -> digests.DigestTable:
    """Read a file; ``ref`` is whose it has to be, if anybody's."""
    reader = digest_file_format.Reader(
        _PREFIX, _VOLUME, digest_file_format.most_digests(_VOLUME),
        lambda zeros: bytearray())
    for piece in pieces:
        reader.feed(piece)
    found = reader.finish()
    if ref is not None:
        document_format.check_owner('', ref, reader.owner)
    return found


def segments(data: bytes) -> None:
    """A digest file that is a large object; equal segments are one."""
    parts = data.split(BORDER)
    whole = checks.value_of(lambda: _read_digests(
        (each for part in parts for each in checks.cut(part)), _REF))
    with checks.memory(_PARSED * len(data)):
        found = checks.value_of(lambda: _load_digests(parts))
    checks.same(whole is None, found is None)
    if found is not None:
        checks.same(tables.content(whole), tables.content(found))
        found.close()


def _load_digests(parts: list[bytes]) -> digests.DigestTable:
    objects = digest_objects.DigestObjects(
        operations.on(_LargeObject(parts)))
    found = objects.load(_REF, _VOLUME)
    assert found is not None
    return found


class _LargeObject:
    """A store that has nothing else."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = {part.hex(): part for part in parts}
        self._segments = tuple(
            base.Segment('s', part.hex(), len(part), hashlib.md5(
                part, usedforsecurity=False).hexdigest())
            for part in parts)

    def until(self, stop: base.Stop) -> Self:
        """See the contract."""
        return self

    def segments(self, container: str,
                 name: str) -> tuple[base.Segment, ...]:
        """See the contract."""
        return self._segments

    def read(self, container: str, name: str,
             use: Callable[[Iterator[bytes]], object], *,
             compared: bool) -> object:
        """See the contract."""
        return use(checks.cut(self._parts[name]))


def volume_meta(data: bytes) -> None:
    """What a manifest tells of its volume, as text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    with checks.memory(_PARSED * len(data)):
        found = volume_meta_format.read(text)
    assert found.size is None or found.size > 0
    for each in (found.name, found.project_id, found.type_id, found.key_id):
        # What can be written down, as into a record.
        assert each is None or each.encode()


def names(data: bytes) -> None:
    """A name in a listing."""
    try:
        name = data.decode()
    except UnicodeDecodeError:
        return
    for find in (naming.place, naming.place_of_segment):
        place = find(name)
        if place is not None:
            assert name.startswith(place.prefix)
            assert place.prefix.startswith(f'volume_{place.volume_id}/')
            assert place.prefix.endswith(f'_backup_{place.backup_id}')
    found = naming.place(name)
    if found is not None:
        assert naming.belongs_to(name, found.prefix)

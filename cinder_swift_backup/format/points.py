# SPDX-License-Identifier: Apache-2.0

"""Reading and writing the manifest of a backup in the form of packs.

It is a JSON object of version 2.0.0, or 2.1.0 if it is encrypted, which makes
the stock driver refuse to restore the backup. It has the fields of every
manifest, see :mod:`cinder_swift_backup.format.manifest_fields`, and further

* ``csb_block_size`` and ``csb_page_size``, in bytes of the volume;
* ``csb_encryption``, if it is encrypted: ``key_id`` and ``wrapped`` of the
  data key, see :mod:`cinder_swift_backup.format.encryption`;
* ``csb_stored``: for each codec its word, and the number, the bytes of volume
  and the stored bytes of the chunks that pages name;
* ``objects``: for each object of pages its name, with ``csb_stored_length``,
  ``csb_stored_md5``, and ``csb_pages``: of each page its number, counted from
  the beginning of the volume, its length in bytes, and its SHA-256 in hex;
* ``csb_packs``: of each pack its key, the end of its name, its length in
  bytes, its MD5, the bytes of its index, the SHA-256 of that, the number of
  its chunks that pages name, and how many of their stored bytes are needed;
  sums are in hex;
* ``csb_sha256``: the last one, the SHA-256 in hex of all that is before the
  comma before it.

So nothing can be changed unnoticed: the manifest has the SHA-256 of itself, of
each page and of each index, and the index that of each block.

A recovery point stands alone: it has no parent, and names all that it needs.
The list of packs is the long one, and is read entry by entry.
"""

from collections.abc import Iterator
import dataclasses
import hashlib
import itertools
import json
import re
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import encryption
from cinder_swift_backup.format import entries
from cinder_swift_backup.format import manifest_fields
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import pack_table
from cinder_swift_backup.format import packed_chunks
from cinder_swift_backup.format import packs
from cinder_swift_backup.format import pages
from cinder_swift_backup.format import types

VERSION = '2.0.0'
# That of encrypted backups.
ENCRYPTED = '2.1.0'
_ENCRYPTION = 'csb_encryption'
_BLOCK_SIZE = 'csb_block_size'
_PAGE_SIZE = 'csb_page_size'
_STORED = 'csb_stored'
_OBJECTS = 'objects'
_STORED_LENGTH = 'csb_stored_length'
_STORED_MD5 = 'csb_stored_md5'
_PAGES = 'csb_pages'
_PACKS = 'csb_packs'
# Bytes for all fields but the packs, and how many values these may have: there
# are four for each page.
_MOST_FIELDS = 64 << 20
_MOST_VALUES = 1 << 22
# Packs that are encoded at once.
_ENTRIES = 1000
# Bytes of a page: more than any has.
_LARGEST_PAGE = pages.MOST_BLOCKS * 64
# What a manifest ends with.
_END = ', "csb_sha256": "{}"}}'
_END_LENGTH = len(_END.format('0' * 64))
_MD5 = re.compile(r'[0-9a-f]{32}')
_SHA256 = re.compile(r'[0-9a-f]{64}')


def encode(manifest: chains.Manifest,
           point: chains.Point) -> Iterator[bytes]:
    """The manifest as the bytes to store, in pieces.

    :param point: that of the manifest
    """
    return _summed(_encode(manifest, point))


def _encode(manifest: chains.Manifest,
            point: chains.Point) -> Iterator[bytes]:
    fields = manifest_fields.encode(
        manifest, VERSION if point.encryption is None else ENCRYPTED)
    if point.encryption is not None:
        fields[_ENCRYPTION] = point.encryption.encode()
    fields[_BLOCK_SIZE] = point.block_size
    fields[_PAGE_SIZE] = point.page_size
    fields[_STORED] = [
        [word, stored.chunks, stored.bytes, stored.stored_bytes]
        for word, stored in point.stored.items()]
    fields[_OBJECTS] = list(_encode_objects(point))
    yield f'{json.dumps(fields)[:-1]}, "{_PACKS}": ['.encode()
    table = iter(point.packs)
    lead = ''
    while some := [_encode_pack(pack, point.packs.root) for pack
                   in itertools.islice(table, _ENTRIES)]:
        # Without the brackets: there are other entries around.
        yield f'{lead}{json.dumps(some)[1:-1]}'.encode()
        lead = ', '
    yield b']'


def _summed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The beginning of an object, and its end with the sum of that."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
        yield piece
    yield _END.format(digest.hexdigest()).encode()


def _encode_pack(pack: packs.Pack, root: str) -> list[str | int]:
    return [pack.key, pack.name.removeprefix(root), pack.length, pack.md5,
            pack.index_length, pack.index_sha256.hex(), pack.living,
            pack.living_bytes]


def _encode_objects(point: chains.Point) -> Iterator[dict[str, Any]]:
    by_name = itertools.groupby(point.pages, key=lambda page: page.name)
    for record, (name, group) in zip(point.objects, by_name, strict=True):
        yield {name: {
            'compression': pages.WORD,
            _STORED_LENGTH: record.stored_length,
            _STORED_MD5: record.stored_md5,
            _PAGES: [[page.extent.offset // point.page_size,
                      page.place.length, page.sha256.hex()]
                     for page in group]}}


class Reader(entries.EntriesReader):
    """Reads such a manifest that is fed in pieces.

    Memory: 96 bytes for each pack, some hundred for each page, and that of a
    :class:`long_list.LongListReader`.
    """

    versions = (VERSION, ENCRYPTED)
    most_values = _MOST_VALUES

    def __init__(self, prefix: str) -> None:
        """Prepare.

        :param prefix: of the backup
        """
        super().__init__(naming.manifest_name(prefix), _PACKS, _MOST_FIELDS)
        self._prefix = prefix
        self._packs = pack_table.PackTable(prefix)
        # All that was fed but for the end, which has their sum.
        self._sum = hashlib.sha256()
        self._end = b''

    def feed(self, piece: bytes) -> None:
        """See :class:`long_list.LongListReader`."""
        self._end += piece
        known = max(len(self._end) - _END_LENGTH, 0)
        self._sum.update(self._end[:known])
        self._end = self._end[known:]
        super().feed(piece)

    def finish(self) -> chains.Manifest:
        """The manifest, once everything was fed.

        :raises FormatError: when it is damaged, of another version, or names
            an object twice
        """
        name = self._name
        fields = self._fields()
        if self._end != _END.format(self._sum.hexdigest()).encode():
            raise documents.damaged(
                name, 'its SHA-256 differs from the one that it records')
        if self._packs.names_twice():
            raise documents.damaged(name, 'it names a pack twice')
        manifest = manifest_fields.decode(
            name, fields, chunk_table.ChunkTable(self._prefix))
        if manifest.parent_id is not None:
            raise documents.damaged(name, 'it has a parent')
        if manifest.volume_size is None:
            raise documents.damaged(name, 'it does not tell the size of the '
                                          'volume')
        return dataclasses.replace(manifest, point=self._point(
            fields, manifest.volume_size))

    def _point(self, fields: dict[str, Any], end: int) -> chains.Point:
        name = self._name
        block_size = documents.size(name, fields, _BLOCK_SIZE)
        page_size = documents.size(name, fields, _PAGE_SIZE)
        if not 0 < block_size <= types.LARGEST_BLOCK:
            raise documents.damaged(
                name, f'blocks cannot have {block_size} bytes')
        blocks, rest = divmod(page_size, block_size)
        if rest or not 0 < blocks <= pages.MOST_BLOCKS:
            raise documents.damaged(
                name, f'pages cannot be of {page_size} bytes')
        objects = _Objects(name, self._prefix, page_size, end)
        for entry in _a_list(name, fields, _OBJECTS):
            objects.add(entry)
        if objects.table.names_twice():
            raise documents.damaged(name, 'it names an object twice')
        return chains.Point(
            block_size=block_size, page_size=page_size, packs=self._packs,
            pages=tuple(objects.pages), objects=objects.table,
            stored=_decode_stored(name, fields),
            encryption=_decode_encryption(name, fields))

    def _add(self, entry: object) -> None:
        fields = entry if isinstance(entry, list) else []
        if tuple(map(type, fields)) != (int, str, int, str, int, str, int,
                                        int):
            raise self._no_pack(entry)
        key, rest, length, md5, index_length, sha256, *living = fields
        if (not self._packs.last_key < key <= types.LARGEST_OFFSET
                or not _MD5.fullmatch(md5) or not _SHA256.fullmatch(sha256)
                or not naming.pack_maker(rest)
                or not 0 < index_length <= length
                or length > packed_chunks.LARGEST_PACK
                or index_length > packs.LARGEST_INDEX
                or not 0 <= living[0] <= packs.MOST
                or not 0 <= living[1] <= length):
            raise self._no_pack(entry)
        self._packs.append(packs.Pack(
            key, f'{self._packs.root}{rest}', length, md5, index_length,
            bytes.fromhex(sha256), *living))

    def _no_pack(self, entry: object) -> exceptions.FormatError:
        return documents.damaged(
            self._name, f'{documents.shown(entry)} is no pack')


class _Objects:
    """The objects of pages, as they are read."""

    def __init__(self, manifest: str, prefix: str, page_size: int,
                 end: int) -> None:
        self._manifest = manifest
        self._prefix = prefix
        self._page_size = page_size
        self._end = end
        self.table = chunk_table.ChunkTable(prefix)
        self.pages: list[pages.Page] = []

    def add(self, entry: object) -> None:
        if not isinstance(entry, dict) or len(entry) != 1:
            raise self._damaged(entry)
        (name, fields), = entry.items()
        if (not naming.is_chunk(name, self._prefix)
                or not isinstance(fields, dict)
                or fields.get('compression') != pages.WORD):
            raise self._damaged(entry)
        place = 0
        first = len(self.pages)
        for item in _a_list(self._manifest, fields, _PAGES):
            page = self._page(name, item, place)
            place = page.place.end
            self.pages.append(page)
        md5 = documents.text(self._manifest, fields, _STORED_MD5) or ''
        length = documents.size(self._manifest, fields, _STORED_LENGTH)
        if not place or length != place or not _MD5.fullmatch(md5):
            raise self._damaged(entry)
        start = self.pages[first].extent.offset
        self.table.append(types.ChunkRecord(
            name, types.Extent(start, self.pages[-1].extent.end - start),
            pages.WORD, length, md5))

    def _page(self, name: str, item: object, place: int) -> pages.Page:
        fields = item if isinstance(item, list) else []
        if tuple(map(type, fields)) != (int, int, str):
            raise self._damaged(item)
        number, length, sha256 = fields
        before = self.pages[-1].extent.end if self.pages else 0
        start = number * self._page_size
        if (not before <= start < self._end or not 0 < length <= _LARGEST_PAGE
                or not _SHA256.fullmatch(sha256)):
            raise self._damaged(item)
        return pages.Page(
            types.Extent(start, min(self._page_size, self._end - start)),
            name, types.Extent(place, length), bytes.fromhex(sha256))

    def _damaged(self, what: object) -> exceptions.FormatError:
        return documents.damaged(
            self._manifest, f'{documents.shown(what)} describes no pages')


def _a_list(name: str, fields: dict[str, Any], key: str) -> list[object]:
    value = fields.get(key)
    if isinstance(value, list):
        return value
    raise documents.damaged(name, f'{key!r} is not a list')


def _decode_encryption(name: str, fields: dict[str, Any],
                       ) -> encryption.Wrapped | None:
    if fields['version'] == VERSION:
        if _ENCRYPTION in fields:
            raise documents.damaged(
                name, f'version {VERSION} has {_ENCRYPTION!r}')
        return None
    return encryption.decode(name, fields.get(_ENCRYPTION))


def _decode_stored(name: str,
                   fields: dict[str, Any]) -> dict[str, chains.Stored]:
    by_word = {}
    for item in _a_list(name, fields, _STORED):
        numbers = item if isinstance(item, list) else []
        if (tuple(map(type, numbers)) != (str, int, int, int)
                or numbers[0] not in packed_chunks.WORDS
                or min(numbers[1:]) < 0):
            raise documents.damaged(
                name, f'{documents.shown(item)} describes no chunks')
        by_word[numbers[0]] = chains.Stored(*numbers[1:])
    return by_word

# SPDX-License-Identifier: Apache-2.0

"""Reading and writing the manifest, the ``_metadata`` object.

The stock driver looks at ``version``, ``extra_metadata``, ``objects`` and
``volume_meta``, and in each entry of ``objects`` at ``offset`` and
``compression``; it tolerates any other key. What only we need goes under
keys that start with ``csb_``.

A manifest is read as a stream, since a large volume has gigabytes of them in
its chain:

1. Turn each one-key dictionary of ``objects`` into a record, as it comes;
   refuse names outside the backup's own prefix.
2. When all fields are known, check the version, and refuse names that occur
   twice.
3. Put right what releases before 2015.1 meant by some fields: ``md5`` was
   that of the stored bytes, and ``offset``, in Havana, Icehouse and Juno,
   where a chunk ends instead of where it starts.
"""

from collections.abc import Iterator
import dataclasses
import itertools
import json
import operator
import re
from typing import Any

from cinder_swift_backup import exceptions
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import chunk_table
from cinder_swift_backup.format import codecs as chunk_codecs
from cinder_swift_backup.format import documents
from cinder_swift_backup.format import entries
from cinder_swift_backup.format import manifest_fields
from cinder_swift_backup.format import naming
from cinder_swift_backup.format import types

_STORED_LENGTH = 'csb_stored_length'
_STORED_MD5 = 'csb_stored_md5'
# Bytes for all fields but "objects". The metadata of a volume takes a few KiB.
_MOST_FIELDS = 16 << 20
# Characters of the end of a name, and of the word for a codec; and how many
# such words there may be. A backup has two or three codecs.
_LONGEST_SUFFIX = 19
_LONGEST_WORD = 40
_MOST_WORDS = 100
# Bytes: more than any driver writes into an entry besides the prefix.
_BESIDE_PREFIX = 512
# Entries that are encoded at once.
_ENTRIES = 1000

_MD5 = re.compile(r'[0-9a-fA-F]{32}')


def encode(manifest: chains.Manifest) -> Iterator[bytes]:
    """The manifest as the bytes to store, in pieces."""
    fields = manifest_fields.encode(manifest)
    yield f'{json.dumps(fields)[:-1]}, "objects": ['.encode()
    chunks = iter(manifest.chunks)
    lead = ''
    while entries := [_encode_chunk(chunk) for chunk
                      in itertools.islice(chunks, _ENTRIES)]:
        # Without the brackets: there are other entries around.
        yield f'{lead}{json.dumps(entries)[1:-1]}'.encode()
        lead = ', '
    yield b']}'


def _encode_chunk(chunk: types.ChunkRecord) -> dict[str, dict[str, Any]]:
    fields = {
        'offset': chunk.extent.offset,
        'length': chunk.extent.length,
        'compression': chunk.compression,
        _STORED_LENGTH: chunk.stored_length,
        _STORED_MD5: chunk.stored_md5,
    }
    # Since Cinder 7.0 this is of the data, not of the stored bytes. No driver
    # reads it, and computing it would take a sixth of the time. Where data is
    # stored plain it costs nothing.
    if chunk.compression == chunk_codecs.NONE.word:
        fields['md5'] = chunk.stored_md5
    return {chunk.name: fields}


def largest(volume_size: int, prefix: str) -> int:
    """An upper bound for the size of a manifest, in bytes.

    An entry has a name and a few numbers and stands for at least one block,
    or one object, which may be as small. The constant covers the fields that
    do not depend on the volume's size. Where storage has rounded that up to
    eight times as much, there is still an entry for each 4 KiB.

    :param volume_size: in bytes, as Cinder's record tells
    :param prefix: of the backup
    """
    entry = len(json.dumps(prefix)) + _BESIDE_PREFIX
    return (volume_size // types.SMALLEST_BLOCK + 1) * entry + (16 << 20)


class Reader(entries.EntriesReader):
    """Reads a manifest that is fed in pieces.

    Memory: 40 bytes for each chunk, some hundred if its name is one that no
    driver gives; and that of a :class:`long_list.LongListReader`.
    """

    def __init__(self, prefix: str) -> None:
        """Prepare.

        :param prefix: of the backup
        """
        super().__init__(naming.manifest_name(prefix), 'objects',
                         _MOST_FIELDS)
        self._prefix = prefix
        self._chunks = chunk_table.ChunkTable(prefix)
        # Whether all MD5s so far are of what is stored, whatever the era.
        self._md5s_are_ours = True

    def finish(self) -> chains.Manifest:
        """The manifest, once everything was fed.

        :raises FormatError: when it is damaged, of an unknown version, or
            names an object twice
        """
        name = self._name
        fields = self._fields()
        chunks = self._chunks
        if chunks.names_twice():
            raise documents.damaged(name, 'it names an object twice')
        # The release that introduced digests introduced this field, too.
        era = (chains.Era.DIGESTS if 'parent_id' in fields
               else chains.Era.BEFORE_DIGESTS)
        if era is chains.Era.BEFORE_DIGESTS:
            _correct_offsets(chunks)
        elif not self._md5s_are_ours:
            chunks.forget_md5s()
        return dataclasses.replace(
            manifest_fields.decode(name, fields, chunks), era=era)

    def _add(self, entry: object) -> None:
        record, md5_is_ours = _decode_chunk(self._name, self._prefix, entry)
        self._chunks.append(record)
        if self._chunks.words > _MOST_WORDS:
            raise documents.damaged(
                self._name, f'it names more than {_MOST_WORDS} compressions')
        self._md5s_are_ours = self._md5s_are_ours and md5_is_ours


def _decode_chunk(name: str, prefix: str,
                  entry: object) -> tuple[types.ChunkRecord, bool]:
    """An entry, and whether its MD5 is certain to be of what is stored."""
    if not isinstance(entry, dict) or len(entry) != 1:
        raise documents.damaged(
            name, 'an entry of "objects" is not a one-key object')
    (chunk_name, fields), = entry.items()
    if (not naming.is_chunk(chunk_name, prefix)
            or len(chunk_name) - len(prefix) > _LONGEST_SUFFIX):
        raise documents.damaged(
            name, f'it names {documents.shown(chunk_name)}, which is not an '
                  f'object of this backup')
    try:
        return _decode_fields(name, chunk_name, fields)
    except exceptions.FormatError as err:
        err.what += f' (of {chunk_name.removeprefix(prefix)[:20]})'
        raise


def _decode_fields(name: str, chunk_name: str,
                   fields: object) -> tuple[types.ChunkRecord, bool]:
    if not isinstance(fields, dict):
        raise documents.damaged(name, 'an entry is not an object')
    compression = documents.text(name, fields, 'compression')
    if compression is None:
        raise documents.damaged(name, 'an entry has no compression')
    if len(compression) > _LONGEST_WORD:
        raise documents.damaged(
            name, f'{documents.shown(compression)} is not a compression')
    extent = types.Extent(documents.size(name, fields, 'offset'),
                          documents.size(name, fields, 'length'))
    if not extent.length:
        raise documents.damaged(name, 'an entry has a length of zero')
    if extent.end > types.LARGEST_OFFSET:
        raise documents.damaged(
            name, f'an entry ends at {extent.end}, which no volume can reach')
    # "md5" is of the stored bytes in all manifests from before 2015.1, which
    # have no digests. The field that tells their age may be still to come.
    ours = _STORED_MD5 in fields
    stored_md5 = documents.text(name, fields, _STORED_MD5 if ours else 'md5')
    if stored_md5 is not None and not _MD5.fullmatch(stored_md5):
        raise documents.damaged(
            name, f'{documents.shown(stored_md5)} is not an MD5')
    return types.ChunkRecord(
        name=chunk_name, extent=extent, compression=compression,
        stored_length=documents.optional_size(name, fields, _STORED_LENGTH),
        stored_md5=stored_md5), ours


def _correct_offsets(chunks: chunk_table.ChunkTable) -> None:
    # Cinder 2013.2 to 2014.2 noted the position after reading a chunk. Those
    # releases knew no parents and only made full backups, so the first chunk
    # tells: it begins at 0, or at its own length where the quirk applies. If
    # it is not the first, one is missing, and nothing can be told.
    if not chunks or chunks.offsets[0] != chunks.lengths[0]:
        return
    if (any(map(operator.lt, chunks.offsets, chunks.lengths))
            or not chunks.name(0).endswith('-00001')):
        return
    for index, length in enumerate(chunks.lengths):
        chunks.offsets[index] -= length

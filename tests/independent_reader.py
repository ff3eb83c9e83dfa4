# SPDX-License-Identifier: Apache-2.0

"""A reader of backups in chunks that shares no code with the driver.

It was written from the specification ``doc/source/reference/chunks.rst`` alone
by somebody who had not seen the driver, to prove that the page is enough.
"""

from bisect import bisect_left
import bz2
from contextlib import suppress
import hashlib
from itertools import pairwise
import json
import re
import sys
from typing import Any
import zlib

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Objects = dict[str, bytes]
Containers = dict[str, Objects]
NAME = re.compile(
    r'volume_[^/]+/([0-9]{14})/az_.*_backup_([^/]+)'
    r'(-[0-9]{5,}|_sha256file|_metadata)'
)
CODECS = ('none', 'off', 'no', 'zlib', 'gzip', 'bz2', 'bzip2', 'zstd')


class Unreadable(Exception):
    """Something of the backup is not as the specification says."""


def find(objects: Objects) -> list[str]:
    """The prefixes of complete backups, oldest first, parents first."""
    todo = [b for b in _list(objects) if b['needed'] <= objects.keys()]
    found = []
    while todo:
        ids = [backup['backup_id'] for backup in todo]
        ready = (b for b in todo if b.get('parent_id') not in ids)
        found.append(next(ready, todo[0]))
        todo = [backup for backup in todo if backup is not found[-1]]
    return [backup['prefix'] for backup in found]


def restore(containers: Containers, container: str, prefix: str) -> bytes:
    """The bytes of the volume as of a backup. Raises Unreadable."""
    try:
        chain = _chain(containers, container, prefix)
        chunks = [chunk for backup in chain for chunk in backup['objects']]
        length = chain[-1].get('csb_volume_size')
        if length is None:
            length = max((chunk['end'] for chunk in chunks), default=0)
        volume = _lay(chunks, length)
        _verify(volume, containers[container], chain[-1])
    except Exception as error:
        raise Unreadable(f'{prefix}: {error!r}') from error
    return volume


def _check(good: Any, what: str) -> None:
    if not good:
        raise Unreadable(what)


def _number(value: Any, least: int = 0, most: int = (1 << 63) - 1) -> int:
    _check(type(value) is int and least <= value <= most, 'a bad number')
    return int(value)


def _chain(containers: Containers, at: str, prefix: str) -> list[Any]:
    chain = [_backup(containers[at], prefix)]
    while (wanted := chain[0].get('parent_id')) is not None:
        _check(wanted not in [b['backup_id'] for b in chain], 'a loop')
        near = str((chain[0].get('csb_parent') or {}).get('container'))
        places = (at, near, *sorted(containers))
        found = ((p, _list(containers.get(p, {}), wanted)) for p in places)
        at, copies = next((f for f in found if f[1]), ('', []))
        _check(copies, f'the parent {wanted} is missing')
        chain.insert(0, copies[0])
    return chain


def _list(objects: Objects, wanted: str = '') -> list[Any]:
    found = []
    matches = [m for m in map(NAME.fullmatch, objects) if m]
    for m in sorted(matches, key=lambda m: (m[1], m[0])):
        if m[3] == '_metadata' and wanted in ('', m[2]):
            with suppress(Exception):
                found.append(_backup(objects, m[0][: m.start(3)]))
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    _check(len(dict(pairs)) == len(pairs), 'a field occurs twice')
    return dict(pairs)


def _document(objects: Objects, prefix: str, what: str) -> Any:
    m = NAME.fullmatch(prefix + what)
    if not m or m[2].endswith('_sha256file'):
        raise Unreadable('no prefix of a backup')
    text = objects[m[0]].decode()  # below, int refuses NaN and the like
    fields = json.loads(text, object_pairs_hook=_unique, parse_constant=int)
    good = fields['version'] == '1.0.0' and fields['backup_id'] == m[2]
    _check(good, 'another version or backup_id')
    return fields


def _backup(objects: Objects, prefix: str) -> Any:
    fields = _document(objects, prefix, '_metadata')
    old, size = 'parent_id' not in fields, fields.get('csb_volume_size')
    good = type(fields.get('parent_id')) in (str, type(None))
    good = good and type(fields['objects']) is list
    _check(good, 'parent_id or objects is of a wrong type')
    chunks = [_chunk(objects, prefix, e, old) for e in fields['objects']]
    needed = {chunk['name'] for chunk in chunks}
    _check(len(needed) == len(chunks), 'a name occurs twice')
    starts = [chunk['offset'] - chunk['length'] for chunk in chunks]
    first = [chunk['name'] for chunk in chunks[:1]] == [f'{prefix}-00001']
    ends = old and first and starts[0] == 0 <= min(starts)  # Havana to Juno
    for chunk in chunks:
        chunk['offset'] -= chunk['length'] if ends else 0
        chunk['end'] = chunk['offset'] + chunk['length']
    end = max((chunk['end'] for chunk in chunks), default=0)
    _check(size is None or end <= _number(size), 'a chunk ends too late')
    needed |= set() if old else {f'{prefix}_sha256file'}
    return fields | {'prefix': prefix, 'objects': chunks, 'needed': needed}


def _chunk(objects: Objects, prefix: str, entry: Any, old: bool) -> Any:
    [(name, fields)] = entry.items()
    good = re.fullmatch(re.escape(prefix) + '-[0-9]{5,}', name)
    _check(good and type(fields) is dict, f'{name} is no chunk')
    _number(fields['offset'])
    _number(fields['length'], 1)
    codec = fields['compression'].lower()
    _check(codec in CODECS, f'{name}: an unknown codec')
    _check(not old or fields.get('md5') is not None, f'{name}: no md5')
    own = {'name': name, 'codec': codec, 'objects': objects, 'plain': b''}
    return fields | own | ({} if old else {'md5': None})


def _lay(chunks: list[Any], length: int) -> bytes:
    """Lay the chunks over each other, and decode what is left of them."""
    ends = {min(c[key], length) for c in chunks for key in ('offset', 'end')}
    cuts = sorted(ends | {0, length})
    owners: dict[int, Any] = {}
    pieces = []
    for c in chunks:
        low, high = (bisect_left(cuts, c[key]) for key in ('offset', 'end'))
        owners |= dict.fromkeys(cuts[low:high], c)
    _check(owners.keys() >= set(cuts[:-1]), 'a byte is in no chunk')
    for low, high in pairwise(cuts):
        c = owners[low]
        c['plain'] = c['plain'] or _decode(c)
        pieces.append(c['plain'][low - c['offset'] : high - c['offset']])
    return b''.join(pieces)


def _decode(chunk: Any) -> bytes:
    name, codec, length = chunk['name'], chunk['codec'], chunk['length']
    data: bytes = chunk['objects'][name]
    md5s = {chunk.get('md5'), chunk.get('csb_stored_md5')} - {None}
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    good = chunk.get('csb_stored_length') in (None, len(data))
    good = good and {md5.lower() for md5 in md5s} <= {found}
    _check(good, f'{name} is not what was stored')
    if codec not in ('none', 'off', 'no'):
        decoder = _decoder(codec, data, length)
        data = decoder.decompress(data, min(length, 1 << 62) + 1)
        good = decoder.eof and not decoder.unused_data
    _check(good and len(data) == length, f'{name} is not of its length')
    return data


def _decoder(codec: str, data: bytes, length: int) -> Any:
    if codec != 'zstd':
        bzip2 = codec in ('bz2', 'bzip2')
        return bz2.BZ2Decompressor() if bzip2 else zlib.decompressobj()
    # a single segment has no window but all of its content
    window = (8 + data[5] % 8) << (7 + data[5] // 8)
    window = length if data[4] & 0x20 else window
    good = data[:4] == b'\x28\xb5\x2f\xfd' and window <= 8 << 20
    _check(good, 'no Zstandard frame, or too large a window')
    return zstd.ZstdDecompressor()


def _verify(volume: bytes, objects: Objects, backup: Any) -> None:
    name = backup['prefix'] + '_sha256file'
    if 'parent_id' not in backup and name not in objects:
        return
    digests = _document(objects, backup['prefix'], '_sha256file')
    size = _number(digests['chunk_size'], 1, 256 << 20)
    sha256s = digests['sha256s']
    good = type(sha256s) is list and len(sha256s) == -(-len(volume) // size)
    _check(good, 'another number of digests than of blocks')
    for n, wanted in enumerate(sha256s):
        block = volume[n * size : (n + 1) * size]
        good = hashlib.sha256(block).hexdigest() == wanted.lower()
        _check(good, f'block {n} does not match its digest')

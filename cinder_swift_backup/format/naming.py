# SPDX-License-Identifier: Apache-2.0

"""The names of a backup's objects.

The layout is the stock driver's (``cinder.backup.drivers.swift`` and
``cinder.backup.chunkeddriver``)::

    volume_<volume_id>/<UTC %Y%m%d%H%M%S>/az_<az>_backup_<backup_id>-00000
    ...                                                            -01600
    ...                                                            _sha256file
    ...                                                            _metadata

and, in the container of segments, ``..._sha256file-000000`` and so on.

The form of packs is ours. Its packs outlive the backup that put them, so they
are not below its prefix; what is like chunks there are pages of the manifest::

    volume_<volume_id>/packs/<maker>-000001
    ...                      condemned

The maker of a pack is the id of the backup that put it. A backup that was
converted from another form has a maker of its own, see :func:`another_maker`,
and a prefix of its own, see :func:`converted`: its availability zone ends in
"-in-packs" or "-in-chunks".

The stock driver counts chunks from 1. Readers take the position from the
manifest, so any number will do; ours is that of the chunk's first block, so
that a name shows where the chunk belongs.

The stock driver refuses to restore when a listing of the prefix shows any
object that the manifest does not name, so nothing else may be put there.
"""

import dataclasses
import datetime
import re

_STAMP = '%Y%m%d%H%M%S'
_PREFIX = re.compile(
    r'volume_(?P<volume_id>[^/]+)/(?P<stamp>[0-9]{14})/'
    r'az_.*_backup_(?P<backup_id>[^/]+)')
_SUFFIX = re.compile(r'(?:-[0-9]{5,}|_sha256file|_metadata)\Z')
_SEGMENT_SUFFIX = re.compile(r'_sha256file-[0-9]{6,}\Z')
_CHUNK_SUFFIX = re.compile(r'-[0-9]{5,}\Z')
# What is behind the id of a backup in the name of another maker.
_ANOTHER = re.compile(r'\.[0-9a-f]{8}\Z')
_CONVERTED = re.compile(
    r'(?P<begin>volume_[^/]+/[0-9]{14}/az_.*?)(?P<form>-in-(?:chunks|packs))?'
    r'(?P<end>_backup_[^/]+)')
_PACK_REST = re.compile(r'(?P<maker>[^/]+)-(?P<number>[0-9]{6,9})')
_PACK = re.compile(
    rf'volume_(?P<volume_id>[^/]+)/packs/{_PACK_REST.pattern}')


def backup_prefix(volume_id: str, backup_id: str, availability_zone: str,
                  now: datetime.datetime) -> str:
    """The prefix for a new backup; ``now`` is in UTC."""
    stamp = now.strftime(_STAMP)
    return (f'volume_{volume_id}/{stamp}/'
            f'az_{availability_zone}_backup_{backup_id}')


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """What the prefix of a backup says; ``created`` is in UTC."""

    prefix: str
    volume_id: str
    backup_id: str
    created: datetime.datetime


# What the names of all backups begin with.
ALL = 'volume_'


def place(name: str) -> Place | None:
    """The backup that an object is of by its name; None if it is of none."""
    return _place(name, _SUFFIX)


def place_of_segment(name: str) -> Place | None:
    """The same, for an object in a container of segments."""
    return _place(name, _SEGMENT_SUFFIX)


def _place(name: str, suffix: re.Pattern[str]) -> Place | None:
    end = suffix.search(name)
    if end is None:
        return None
    prefix = name[:end.start()]
    match = _PREFIX.fullmatch(prefix)
    # A segment looks like a chunk of a backup with an odd id.
    if match is None or prefix.endswith(digest_file_name('')):
        return None
    fields = match.groupdict()
    try:
        created = datetime.datetime.strptime(
            fields.pop('stamp'), _STAMP).replace(tzinfo=datetime.UTC)
    except ValueError:
        return None
    return Place(prefix, created=created, **fields)


def chunk_name(prefix: str, number: int) -> str:
    """The name of the chunk that begins at block ``number``, from 0."""
    return f'{prefix}-{number:05d}'


def manifest_name(prefix: str) -> str:
    """The name of the manifest, the last object to be written."""
    return f'{prefix}_metadata'


def digest_file_name(prefix: str) -> str:
    """The name of the file with the digest of every block."""
    return f'{prefix}_sha256file'


def segments_container(container: str) -> str:
    """The container for the segments of large objects of another.

    So they are not under the backup's prefix. Other tools do the same.
    """
    return f'{container}_segments'


def digest_segment_name(prefix: str, number: int) -> str:
    """The name of a segment of the digest file."""
    return f'{digest_segments(prefix)}{number:06d}'


def digest_segments(prefix: str) -> str:
    """What the names of all segments begin with."""
    return f'{digest_file_name(prefix)}-'


def is_chunk(name: str, prefix: str) -> bool:
    """Whether ``name`` is like that of a chunk of the backup at ``prefix``."""
    return (name.startswith(prefix)
            and _CHUNK_SUFFIX.fullmatch(name, len(prefix)) is not None)


def packs(prefix: str) -> str:
    """What the names of all packs of a volume begin with.

    :param prefix: of any of its backups
    """
    return f'{prefix.partition("/")[0]}/packs/'


def pack_name(prefix: str, maker: str, number: int) -> str:
    """The name of a pack.

    :param prefix: of any backup of the volume
    :param maker: who puts it: the id of a backup, or :func:`another_maker`
    :param number: of the pack, from 1 on
    """
    return f'{packs(prefix)}{maker}-{number:06d}'


def condemned_name(prefix: str) -> str:
    """The name of the note of packs that nobody names.

    :param prefix: of any backup of the volume
    """
    return f'{packs(prefix)}condemned'


def volume_of_note(name: str) -> str | None:
    """The id of the volume of a note of packs; None if it is none."""
    volume_id = name.partition('/')[0].removeprefix(ALL)
    if volume_id and name == condemned_name(f'{ALL}{volume_id}/'):
        return volume_id
    return None


def is_pack(name: str) -> bool:
    """Whether an object is a pack, by its name."""
    return _PACK.fullmatch(name) is not None


def maker(name: str) -> tuple[str, str] | None:
    """The ids of the volume and the backup of a pack; None if it is none."""
    match = _PACK.fullmatch(name)
    return None if match is None else (match['volume_id'],
                                       backup_of(match['maker']))


def another_maker(backup_id: str, unique: int) -> str:
    """Who puts packs of a backup that may have put some before.

    :param unique: a number of 32 bits that nobody else takes
    """
    return f'{backup_id}.{unique:08x}'


def is_of_converted(name: str) -> bool:
    """Whether a pack was put by a conversion, by its name."""
    match = _PACK.fullmatch(name)
    return match is not None and _ANOTHER.search(match['maker']) is not None


def backup_of(maker: str) -> str:
    """The id of the backup that a maker of packs is of."""
    return _ANOTHER.sub('', maker)


def converted(prefix: str, form: str) -> str:
    """The prefix of a backup that is converted to another form.

    Converting it once more, or back, gives no longer one. It is always
    another: a zone may be called like one of a converted backup.

    :param prefix: of any backup, converted or not
    :param form: the word for it
    :raises ValueError: when no backup can have such a prefix
    """
    match = _CONVERTED.fullmatch(prefix)
    if match is None:
        raise ValueError(f'{prefix} is no prefix of a backup')
    found = f'{match["begin"]}-in-{form}{match["end"]}'
    if found == prefix:
        return f'{match["begin"]}{match["form"]}-in-{form}{match["end"]}'
    return found


def is_converted(prefix: str, form: str | None = None) -> bool:
    """Whether a backup was converted from another form, by its prefix.

    :param form: the word for the one that it was converted to; any by default
    """
    match = _CONVERTED.fullmatch(prefix)
    return (match is not None and match['form'] is not None
            and form in (None, match['form'].rpartition('-')[2]))


def rest_of_pack(name: str) -> str:
    """The end of the name of a pack, behind what :func:`packs` returns."""
    return name.removeprefix(packs(name))


def pack_maker(rest: str) -> tuple[str, int] | None:
    """Who put a pack, and its number; None if it is no name of a pack.

    :param rest: of its name, without what :func:`packs` returns
    """
    match = _PACK_REST.fullmatch(rest)
    if match is None:
        return None
    maker, number = match['maker'], int(match['number'])
    return (maker, number) if rest == f'{maker}-{number:06d}' else None


def belongs_to(name: str, prefix: str) -> bool:
    """Whether ``name`` can be an object of the backup at ``prefix``.

    A manifest is only trusted to name objects of its own backup: whoever
    can write one could otherwise have us delete or restore another's data.
    """
    if not name.startswith(prefix):
        return False
    rest = name[len(prefix):]
    return (rest in ('_metadata', '_sha256file')
            or _CHUNK_SUFFIX.match(rest) is not None)

# SPDX-License-Identifier: Apache-2.0

"""Whether a file is what a backup or a restore may have.

See :mod:`cinder_swift_backup.engine.volumes.image_formats` for formats.

1. Back up no file that refers to another one: what is in that would be
   missing, and nobody would notice before it is needed.
2. Note in the manifest the format of a file, or that it was none, but a device
   or an image: these are raw, whatever their guest wrote to their beginning.
   So is a file if Cinder says so and it is exactly as long as the volume.
3. Restore no file in a format of its own to a device or an image, whose guest
   would see the file and not what is in it. Where the manifest does not tell,
   the beginning of the backup does. It need not be fetched if the backup has
   the size of its volume, as far as there is a record of it, and whole GiB, as
   all volumes of Cinder have.
4. Restore onto no file that refers to another one, unless the backup is of
   such a file, too. Those are from before this was checked, or by the stock
   driver.
5. Restore no file in another format than the volume is going to be read in,
   where that is known. Cinder empties a file before it hands it over, so the
   file itself does not tell.

A handle without a descriptor may be of anything. It is taken for a file, and
for raw if it is exactly as long as the volume.
"""

import dataclasses
from typing import TypeGuard

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import volumes
from cinder_swift_backup.engine.volumes import base
from cinder_swift_backup.engine.volumes import descriptor
from cinder_swift_backup.engine.volumes import image_formats
from cinder_swift_backup.engine.volumes import seeking
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
# What manifests and Cinder call it.
RAW = 'raw'
# What manifests call a file that is in no format we know of.
UNKNOWN = 'unknown'
# Bytes: every volume of Cinder is a multiple of it.
GIB = 1 << 30
# What is below a file since there is a snapshot.
_BELOW = ('a backing file', 'a parent')


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """What Cinder has noted of a volume that is backed up.

    ``size`` is in bytes, 0 if it is not known. ``is_raw`` is whether Cinder is
    sure that its file is raw.
    """

    size: int = 0
    is_raw: bool = False


NOTHING = Recorded()


def source_format(source: object, recorded: Recorded) -> str | None:
    """The format of what is backed up, for the manifest; None if not known.

    :raises VolumeError: when it refers to another file, or cannot be read
    """
    if base.is_device(source):
        return RAW
    if not _may_be_a_file(source):
        return None
    if _is_raw_by_length(source, recorded):
        return RAW
    kind = image_formats.find(read_head(source))
    if kind is None:
        return UNKNOWN
    if kind.needs:
        raise exceptions.VolumeError(
            f'the volume is in a {kind.name} file that needs {kind.needs}, '
            'which the backup would not include', detail=kind.detail,
            remedy=(exceptions.Remedy.SNAPSHOT if kind.needs in _BELOW
                    else exceptions.Remedy.WHOLE_SOURCE))
    return kind.name


def _may_be_a_file(
        volume: object,
        ) -> TypeGuard[descriptor.FileVolume | seeking.SeekingVolume]:
    return isinstance(volume, descriptor.FileVolume | seeking.SeekingVolume)


def _is_raw_by_length(source: descriptor.FileVolume | seeking.SeekingVolume,
                      recorded: Recorded) -> bool:
    sure = recorded.is_raw or isinstance(source, seeking.SeekingVolume)
    return sure and source.size == recorded.size and not source.size % GIB


def read_head(volume: object) -> bytes:
    """The beginning of a file; nothing of what is none.

    :raises VolumeError: when it cannot be read
    """
    if not _may_be_a_file(volume):
        return b''
    extent = types.Extent(0, min(volume.size, image_formats.HEAD))
    return bytes(volume.read(extent, bytearray(extent.length)))


def read_target(volume: object) -> bytes:
    """The beginning of a file to restore to.

    :returns: nothing, too, if it is open for writing only
    """
    try:
        return read_head(volume)
    except exceptions.VolumeError:
        return b''


def takes_files(target: volumes.VolumeWriter) -> bool:
    """Whether a file in a format of its own can be restored to a target."""
    return (target.capacity is None
            or isinstance(target, seeking.SeekingVolume))


def has_no_format(manifest: chains.Manifest, length: int,
                  source_size: int) -> bool:
    """Whether a backup is known not to be of a file in a format of its own.

    :param length: of what is restored, in bytes
    :param source_size: of the volume in bytes, by the record of it; 0 if that
        is not known
    """
    if manifest.file_format is not None:
        return manifest.file_format in (RAW, UNKNOWN)
    return source_size in (0, length) and not length % GIB


def check_device(stored: image_formats.ImageFormat | None) -> None:
    """Refuse to give a device or an image what belongs into a file.

    :param stored: the format of the backup
    :raises VolumeError: when it has one
    """
    if stored is not None:
        raise exceptions.VolumeError(
            f'the backup is of a {stored.name} file, but the target is not a '
            'file',
            detail=stored.detail, remedy=exceptions.Remedy.CONVERT)


def check_file(stored: image_formats.ImageFormat | None,
               there: image_formats.ImageFormat | None,
               expected: str | None) -> None:
    """Refuse to overwrite a file with what cannot take its place.

    :param stored: the format of the backup
    :param there: that of the file to restore to
    :param expected: what the file is going to be read as; None for what it is
    :raises VolumeError: when the file refers to another one, and the backup
        does not, or when the backup is in another format than is wanted
    """
    if there is not None and there.needs and not (stored and stored.needs):
        raise exceptions.VolumeError(
            f'the target is a {there.name} file that needs {there.needs}, but '
            'the backup is of a whole volume', detail=there.detail,
            remedy=exceptions.Remedy.WHOLE_TARGET)
    _check_expected(stored, expected)
    if stored is not None and stored.needs:
        LOG.warning('The backup has only the %s file of the volume, which '
                    'needs %s [%s]', stored.name, stored.needs,
                    stored.detail or '-')


def _check_expected(stored: image_formats.ImageFormat | None,
                    expected: str | None) -> None:
    name = stored.name if stored is not None else RAW
    if expected is None or name.lower() == expected.lower():
        return
    raise exceptions.VolumeError(
        f'the backup is in format {name}, but the target must be in format '
        f'{expected}', remedy=exceptions.Remedy.SAME_FORMAT)

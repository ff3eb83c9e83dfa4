# SPDX-License-Identifier: Apache-2.0

"""Whether a file is what a backup or a restore may have.

See :mod:`cinder_swift_backup.engine.image_formats` for formats.

1. Back up no file that refers to another one: what is in that would be
   missing, and nobody would notice before it is needed.
2. Note the format of a file in the manifest.
3. Restore no file in a format of its own to a device or an image, whose guest
   would see the file and not what is in it. Where the manifest does not tell,
   the beginning of the backup does. It need not be fetched if the backup has
   the size of its volume, as far as there is a record of it, and whole GiB, as
   all volumes of Cinder have: then it is raw, whatever a guest wrote to its
   beginning.
4. Restore onto no file that refers to another one, unless the backup is of
   such a file, too. Those are from before this was checked, or by the stock
   driver.
5. Restore no file in another format than the volume is going to be read in,
   where that is known. Cinder empties a file before it hands it over, so the
   file itself does not tell.

Reading is offloaded, and the rest is not: oslo.utils logs.
"""

from oslo_log import log as logging

from cinder_swift_backup import exceptions
from cinder_swift_backup.engine import image_formats
from cinder_swift_backup.engine.volumes import file
from cinder_swift_backup.engine.volumes import seeking
from cinder_swift_backup.format import chains
from cinder_swift_backup.format import types

LOG = logging.getLogger(__name__)
# Bytes: every volume of Cinder is a multiple of it.
GIB = 1 << 30
_RAW = 'raw'


def read_head(volume: object) -> bytes:
    """The beginning of a file; nothing of what is certain to be raw.

    :raises VolumeError: when it cannot be read
    """
    if not isinstance(volume, file.FileVolume | seeking.SeekingVolume):
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


def check_source(head: bytes) -> str | None:
    """Refuse to back up part of a volume; returns the name of its format.

    :param head: the beginning of what Cinder handed over
    :raises VolumeError: when it refers to another file
    """
    found = image_formats.find(head)
    if found is None:
        return None
    if found.needs:
        raise exceptions.VolumeError(
            f'the volume is in a {found.name} file that needs {found.needs}, '
            f'which the backup would not have', detail=found.detail,
            remedy=exceptions.Remedy.SNAPSHOT)
    return found.name


def is_raw(manifest: chains.Manifest, length: int, source_size: int) -> bool:
    """Whether a backup is certain to be of a device, or of a raw file.

    :param length: of what is restored, in bytes
    :param source_size: of the volume in bytes, by the record of it; 0 if that
        is not known
    """
    return (manifest.file_format is None and source_size in (0, length)
            and not length % GIB)


def check_device(found: image_formats.ImageFormat | None) -> None:
    """Refuse to give a device or an image what belongs into a file.

    :param found: the format of the backup
    :raises VolumeError: when it has one
    """
    if found is not None:
        raise exceptions.VolumeError(
            f'the backup is of a {found.name} file, and the target is no file',
            detail=found.detail, remedy=exceptions.Remedy.CONVERT)


def check_file(found: image_formats.ImageFormat | None,
               there: image_formats.ImageFormat | None,
               wanted: str | None) -> None:
    """Refuse to overwrite a file with what cannot take its place.

    :param found: the format of the backup
    :param there: that of the file to restore to
    :param wanted: what the file is going to be read as; None if as what it is
    :raises VolumeError: when the file refers to another one, and the backup
        does not, or when the backup is in another format than is wanted
    """
    if there is not None and there.needs and not (found and found.needs):
        raise exceptions.VolumeError(
            f'the target is a {there.name} file that needs {there.needs}, '
            f'and the backup is of a whole volume', detail=there.detail,
            remedy=exceptions.Remedy.WHOLE_TARGET)
    _check_wanted(found, wanted)
    if found is not None and found.needs:
        LOG.warning('The backup has only the %s file of the volume, which '
                    'needs %s [%s]', found.name, found.needs, found.detail)


def _check_wanted(found: image_formats.ImageFormat | None,
                  wanted: str | None) -> None:
    name = found.name if found is not None else _RAW
    if wanted is None or name.lower() == wanted.lower():
        return
    raise exceptions.VolumeError(
        f'the backup is in format {name}, and its target has to be in format '
        f'{wanted}', remedy=exceptions.Remedy.SAME_FORMAT)
